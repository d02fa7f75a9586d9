#include "base/digest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>

#include "base/bytes.h"
#include "base/check.h"

namespace millrace::base {

Md5Digest Md5(absl::string_view data) {
  // Looking the algorithm up costs more than a small digest: once a process.
  static const EVP_MD* const kMd5 = EVP_MD_fetch(nullptr, "MD5", nullptr);
  thread_local EVP_MD_CTX* const context = EVP_MD_CTX_new();
  Md5Digest digest{};
  unsigned size = digest.size();
  MR_CHECK(EVP_DigestInit_ex(context, kMd5, nullptr) == 1);
  EVP_DigestUpdate(context, data.data(), data.size());
  EVP_DigestFinal_ex(context, reinterpret_cast<unsigned char*>(digest.data()), &size);
  return digest;
}

std::uint64_t ShortMac(absl::string_view key, absl::string_view data) {
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned size = sizeof mac;
  MR_CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                reinterpret_cast<const unsigned char*>(data.data()), data.size(), mac, &size) != nullptr);
  return Load<std::uint64_t>(reinterpret_cast<const char*>(mac));
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
