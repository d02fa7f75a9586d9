#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"

namespace millrace::base {

// CRC-32C (Castagnoli) of `data`, continuing from `seed` (the CRC of what stands before it, or any 32-bit seed).
// Crc32c("123456789") == 0xe3069283.
std::uint32_t Crc32c(absl::string_view data, std::uint32_t seed = 0);

}  // namespace millrace::base
