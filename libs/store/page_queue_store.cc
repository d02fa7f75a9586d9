#include "store/page_queue_store.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"

namespace millrace::store {
namespace {

absl::Status Missing(QueueKey key, std::int64_t offset, const QueueStore::Range& range) {
  return absl::NotFoundError(absl::StrCat("topic ", key.topic_id, " queue ", key.queue, " has no offset ", offset,
                                          ", it holds [", range.minimum, ", ", range.maximum, ")"));
}

}  // namespace

PageQueueStore::PageQueueStore(io::FileSystem& fs, const std::string& directory, const Limits& limits)
    : fs_(fs), directory_(directory), limits_(limits), files_(fs, directory), cache_(limits.cached_pages) {}

std::int64_t PageQueueStore::Queue::FileOf(std::int64_t offset) const {
  return *std::prev(std::upper_bound(files.begin(), files.end(), offset));
}

absl::Status PageQueueStore::Append(QueueKey key, std::int64_t queue_offset, const QueueEntry& entry) {
  absl::Status status;
  bool spill = false;
  {
    base::MutexLock lock(mu_);
    status = AppendLocked(key, queue_offset, entry);
    spill = dirty_pages_ >= limits_.dirty_pages_max;
  }
  if (!status.ok() || !spill) return Noted(status);
  base::MutexLock lock(files_mu_);
  return WriteDirtyPages();
}

absl::Status PageQueueStore::AppendLocked(QueueKey key, std::int64_t queue_offset, const QueueEntry& entry) {
  MR_ASSIGN_OR_RETURN(Queue * queue, Find(key));
  if (queue == nullptr) {
    queue = &queues_[key];
    queue->files = {queue_offset};
    queue->minimum = queue->maximum = queue_offset;
  }
  if (queue_offset < queue->maximum) return absl::OkStatus();
  if (queue_offset > queue->maximum) {
    return absl::DataLossError(absl::StrCat("consume queue of topic ", key.topic_id, " queue ", key.queue, ": offset ",
                                            queue_offset, " does not follow ", queue->maximum - 1,
                                            "; the index is rebuilt from the commit log at the next start"));
  }
  if (queue_offset - queue->files.back() == kFileEntries) queue->files.push_back(queue_offset);
  Cached& cached = queue->pages[queue->PageOf(queue_offset)];
  if (cached.written == cached.page.size()) ++dirty_pages_;
  dirty_.try_emplace(key, queue_offset);
  cached.page.Add(entry);
  ++queue->maximum;
  // A replay may begin below what retention took.
  const bool gone = entry.physical_offset < applied_.removed_below && queue->minimum + 1 == queue->maximum;
  if (gone) queue->minimum = queue->maximum;
  queue->used = ++turn_;
  return absl::OkStatus();
}

absl::StatusOr<QueueEntry> PageQueueStore::Get(QueueKey key, std::int64_t queue_offset) const {
  PageAddress address{.key = key};
  std::int64_t file = 0;
  {
    base::MutexLock lock(mu_);
    absl::StatusOr<Queue*> found = Find(key);
    if (!found.ok()) return found.status();
    Queue* queue = *found;
    if (queue == nullptr) return Missing(key, queue_offset, {});
    if (queue_offset < queue->minimum || queue_offset >= queue->maximum) {
      return Missing(key, queue_offset, {queue->minimum, queue->maximum});
    }
    queue->used = ++turn_;
    address.first = queue->PageOf(queue_offset);
    address.generation = applied_.generation;
    file = queue->FileOf(queue_offset);
    const auto cached = queue->pages.find(address.first);
    if (cached != queue->pages.end()) return cached->second.page.At(queue_offset - address.first);
    if (const auto* page = cache_.Find({key, address.first})) return (*page)->At(queue_offset - address.first);
  }
  absl::StatusOr<QueuePage> read = files_.ReadPage(address, file);
  if (!read.ok()) return Noted(read.status());
  const auto page = std::make_shared<const QueuePage>(*std::move(read));
  if (!page->full())
    return Noted(absl::DataLossError(
        absl::StrCat("a page inside of queue ", key.queue, " of topic ", key.topic_id, " is not full")));
  base::MutexLock lock(mu_);
  cache_.Insert({key, address.first}, page);
  return page->At(queue_offset - address.first);
}

QueueStore::Range PageQueueStore::RangeOf(QueueKey key) const {
  absl::Status status;
  {
    base::MutexLock lock(mu_);
    const absl::StatusOr<Queue*> queue = Find(key);
    if (queue.ok()) return *queue == nullptr ? Range{} : Range{(*queue)->minimum, (*queue)->maximum};
    status = queue.status();
  }
  MR_LOG(Error, "a consume queue cannot be read", {{"cause", Noted(status).message()}});
  return {};
}

absl::StatusOr<PageQueueStore::Queue*> PageQueueStore::Find(QueueKey key) const {
  const auto found = queues_.find(key);
  if (found != queues_.end()) return &found->second;
  if (queues_.size() >= limits_.queues_max) ForgetIdleQueues();
  MR_ASSIGN_OR_RETURN(std::optional<Queue> queue, Load(key));
  if (!queue.has_value()) return nullptr;
  queue->used = ++turn_;
  return &(queues_[key] = *std::move(queue));
}

absl::StatusOr<std::optional<PageQueueStore::Queue>> PageQueueStore::Load(QueueKey key) const {
  Queue queue;
  MR_ASSIGN_OR_RETURN(queue.files, files_.Files(key));
  if (queue.files.empty()) return std::nullopt;
  const std::int64_t file = queue.files.back();
  MR_ASSIGN_OR_RETURN(const std::int64_t pages, files_.PageCount(key, file));
  const PageAddress last{.key = key,
                         .first = file + std::max<std::int64_t>(pages - 1, 0) * kPageEntries,
                         .generation = applied_.generation};
  MR_ASSIGN_OR_RETURN(QueuePage page, files_.ReadPage(last, file));
  queue.maximum = last.first + page.size();
  const std::int64_t written = page.size();
  if (!page.full()) queue.pages[last.first] = {std::move(page), written};
  MR_ASSIGN_OR_RETURN(queue.minimum, FirstAtOrAbove(key, queue, applied_.removed_below));
  return queue;
}

absl::StatusOr<QueuePage> PageQueueStore::ReadPage(QueueKey key, const Queue& queue, std::int64_t first) const {
  const auto cached = queue.pages.find(first);
  if (cached != queue.pages.end()) return cached->second.page;
  return files_.ReadPage({.key = key, .first = first, .generation = applied_.generation}, queue.FileOf(first));
}

// Where the physical offsets of neighbours are out of order (a body that became visible late), any of the places that
// separate "below" from "not below" may be the answer.
absl::StatusOr<std::int64_t> PageQueueStore::FirstAtOrAbove(QueueKey key, const Queue& queue,
                                                            std::uint64_t physical_offset) const {
  const std::int64_t base = queue.files.front();
  if (physical_offset == 0 || base == queue.maximum) return base;
  std::int64_t low = 0, high = (queue.maximum - 1 - base) / kPageEntries;  // pages
  while (low < high) {
    const std::int64_t middle = low + (high - low) / 2;
    MR_ASSIGN_OR_RETURN(const QueuePage page, ReadPage(key, queue, base + middle * kPageEntries));
    if (page.size() == 0 || page.At(page.size() - 1).physical_offset < physical_offset) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  MR_ASSIGN_OR_RETURN(const QueuePage page, ReadPage(key, queue, base + low * kPageEntries));
  std::int64_t index = 0;
  while (index < page.size() && page.At(index).physical_offset < physical_offset) ++index;
  return base + low * kPageEntries + index;
}

absl::Status PageQueueStore::RemoveBelow(std::uint64_t first_offset,
                                         absl::FunctionRef<void(QueueKey, std::int64_t minimum)> each) {
  std::vector<std::pair<QueueKey, std::int64_t>> moved;
  {
    base::MutexLock files_lock(files_mu_);
    std::uint64_t before = 0;
    MR_ASSIGN_OR_RETURN(const std::vector<QueueKey> on_disk, files_.Queues());
    std::set<QueueKey> keys(on_disk.begin(), on_disk.end());
    {
      base::MutexLock lock(mu_);
      if (first_offset <= applied_.removed_below) return absl::OkStatus();
      before = std::exchange(applied_.removed_below, first_offset);
      for (const auto& [key, queue] : queues_) keys.insert(key);
    }
    MR_RETURN_IF_ERROR(WriteApplied());
    for (const QueueKey key : keys) {
      absl::StatusOr<std::optional<std::int64_t>> minimum = RemoveBelowOf(key, before, first_offset);
      if (minimum.ok() && minimum->has_value()) moved.emplace_back(key, **minimum);
      if (minimum.ok()) continue;
      if (!absl::IsDataLoss(minimum.status())) return minimum.status();
      RememberDamage(minimum.status());
    }
  }
  for (const auto& [key, minimum] : moved) each(key, minimum);
  return absl::OkStatus();
}

absl::StatusOr<std::optional<std::int64_t>> PageQueueStore::RemoveBelowOf(QueueKey key, std::uint64_t before,
                                                                          std::uint64_t first_offset) {
  std::vector<std::int64_t> gone;
  std::int64_t old_minimum = 0, minimum = 0;
  {
    base::MutexLock lock(mu_);
    MR_ASSIGN_OR_RETURN(Queue * queue, Find(key));
    if (queue == nullptr) return std::nullopt;
    MR_ASSIGN_OR_RETURN(old_minimum, FirstAtOrAbove(key, *queue, before));
    MR_ASSIGN_OR_RETURN(minimum, FirstAtOrAbove(key, *queue, first_offset));
    queue->minimum = minimum;
    // The last file stays: it says where the queue ends.
    while (queue->files.size() > 1 && queue->files[1] <= minimum) {
      gone.push_back(queue->files.front());
      queue->files.erase(queue->files.begin());
    }
    DropPagesBelow(*queue, queue->files.front());
  }
  for (const std::int64_t file : gone) MR_RETURN_IF_ERROR(files_.RemoveFile(key, file));
  if (minimum == old_minimum) return std::nullopt;
  return minimum;
}

void PageQueueStore::DropPagesBelow(Queue& queue, std::int64_t first) {
  const auto end = queue.pages.lower_bound(first);
  for (auto page = queue.pages.begin(); page != end; ++page) {
    if (page->second.dirty()) --dirty_pages_;
  }
  queue.pages.erase(queue.pages.begin(), end);
}

absl::Status PageQueueStore::RemoveTopic(std::uint64_t topic_id) {
  base::MutexLock files_lock(files_mu_);
  const QueueKey from{topic_id, 0};
  const QueueKey last{topic_id, UINT32_MAX};
  {
    base::MutexLock lock(mu_);
    const auto end = queues_.upper_bound(last);
    for (auto queue = queues_.lower_bound(from); queue != end; queue = queues_.erase(queue)) {
      DropPagesBelow(queue->second, INT64_MAX);
    }
    dirty_.erase(dirty_.lower_bound(from), dirty_.upper_bound(last));
  }
  marks_.erase(marks_.lower_bound(from), marks_.upper_bound(last));
  return files_.RemoveTopic(topic_id);
}

void PageQueueStore::ForgetIdleQueues() const {
  std::vector<std::pair<std::uint64_t, QueueKey>> idle;
  for (const auto& [key, queue] : queues_) {
    if (!dirty_.contains(key)) idle.emplace_back(queue.used, key);
  }
  const std::size_t count = std::min(idle.size(), limits_.queues_max / 4 + 1);
  std::nth_element(idle.begin(), idle.begin() + static_cast<std::ptrdiff_t>(count), idle.end());
  for (std::size_t i = 0; i < count; ++i) queues_.erase(idle[i].second);
}

std::uint64_t PageQueueStore::applied() const {
  base::MutexLock lock(mu_);
  return damaged_ ? 0 : applied_.applied;
}

absl::Status PageQueueStore::Noted(absl::Status status) const {
  if (!absl::IsDataLoss(status)) return status;
  base::MutexLock lock(files_mu_);
  RememberDamage(status);
  return status;
}

}  // namespace millrace::store
