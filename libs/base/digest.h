#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace millrace::base {

using Md5Digest = std::array<char, 16>;

// MD5 of a message body: the digest that every official SDK checks. Not used for security. Thread-safe.
Md5Digest Md5(absl::string_view data);

// SipHash-2-4 of `data` under a key of 16 bytes: the keyed MAC of receipt handles. Thread-safe.
std::uint64_t SipHash(absl::string_view key, absl::string_view data);

using Sha1Mac = std::array<char, 20>;
using Sha256Mac = std::array<char, 32>;

// HMAC (RFC 2104): what clients and our own processes sign with. Any key, also an empty one. Thread-safe.
Sha1Mac HmacSha1(absl::string_view key, absl::string_view data);
Sha256Mac HmacSha256(absl::string_view key, absl::string_view data);

// Takes as long for unequal bytes as for equal ones; only the sizes may show.
bool EqualInConstantTime(absl::string_view a, absl::string_view b);

// `size` bytes from the kernel's random source.
std::string RandomBytes(std::size_t size);

std::string HexUpper(absl::string_view data);
// The bytes of a text of hexadecimal digits in either case; nullopt: it is none.
std::optional<std::string> FromHex(absl::string_view text);

}  // namespace millrace::base
