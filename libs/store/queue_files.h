#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "io/file_system.h"
#include "store/lru.h"
#include "store/queue_page.h"

namespace millrace::store {

// The page files of all queues below one directory: names, open handles (bounded), what is not synced yet.
// Threads.  ReadPage and the lists from any thread; everything else from one thread at a time.
// Errors.   Name the file. kDataLoss only for bytes that do not validate.
class QueueFiles {
 public:
  QueueFiles(io::FileSystem& fs, std::string directory);

  absl::StatusOr<std::vector<QueueKey>> Queues();
  // First queue offset of each file, ascending; empty for an unknown queue.
  absl::StatusOr<std::vector<std::int64_t>> Files(QueueKey key);
  absl::StatusOr<std::int64_t> PageCount(QueueKey key, std::int64_t file);  // a torn page at the end counts

  absl::StatusOr<QueuePage> ReadPage(const PageAddress& address, std::int64_t file);
  // Creates what is missing. Not durable before Sync().
  absl::Status WritePage(const PageAddress& address, std::int64_t file, const QueuePage& page);
  absl::Status TruncateFile(QueueKey key, std::int64_t file, std::int64_t pages);
  // Everything written, created and truncated so far survives a power cut.
  absl::Status Sync();

  absl::Status RemoveFile(QueueKey key, std::int64_t file);
  absl::Status RemoveQueue(QueueKey key);
  absl::Status RemoveTopic(std::uint64_t topic_id);

 private:
  using Handle = std::shared_ptr<io::File>;

  std::string TopicPath(std::uint64_t topic_id) const;
  std::string QueuePath(QueueKey key) const;
  std::string FilePath(QueueKey key, std::int64_t file) const;
  absl::StatusOr<Handle> Open(const std::string& path, io::OpenMode mode);
  absl::StatusOr<Handle> OpenToWrite(QueueKey key, std::int64_t file);
  absl::StatusOr<std::vector<std::uint64_t>> Numbers(const std::string& directory);
  void Forget(const std::string& path);

  io::FileSystem& fs_;
  const std::string directory_;
  std::set<std::string> unsynced_files_;        // of the writing thread
  std::set<std::string> unsynced_directories_;  // likewise
  base::Mutex mu_;
  Lru<std::string, Handle> handles_ ABSL_GUARDED_BY(mu_);
};

}  // namespace millrace::store
