#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "base/mutex.h"
#include "io/file_system.h"

namespace millrace::io::testing {

// Passes everything on to another file system, but for the faults that a test asks for. Thread-safe. Files must not
// outlive it.
class FaultyFileSystem final : public FileSystem {
 public:
  enum class Operation { kRead, kWrite, kSync, kTruncate, kCreate, kRename, kRemove, kSyncDirectory };

  explicit FaultyFileSystem(FileSystem& base) : base_(base) {}

  // The `nth` operation of a kind from now on (1: the next one) fails; with `forever` so does every later one.
  void FailNth(Operation operation, int nth, absl::Status status, bool forever = false);
  // Called before a Sync fails, with its path: what the pages become is the test's choice.
  void OnSyncFailure(std::function<void(const std::string& path)> hook);
  // The next `count` calls of Sync wait until ReleaseSyncs(). WaitForHeldSync returns when one waits.
  void HoldSyncs(int count);
  void WaitForHeldSync();
  void ReleaseSyncs();
  // Sync returns OK and does nothing.
  void LieInSync(bool lie);

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status RemoveDirectory(const std::string& path) override { return base_.RemoveDirectory(path); }
  absl::Status CreateDirectories(const std::string& path) override { return base_.CreateDirectories(path); }
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override { return base_.List(directory); }
  bool Exists(const std::string& path) override { return base_.Exists(path); }
  absl::Status SyncDirectory(const std::string& path) override;
  absl::StatusOr<Space> SpaceOf(const std::string& path) override { return base_.SpaceOf(path); }
  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path, absl::string_view holder) override {
    return base_.Lock(path, holder);
  }

 private:
  friend class FaultyFile;

  absl::Status Fault(Operation operation);
  absl::Status BeforeSync(const std::string& path, bool& lie);

  FileSystem& base_;
  base::Mutex mu_;
  base::CondVar changed_;
  Operation operation_ ABSL_GUARDED_BY(mu_) = Operation::kSync;
  int countdown_ ABSL_GUARDED_BY(mu_) = 0;  // 0: no fault
  bool forever_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mu_);
  std::function<void(const std::string&)> on_sync_failure_ ABSL_GUARDED_BY(mu_);
  int to_hold_ ABSL_GUARDED_BY(mu_) = 0;
  int held_ ABSL_GUARDED_BY(mu_) = 0;
  std::uint64_t releases_ ABSL_GUARDED_BY(mu_) = 0;
  bool lie_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace millrace::io::testing
