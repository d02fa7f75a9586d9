#include "services/broker/keeper.h"

#include <chrono>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/log.h"
#include "base/status.h"

namespace millrace::broker {
namespace {

// The fold writes through the core's interface into the store's.
class Changes final : public core::ImageWriter {
 public:
  explicit Changes(store::ImageChanges& changes) : changes_(changes) {}
  void Put(absl::string_view key, absl::string_view value) override { changes_.Put(key, value); }
  void Delete(absl::string_view key) override { changes_.Delete(key); }
  void DeletePrefix(absl::string_view prefix) override { changes_.DeletePrefix(prefix); }

 private:
  store::ImageChanges& changes_;
};

}  // namespace

absl::Status FoldInto(const FoldBatch& batch, store::ImageChanges& image) {
  Changes changes(image);
  for (const FoldBatch::Record& record : batch.records) {
    MR_RETURN_IF_ERROR(
        core::Fold({record.type, record.queue, record.topic_id, record.queue_offset, record.head}, changes));
  }
  core::FoldBatchTime(batch.log_time_millis, changes);
  return absl::OkStatus();
}

absl::Status FoldInto(const store::LogBatch& batch, store::ImageChanges& image) {
  Changes changes(image);
  for (const store::LogRecord& record : batch.records) {
    // A fold never looks at bodies; of a dead letter it needs what stands before the body.
    const absl::string_view head = record.type == store::RecordType::kMessage ? absl::string_view() : record.payload;
    MR_RETURN_IF_ERROR(core::Fold({record.type, record.queue, record.topic_id, record.queue_offset, head}, changes));
  }
  core::FoldBatchTime(batch.log_time_millis, changes);
  return absl::OkStatus();
}

namespace {

// A message folds into the end of its queue and nothing else, so of all messages of a queue only the last one matters.
void DropOvertaken(std::vector<FoldBatch>& batches) {
  absl::flat_hash_set<std::pair<std::uint64_t, std::uint32_t>> later;
  for (auto batch = batches.rbegin(); batch != batches.rend(); ++batch) {
    std::size_t kept = batch->records.size();
    for (std::size_t i = batch->records.size(); i-- > 0;) {
      FoldBatch::Record& record = batch->records[i];
      const bool overtaken =
          record.type == store::RecordType::kMessage && !later.emplace(record.topic_id, record.queue).second;
      if (overtaken) continue;
      if (--kept != i) batch->records[kept] = std::move(record);
    }
    batch->records.erase(batch->records.begin(), batch->records.begin() + static_cast<std::ptrdiff_t>(kept));
  }
}

}  // namespace

void ImageOfStore::Scan(absl::string_view prefix,
                        absl::FunctionRef<void(absl::string_view, absl::string_view)> each) const {
  const absl::Status status = image_.Scan(prefix, each);
  if (!status.ok()) MR_LOG(Error, "the state image cannot be read", {{"error", status.message()}});
}

Keeper::Keeper(const Options& options, io::FileSystem& fs, const base::Clock& clock, store::CommitLog& log,
               store::StateImage& image, store::QueueStore& queues, Inbox& inbox)
    : options_(options),
      fs_(fs),
      clock_(clock),
      log_(log),
      image_(image),
      queues_(queues),
      inbox_(inbox),
      last_flush_millis_(clock.MonotonicMillis()) {
  thread_ = std::thread([this] { Run(); });
}

Keeper::~Keeper() {
  {
    base::MutexLock lock(mu_);
    stopping_ = true;
  }
  wake_.NotifyAll();
  if (thread_.joinable()) thread_.join();
}

void Keeper::Add(FoldBatch batch) {
  base::MutexLock lock(mu_);
  waiting_.push_back(std::move(batch));
}

void Keeper::Wake() {
  {
    base::MutexLock lock(mu_);
    woken_ = true;
  }
  wake_.NotifyOne();
}

void Keeper::Run() {
  while (true) {
    {
      base::MutexLock lock(mu_);
      if (!woken_ && !stopping_) wake_.WaitFor(mu_, std::chrono::seconds(1));
      if (stopping_) return;
      woken_ = false;
    }
    if (!FoldIsDone()) {
      if (records_broken_) return;
      continue;
    }
    const bool due = image_.applied().offset - image_.flushed().offset >= options_.flush_bytes ||
                     clock_.MonotonicMillis() - last_flush_millis_ >= options_.flush_millis;
    absl::Status status = Retain();
    if (due && image_.applied().offset != image_.flushed().offset) status.Update(FlushAll());
    if (!status.ok()) {
      MR_LOG(Error, "the store's files cannot be written, segments stay until they can; make room on the volume",
             {{"error", status.message()}});
    }
  }
}

bool Keeper::FoldIsDone() {
  if (fold_refused_ && clock_.MonotonicMillis() < retry_fold_millis_) return false;
  const absl::Status status = FoldFlushed();
  if (records_broken_) {
    MR_LOG(Error, "a record does not fold into the state image, which stays as it is; restart the broker",
           {{"error", status.message()}});
  } else if (!status.ok()) {
    if (!fold_refused_) {
      MR_LOG(Error, "the state image cannot be written; it is tried again, and segments stay until it can",
             {{"error", status.message()}});
    }
    retry_fold_millis_ = clock_.MonotonicMillis() + options_.retry_millis;
  } else if (fold_refused_) {
    MR_LOG(Info, "the state image is written again", {{"offset", image_.applied().offset}});
  }
  fold_refused_ = !status.ok();
  return status.ok();
}

absl::Status Keeper::FoldFlushed() {
  const store::LogPosition end = log_.flushed_position();
  {
    base::MutexLock lock(mu_);
    while (!waiting_.empty() && waiting_.front().end <= end.offset) {
      folding_.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
  }
  if (folding_.empty()) return absl::OkStatus();
  MR_CHECK(folding_.back().end == end.offset);
  DropOvertaken(folding_);
  absl::Status status;
  MR_RETURN_IF_ERROR(image_.Apply(end, [&](store::ImageChanges& changes) {
    for (const FoldBatch& batch : folding_) {
      const bool overtaken = batch.records.empty() && batch.end != end.offset;
      if (status.ok() && !overtaken) status = FoldInto(batch, changes);
    }
  }));
  folding_.clear();
  records_broken_ = !status.ok();
  return status;
}

absl::Status Keeper::FlushAll() {
  last_flush_millis_ = clock_.MonotonicMillis();
  const std::uint64_t applied = image_.applied().offset;
  MR_RETURN_IF_ERROR(queues_.Flush(applied));
  MR_RETURN_IF_ERROR(image_.Flush());
  return store::WriteCheckpoint(fs_, options_.data_directory,
                                {.flushed_end = log_.flushed_end(),
                                 .image_offset = image_.flushed().offset,
                                 .queues_applied = queues_.applied()});
}

absl::Status Keeper::Retain() {
  const std::int64_t now = clock_.MonotonicMillis();
  if (now - last_retention_millis_ < options_.retention_millis) return absl::OkStatus();
  last_retention_millis_ = now;
  const auto space = fs_.SpaceOf(options_.data_directory);
  if (!space.ok()) return absl::OkStatus();  // asked again in a moment
  store::RetentionInput input{.log_time_millis = clock_.WallMillis(),
                              .segments = log_.segments(),
                              .image_offset = image_.flushed().offset,
                              .space = *space};
  store::RetentionPlan plan = store::PlanRetention(options_.retention, input);
  if (plan.waits_for_image && image_.applied().offset != image_.flushed().offset) {
    MR_RETURN_IF_ERROR(FlushAll());
    input.image_offset = image_.flushed().offset;
    plan = store::PlanRetention(options_.retention, input);
  }
  if (plan.refuse_writes != refusing_) {
    refusing_ = plan.refuse_writes;
    if (refusing_) MR_LOG(Error, "writes are refused", {{"reason", plan.refusal}});
    const std::uint64_t used = space->total_bytes == 0 ? 0 : 100 - space->free_bytes / (space->total_bytes / 100 + 1);
    inbox_.Post([&](core::EventBatch& batch) {
      batch.Add(core::EventType::kSpace, core::Space{refusing_, static_cast<std::uint32_t>(used)});
    });
  }
  if (plan.remove_below == 0) return absl::OkStatus();
  MR_ASSIGN_OR_RETURN(const std::uint64_t first, log_.RemoveBelow(plan.remove_below));
  removed_bytes_[static_cast<std::size_t>(plan.reason)] += plan.remove_bytes;
  MR_LOG(Info, "retention removed segments",
         {{"first_offset", first}, {"bytes", plan.remove_bytes}, {"reason", store::RetentionReasonName(plan.reason)}});
  return queues_.RemoveBelow(first, [&](store::QueueKey key, std::int64_t minimum) {
    inbox_.Post([&](core::EventBatch& batch) {
      batch.Add(core::EventType::kQueueMinimum, core::QueueMinimum{key.topic_id, minimum, key.queue, 0});
    });
  });
}

absl::StatusOr<store::Checkpoint> Keeper::Finish() {
  {
    base::MutexLock lock(mu_);
    stopping_ = true;
  }
  wake_.NotifyAll();
  if (thread_.joinable()) thread_.join();
  MR_RETURN_IF_ERROR(FoldFlushed());
  MR_RETURN_IF_ERROR(FlushAll());
  return store::Checkpoint{
      .flushed_end = log_.flushed_end(), .image_offset = image_.flushed().offset, .queues_applied = queues_.applied()};
}

}  // namespace millrace::broker
