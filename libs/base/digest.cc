#include "base/digest.h"

#include <openssl/evp.h>
#include <sys/random.h>

#include <bit>
#include <memory>

#include "base/bytes.h"
#include "base/check.h"

namespace millrace::base {

Md5Digest Md5(absl::string_view data) {
  // Looking the algorithm up costs more than a small digest: once a process.
  static const EVP_MD* const kMd5 = EVP_MD_fetch(nullptr, "MD5", nullptr);
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  thread_local const std::unique_ptr<EVP_MD_CTX, Free> owned(EVP_MD_CTX_new());
  EVP_MD_CTX* const context = owned.get();
  Md5Digest digest{};
  unsigned size = digest.size();
  MR_CHECK(EVP_DigestInit_ex(context, kMd5, nullptr) == 1);
  EVP_DigestUpdate(context, data.data(), data.size());
  EVP_DigestFinal_ex(context, reinterpret_cast<unsigned char*>(digest.data()), &size);
  return digest;
}

std::uint64_t SipHash(absl::string_view key, absl::string_view data) {
  MR_CHECK(key.size() == 16);
  const auto k0 = Load<std::uint64_t>(key.data());
  const auto k1 = Load<std::uint64_t>(key.data() + 8);
  std::uint64_t v0 = k0 ^ 0x736f6d6570736575, v1 = k1 ^ 0x646f72616e646f6d;
  std::uint64_t v2 = k0 ^ 0x6c7967656e657261, v3 = k1 ^ 0x7465646279746573;
  const auto rounds = [&](int count) {
    while (count-- > 0) {
      v0 += v1, v1 = std::rotl(v1, 13), v1 ^= v0, v0 = std::rotl(v0, 32);
      v2 += v3, v3 = std::rotl(v3, 16), v3 ^= v2;
      v0 += v3, v3 = std::rotl(v3, 21), v3 ^= v0;
      v2 += v1, v1 = std::rotl(v1, 17), v1 ^= v2, v2 = std::rotl(v2, 32);
    }
  };
  const auto absorb = [&](std::uint64_t word) {
    v3 ^= word;
    rounds(2);
    v0 ^= word;
  };
  const char* at = data.data();
  std::size_t left = data.size();
  for (; left >= 8; left -= 8, at += 8) absorb(Load<std::uint64_t>(at));
  std::uint64_t last = static_cast<std::uint64_t>(data.size() & 0xff) << 56;
  for (std::size_t i = 0; i < left; ++i)
    last |= static_cast<std::uint64_t>(static_cast<unsigned char>(at[i])) << (8 * i);
  absorb(last);
  v2 ^= 0xff;
  rounds(4);
  return v0 ^ v1 ^ v2 ^ v3;
}

std::string RandomBytes(std::size_t size) {
  std::string bytes(size, '\0');
  std::size_t got = 0;
  while (got < size) {
    const ssize_t n = getrandom(bytes.data() + got, size - got, 0);
    if (n > 0) got += static_cast<std::size_t>(n);
  }
  return bytes;
}

std::string HexUpper(absl::string_view data) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string hex;
  hex.reserve(data.size() * 2);
  for (const char c : data) {
    hex.push_back(kDigits[static_cast<unsigned char>(c) >> 4]);
    hex.push_back(kDigits[static_cast<unsigned char>(c) & 15]);
  }
  return hex;
}

}  // namespace millrace::base
