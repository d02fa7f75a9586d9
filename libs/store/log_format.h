#pragma once

#include <cstdint>

// Constants of the commit log's format, shared by the core (which lays batches out) and the log writer (which fills
// checksums in). Little-endian. See docs/formats/commit_log.md.
namespace millrace::store {

// Batch header, 64 bytes:
//    0  u32 magic                 "MRB1"
//    4  u16 format version        1
//    6  u16 reserved              0
//    8  u64 epoch
//   16  u64 physical offset of this header
//   24  u32 length of the batch, this header included, a multiple of 8
//   28  u32 number of records     at least 1
//   32  i64 log time              milliseconds
//   40  u64 durable_end           the writer's flushed end when it wrote this header
//   48  u32 checksum of the header before it (0 for the first batch of a log)
//   52  u32 batch checksum        CRC-32C of the records' checksums in order, seeded with the store seed
//   56  u32 reserved              0
//   60  u32 header checksum       CRC-32C of bytes 0..59, seeded with the store seed
inline constexpr std::uint32_t kBatchMagic = 0x3142524d;  // "MRB1" as bytes
inline constexpr std::uint16_t kLogFormatVersion = 1;
inline constexpr std::uint32_t kBatchHeaderBytes = 64;

// Record header, 48 bytes, then `key_count` hashes (u64 each), then the payload, then zeros up to a multiple of 8:
//    0  u32 length                header, keys and payload, without the padding
//    4  u32 checksum              CRC-32C of bytes 0..3 and 8..length, seeded with the store seed and the record's
//                                 physical offset, so a misplaced block never validates
//    8  u8  type                  RecordType
//    9  u8  flags                 0
//   10  u16 key_count
//   12  u32 queue
//   16  u64 topic id              0 unless the record concerns one queue
//   24  i64 queue offset
//   32  u64 tag field             low 32 bits: hash of the tag; high 32 bits: hash of the message group
//   40  i64 time                  message, dead letter: log time when it was stored, else 0; milliseconds
inline constexpr std::uint32_t kRecordHeaderBytes = 48;
inline constexpr std::uint32_t kAlignment = 8;

enum class RecordType : std::uint8_t {
  kMessage = 1,     // payload: a stored message (docs/formats/stored_message.md)
  kVisible = 2,     // reserved: timer fired, transaction committed
  kRemoved = 3,     // reserved: cancelled, rolled back
  kCarried = 4,     // reserved: a body stored again before retention takes it
  kProgress = 5,    // payload: progress of one cursor (docs/formats/records.md)
  kDeadLetter = 6,  // payload: u32 length of a prefix, the prefix (origin and progress), a stored message
  kMetadata = 7,    // payload: a change of topics, groups, cluster (docs/formats/records.md)
  kStart = 8,       // payload: start number (docs/formats/records.md)
  kEpoch = 9,       // payload: epoch and the end of each queue at that moment (docs/formats/records.md)
  kSeal = 10,       // no payload: carries `durable_end` of what stands before it
};

constexpr std::uint32_t PaddedBytes(std::uint32_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// Bytes that a record takes in its batch.
constexpr std::uint32_t RecordBytes(std::uint32_t key_count, std::uint32_t payload_bytes) {
  return PaddedBytes(kRecordHeaderBytes + key_count * 8 + payload_bytes);
}

static_assert(RecordBytes(0, 0) == 48 && RecordBytes(1, 1) == 64, "on-disk format");

}  // namespace millrace::store
