#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"
#include "base/crc32c.h"

// Hashes that a proxy computes and a broker keeps in its log: they must never change. docs/formats/link.md
namespace millrace::proxy {

// Lane of a message group; 0 stands for no group.
inline std::uint32_t GroupHash(absl::string_view message_group) {
  if (message_group.empty()) return 0;
  const std::uint32_t hash = base::Crc32c(message_group);
  return hash == 0 ? 1 : hash;
}

// Of a message id or key: FNV-1a, 64 bits.
inline std::uint64_t KeyHash(absl::string_view key) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : key) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3;
  }
  return hash;
}

}  // namespace millrace::proxy
