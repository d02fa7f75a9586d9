#include "io/posix_file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace millrace::io {
namespace {

absl::Status Error(int error, absl::string_view what, absl::string_view path) {
  const std::string text = absl::StrCat(what, " ", path, ": ", std::generic_category().message(error));
  switch (error) {
    case ENOENT: return absl::NotFoundError(text);
    case EEXIST: return absl::AlreadyExistsError(text);
    case ENOSPC:
    case EDQUOT: return absl::ResourceExhaustedError(text);
    default: return absl::UnavailableError(text);
  }
}

absl::Status ErrnoStatus(absl::string_view what, absl::string_view path) { return Error(errno, what, path); }

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

absl::StatusOr<Descriptor> OpenDescriptor(const std::string& path, int flags) {
  while (true) {
    const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0644);
    if (fd >= 0) return Descriptor(fd);
    if (errno != EINTR) return ErrnoStatus("open", path);
  }
}

absl::Status WriteAll(int fd, std::uint64_t offset, absl::string_view data, const std::string& path) {
  while (!data.empty()) {
    const ssize_t n = ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
    if (n < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(absl::StrCat("write of ", data.size(), " bytes at ", offset, " to"), path);
    }
    data.remove_prefix(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return absl::OkStatus();
}

class PosixFile final : public File {
 public:
  PosixFile(Descriptor fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  absl::Status Write(std::uint64_t offset, absl::string_view data) override {
    return WriteAll(fd_.get(), offset, data, path_);
  }

  absl::StatusOr<std::size_t> Read(std::uint64_t offset, std::size_t size, char* to) const override {
    std::size_t done = 0;
    while (done < size) {
      const ssize_t n = ::pread(fd_.get(), to + done, size - done, static_cast<off_t>(offset + done));
      if (n < 0) {
        if (errno == EINTR) continue;
        return ErrnoStatus(absl::StrCat("read of ", size - done, " bytes at ", offset + done, " from"), path_);
      }
      if (n == 0) break;
      done += static_cast<std::size_t>(n);
    }
    return done;
  }

  // Not repeated after EINTR either: what an interrupted fdatasync has written is unknown.
  absl::Status Sync() override { return ::fdatasync(fd_.get()) == 0 ? absl::OkStatus() : ErrnoStatus("sync", path_); }

  absl::Status Truncate(std::uint64_t size) override {
    while (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) {
      if (errno != EINTR) return ErrnoStatus(absl::StrCat("truncate to ", size, " bytes"), path_);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::uint64_t> Size() const override {
    struct stat info;
    if (::fstat(fd_.get(), &info) != 0) return ErrnoStatus("stat", path_);
    return static_cast<std::uint64_t>(info.st_size);
  }

 private:
  const Descriptor fd_;
  const std::string path_;
};

class PosixLock final : public FileLock {
 public:
  explicit PosixLock(Descriptor fd) : fd_(std::move(fd)) {}

 private:
  const Descriptor fd_;  // closing it releases the lock
};

class PosixFileSystem final : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    const int flags = mode == OpenMode::kRead ? O_RDONLY : mode == OpenMode::kCreate ? O_RDWR | O_CREAT : O_RDWR;
    MR_ASSIGN_OR_RETURN(Descriptor fd, OpenDescriptor(path, flags));
    return std::make_unique<PosixFile>(std::move(fd), path);
  }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
    return ErrnoStatus("rename", absl::StrCat(from, " to ", to));
  }

  absl::Status Remove(const std::string& path) override {
    return ::unlink(path.c_str()) == 0 ? absl::OkStatus() : ErrnoStatus("remove", path);
  }

  absl::Status RemoveDirectory(const std::string& path) override {
    return ::rmdir(path.c_str()) == 0 ? absl::OkStatus() : ErrnoStatus("remove directory", path);
  }

  absl::Status CreateDirectories(const std::string& path) override {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    return error ? Error(error.value(), "create directory", path) : absl::OkStatus();
  }

  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override {
    std::error_code error;
    std::vector<std::string> names;
    std::filesystem::directory_iterator entry(directory, error);
    for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
      names.push_back(entry->path().filename().string());
    }
    if (error) return Error(error.value(), "list", directory);
    std::sort(names.begin(), names.end());
    return names;
  }

  bool Exists(const std::string& path) override { return ::access(path.c_str(), F_OK) == 0; }

  absl::Status SyncDirectory(const std::string& path) override {
    MR_ASSIGN_OR_RETURN(const Descriptor fd, OpenDescriptor(path, O_RDONLY | O_DIRECTORY));
    return ::fsync(fd.get()) == 0 ? absl::OkStatus() : ErrnoStatus("sync directory", path);
  }

  absl::StatusOr<Space> SpaceOf(const std::string& path) override {
    struct statvfs info;
    if (::statvfs(path.c_str(), &info) != 0) return ErrnoStatus("free space of", path);
    return Space{.total_bytes = static_cast<std::uint64_t>(info.f_blocks) * info.f_frsize,
                 .free_bytes = static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize};
  }

  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path, absl::string_view holder) override {
    MR_ASSIGN_OR_RETURN(Descriptor fd, OpenDescriptor(path, O_RDWR | O_CREAT));
    while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno != EWOULDBLOCK) return ErrnoStatus("lock", path);
      MR_ASSIGN_OR_RETURN(const std::string other, ReadFile(*this, path));
      return absl::AlreadyExistsError(absl::StrCat("lock ", path, ": held by ", other.empty() ? "(no name)" : other));
    }
    if (::ftruncate(fd.get(), 0) != 0) return ErrnoStatus("truncate", path);
    MR_RETURN_IF_ERROR(WriteAll(fd.get(), 0, holder, path));
    return std::make_unique<PosixLock>(std::move(fd));
  }
};

}  // namespace

std::unique_ptr<FileSystem> MakePosixFileSystem() { return std::make_unique<PosixFileSystem>(); }

}  // namespace millrace::io
