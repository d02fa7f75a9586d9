#include "cli/read_only_file_system.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace millrace::cli {
namespace {

absl::Status Refused(absl::string_view what, const std::string& path) {
  return absl::FailedPreconditionError(absl::StrCat(path, ": ", what, " is refused: this command only reads"));
}

class ReadOnlyFileSystem final : public io::FileSystem {
 public:
  explicit ReadOnlyFileSystem(io::FileSystem& base) : base_(base) {}

  absl::StatusOr<std::unique_ptr<io::File>> Open(const std::string& path, io::OpenMode) override {
    return base_.Open(path, io::OpenMode::kRead);
  }
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override {
    auto names = base_.List(directory);
    if (names.ok()) std::erase_if(*names, [](const std::string& name) { return absl::EndsWith(name, ".prepared"); });
    return names;
  }
  bool Exists(const std::string& path) override { return base_.Exists(path); }
  absl::StatusOr<io::Space> SpaceOf(const std::string& path) override { return base_.SpaceOf(path); }

  absl::Status Rename(const std::string& from, const std::string&) override { return Refused("a rename", from); }
  absl::Status Remove(const std::string& path) override { return Refused("a removal", path); }
  absl::Status RemoveDirectory(const std::string& path) override { return Refused("a removal", path); }
  absl::Status CreateDirectories(const std::string& path) override { return Refused("a new directory", path); }
  absl::Status SyncDirectory(const std::string& path) override { return Refused("a sync", path); }
  absl::StatusOr<std::unique_ptr<io::FileLock>> Lock(const std::string& path, absl::string_view) override {
    return Refused("a lock", path);
  }

 private:
  io::FileSystem& base_;
};

}  // namespace

std::unique_ptr<io::FileSystem> MakeReadOnly(io::FileSystem& base) {
  return std::make_unique<ReadOnlyFileSystem>(base);
}

}  // namespace millrace::cli
