#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "store/batch_codec.h"
#include "store/commit_log.h"
#include "store/segment_preparer.h"
#include "store/segment_set.h"

namespace millrace::store {

// The one thread that writes and syncs a log. It takes everything that waits: one write per segment, one sync.
class LogWriter {
 public:
  // Everything below `end` is durable. References outlive the writer.
  LogWriter(SegmentSet& segments, const BatchCodec& codec, const base::Clock& clock, const LogOptions& options,
            LogListener& listener, LogPosition end);
  ~LogWriter();  // does not flush

  void Append(AppendBatch batch);  // as CommitLog::Append
  absl::Status Drain();            // as CommitLog::Drain

  std::uint64_t written_end() const { return written_end_; }
  std::uint64_t flushed_end() const { return flushed_position().offset; }
  LogPosition flushed_position() const;
  LogMetrics metrics() const;

 private:
  struct Waiting {
    AppendBatch batch;
    std::uint64_t flushed_end = 0;  // when it was appended
    std::chrono::steady_clock::time_point at;
  };
  struct Unsynced {
    std::vector<std::shared_ptr<io::File>> files;
    LogPosition end;
    std::vector<std::chrono::steady_clock::time_point> appended;  // of each batch
  };

  void Run();
  bool Take();
  bool FlushIsDue() const;
  absl::Status WriteTaken();
  absl::Status WriteRun(std::uint64_t offset);
  absl::Status EnterSegment(std::uint64_t offset);
  absl::Status CreateSegment(std::uint64_t first);
  absl::Status Flush();
  absl::Status Sync(const Unsynced& unsynced);
  void Fail(const absl::Status& status);

  // Constant after construction.
  SegmentSet& segments_;
  const BatchCodec& codec_;
  const base::Clock& clock_;
  const LogOptions options_;
  LogListener& listener_;

  // The writer thread's own.
  std::vector<Waiting> taken_;
  bool flush_now_ = false;  // somebody drains, or a batch of `taken_` must be flushed before it is reported
  std::string buffer_;      // of one run: batches that stand in one segment, back to back
  std::int64_t run_log_time_millis_ = 0;  // of the run's last batch
  LogPosition written_;
  SegmentSet::Ref segment_;
  Unsynced unsynced_;
  std::int64_t unsynced_since_millis_ = 0;
  std::vector<std::thread> loose_syncs_;  // rules.one_sync switched off
  std::unique_ptr<SegmentPreparer> preparer_;

  std::atomic<std::uint64_t> written_end_;
  std::atomic<std::uint64_t> batches_{0}, records_{0}, bytes_{0}, writes_{0}, syncs_{0};
  base::Histogram write_nanos_{base::kLatencyNanos}, sync_nanos_{base::kLatencyNanos};
  base::Histogram flush_nanos_{base::kLatencyNanos}, batch_records_{kBatchRecords};

  mutable base::Mutex mu_;
  base::CondVar work_;
  base::CondVar done_;
  std::vector<Waiting> waiting_ ABSL_GUARDED_BY(mu_);
  std::uint64_t end_ ABSL_GUARDED_BY(mu_);  // of everything appended
  LogPosition flushed_ ABSL_GUARDED_BY(mu_);
  int drains_ ABSL_GUARDED_BY(mu_) = 0;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status failed_ ABSL_GUARDED_BY(mu_);

  std::thread thread_;
};

}  // namespace millrace::store
