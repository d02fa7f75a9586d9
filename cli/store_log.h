#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "io/file_system.h"
#include "store/commit_log.h"
#include "store/store_files.h"

namespace millrace::cli {

struct LogSums {
  std::uint64_t segments = 0, batches = 0, records = 0;
  std::uint64_t first = 0, end = 0;  // physical offsets: of the oldest byte, behind the last valid batch
  std::uint64_t torn_bytes = 0;      // behind `end`, and no durable end says that they must be there
};

// A broker's directory, looked at offline. Never changes anything, also not what a start would repair.
// Errors of all methods: kNotFound   no store there, or no such segment
//                        kDataLoss   damage: file and offset are named
//                        kFailedPrecondition  written by a newer release
class OfflineStore {
 public:
  // `fs` outlives it.
  static absl::StatusOr<OfflineStore> Open(io::FileSystem& fs, const std::string& directory);

  const store::Identity& identity() const { return identity_; }
  const store::Checkpoint& checkpoint() const { return checkpoint_; }

  // Every checksum and the chain of headers, with the rules of a start: what it would cut is `torn_bytes`, what it
  // would refuse is kDataLoss.
  absl::StatusOr<LogSums> Verify() const;

  // The batches of one segment, in order, up to its end or unused rest. kDataLoss after the last good one.
  absl::Status ReadSegment(std::uint64_t first, absl::FunctionRef<void(const store::LogBatch&)> each) const;

  std::string log_directory() const { return directory_ + "/commitlog"; }

 private:
  OfflineStore(io::FileSystem& fs, std::string directory) : fs_(&fs), directory_(std::move(directory)) {}

  io::FileSystem* fs_;
  std::string directory_;
  store::Identity identity_;
  store::Checkpoint checkpoint_;
};

}  // namespace millrace::cli
