// What PageQueueStore does to its files: start, flush, the marks of an interrupted flush.
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "store/page_queue_store.h"

namespace millrace::store {
namespace {

std::string AppliedPath(const std::string& directory) { return absl::StrCat(directory, "/applied"); }
std::string WritingPath(const std::string& directory) { return absl::StrCat(directory, "/writing"); }

}  // namespace

absl::StatusOr<std::unique_ptr<PageQueueStore>> PageQueueStore::Open(io::FileSystem& fs, const std::string& directory,
                                                                     std::uint64_t log_end, const Limits& limits) {
  std::unique_ptr<PageQueueStore> store(new PageQueueStore(fs, directory, limits));
  MR_RETURN_IF_ERROR(store->Start(log_end));
  return store;
}

absl::Status PageQueueStore::Start(std::uint64_t log_end) {
  base::MutexLock files_lock(files_mu_);
  MR_RETURN_IF_ERROR(fs_.CreateDirectories(directory_));
  const absl::StatusOr<std::string> bytes = io::ReadFile(fs_, AppliedPath(directory_));
  if (!bytes.ok() && !absl::IsNotFound(bytes.status())) return bytes.status();
  QueueApplied applied{.generation = 0};
  absl::Status cause;
  if (bytes.ok()) {
    const absl::StatusOr<QueueApplied> decoded = DecodeApplied(*bytes);
    if (absl::IsFailedPrecondition(decoded.status())) return decoded.status();
    if (decoded.ok()) applied = *decoded;
    cause = decoded.status();
  }
  {
    base::MutexLock lock(mu_);
    applied_ = applied;
  }
  if (applied.applied > log_end) {
    cause = absl::DataLossError(absl::StrCat("applied up to ", applied.applied, ", the log ends at ", log_end));
  }
  if (cause.ok() && applied.applied > 0) cause = FinishInterruptedFlush();
  if (!cause.ok() && !absl::IsDataLoss(cause)) return cause;
  if (!cause.ok()) {
    MR_LOG(Warn, "the consume queues are thrown away and built again from the commit log",
           {{"directory", directory_}, {"cause", cause.message()}});
  }
  return cause.ok() && applied.applied > 0 ? absl::OkStatus() : ThrowAway();
}

absl::Status PageQueueStore::ThrowAway() {
  {
    base::MutexLock lock(mu_);
    applied_ = {.applied = 0, .removed_below = 0, .generation = applied_.generation + 1};
  }
  MR_RETURN_IF_ERROR(WriteApplied());
  MR_ASSIGN_OR_RETURN(const std::vector<std::string> names, fs_.List(directory_));
  for (const std::string& name : names) {
    std::uint64_t topic_id = 0;
    if (absl::SimpleAtoi(name, &topic_id)) MR_RETURN_IF_ERROR(files_.RemoveTopic(topic_id));
  }
  const absl::Status removed = fs_.Remove(WritingPath(directory_));
  if (!removed.ok() && !absl::IsNotFound(removed)) return removed;
  MR_RETURN_IF_ERROR(files_.Sync());
  return fs_.SyncDirectory(directory_);
}

absl::Status PageQueueStore::FinishInterruptedFlush() {
  const absl::StatusOr<std::string> bytes = io::ReadFile(fs_, WritingPath(directory_));
  if (absl::IsNotFound(bytes.status())) return absl::OkStatus();
  if (!bytes.ok()) return bytes.status();
  MR_ASSIGN_OR_RETURN(const QueueWriting writing, DecodeWriting(*bytes));
  // Of an older flush: its removal was not on disk when the power was cut.
  if (writing.applied == applied()) {
    for (const QueueMark& mark : writing.marks) MR_RETURN_IF_ERROR(CutBack(mark));
  }
  MR_RETURN_IF_ERROR(files_.Sync());
  return fs_.Remove(WritingPath(directory_));
}

absl::Status PageQueueStore::CutBack(const QueueMark& mark) {
  MR_ASSIGN_OR_RETURN(std::vector<std::int64_t> files, files_.Files(mark.key));
  if (files.empty()) return absl::OkStatus();
  if (files.front() >= mark.maximum) return files_.RemoveQueue(mark.key);
  for (; files.back() >= mark.maximum; files.pop_back()) {
    MR_RETURN_IF_ERROR(files_.RemoveFile(mark.key, files.back()));
  }
  const std::int64_t file = files.back();
  const std::int64_t pages = (mark.maximum - file + kPageEntries - 1) / kPageEntries;
  PageAddress last{.key = mark.key, .first = file + (pages - 1) * kPageEntries};
  {
    base::MutexLock lock(mu_);
    last.generation = applied_.generation;
  }
  MR_ASSIGN_OR_RETURN(QueuePage page, files_.ReadPage(last, file));
  const std::int64_t size = mark.maximum - last.first;
  if (page.size() < size) {
    return absl::DataLossError(absl::StrCat("topic ", mark.key.topic_id, " queue ", mark.key.queue, " ends at ",
                                            last.first + page.size(), ", it was flushed up to ", mark.maximum));
  }
  page.entries.resize(static_cast<std::size_t>(size) * kQueueEntryBytes);
  MR_RETURN_IF_ERROR(files_.WritePage(last, file, page));
  return files_.TruncateFile(mark.key, file, pages);
}

absl::Status PageQueueStore::Flush(std::uint64_t applied) {
  base::MutexLock files_lock(files_mu_);
  MR_RETURN_IF_ERROR(WriteDirtyPages());
  MR_RETURN_IF_ERROR(files_.Sync());
  {
    base::MutexLock lock(mu_);
    applied_.applied = applied;
  }
  MR_RETURN_IF_ERROR(WriteApplied());
  if (marks_.empty()) return absl::OkStatus();
  marks_.clear();
  return fs_.Remove(WritingPath(directory_));
}

absl::Status PageQueueStore::WriteDirtyPages() {
  const std::vector<DirtyPage> pages = DirtyPages();
  if (pages.empty()) return absl::OkStatus();
  QueueWriting writing;
  std::uint32_t generation = 0;
  {
    base::MutexLock lock(mu_);
    writing.applied = applied_.applied;
    generation = applied_.generation;
  }
  for (const auto& [key, maximum] : marks_) writing.marks.push_back({key, maximum});
  MR_RETURN_IF_ERROR(io::ReplaceFile(fs_, WritingPath(directory_), EncodeWriting(writing)));
  for (const DirtyPage& dirty : pages) {
    MR_RETURN_IF_ERROR(files_.WritePage({dirty.key, dirty.first, generation}, dirty.file, dirty.page));
  }
  MarkWritten(pages);
  return absl::OkStatus();
}

std::vector<PageQueueStore::DirtyPage> PageQueueStore::DirtyPages() {
  std::vector<DirtyPage> pages;
  base::MutexLock lock(mu_);
  for (const auto& [key, maximum] : dirty_) {
    marks_.try_emplace(key, maximum);
    const Queue& queue = queues_.at(key);
    for (const auto& [first, cached] : queue.pages) {
      if (cached.dirty()) pages.push_back({key, queue.FileOf(first), first, cached.page});
    }
  }
  return pages;
}

void PageQueueStore::MarkWritten(const std::vector<DirtyPage>& pages) {
  base::MutexLock lock(mu_);
  for (const DirtyPage& dirty : pages) {
    Queue& queue = queues_.at(dirty.key);
    Cached& cached = queue.pages.at(dirty.first);
    cached.written = dirty.page.size();
    dirty_[dirty.key] = dirty.first + cached.written;
    if (cached.dirty()) continue;
    --dirty_pages_;
    if (!cached.page.full()) continue;
    cache_.Insert({dirty.key, dirty.first}, std::make_shared<const QueuePage>(std::move(cached.page)));
    queue.pages.erase(dirty.first);
  }
  std::erase_if(dirty_, [this](const auto& entry)
                            ABSL_NO_THREAD_SAFETY_ANALYSIS { return queues_.at(entry.first).maximum == entry.second; });
}

absl::Status PageQueueStore::WriteApplied() {
  std::string bytes;
  {
    base::MutexLock lock(mu_);
    if (damaged_) return absl::OkStatus();
    bytes = EncodeApplied(applied_);
  }
  return io::ReplaceFile(fs_, AppliedPath(directory_), bytes);
}

void PageQueueStore::RememberDamage(const absl::Status& cause) const {
  QueueApplied next;
  {
    base::MutexLock lock(mu_);
    if (std::exchange(damaged_, true)) return;
    next = {.applied = 0, .removed_below = 0, .generation = applied_.generation + 1};
  }
  MR_LOG(Error, "a consume queue is damaged; the next start builds all of them again", {{"cause", cause.message()}});
  const absl::Status written = io::ReplaceFile(fs_, AppliedPath(directory_), EncodeApplied(next));
  if (!written.ok()) {
    MR_LOG(Error,
           "the damage of the consume queues cannot be recorded: remove their directory while the broker is "
           "stopped",
           {{"directory", directory_}, {"cause", written.message()}});
  }
}

absl::StatusOr<std::unique_ptr<QueueStore>> OpenQueueStore(io::FileSystem& fs, const std::string& directory,
                                                           std::uint64_t log_end) {
  return PageQueueStore::Open(fs, directory, log_end, {});
}

}  // namespace millrace::store
