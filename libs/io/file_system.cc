#include "io/file_system.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace millrace::io {
namespace {

std::string DirectoryOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

absl::StatusOr<std::string> ReadFile(FileSystem& fs, const std::string& path) {
  MR_ASSIGN_OR_RETURN(auto file, fs.Open(path, OpenMode::kRead));
  MR_ASSIGN_OR_RETURN(const std::uint64_t size, file->Size());
  std::string content(size, '\0');
  MR_ASSIGN_OR_RETURN(const std::size_t got, file->Read(0, content.size(), content.data()));
  content.resize(got);
  return content;
}

absl::Status ReplaceFile(FileSystem& fs, const std::string& path, absl::string_view content) {
  const std::string beside = absl::StrCat(path, ".tmp");
  {
    MR_ASSIGN_OR_RETURN(auto file, fs.Open(beside, OpenMode::kCreate));
    MR_RETURN_IF_ERROR(file->Truncate(0));
    MR_RETURN_IF_ERROR(file->Write(0, content));
    MR_RETURN_IF_ERROR(file->Sync());
  }
  MR_RETURN_IF_ERROR(fs.Rename(beside, path));
  return fs.SyncDirectory(DirectoryOf(path));
}

}  // namespace millrace::io
