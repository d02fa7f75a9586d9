#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "io/file_system.h"

namespace millrace::store {

// Writes the next segment's file full of zeros ahead of its use, in a thread of its own: appends to blocks that exist
// need no journal commit, which halves a small sync. Failing to prepare is not an error: the segment is created at
// the moment it is needed then. One thread calls.
class SegmentPreparer {
 public:
  SegmentPreparer(io::FileSystem& fs, std::string directory, std::uint64_t segment_bytes);
  ~SegmentPreparer();  // gives up what is unfinished

  // Begins to prepare the segment `first`, unless it has done so already.
  void Prepare(std::uint64_t first);

  // The finished file of segment `first`, still under its temporary name; null when it is not ready, and then it never
  // will be.
  std::unique_ptr<io::File> Take(std::uint64_t first);

 private:
  void Run();
  absl::StatusOr<std::unique_ptr<io::File>> WriteZeros(std::uint64_t first);
  bool Abandoned(std::uint64_t first);

  io::FileSystem& fs_;
  const std::string directory_;
  const std::uint64_t segment_bytes_;

  base::Mutex mu_;
  base::CondVar wake_;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  bool started_ ABSL_GUARDED_BY(mu_) = false;  // on `wanted_`
  std::optional<std::uint64_t> wanted_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<io::File> ready_ ABSL_GUARDED_BY(mu_);  // of `wanted_`
  std::thread thread_;
};

}  // namespace millrace::store
