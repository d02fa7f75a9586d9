#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "core/core.h"
#include "io/file_system.h"
#include "services/broker/inbox.h"
#include "store/commit_log.h"
#include "store/consume_queue.h"
#include "store/retention.h"
#include "store/state_image.h"
#include "store/store_files.h"

namespace millrace::broker {

// What a batch does to the state image, kept until the batch is flushed.
struct FoldBatch {
  struct Record {
    store::RecordType type;
    std::uint32_t queue = 0;
    std::uint64_t topic_id = 0;
    std::int64_t queue_offset = 0;
    std::string head;
  };
  std::uint64_t end = 0;
  std::int64_t log_time_millis = 0;
  std::vector<Record> records;
};

// Applies `records` of one batch to an image.
absl::Status FoldInto(const FoldBatch& batch, store::ImageChanges& image);
absl::Status FoldInto(const store::LogBatch& batch, store::ImageChanges& image);

// The image as the core loads it.
class ImageOfStore final : public core::ImageReader {
 public:
  explicit ImageOfStore(const store::StateImage& image) : image_(image) {}
  void Scan(absl::string_view prefix,
            absl::FunctionRef<void(absl::string_view, absl::string_view)> each) const override;

 private:
  const store::StateImage& image_;
};

// Folds flushed batches into the state image, flushes image and consume queues every 64 MiB of log or 60 s, writes the
// checkpoint, and removes what retention says. What the disk refuses is done again: the log has everything, and
// segments stay until the image has it too. Threads: Add and Wake from the core's thread; the work happens on a
// thread of its own.
class Keeper {
 public:
  struct Options {
    std::string data_directory;
    std::uint64_t flush_bytes = 64u << 20;
    std::int64_t flush_millis = 60'000;
    std::int64_t retention_millis = 10'000;  // between looks at what may go
    std::int64_t retry_millis = 1'000;       // after a fold that the image refused
    store::RetentionPolicy retention;
  };
  Keeper(const Options& options, io::FileSystem& fs, const base::Clock& clock, store::CommitLog& log,
         store::StateImage& image, store::QueueStore& queues, Inbox& inbox);
  ~Keeper();  // stops where it stands

  void Add(FoldBatch batch);
  void Wake();  // the flushed end has moved

  // Folds and flushes everything that is flushed in the log, then stops. Returns the checkpoint to close with.
  absl::StatusOr<store::Checkpoint> Finish();

  // Since the start, of segments that went for `reason`. From any thread.
  std::uint64_t removed_bytes(store::RetentionReason reason) const {
    return removed_bytes_[static_cast<std::size_t>(reason)].load(std::memory_order_relaxed);
  }

 private:
  void Run();
  bool FoldIsDone();
  absl::Status FoldFlushed();
  absl::Status FlushAll();
  absl::Status Retain();

  const Options options_;
  io::FileSystem& fs_;
  const base::Clock& clock_;
  store::CommitLog& log_;
  store::StateImage& image_;
  store::QueueStore& queues_;
  Inbox& inbox_;

  base::Mutex mu_;
  base::CondVar wake_;
  std::deque<FoldBatch> waiting_ ABSL_GUARDED_BY(mu_);
  bool woken_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;

  std::array<std::atomic<std::uint64_t>, 4> removed_bytes_{};  // by RetentionReason

  // The thread's own.
  std::vector<FoldBatch> folding_;      // flushed, and not in the image
  bool fold_refused_ = false;           // the last try failed
  std::int64_t retry_fold_millis_ = 0;  // not before, then
  bool records_broken_ = false;         // a record does not fold: the image must not go beyond it
  std::int64_t last_flush_millis_;
  std::int64_t last_retention_millis_ = 0;
  bool refusing_ = false;
  std::thread thread_;
};

}  // namespace millrace::broker
