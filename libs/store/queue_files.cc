#include "store/queue_files.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"

namespace millrace::store {
namespace {

constexpr std::size_t kOpenFilesMax = 128;

std::uint64_t PageAt(const PageAddress& address, std::int64_t file) {
  return static_cast<std::uint64_t>((address.first - file) / kPageEntries) * kPageBytes;
}

absl::Status Ignoring(absl::StatusCode code, const absl::Status& status) {
  return status.code() == code ? absl::OkStatus() : status;
}

}  // namespace

QueueFiles::QueueFiles(io::FileSystem& fs, std::string directory)
    : fs_(fs), directory_(std::move(directory)), handles_(kOpenFilesMax) {}

std::string QueueFiles::TopicPath(std::uint64_t topic_id) const { return absl::StrCat(directory_, "/", topic_id); }

std::string QueueFiles::QueuePath(QueueKey key) const { return absl::StrCat(TopicPath(key.topic_id), "/", key.queue); }

std::string QueueFiles::FilePath(QueueKey key, std::int64_t file) const {
  return absl::StrFormat("%s/%020d", QueuePath(key), file);
}

absl::StatusOr<std::vector<std::uint64_t>> QueueFiles::Numbers(const std::string& directory) {
  std::vector<std::uint64_t> numbers;
  if (!fs_.Exists(directory)) return numbers;
  MR_ASSIGN_OR_RETURN(const std::vector<std::string> names, fs_.List(directory));
  for (const std::string& name : names) {
    std::uint64_t number = 0;
    if (absl::SimpleAtoi(name, &number)) numbers.push_back(number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

absl::StatusOr<std::vector<QueueKey>> QueueFiles::Queues() {
  std::vector<QueueKey> keys;
  MR_ASSIGN_OR_RETURN(const std::vector<std::uint64_t> topics, Numbers(directory_));
  for (const std::uint64_t topic : topics) {
    MR_ASSIGN_OR_RETURN(const std::vector<std::uint64_t> queues, Numbers(TopicPath(topic)));
    for (const std::uint64_t queue : queues) keys.push_back({topic, static_cast<std::uint32_t>(queue)});
  }
  return keys;
}

absl::StatusOr<std::vector<std::int64_t>> QueueFiles::Files(QueueKey key) {
  MR_ASSIGN_OR_RETURN(const std::vector<std::uint64_t> numbers, Numbers(QueuePath(key)));
  return std::vector<std::int64_t>(numbers.begin(), numbers.end());
}

absl::StatusOr<std::int64_t> QueueFiles::PageCount(QueueKey key, std::int64_t file) {
  MR_ASSIGN_OR_RETURN(const Handle handle, Open(FilePath(key, file), io::OpenMode::kReadWrite));
  MR_ASSIGN_OR_RETURN(const std::uint64_t bytes, handle->Size());
  return static_cast<std::int64_t>((bytes + kPageBytes - 1) / kPageBytes);
}

absl::StatusOr<QueuePage> QueueFiles::ReadPage(const PageAddress& address, std::int64_t file) {
  const std::string path = FilePath(address.key, file);
  MR_ASSIGN_OR_RETURN(const Handle handle, Open(path, io::OpenMode::kReadWrite));
  std::string bytes(kPageBytes, '\0');
  MR_ASSIGN_OR_RETURN(const std::size_t size, handle->Read(PageAt(address, file), kPageBytes, bytes.data()));
  bytes.resize(size);
  absl::StatusOr<QueuePage> page = DecodePage(address, bytes);
  if (page.ok()) return page;
  return absl::DataLossError(absl::StrCat("consume queue ", path, ": at byte ", PageAt(address, file), ": ",
                                          page.status().message(),
                                          "; the index is rebuilt from the commit log at the next start"));
}

absl::Status QueueFiles::WritePage(const PageAddress& address, std::int64_t file, const QueuePage& page) {
  MR_ASSIGN_OR_RETURN(const Handle handle, OpenToWrite(address.key, file));
  unsynced_files_.insert(FilePath(address.key, file));
  return handle->Write(PageAt(address, file), EncodePage(address, page));
}

absl::Status QueueFiles::TruncateFile(QueueKey key, std::int64_t file, std::int64_t pages) {
  MR_ASSIGN_OR_RETURN(const Handle handle, OpenToWrite(key, file));
  unsynced_files_.insert(FilePath(key, file));
  return handle->Truncate(static_cast<std::uint64_t>(pages) * kPageBytes);
}

absl::Status QueueFiles::Sync() {
  for (const std::string& path : unsynced_files_) {
    MR_ASSIGN_OR_RETURN(const Handle handle, Open(path, io::OpenMode::kReadWrite));
    MR_RETURN_IF_ERROR(handle->Sync());
  }
  for (const std::string& path : unsynced_directories_) MR_RETURN_IF_ERROR(fs_.SyncDirectory(path));
  unsynced_files_.clear();
  unsynced_directories_.clear();
  return absl::OkStatus();
}

absl::Status QueueFiles::RemoveFile(QueueKey key, std::int64_t file) {
  const std::string path = FilePath(key, file);
  Forget(path);
  unsynced_directories_.insert(QueuePath(key));
  return Ignoring(absl::StatusCode::kNotFound, fs_.Remove(path));
}

absl::Status QueueFiles::RemoveQueue(QueueKey key) {
  MR_ASSIGN_OR_RETURN(const std::vector<std::int64_t> files, Files(key));
  for (const std::int64_t file : files) MR_RETURN_IF_ERROR(RemoveFile(key, file));
  const std::string path = QueuePath(key);
  unsynced_directories_.erase(path);
  if (!fs_.Exists(path)) return absl::OkStatus();
  unsynced_directories_.insert(TopicPath(key.topic_id));
  return fs_.RemoveDirectory(path);
}

absl::Status QueueFiles::RemoveTopic(std::uint64_t topic_id) {
  const std::string path = TopicPath(topic_id);
  MR_ASSIGN_OR_RETURN(const std::vector<std::uint64_t> queues, Numbers(path));
  for (const std::uint64_t queue : queues) {
    MR_RETURN_IF_ERROR(RemoveQueue({topic_id, static_cast<std::uint32_t>(queue)}));
  }
  unsynced_directories_.erase(path);
  if (!fs_.Exists(path)) return absl::OkStatus();
  unsynced_directories_.insert(directory_);
  return fs_.RemoveDirectory(path);
}

absl::StatusOr<QueueFiles::Handle> QueueFiles::Open(const std::string& path, io::OpenMode mode) {
  {
    base::MutexLock lock(mu_);
    if (const Handle* handle = handles_.Find(path)) return *handle;
  }
  MR_ASSIGN_OR_RETURN(std::unique_ptr<io::File> file, fs_.Open(path, mode));
  const Handle handle = std::move(file);
  base::MutexLock lock(mu_);
  handles_.Insert(path, handle);
  return handle;
}

absl::StatusOr<QueueFiles::Handle> QueueFiles::OpenToWrite(QueueKey key, std::int64_t file) {
  const std::string path = FilePath(key, file);
  if (!fs_.Exists(path)) {
    MR_RETURN_IF_ERROR(fs_.CreateDirectories(QueuePath(key)));
    unsynced_directories_.insert({directory_, TopicPath(key.topic_id), QueuePath(key)});
  }
  return Open(path, io::OpenMode::kCreate);
}

void QueueFiles::Forget(const std::string& path) {
  unsynced_files_.erase(path);
  base::MutexLock lock(mu_);
  handles_.Erase(path);
}

}  // namespace millrace::store
