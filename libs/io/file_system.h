#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// Disk as a seam. Real: io/posix_file_system.h; in memory, forgetting and failing: io/testing/.
namespace millrace::io {

// An open file. Reads may run beside anything; writes, Truncate and Sync of one file come from one thread at a time.
// After an error of Write, Truncate or Sync nothing is known about the un-synced content; Sync is never retried.
class File {
 public:
  virtual ~File() = default;  // closes
  virtual absl::Status Write(std::uint64_t offset, absl::string_view data) = 0;
  // Up to `size` bytes at `offset` into `to`; fewer only at the end of the file. Returns how many.
  virtual absl::StatusOr<std::size_t> Read(std::uint64_t offset, std::size_t size, char* to) const = 0;
  virtual absl::Status Sync() = 0;  // fdatasync: on OK, earlier writes survive a power cut
  virtual absl::Status Truncate(std::uint64_t size) = 0;
  virtual absl::StatusOr<std::uint64_t> Size() const = 0;
};

enum class OpenMode {
  kRead,       // must exist
  kReadWrite,  // must exist
  kCreate,     // created when missing
};

struct Space {
  std::uint64_t total_bytes = 0;
  std::uint64_t free_bytes = 0;  // for us
};

// Held until destroyed; released by the kernel when the process dies.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

// Paths are absolute or relative to the working directory. Thread-safe. Errors name the path.
//   kNotFound, kAlreadyExists, kResourceExhausted (no space left), kUnavailable (every other failure of the disk)
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) = 0;
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;  // replaces `to`
  virtual absl::Status Remove(const std::string& path) = 0;
  virtual absl::Status RemoveDirectory(const std::string& path) = 0;  // must be empty
  virtual absl::Status CreateDirectories(const std::string& path) = 0;
  virtual absl::StatusOr<std::vector<std::string>> List(const std::string& directory) = 0;  // names, sorted
  virtual bool Exists(const std::string& path) = 0;
  virtual absl::Status SyncDirectory(const std::string& path) = 0;
  virtual absl::StatusOr<Space> SpaceOf(const std::string& path) = 0;
  // kAlreadyExists when another process holds it; the text has what the holder wrote into the file.
  virtual absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path, absl::string_view holder) = 0;
};

// The whole content of a small file.
absl::StatusOr<std::string> ReadFile(FileSystem& fs, const std::string& path);

// Writes beside `path`, syncs, renames over it, syncs the directory: after a crash it has the old or the new content.
absl::Status ReplaceFile(FileSystem& fs, const std::string& path, absl::string_view content);

}  // namespace millrace::io
