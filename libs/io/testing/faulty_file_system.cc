#include "io/testing/faulty_file_system.h"

#include "base/status.h"

namespace millrace::io::testing {

using Operation = FaultyFileSystem::Operation;

class FaultyFile final : public File {
 public:
  FaultyFile(FaultyFileSystem& fs, std::unique_ptr<File> base, std::string path)
      : fs_(fs), base_(std::move(base)), path_(std::move(path)) {}

  absl::Status Write(std::uint64_t offset, absl::string_view data) override {
    MR_RETURN_IF_ERROR(fs_.Fault(Operation::kWrite));
    return base_->Write(offset, data);
  }
  absl::StatusOr<std::size_t> Read(std::uint64_t offset, std::size_t size, char* to) const override {
    MR_RETURN_IF_ERROR(fs_.Fault(Operation::kRead));
    return base_->Read(offset, size, to);
  }
  absl::Status Sync() override {
    bool lie = false;
    MR_RETURN_IF_ERROR(fs_.BeforeSync(path_, lie));
    return lie ? absl::OkStatus() : base_->Sync();
  }
  absl::Status Truncate(std::uint64_t size) override {
    MR_RETURN_IF_ERROR(fs_.Fault(Operation::kTruncate));
    return base_->Truncate(size);
  }
  absl::StatusOr<std::uint64_t> Size() const override { return base_->Size(); }

 private:
  FaultyFileSystem& fs_;
  const std::unique_ptr<File> base_;
  const std::string path_;
};

void FaultyFileSystem::FailNth(Operation operation, int nth, absl::Status status, bool forever) {
  base::MutexLock lock(mu_);
  operation_ = operation;
  countdown_ = nth;
  status_ = std::move(status);
  forever_ = forever;
}

void FaultyFileSystem::OnSyncFailure(std::function<void(const std::string& path)> hook) {
  base::MutexLock lock(mu_);
  on_sync_failure_ = std::move(hook);
}

void FaultyFileSystem::HoldSyncs(int count) {
  base::MutexLock lock(mu_);
  to_hold_ = count;
}

void FaultyFileSystem::WaitForHeldSync() {
  base::MutexLock lock(mu_);
  while (held_ == 0) changed_.Wait(mu_);
}

void FaultyFileSystem::ReleaseSyncs() {
  base::MutexLock lock(mu_);
  to_hold_ = 0;
  held_ = 0;
  ++releases_;
  changed_.NotifyAll();
}

void FaultyFileSystem::LieInSync(bool lie) {
  base::MutexLock lock(mu_);
  lie_ = lie;
}

absl::Status FaultyFileSystem::Fault(Operation operation) {
  base::MutexLock lock(mu_);
  if (countdown_ == 0 || operation != operation_) return absl::OkStatus();
  if (countdown_ > 1) {
    --countdown_;
    return absl::OkStatus();
  }
  if (!forever_) countdown_ = 0;
  return status_;
}

absl::Status FaultyFileSystem::BeforeSync(const std::string& path, bool& lie) {
  const absl::Status fault = Fault(Operation::kSync);
  std::function<void(const std::string&)> hook;
  {
    base::MutexLock lock(mu_);
    lie = lie_;
    if (to_hold_ > 0) {
      --to_hold_;
      ++held_;
      changed_.NotifyAll();
      for (const std::uint64_t seen = releases_; seen == releases_;) changed_.Wait(mu_);
    }
    if (!fault.ok()) hook = on_sync_failure_;
  }
  if (hook) hook(path);
  return fault;
}

absl::StatusOr<std::unique_ptr<File>> FaultyFileSystem::Open(const std::string& path, OpenMode mode) {
  if (mode == OpenMode::kCreate) MR_RETURN_IF_ERROR(Fault(Operation::kCreate));
  MR_ASSIGN_OR_RETURN(auto file, base_.Open(path, mode));
  return std::make_unique<FaultyFile>(*this, std::move(file), path);
}

absl::Status FaultyFileSystem::Rename(const std::string& from, const std::string& to) {
  MR_RETURN_IF_ERROR(Fault(Operation::kRename));
  return base_.Rename(from, to);
}

absl::Status FaultyFileSystem::Remove(const std::string& path) {
  MR_RETURN_IF_ERROR(Fault(Operation::kRemove));
  return base_.Remove(path);
}

absl::Status FaultyFileSystem::SyncDirectory(const std::string& path) {
  MR_RETURN_IF_ERROR(Fault(Operation::kSyncDirectory));
  return base_.SyncDirectory(path);
}

}  // namespace millrace::io::testing
