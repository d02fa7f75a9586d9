#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace millrace::base {

using Md5Digest = std::array<char, 16>;

// MD5 of a message body: the digest that every official SDK checks. Not used for security. Thread-safe.
Md5Digest Md5(absl::string_view data);

// SipHash-2-4 of `data` under a key of 16 bytes: the keyed MAC of receipt handles. Thread-safe.
std::uint64_t SipHash(absl::string_view key, absl::string_view data);

// `size` bytes from the kernel's random source.
std::string RandomBytes(std::size_t size);

std::string HexUpper(absl::string_view data);

}  // namespace millrace::base
