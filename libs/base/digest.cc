#include "base/digest.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <sys/random.h>

#include <bit>
#include <memory>

#include "base/bytes.h"
#include "base/check.h"

namespace millrace::base {
namespace {

using MacContext = std::unique_ptr<EVP_MAC_CTX, decltype(&EVP_MAC_CTX_free)>;

// Looking algorithms up takes three times as long as a small MAC: once a thread and algorithm.
MacContext MakeHmac(const char* digest) {
  static EVP_MAC* const kHmac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  MacContext context(EVP_MAC_CTX_new(kHmac), EVP_MAC_CTX_free);
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, const_cast<char*>(digest), 0),
      OSSL_PARAM_construct_end()};
  MR_CHECK(EVP_MAC_CTX_set_params(context.get(), parameters) == 1);
  return context;
}

template <typename Mac>
Mac Hmac(EVP_MAC_CTX* context, absl::string_view key, absl::string_view data) {
  const auto bytes = [](absl::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); };
  Mac mac{};
  std::size_t size = mac.size();
  const absl::string_view set = key.empty() ? absl::string_view("") : key;  // null would keep the key of before
  MR_CHECK(EVP_MAC_init(context, bytes(set), set.size(), nullptr) == 1);
  EVP_MAC_update(context, bytes(data), data.size());
  EVP_MAC_final(context, reinterpret_cast<unsigned char*>(mac.data()), &size, mac.size());
  return mac;
}

int DigitOf(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

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

Sha1Mac HmacSha1(absl::string_view key, absl::string_view data) {
  thread_local const MacContext context = MakeHmac("SHA1");
  return Hmac<Sha1Mac>(context.get(), key, data);
}

Sha256Mac HmacSha256(absl::string_view key, absl::string_view data) {
  thread_local const MacContext context = MakeHmac("SHA256");
  return Hmac<Sha256Mac>(context.get(), key, data);
}

bool EqualInConstantTime(absl::string_view a, absl::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
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

std::optional<std::string> FromHex(absl::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = DigitOf(text[i]), low = DigitOf(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(high << 4 | low));
  }
  return bytes;
}

}  // namespace millrace::base
