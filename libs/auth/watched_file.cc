#include "auth/watched_file.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"

namespace millrace::auth {

absl::StatusOr<std::unique_ptr<WatchedFile>> WatchedFile::Open(Options options, io::FileSystem& fs, Apply apply) {
  std::unique_ptr<WatchedFile> file(new WatchedFile(std::move(options), fs, std::move(apply)));
  MR_ASSIGN_OR_RETURN(file->seen_, file->Read());
  MR_RETURN_IF_ERROR(file->apply_(file->seen_));
  ++file->loaded_;
  if (file->options_.poll_millis > 0) file->thread_ = std::thread([raw = file.get()] { raw->Run(); });
  return file;
}

WatchedFile::WatchedFile(Options options, io::FileSystem& fs, Apply apply)
    : options_(std::move(options)), fs_(fs), apply_(std::move(apply)) {}

WatchedFile::~WatchedFile() {
  {
    base::MutexLock lock(mu_);
    stopping_ = true;
  }
  stop_signal_.NotifyAll();
  if (thread_.joinable()) thread_.join();
}

absl::StatusOr<std::string> WatchedFile::Read() const {
  MR_ASSIGN_OR_RETURN(const std::unique_ptr<io::File> file, fs_.Open(options_.path, io::OpenMode::kRead));
  MR_ASSIGN_OR_RETURN(const std::uint64_t bytes, file->Size());
  if (bytes > options_.bytes_max) {
    return absl::InvalidArgumentError(absl::StrCat(options_.path, " has ", bytes, " bytes; the limit for ",
                                                   options_.what, " is ", options_.bytes_max,
                                                   "; is it the right file?"));
  }
  std::string content(bytes, '\0');
  MR_ASSIGN_OR_RETURN(const std::size_t size, file->Read(0, content.size(), content.data()));
  content.resize(size);
  return content;
}

void WatchedFile::Poll() {
  absl::StatusOr<std::string> content = Read();
  if (!content.ok()) {
    // Told once, not every two seconds.
    if (read_problem_ != content.status().message()) Refused(content.status());
    read_problem_ = std::string(content.status().message());
    return;
  }
  if (std::exchange(read_problem_, "").empty() && *content == seen_) return;
  seen_ = *std::move(content);
  if (const absl::Status applied = apply_(seen_); !applied.ok()) return Refused(applied);
  ++loaded_;
  good_ = true;
  MR_LOG(Info, "a changed file was taken over", {{"what", options_.what}, {"path", options_.path}});
}

void WatchedFile::Refused(const absl::Status& status) {
  ++failed_;
  good_ = false;
  MR_LOG(Error, "a changed file cannot be used, what was read before stays in force",
         {{"what", options_.what}, {"path", options_.path}, {"cause", status.message()}});
}

void WatchedFile::Run() {
  while (true) {
    {
      base::MutexLock lock(mu_);
      if (!stopping_) stop_signal_.WaitFor(mu_, std::chrono::milliseconds(options_.poll_millis));
      if (stopping_) return;
    }
    Poll();
  }
}

}  // namespace millrace::auth
