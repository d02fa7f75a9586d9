#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "io/file_system.h"

// The index of each queue: entry number = queue offset. Rebuildable from the commit log. docs/formats/consume_queue.md
namespace millrace::store {

struct QueueKey {
  std::uint64_t topic_id = 0;
  std::uint32_t queue = 0;
  friend auto operator<=>(const QueueKey&, const QueueKey&) = default;
};

struct QueueEntry {
  std::uint64_t physical_offset = 0;  // of the record
  std::uint32_t bytes = 0;            // of the record, with padding
  std::uint64_t tag_field = 0;
  std::int64_t store_time_millis = 0;
};

// Thread-safe: one appender, any number of readers. An entry can be read as soon as Append() has returned.
class QueueStore {
 public:
  virtual ~QueueStore() = default;

  // The next entry of a queue; `queue_offset` must follow the last one (a queue's first entry starts it anywhere).
  // Repeating an entry that is there already (a replay) does nothing.
  // Errors: kDataLoss  damage or a gap was found. applied() is 0 from now on and on disk: opened again, the store is
  //                    empty, and a replay of the whole log builds it. The same holds for Get.
  virtual absl::Status Append(QueueKey key, std::int64_t queue_offset, const QueueEntry& entry) = 0;

  // The store time of what is read back is that of the first entry of its page, at or before its own.
  // kNotFound: below the minimum or at the end or beyond.
  virtual absl::StatusOr<QueueEntry> Get(QueueKey key, std::int64_t queue_offset) const = 0;

  // [minimum, maximum): what can be read. {0, 0} for an unknown queue.
  struct Range {
    std::int64_t minimum = 0, maximum = 0;
  };
  virtual Range RangeOf(QueueKey key) const = 0;

  // Everything appended so far is on disk afterwards; then `applied` (physical offset) is what a restart begins at.
  virtual absl::Status Flush(std::uint64_t applied) = 0;
  // Where the last Flush() ended; rebuilding starts there. 0: from the log's start.
  virtual std::uint64_t applied() const = 0;

  // Entries whose record lies below `first_offset` go. `each` hears every queue whose minimum moved.
  virtual absl::Status RemoveBelow(std::uint64_t first_offset,
                                   absl::FunctionRef<void(QueueKey, std::int64_t minimum)> each) = 0;
  virtual absl::Status RemoveTopic(std::uint64_t topic_id) = 0;
};

// Files of 4 KiB pages below `directory` (one directory per topic id and queue). A store whose files are ahead of
// `log_end` or damaged is thrown away: applied() is 0 then. Open files are bounded; small.
absl::StatusOr<std::unique_ptr<QueueStore>> OpenQueueStore(io::FileSystem& fs, const std::string& directory,
                                                           std::uint64_t log_end);

}  // namespace millrace::store
