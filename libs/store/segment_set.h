#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "io/file_system.h"

namespace millrace::store {

// The segment files of a log, by the physical offset of their first byte. Files are opened when first needed and stay
// open; one that is removed stays readable for those who hold it. Thread-safe.
class SegmentSet {
 public:
  // One segment as it was when it was asked for.
  struct Ref {
    std::uint64_t first = 0;
    std::uint64_t end = 0;  // where the next segment begins; the largest u64 for the last one
    std::shared_ptr<io::File> file;
  };

  struct Times {
    std::uint64_t first = 0, end = 0;
    std::int64_t last_log_time_millis = 0;  // 0: not known
  };

  // Looks at the names in `directory`. A segment that was being prepared is removed.
  static absl::StatusOr<std::unique_ptr<SegmentSet>> Open(io::FileSystem& fs, const std::string& directory);

  std::string PathOf(std::uint64_t first) const;
  const std::string& directory() const { return directory_; }
  io::FileSystem& fs() const { return fs_; }

  bool empty() const;
  std::uint64_t first() const;  // 0 when empty
  std::uint64_t last() const;   // first offset of the last segment; 0 when empty
  std::vector<Times> List() const;

  // The last segment that begins at or below `offset`. kNotFound when there is none.
  absl::StatusOr<Ref> Find(std::uint64_t offset) const;
  // The segment behind the one that begins at `first`. kNotFound when that is the last one.
  absl::StatusOr<Ref> Next(std::uint64_t first) const;

  void Add(std::uint64_t first, std::unique_ptr<io::File> file);
  // Removes the file; the caller syncs the directory.
  absl::Status Remove(std::uint64_t first);
  void NoteLogTime(std::uint64_t offset, std::int64_t log_time_millis);

 private:
  struct Segment {
    std::shared_ptr<io::File> file;  // null until it is needed
    std::int64_t last_log_time_millis = 0;
  };
  using Segments = std::map<std::uint64_t, Segment>;

  SegmentSet(io::FileSystem& fs, std::string directory) : fs_(fs), directory_(std::move(directory)) {}
  absl::StatusOr<Ref> RefTo(Segments::iterator segment) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  io::FileSystem& fs_;
  const std::string directory_;
  mutable base::Mutex mu_;
  mutable Segments segments_ ABSL_GUARDED_BY(mu_);
};

// The name of the file in which the segment `first` is prepared.
std::string PreparedPath(const std::string& directory, std::uint64_t first);

}  // namespace millrace::store
