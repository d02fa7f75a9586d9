#include "services/broker/reader.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/log.h"
#include "core/records.h"
#include "model/stored_message.h"

namespace millrace::broker {
namespace {

constexpr std::chrono::seconds kRetryAfter(1);  // of a body that the disk did not give

// Where the stored message begins in a record's payload, and the origin of a dead letter (docs/formats/records.md).
bool Locate(const store::LogRecord& record, FoundMessage& found) {
  absl::string_view stored = record.payload;
  if (record.type == store::RecordType::kDeadLetter) {
    std::uint32_t prefix_bytes = 0;
    auto origin = core::DecodeDeadLetterOrigin(record.payload, prefix_bytes);
    if (!origin.ok()) return false;
    found.origin_topic = std::move(origin->topic);
    stored.remove_prefix(prefix_bytes);
  } else if (record.type != store::RecordType::kMessage) {
    return false;
  }
  found.stored_at = static_cast<std::size_t>(stored.data() - found.buffer.data());
  found.stored_bytes = stored.size();
  found.store_millis = record.time_millis;
  found.tag_hash = static_cast<std::uint32_t>(record.tag_field);
  found.id_hash = record.keys.empty() ? 0 : record.keys[0];  // the first key of a message
  return true;
}

}  // namespace

// One claim on its way.
struct Reader::Look {
  std::uint64_t claim = 0, topic_id = 0;
  core::ReplyTo receive;
  std::vector<core::ClaimEntry> entries;
  model::TagFilter filter = model::TagFilter::All();
  std::vector<store::QueueEntry> found;  // by position, where the verdict is kNotRead
  std::vector<core::Verdict> verdicts;
};

Reader::Reader(const store::CommitLog& log, const store::QueueStore& queues, Inbox& inbox, BodySlots& bodies,
               ClaimGate& gate, const Options& options)
    : log_(log), queues_(queues), inbox_(inbox), bodies_(bodies), gate_(gate), options_(options) {
  for (int i = 0; i < options.threads; ++i) threads_.emplace_back([this] { Run(); });
}

Reader::~Reader() { Stop(); }

void Reader::Stop() {
  {
    base::MutexLock lock(mu_);
    stopping_ = true;
  }
  work_.NotifyAll();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Reader::Run() {
  std::function<void()> job;
  while (WaitForJob(job)) job();
}

bool Reader::WaitForJob(std::function<void()>& job) {
  base::MutexLock lock(mu_);
  while (jobs_.empty() && !stopping_) {
    if (later_.empty()) {
      work_.Wait(mu_);
      continue;
    }
    work_.WaitFor(mu_, kRetryAfter);
    if (jobs_.empty()) jobs_.swap(later_);
  }
  if (stopping_) return false;
  job = std::move(jobs_.front());
  jobs_.pop_front();
  return true;
}

void Reader::Add(std::function<void()> job) {
  {
    base::MutexLock lock(mu_);
    jobs_.push_back(std::move(job));
  }
  work_.NotifyOne();
}

core::VerdictResult Reader::FindEntry(std::uint64_t topic_id, std::uint32_t queue, std::int64_t queue_offset,
                                      const model::TagFilter& filter, store::QueueEntry& entry) const {
  const auto found = queues_.Get({topic_id, queue}, queue_offset);
  if (absl::IsNotFound(found.status())) return core::VerdictResult::kGone;
  if (!found.ok()) {
    MR_LOG(Error, "a consume queue cannot be read",
           {{"queue", queue}, {"queue_offset", queue_offset}, {"error", found.status().message()}});
    return core::VerdictResult::kDiskFailed;  // the index can be built again: its damage passes nothing
  }
  if (!filter.MayMatch(static_cast<std::uint32_t>(found->tag_field))) return core::VerdictResult::kReject;
  entry = *found;
  return core::VerdictResult::kNotRead;
}

core::VerdictResult Reader::ReadEntry(std::uint64_t topic_id, std::uint32_t queue, std::int64_t queue_offset,
                                      const store::QueueEntry& entry, const model::TagFilter& filter,
                                      FoundMessage& found) const {
  const auto record = log_.ReadRecord(entry.physical_offset, entry.bytes, found.buffer);
  if (!record.ok()) {
    if (absl::IsNotFound(record.status())) return core::VerdictResult::kGone;
    MR_LOG(Error, "a stored message cannot be read",
           {{"queue", queue}, {"queue_offset", queue_offset}, {"error", record.status().message()}});
    return absl::IsDataLoss(record.status()) ? core::VerdictResult::kUnreadable : core::VerdictResult::kDiskFailed;
  }
  if (record->topic_id != topic_id || record->queue != queue || record->queue_offset != queue_offset ||
      !Locate(*record, found)) {
    MR_LOG(Error, "a consume queue entry points at another record",
           {{"queue", queue}, {"queue_offset", queue_offset}, {"physical_offset", entry.physical_offset}});
    return core::VerdictResult::kUnreadable;
  }
  if (filter.matches_all()) return core::VerdictResult::kMatch;
  const auto message = model::ParseStoredMessage(found.stored());
  if (!message) return core::VerdictResult::kUnreadable;
  return filter.Matches(message->tag) ? core::VerdictResult::kMatch : core::VerdictResult::kReject;
}

core::VerdictResult Reader::Find(std::uint64_t topic_id, std::uint32_t queue, std::int64_t queue_offset,
                                 FoundMessage& found) const {
  store::QueueEntry entry;
  const auto result = FindEntry(topic_id, queue, queue_offset, model::TagFilter::All(), entry);
  if (result != core::VerdictResult::kNotRead) return result;
  return ReadEntry(topic_id, queue, queue_offset, entry, model::TagFilter::All(), found);
}

void Reader::LookAt(const core::Claim& claim, std::vector<core::ClaimEntry> entries, std::string filter) {
  auto look = std::make_shared<Look>();
  look->claim = claim.claim;
  look->topic_id = claim.topic_id;
  look->receive = claim.reply;
  look->entries = std::move(entries);
  if (auto parsed = model::TagFilter::Parse(filter); parsed.ok()) look->filter = *std::move(parsed);
  Add([this, look = std::move(look)] { FindEntries(look); });
}

// The index says how much credit the claim can use; bodies are read once it has it.
void Reader::FindEntries(const std::shared_ptr<Look>& look) {
  const std::size_t count = look->entries.size();
  look->found.resize(count);
  look->verdicts.resize(count);
  std::uint64_t largest = 0, sum = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const core::ClaimEntry& entry = look->entries[i];
    look->verdicts[i].result = FindEntry(look->topic_id, entry.queue, entry.queue_offset, look->filter, look->found[i]);
    if (look->verdicts[i].result != core::VerdictResult::kNotRead) continue;
    largest = std::max<std::uint64_t>(largest, look->found[i].bytes);
    sum += look->found[i].bytes;
  }
  if (largest == 0) return ReadEntries(*look, 0);
  const std::uint64_t most = std::max(largest, std::min(sum, options_.answer_bytes_max));
  const std::uint64_t granted = gate_.Take(look->receive, largest, most, [this, look](std::uint64_t later) {
    Add([this, look, later] { ReadEntries(*look, later); });
  });
  if (granted != 0) ReadEntries(*look, granted);
}

void Reader::ReadEntries(Look& look, std::uint64_t granted) {
  ReadClaim claim{.link = look.receive.link, .messages = std::vector<FoundMessage>(look.entries.size())};
  for (std::size_t i = 0; i < look.entries.size(); ++i) {
    core::Verdict& verdict = look.verdicts[i];
    if (verdict.result != core::VerdictResult::kNotRead) continue;
    // The grant covers any one of them, so the first that matches always fits.
    if (claim.granted + look.found[i].bytes > granted) break;
    FoundMessage& message = claim.messages[i];
    verdict.result = ReadEntry(look.topic_id, look.entries[i].queue, look.entries[i].queue_offset, look.found[i],
                               look.filter, message);
    verdict.bytes = static_cast<std::uint32_t>(message.stored_bytes);
    verdict.store_millis = message.store_millis;
    if (verdict.result == core::VerdictResult::kMatch) {
      claim.granted += message.stored_bytes;
    } else {
      message = {};
    }
  }
  gate_.GiveBack(look.receive.link, granted - claim.granted);
  {
    base::MutexLock lock(mu_);
    claims_[look.claim] = std::move(claim);
  }
  inbox_.Post([&](core::EventBatch& batch) {
    core::Verdicts event;
    event.claim = look.claim;
    event.verdicts = batch.AddText(reinterpret_cast<const char*>(look.verdicts.data()),
                                   look.verdicts.size() * sizeof(core::Verdict));
    batch.Add(core::EventType::kVerdicts, event);
  });
}

void Reader::ReadBody(const core::ReadBody& request) {
  Add([this, request] {
    core::BodyRead event;
    event.token = request.token;
    FoundMessage found;
    event.result = Find(request.topic_id, request.queue, request.queue_offset, found);
    if (event.result == core::VerdictResult::kDiskFailed) {
      base::MutexLock lock(mu_);
      later_.push_back([this, request] { ReadBody(request); });
      return;
    }
    if (event.result == core::VerdictResult::kMatch) {
      event.tag_hash = found.tag_hash;
      event.id_hash = found.id_hash;
      event.body = bodies_.Put(std::string(found.stored().data(), found.stored().size()));
    }
    inbox_.Post([&](core::EventBatch& batch) { batch.Add(core::EventType::kBodyRead, event); });
  });
}

void Reader::Get(std::uint64_t topic_id, std::uint32_t queue, std::int64_t queue_offset,
                 std::function<void(const FoundMessage*)> done) {
  Add([this, topic_id, queue, queue_offset, done = std::move(done)] {
    FoundMessage found;
    const auto result = Find(topic_id, queue, queue_offset, found);
    done(result == core::VerdictResult::kMatch ? &found : nullptr);
  });
}

void Reader::TellStoreTime(const core::StoreTimeWanted& wanted) {
  Add([this, wanted] {
    FoundMessage found;
    const bool there = Find(wanted.topic_id, wanted.queue, wanted.queue_offset, found) == core::VerdictResult::kMatch;
    inbox_.Post([&](core::EventBatch& batch) {
      batch.Add(core::EventType::kStoreTime, core::StoreTime{wanted.topic_id, wanted.group_id, wanted.queue_offset,
                                                             there ? found.store_millis : 0, wanted.queue, 0});
    });
  });
}

ReadClaim Reader::TakeClaim(std::uint64_t claim) {
  base::MutexLock lock(mu_);
  const auto at = claims_.find(claim);
  if (at == claims_.end()) return {};
  ReadClaim read = std::move(at->second);
  claims_.erase(at);
  return read;
}

}  // namespace millrace::broker
