#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "io/testing/faulty_file_system.h"
#include "io/testing/memory_file_system.h"
#include "store/store_files.h"
#include "store/testing/log_fixture.h"

namespace millrace::store::testing {

// What must be found after a crash: the batches of `line` from the image's position on, all that end at or below
// `acknowledged` and then any number of further ones, and nothing else.
struct Truth {
  std::vector<KnownBatch> line;
  std::uint64_t acknowledged = 0;
};

struct LifeOptions {
  LogRules rules;
  bool prepare_segments = false;
  bool only_start = false;  // dies when it has found what there is: saves the writer's thread
};

// One broker from its start to its death on a disk, as far as the log is concerned: identity, checkpoint, the state
// image's position (a file that is replaced as a whole), the log. It notes every acknowledgement in the disk's trace.
class BrokerLife {
 public:
  static constexpr std::uint64_t kSegmentBytes = 8192;

  // Starts, and compares what it finds with `before`. When violation() is not empty, nothing else may be called.
  BrokerLife(io::testing::MemoryFileSystem& disk, const Truth& before, const LifeOptions& options);
  ~BrokerLife();

  const std::string& violation() const { return violation_; }
  io::testing::FaultyFileSystem& faults() { return faults_; }
  RecordingListener& listener() { return log_->listener; }
  Appender& appender() { return *log_->appender; }

  void Append(const std::vector<std::string>& payloads);
  // A start record the way the core writes it: its number is one more than the last one found.
  void AppendStart();
  // Several appends that share one sync: they wait behind the sync of a first one.
  void AppendTogether(const std::vector<std::vector<std::string>>& batches);
  bool Drain() { return log_->log->Drain().ok(); }
  void Checkpoint();
  void FlushImage();  // as far as the log is flushed
  void Retire();      // removes what the flushed image does not need

  // What is known now: everything appended may be there, what was acknowledged must be.
  Truth Known() const;
  // The line once the start has counted, before any later acknowledgement.
  const std::vector<KnownBatch>& recovered_line() const { return recovered_line_; }

 private:
  void Start(const Truth& before);
  void Compare(const Truth& before, LogPosition from);
  LogPosition ReadImage();

  io::testing::MemoryFileSystem& disk_;
  const LifeOptions options_;
  io::testing::FaultyFileSystem faults_;
  base::ManualClock clock_;
  std::string violation_;
  std::vector<KnownBatch> recovered_line_;
  int last_start_number_ = 0;
  std::uint64_t image_offset_ = 0;
  std::unique_ptr<io::FileLock> lock_;
  std::unique_ptr<OpenLog> log_;
};

}  // namespace millrace::store::testing
