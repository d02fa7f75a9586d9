#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "store/consume_queue.h"
#include "store/lru.h"
#include "store/queue_files.h"
#include "store/queue_page.h"

namespace millrace::store {

// The QueueStore of page files. Pages are written when Flush() is called or when too many wait in memory; a queue takes
// memory only while it is in use. A queue's range and last page are read at its first use.
// Damage.  Found when a page is read. Get, RangeOf and the rest go on for what is intact; applied() is 0 from then on
//          and on disk, so the next start builds everything anew.
class PageQueueStore final : public QueueStore {
 public:
  struct Limits {
    std::int64_t dirty_pages_max = 4096;  // 16 MiB: then pages are written without a flush
    std::size_t queues_max = 8192;        // in memory, not counting those with dirty pages
    std::size_t cached_pages = 512;       // 2 MiB
  };

  // Done with everything a start has to do: docs/formats/consume_queue.md.
  static absl::StatusOr<std::unique_ptr<PageQueueStore>> Open(io::FileSystem& fs, const std::string& directory,
                                                              std::uint64_t log_end, const Limits& limits);

  absl::Status Append(QueueKey key, std::int64_t queue_offset, const QueueEntry& entry) override;
  absl::StatusOr<QueueEntry> Get(QueueKey key, std::int64_t queue_offset) const override;
  Range RangeOf(QueueKey key) const override;
  absl::Status Flush(std::uint64_t applied) override;
  std::uint64_t applied() const override;
  absl::Status RemoveBelow(std::uint64_t first_offset,
                           absl::FunctionRef<void(QueueKey, std::int64_t minimum)> each) override;
  absl::Status RemoveTopic(std::uint64_t topic_id) override;

 private:
  struct Cached {
    QueuePage page;
    std::int64_t written = 0;  // entries that the file has
    bool dirty() const { return written < page.size(); }
  };
  // A queue in use. Pages that are not wholly in their file and the last one, if it has room, are in memory.
  struct Queue {
    std::vector<std::int64_t> files;  // never empty; the last may not exist yet
    std::int64_t minimum = 0, maximum = 0;
    std::map<std::int64_t, Cached> pages;  // by queue offset of the first entry
    std::uint64_t used = 0;                // turn of the last use

    std::int64_t PageOf(std::int64_t offset) const { return offset - (offset - files.front()) % kPageEntries; }
    std::int64_t FileOf(std::int64_t offset) const;
  };
  struct DirtyPage {
    QueueKey key;
    std::int64_t file = 0, first = 0;
    QueuePage page;
  };
  using PageKey = std::pair<QueueKey, std::int64_t>;

  PageQueueStore(io::FileSystem& fs, const std::string& directory, const Limits& limits);

  absl::Status Start(std::uint64_t log_end);
  absl::Status ThrowAway() ABSL_EXCLUSIVE_LOCKS_REQUIRED(files_mu_);
  absl::Status FinishInterruptedFlush() ABSL_EXCLUSIVE_LOCKS_REQUIRED(files_mu_);
  absl::Status CutBack(const QueueMark& mark) ABSL_EXCLUSIVE_LOCKS_REQUIRED(files_mu_);
  absl::Status WriteApplied() ABSL_EXCLUSIVE_LOCKS_REQUIRED(files_mu_);
  absl::Status WriteDirtyPages() ABSL_EXCLUSIVE_LOCKS_REQUIRED(files_mu_);
  std::vector<DirtyPage> DirtyPages() ABSL_EXCLUSIVE_LOCKS_REQUIRED(files_mu_);
  void MarkWritten(const std::vector<DirtyPage>& pages) ABSL_EXCLUSIVE_LOCKS_REQUIRED(files_mu_);
  // Hands `status` back; data loss is remembered on disk first.
  absl::Status Noted(absl::Status status) const;
  void RememberDamage(const absl::Status& cause) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(files_mu_);

  // Null: the queue has no entry and never had one.
  absl::StatusOr<Queue*> Find(QueueKey key) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::StatusOr<std::optional<Queue>> Load(QueueKey key) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status AppendLocked(QueueKey key, std::int64_t queue_offset, const QueueEntry& entry)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::StatusOr<QueuePage> ReadPage(QueueKey key, const Queue& queue, std::int64_t first) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::StatusOr<std::int64_t> FirstAtOrAbove(QueueKey key, const Queue& queue, std::uint64_t physical_offset) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The new minimum, when it is another one than with `before`.
  absl::StatusOr<std::optional<std::int64_t>> RemoveBelowOf(QueueKey key, std::uint64_t before,
                                                            std::uint64_t first_offset)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(files_mu_);
  void DropPagesBelow(Queue& queue, std::int64_t first) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ForgetIdleQueues() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Constant after construction.
  io::FileSystem& fs_;
  const std::string directory_;
  const Limits limits_;
  mutable QueueFiles files_;

  // Held while files change. Taken before mu_ (docs/locking.md).
  mutable base::Mutex files_mu_;
  std::map<QueueKey, std::int64_t> marks_ ABSL_GUARDED_BY(files_mu_);  // the file `writing`: maximum at `applied`

  mutable base::Mutex mu_;
  QueueApplied applied_ ABSL_GUARDED_BY(mu_);
  mutable bool damaged_ ABSL_GUARDED_BY(mu_) = false;
  mutable std::map<QueueKey, Queue> queues_ ABSL_GUARDED_BY(mu_);
  std::map<QueueKey, std::int64_t> dirty_ ABSL_GUARDED_BY(mu_);  // queues with dirty pages: maximum in their files
  std::int64_t dirty_pages_ ABSL_GUARDED_BY(mu_) = 0;
  mutable std::uint64_t turn_ ABSL_GUARDED_BY(mu_) = 0;
  mutable Lru<PageKey, std::shared_ptr<const QueuePage>> cache_ ABSL_GUARDED_BY(mu_);  // pages of files, full ones
};

}  // namespace millrace::store
