#include "services/broker/reader.h"

#include <utility>

#include "base/log.h"
#include "core/records.h"
#include "model/stored_message.h"

namespace millrace::broker {
namespace {

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

Reader::Reader(const store::CommitLog& log, const store::QueueStore& queues, Inbox& inbox, BodySlots& bodies,
               int threads)
    : log_(log), queues_(queues), inbox_(inbox), bodies_(bodies) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

Reader::~Reader() {
  {
    base::MutexLock lock(mu_);
    stopping_ = true;
  }
  work_.NotifyAll();
  for (std::thread& thread : threads_) thread.join();
}

void Reader::Run() {
  while (true) {
    std::function<void()> job;
    {
      base::MutexLock lock(mu_);
      while (jobs_.empty() && !stopping_) work_.Wait(mu_);
      if (stopping_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
  }
}

void Reader::Add(std::function<void()> job) {
  {
    base::MutexLock lock(mu_);
    jobs_.push_back(std::move(job));
  }
  work_.NotifyOne();
}

core::VerdictResult Reader::Find(std::uint64_t topic_id, std::uint32_t queue, std::int64_t queue_offset,
                                 const model::TagFilter& filter, FoundMessage& found) const {
  const auto entry = queues_.Get({topic_id, queue}, queue_offset);
  if (!entry.ok()) return core::VerdictResult::kGone;
  if (!filter.MayMatch(static_cast<std::uint32_t>(entry->tag_field))) return core::VerdictResult::kReject;
  const auto record = log_.ReadRecord(entry->physical_offset, entry->bytes, found.buffer);
  if (!record.ok()) {
    if (absl::IsNotFound(record.status())) return core::VerdictResult::kGone;
    MR_LOG(Error, "a stored message cannot be read", {{"queue", queue}, {"queue_offset", queue_offset},
                                                      {"error", record.status().message()}});
    return core::VerdictResult::kUnreadable;
  }
  if (record->topic_id != topic_id || record->queue != queue || record->queue_offset != queue_offset ||
      !Locate(*record, found)) {
    MR_LOG(Error, "a consume queue entry points at another record",
           {{"queue", queue}, {"queue_offset", queue_offset}, {"physical_offset", entry->physical_offset}});
    return core::VerdictResult::kUnreadable;
  }
  if (filter.matches_all()) return core::VerdictResult::kMatch;
  const auto message = model::ParseStoredMessage(found.stored());
  if (!message) return core::VerdictResult::kUnreadable;
  return filter.Matches(message->tag) ? core::VerdictResult::kMatch : core::VerdictResult::kReject;
}

void Reader::LookAt(std::uint64_t claim, std::uint64_t topic_id, std::vector<core::ClaimEntry> entries,
                    std::string filter_text) {
  Add([this, claim, topic_id, entries = std::move(entries), filter_text = std::move(filter_text)] {
    const auto parsed = model::TagFilter::Parse(filter_text);
    const model::TagFilter filter = parsed.ok() ? *parsed : model::TagFilter::All();
    std::vector<FoundMessage> messages(entries.size());
    std::vector<core::Verdict> verdicts(entries.size());
    for (std::size_t i = 0; i < entries.size(); ++i) {
      verdicts[i].result = Find(topic_id, entries[i].queue, entries[i].queue_offset, filter, messages[i]);
      verdicts[i].bytes = static_cast<std::uint32_t>(messages[i].stored_bytes);
      if (verdicts[i].result != core::VerdictResult::kMatch) messages[i] = {};
    }
    {
      base::MutexLock lock(mu_);
      claims_[claim] = std::move(messages);
    }
    inbox_.Post([&](core::EventBatch& batch) {
      core::Verdicts event;
      event.claim = claim;
      event.verdicts =
          batch.AddText(reinterpret_cast<const char*>(verdicts.data()), verdicts.size() * sizeof(core::Verdict));
      batch.Add(core::EventType::kVerdicts, event);
    });
  });
}

void Reader::ReadBody(const core::ReadBody& request) {
  Add([this, request] {
    core::BodyRead event;
    event.token = request.token;
    FoundMessage found;
    event.result = Find(request.topic_id, request.queue, request.queue_offset, model::TagFilter::All(), found);
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
    const auto result = Find(topic_id, queue, queue_offset, model::TagFilter::All(), found);
    done(result == core::VerdictResult::kMatch ? &found : nullptr);
  });
}

std::vector<FoundMessage> Reader::TakeClaim(std::uint64_t claim) {
  base::MutexLock lock(mu_);
  const auto at = claims_.find(claim);
  if (at == claims_.end()) return {};
  std::vector<FoundMessage> messages = std::move(at->second);
  claims_.erase(at);
  return messages;
}

}  // namespace millrace::broker
