#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/histogram.h"
#include "io/file_system.h"
#include "store/log_format.h"

// The broker's single append-only log, cut into segments. Every other structure of the store can be rebuilt from it.
// Format: docs/formats/commit_log.md. Rules of recovery: docs/formats/commit_log.md, "Start".
namespace millrace::store {

// One record to append; the writer adds header, checksum and padding.
struct AppendRecord {
  RecordType type = RecordType::kSeal;
  std::uint8_t flags = 0;
  std::uint32_t queue = 0;
  std::uint64_t topic_id = 0;
  std::int64_t queue_offset = 0;
  std::uint64_t tag_field = 0;
  std::int64_t time_millis = 0;
  std::vector<std::uint64_t> keys;
  std::string head;                         // payload = head, then body
  std::shared_ptr<const std::string> body;  // may be null
};

// One write batch. `offset` and the sizes are the caller's (RecordBytes() of each record plus the header), and must be
// where the log ends: MR_CHECK. A batch that does not fit the rest of a segment starts the next one.
struct AppendBatch {
  std::uint64_t offset = 0;
  std::uint64_t epoch = 0;
  std::int64_t log_time_millis = 0;
  bool flush_first = false;  // with async flush: synced before OnWritten reports it
  std::vector<AppendRecord> records;
};

// Bytes that a batch takes in the log.
std::uint32_t BatchBytes(const AppendBatch& batch);

// A record as it was read. Views live as long as the buffer that the reader filled.
struct LogRecord {
  std::uint64_t offset = 0;  // physical offset of its header
  std::uint32_t bytes = 0;   // with padding
  RecordType type = RecordType::kSeal;
  std::uint8_t flags = 0;
  std::uint32_t queue = 0;
  std::uint64_t topic_id = 0;
  std::int64_t queue_offset = 0;
  std::uint64_t tag_field = 0;
  std::int64_t time_millis = 0;
  std::vector<std::uint64_t> keys;
  absl::string_view payload;
};

struct LogBatch {
  std::uint64_t offset = 0;
  std::uint32_t bytes = 0;
  std::uint64_t epoch = 0;
  std::int64_t log_time_millis = 0;
  std::uint64_t durable_end = 0;
  std::uint32_t previous_checksum = 0;
  std::uint32_t header_checksum = 0;
  std::vector<LogRecord> records;
};

// A batch boundary: where the next batch goes, and the checksum of the header before it (0 at the log's start).
struct LogPosition {
  std::uint64_t offset = 0;
  std::uint32_t previous_checksum = 0;
};

// Everything that a test switches off to see that the suite notices (delivery-model rules). Production: all true.
struct LogRules {
  bool chain = true;               // headers carry the checksum of the one before
  bool store_id = true;            // checksums are seeded with the store id
  bool truncate = true;            // a torn tail is cut
  bool cut_sync = true;            // ... and the cut is synced
  bool start_rewrite = true;       // [D, X) is written again at start
  bool start_sync = true;          // what a start finds is synced before it counts
  bool roll_dirsync = true;        // directory synced after a segment is renamed in or removed
  bool one_sync = true;            // at most one fdatasync in flight
  bool sync_all_files = true;      // a flush that spans a roll syncs both files
  bool writer_durable_end = true;  // durable_end is the writer's flushed end, not the appender's
  bool fsync_stop = true;          // a failed fsync stops the log for good
  bool write_first = true;         // async flush: OnWritten follows the write
  bool flush_interval = true;      // async flush: nothing stays unflushed for longer than the interval
  bool flush_first = true;         // async flush: a batch that asks for it is synced before OnWritten
  bool check_records = true;       // a batch counts only with the checksums of its records
  bool sync = true;                // false: Sync() is never called
};

struct LogOptions {
  std::uint64_t segment_bytes = 1ull << 30;
  bool async_flush = false;
  std::int64_t flush_interval_millis = 500;  // async flush: longest time a byte stays unflushed
  std::uint64_t recorded_end = 0;            // flushed end of the checkpoint
  bool prepare_segments = true;              // pre-write the next segment in the background
  bool clean_stop = false;                   // recorded_end is the log's exact end: nothing behind it is searched
  LogRules rules;
};

struct LogMetrics {
  std::uint64_t batches = 0, records = 0, bytes = 0, writes = 0, syncs = 0;
  // Nanoseconds, bounds kLatencyNanos: write calls, fdatasync calls, from Append() until durable. `batch`: records of
  // a write batch, bounds kBatchRecords.
  const base::Histogram& write;
  const base::Histogram& sync;
  const base::Histogram& flush;
  const base::Histogram& batch;
};
inline constexpr base::HistogramBounds kBatchRecords{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1'024, 4'096};

// Called from the writer's thread, one at a time, in order.
class LogListener {
 public:
  virtual ~LogListener() = default;
  virtual void OnWritten(std::uint64_t end) = 0;  // async flush only
  virtual void OnFlushed(std::uint64_t end) = 0;
  virtual void OnFailed(const absl::Status& status) = 0;  // once; nothing is written after it
};

// Threads.   Append() from one thread; ReadRecord() and ReadBatches() from any; retention from one.
// Lifetime.  `fs`, `clock` and `listener` outlive the log. Destruction stops the writer and does not flush.
class CommitLog {
 public:
  struct Recovery {
    LogPosition end;                // X: everything below is durable now
    std::uint64_t cut_bytes = 0;    // of a torn tail
    bool tail_may_be_lost = false;  // a tail was cut and nothing proves that it was never flushed; with async flush
                                    // also after any unclean stop (it lost something only if the machine went down)
  };

  // Opens `directory` (created when missing), validates from `from` (the state image's position), cuts a torn tail for
  // good, writes [D, X) again and syncs. Hands every batch in [from, X) to `each`, in order, after they are durable.
  // Errors: kDataLoss     what does not validate lies below D; nothing on disk was changed; file and offset are named
  //         kUnavailable  the disk failed
  //         kFailedPrecondition  a newer format version, named
  static absl::StatusOr<std::unique_ptr<CommitLog>> Open(io::FileSystem& fs, const base::Clock& clock,
                                                         const std::string& directory, std::uint64_t store_seed,
                                                         const LogOptions& options, LogPosition from,
                                                         LogListener& listener, Recovery& recovery,
                                                         absl::FunctionRef<absl::Status(const LogBatch&)> each);

  virtual ~CommitLog() = default;

  // Queues a batch for the writer. Never blocks on the disk. After OnFailed it does nothing.
  virtual void Append(AppendBatch batch) = 0;

  // Everything that was appended is written and flushed, or the log has failed. For tests and a clean stop.
  virtual absl::Status Drain() = 0;

  // Reads and verifies the record of `bytes` bytes at `offset` into `buffer`; the record's views point into it.
  // Errors: kNotFound  retention took it;  kDataLoss  it does not validate
  virtual absl::StatusOr<LogRecord> ReadRecord(std::uint64_t offset, std::uint32_t bytes,
                                               std::string& buffer) const = 0;

  // Batches of [from, to) in order, verified, without the header chain check when from.previous_checksum is unknown (0
  // with offset > 0). Stops at the first error of `each`. Errors: as ReadRecord.
  virtual absl::Status ReadBatches(LogPosition from, std::uint64_t to,
                                   absl::FunctionRef<absl::Status(const LogBatch&)> each) const = 0;

  virtual std::uint64_t first_offset() const = 0;  // of the oldest segment
  virtual std::uint64_t flushed_end() const = 0;
  virtual std::uint64_t written_end() const = 0;
  virtual LogPosition flushed_position() const = 0;  // batch boundary at flushed_end()
  virtual std::uint64_t size_bytes() const = 0;      // from first_offset() to written_end()
  virtual LogMetrics metrics() const = 0;

  // Removes the oldest segments that end at or below `offset`, never the last one. Returns the new first offset.
  virtual absl::StatusOr<std::uint64_t> RemoveBelow(std::uint64_t offset) = 0;

  // First and one-past-last offset and the age basis of each segment, oldest first. The age basis is the log time of
  // its last batch, or of the first batch behind it when this start has not read the segment.
  struct Segment {
    std::uint64_t first = 0, end = 0;
    std::int64_t last_log_time_millis = 0;
  };
  virtual std::vector<Segment> segments() const = 0;
};

}  // namespace millrace::store
