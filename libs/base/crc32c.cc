#include "base/crc32c.h"

#include <array>
#include <cstring>

#ifdef __SSE4_2__
#include <nmmintrin.h>
#endif

namespace millrace::base {
namespace {

constexpr std::array<std::uint32_t, 256> MakeTable() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) ? 0x82f63b78u : 0u);
    table[i] = crc;
  }
  return table;
}

[[maybe_unused]] constexpr auto kTable = MakeTable();

}  // namespace

std::uint32_t Crc32c(absl::string_view data, std::uint32_t seed) {
  std::uint32_t crc = ~seed;
  const char* p = data.data();
  std::size_t n = data.size();
#ifdef __SSE4_2__
  std::uint64_t wide = crc;
  for (; n >= 8; n -= 8, p += 8) {
    std::uint64_t word;
    std::memcpy(&word, p, 8);
    wide = _mm_crc32_u64(wide, word);
  }
  crc = static_cast<std::uint32_t>(wide);
  for (; n > 0; --n, ++p) crc = _mm_crc32_u8(crc, static_cast<unsigned char>(*p));
#else
  for (; n > 0; --n, ++p) crc = (crc >> 8) ^ kTable[(crc ^ static_cast<unsigned char>(*p)) & 0xff];
#endif
  return ~crc;
}

}  // namespace millrace::base
