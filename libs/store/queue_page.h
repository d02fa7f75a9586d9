#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "store/consume_queue.h"
#include "store/consume_queue_format.h"

// Bytes of the consume queue's files. No I/O, no state. docs/formats/consume_queue.md
namespace millrace::store {

// A page in memory: its used entries in the disk's form, and the store time of the first.
struct QueuePage {
  std::string entries;
  std::int64_t first_store_time_millis = 0;

  std::int64_t size() const { return static_cast<std::int64_t>(entries.size() / kQueueEntryBytes); }
  bool full() const { return size() == kPageEntries; }
  // The first entry decides the page's time.
  void Add(const QueueEntry& entry);
  QueueEntry At(std::int64_t index) const;  // index < size(); store time: the page's
};

// Where a page belongs: part of its checksum.
struct PageAddress {
  QueueKey key;
  std::int64_t first = 0;  // queue offset of its first entry
  std::uint32_t generation = 0;
};

std::string EncodePage(const PageAddress& address, const QueuePage& page);  // kPageBytes
// kDataLoss: does not validate, or of another generation; says which.
absl::StatusOr<QueuePage> DecodePage(const PageAddress& address, absl::string_view bytes);

// The file `applied`.
struct QueueApplied {
  std::uint64_t applied = 0;
  std::uint64_t removed_below = 0;
  std::uint32_t generation = 1;
};
std::string EncodeApplied(const QueueApplied& applied);
// kFailedPrecondition: a newer version;  kDataLoss: does not validate
absl::StatusOr<QueueApplied> DecodeApplied(absl::string_view bytes);

// The file `writing`: queues with pages beyond `applied`, and their maximum at `applied`.
struct QueueMark {
  QueueKey key;
  std::int64_t maximum = 0;
};
struct QueueWriting {
  std::uint64_t applied = 0;
  std::vector<QueueMark> marks;
};
std::string EncodeWriting(const QueueWriting& writing);
absl::StatusOr<QueueWriting> DecodeWriting(absl::string_view bytes);  // kDataLoss

}  // namespace millrace::store
