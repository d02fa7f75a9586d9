#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "io/file_system.h"
#include "io/testing/memory_file.h"

namespace millrace::io::testing {

// One operation that changed something, or a remark of the test between them.
struct TraceStep {
  enum class Kind { kCreate, kWrite, kTruncate, kSync, kLose, kRename, kRemove, kSyncDirectory, kNote };
  Kind kind = Kind::kNote;
  std::uint64_t file = 0;   // number of the file, in order of creation
  std::string path, to;     // kCreate, kRename, kRemove, kSyncDirectory
  std::uint64_t value = 0;  // offset, size, or what was noted
  std::string data;         // kWrite: the bytes; kNote: what `value` is
};

// A disk in memory that forgets what was not synced when the power is cut: content page by page, names one by one.
// Directories themselves are durable at once. Handles must not be used after PowerCut(). Thread-safe.
class MemoryFileSystem final : public FileSystem {
 public:
  explicit MemoryFileSystem(std::size_t page_bytes = 4096) : page_bytes_(page_bytes) {}

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status RemoveDirectory(const std::string& path) override;
  absl::Status CreateDirectories(const std::string& path) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override;
  bool Exists(const std::string& path) override;
  absl::Status SyncDirectory(const std::string& path) override;
  absl::StatusOr<Space> SpaceOf(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path, absl::string_view holder) override;

  // The machine goes down and comes up again.
  void PowerCut(Survival survival, std::mt19937_64& random);
  // What a failed fsync of `path` leaves: clean pages that never reach the disk.
  void LoseUnsynced(const std::string& path);
  // Flips bits of one byte on the medium.
  void Damage(const std::string& path, std::uint64_t offset, unsigned char flip = 0x01);
  void SetSpace(Space space);

  // A second machine in the same state; what is un-synced here is un-synced there.
  std::unique_ptr<MemoryFileSystem> Clone() const;
  // Names and contents as a reader sees them.
  std::map<std::string, std::string> Contents() const;

  // Every change from now on is kept; TakeTrace() ends that.
  void StartTrace();
  void Note(std::uint64_t value, std::string what = {});  // a remark for the trace
  std::vector<TraceStep> TakeTrace();
  // Does again what a trace says. A trace is applied from its first step, to a disk in the state it began in.
  void Apply(const TraceStep& step);

 private:
  friend class MemoryHandle;
  using Names = std::map<std::string, std::uint64_t>;

  void Do(const TraceStep& step) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SyncNames(const std::string& directory) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void CutNames(Survival survival, std::mt19937_64& random) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::size_t page_bytes_;
  mutable base::Mutex mu_;
  std::map<std::uint64_t, MemoryFile> files_ ABSL_GUARDED_BY(mu_);
  Names names_ ABSL_GUARDED_BY(mu_);
  Names durable_names_ ABSL_GUARDED_BY(mu_);
  std::set<std::string> directories_ ABSL_GUARDED_BY(mu_);
  std::uint64_t next_file_ ABSL_GUARDED_BY(mu_) = 1;
  std::uint64_t last_written_file_ ABSL_GUARDED_BY(mu_) = 0;
  Space space_ ABSL_GUARDED_BY(mu_) = {.total_bytes = 1ull << 40, .free_bytes = 1ull << 40};
  bool tracing_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<TraceStep> trace_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<std::set<std::string>> locks_ = std::make_shared<std::set<std::string>>();
};

}  // namespace millrace::io::testing
