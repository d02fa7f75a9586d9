#pragma once

#include <cstdint>
#include <map>
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
  std::uint64_t acknowledged = 0;  // by the kind of flush: what was shown
  std::uint64_t flushed = 0;       // what a power cut may not take
  int boot = 1;                    // of the machine
  // End of what was shown under each epoch, also of what a power cut has taken since: under that epoch no offset below
  // may be used again.
  std::map<std::uint64_t, std::uint64_t> shown;

  // With async flush the promise to keep is a smaller one now, and the machine starts anew.
  void AfterPowerCut() {
    acknowledged = flushed;
    ++boot;
  }
};

// What a broker does at its start about a power cut. Production: all true.
struct StartRules {
  bool new_epoch = true;  // it begins one
  bool note_boot = true;  // the cut is forgotten only when the epoch is durable
};

struct LifeOptions {
  LogRules rules;
  StartRules start_rules;
  bool async_flush = false;
  bool prepare_segments = false;
  bool only_start = false;  // dies when it has found what there is: saves the writer's thread
};

// One broker from its start to its death on a disk, as far as the log is concerned: identity, checkpoint, the state
// image's position (a file that is replaced as a whole), the log. It notes in the disk's trace "started" when its start
// counts, and then every "written" and "flushed" of the log.
class BrokerLife {
 public:
  static constexpr std::uint64_t kSegmentBytes = 8192;
  static constexpr std::int64_t kFlushIntervalMillis = 500;

  // Starts, and compares what it finds with `before`. When violation() is not empty, nothing else may be called.
  BrokerLife(io::testing::MemoryFileSystem& disk, const Truth& before, const LifeOptions& options);
  ~BrokerLife();

  const std::string& violation() const { return violation_; }
  io::testing::FaultyFileSystem& faults() { return faults_; }
  RecordingListener& listener() { return log_->listener; }
  Appender& appender() { return *log_->appender; }

  void Append(const std::vector<std::string>& payloads);
  // A start record the way the core writes it: its number is one more than the last one found. After a power cut it
  // begins an epoch, and the boot is noted when that is durable.
  void AppendStart();
  // As what is flushed before it is answered in each mode: a topic, a group.
  void AppendMetadata(const std::string& payload);
  // Several appends that share one sync: they wait behind the sync of a first one.
  void AppendTogether(const std::vector<std::vector<std::string>>& batches);
  bool Drain() { return log_->log->Drain().ok(); }
  void WaitUntilWritten() { listener().WaitUntilWritten(appender().end()); }  // async flush
  // Async flush: lets the interval pass and sees that what was written before is flushed then.
  void PassInterval();
  void Checkpoint();
  void FlushImage();  // as far as the log is flushed
  void Retire();      // removes what the flushed image does not need

  // Everything that the log may hold now.
  std::vector<KnownBatch> Line() const;
  std::uint64_t epoch() const { return epoch_; }

 private:
  void Start(const Truth& before);
  void Compare(const Truth& before, LogPosition from);
  void ChooseEpoch(const Truth& before);
  LogPosition ReadImage();

  io::testing::MemoryFileSystem& disk_;
  const LifeOptions options_;
  const std::string boot_id_;
  bool power_cut_ = false;
  io::testing::FaultyFileSystem faults_;
  base::ManualClock clock_;
  std::string violation_;
  std::vector<KnownBatch> recovered_line_;
  int last_start_number_ = 0;
  std::uint64_t epoch_ = 1;
  std::uint64_t image_offset_ = 0;
  std::unique_ptr<io::FileLock> lock_;
  std::unique_ptr<OpenLog> log_;
};

}  // namespace millrace::store::testing
