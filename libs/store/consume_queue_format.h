#pragma once

#include <cstdint>

// Constants of the consume queue's files. Little-endian. See docs/formats/consume_queue.md.
namespace millrace::store {

// entry := physical_offset: u64, bytes: u32, tag_field: u64
//   e.g. 0010000000000000 e8000000 07a8270000000000   offset 4096, 232 bytes, tag hash 0x0027a807, no group
inline constexpr std::size_t kEntryBytesAt = 8;
inline constexpr std::size_t kEntryTagAt = 12;
inline constexpr std::size_t kQueueEntryBytes = 20;

inline constexpr std::size_t kPageBytes = 4096;
inline constexpr std::int64_t kPageEntries = 204;
inline constexpr std::size_t kPageTimeAt = kPageEntries * kQueueEntryBytes;
inline constexpr std::size_t kPageCrcAt = kPageTimeAt + 8;
inline constexpr std::size_t kPageGenerationAt = kPageCrcAt + 4;
static_assert(kPageGenerationAt + 4 == kPageBytes, "on-disk format: docs/formats/consume_queue.md");

inline constexpr std::int64_t kFilePages = 256;
inline constexpr std::int64_t kFileEntries = kFilePages * kPageEntries;

inline constexpr std::uint32_t kAppliedMagic = 0x3151524d;  // "MRQ1" as bytes
inline constexpr std::uint32_t kWritingMagic = 0x5751524d;  // "MRQW" as bytes
inline constexpr std::uint32_t kQueueFormatVersion = 1;

}  // namespace millrace::store
