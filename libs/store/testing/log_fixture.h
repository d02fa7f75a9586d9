#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "io/file_system.h"
#include "store/commit_log.h"

namespace millrace::store::testing {

// Remembers what a log's writer says. Thread-safe.
class RecordingListener final : public LogListener {
 public:
  void OnWritten(std::uint64_t end) override;
  void OnFlushed(std::uint64_t end) override;
  void OnFailed(const absl::Status& status) override;

  // Called first in OnWritten and OnFlushed, in the writer's thread, with the event's word. Before the first append.
  void AlsoTell(std::function<void(const char* what, std::uint64_t end)> hook) { hook_ = std::move(hook); }

  void WaitUntilFlushed(std::uint64_t end);
  void WaitUntilWritten(std::uint64_t end);
  void WaitUntilFailed();
  std::vector<std::string> events() const;  // "written 128", "flushed 128", "failed"
  std::uint64_t written() const;
  std::uint64_t flushed() const;

 private:
  void Add(std::string event);

  std::function<void(const char*, std::uint64_t)> hook_;
  mutable base::Mutex mu_;
  base::CondVar changed_;
  std::vector<std::string> events_;
  std::uint64_t written_ = 0, flushed_ = 0;
  bool failed_ = false;
};

// A batch as a test remembers it.
struct KnownBatch {
  std::uint64_t offset = 0;
  std::uint64_t end = 0;
  std::string content;  // payloads, each with its length
  std::uint64_t epoch = 0;
  bool flush_first = false;  // of an append
};
std::string ContentOf(const LogBatch& batch);

// Lays batches out the way the core does, and remembers them.
class Appender {
 public:
  Appender(std::uint64_t segment_bytes, std::uint64_t end) : segment_bytes_(segment_bytes), end_(end) {}

  // A batch with one message per payload.
  AppendBatch Make(const std::vector<std::string>& payloads, bool flush_first = false);
  // Of all batches from now on.
  void SetEpoch(std::uint64_t epoch) { epoch_ = epoch; }
  // Where the next batch of `payloads` goes.
  std::uint64_t PlaceOf(const std::vector<std::string>& payloads) const;

  const std::vector<KnownBatch>& known() const { return known_; }
  std::uint64_t end() const { return end_; }

 private:
  const std::uint64_t segment_bytes_;
  std::uint64_t end_;
  std::int64_t log_time_ = 1'700'000'000'000;
  std::uint64_t epoch_ = 1;
  std::vector<KnownBatch> known_;
};

// An open log with everything it needs.
struct OpenLog {
  RecordingListener listener;
  CommitLog::Recovery recovery;
  std::vector<KnownBatch> recovered;
  std::unique_ptr<Appender> appender;
  std::unique_ptr<CommitLog> log;  // last: its thread calls the listener

  void Append(const std::vector<std::string>& payloads, bool flush_first = false) {
    log->Append(appender->Make(payloads, flush_first));
  }
};

inline constexpr std::uint64_t kTestSeed = 0x1122334455667788;

// LogOptions for tests: segments of 4 KiB, nothing in the background.
LogOptions SmallLog();

// Opens `commitlog` of `fs`. Null with the error in `status`.
std::unique_ptr<OpenLog> TryOpen(io::FileSystem& fs, const base::Clock& clock, const LogOptions& options,
                                 LogPosition from, absl::Status& status);

// Does what a start does and starts no writer: `log` is null.
std::unique_ptr<OpenLog> TryRecover(io::FileSystem& fs, const LogOptions& options, LogPosition from,
                                    absl::Status& status);

}  // namespace millrace::store::testing
