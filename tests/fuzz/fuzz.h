#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"

// What every fuzz target shares. A target is one file targets/NAME.cc with one LLVMFuzzerTestOneInput; it aborts
// (MR_CHECK) when a decoder breaks its word. Formats with checksums are useless to a fuzzer as they are: the first byte
// of an input says whether the target puts the right checksums in before it decodes.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace millrace::fuzz {

inline absl::string_view View(const std::uint8_t* data, std::size_t size) {
  return absl::string_view(reinterpret_cast<const char*>(data), size);
}

// Takes the first byte off; 0 when there is none.
inline std::uint8_t TakeByte(absl::string_view& input) {
  if (input.empty()) return 0;
  const auto byte = static_cast<std::uint8_t>(input.front());
  input.remove_prefix(1);
  return byte;
}

// `bytes` with its last four replaced by the CRC of the others.
inline std::string Sealed(absl::string_view bytes) {
  std::string sealed(bytes);
  if (sealed.size() < 4) return sealed;
  const std::size_t content = sealed.size() - 4;
  base::Store(sealed.data() + content, base::Crc32c(absl::string_view(sealed).substr(0, content)));
  return sealed;
}

}  // namespace millrace::fuzz
