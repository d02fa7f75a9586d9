#include "core/testing/world.h"

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/check.h"
#include "core/event_file.h"

namespace millrace::core::testing {
namespace {

template <typename T>
T As(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

std::string Copy(absl::string_view text) { return std::string(text.data(), text.size()); }

}  // namespace

void MapImage::Scan(absl::string_view prefix,
                    absl::FunctionRef<void(absl::string_view, absl::string_view)> each) const {
  const std::string first = Copy(prefix);
  for (auto at = pairs.lower_bound(first); at != pairs.end() && at->first.compare(0, first.size(), first) == 0; ++at) {
    each(at->first, at->second);
  }
}
void MapImage::Put(absl::string_view key, absl::string_view value) { pairs[Copy(key)] = Copy(value); }
void MapImage::Delete(absl::string_view key) { pairs.erase(Copy(key)); }
void MapImage::DeletePrefix(absl::string_view prefix) {
  const std::string first = Copy(prefix);
  auto at = pairs.lower_bound(first);
  while (at != pairs.end() && at->first.compare(0, first.size(), first) == 0) at = pairs.erase(at);
}

World::World(const Options& options, bool start, bool trace) : keep_trace(trace), options_(options) {
  if (keep_trace) AppendEventFileHeader(event_file);
  // Without one of these the sums are wrong after a restart: that is what their tests look at.
  const Rules& rules = options.rules;
  check = rules.gap_blocks && rules.dirty_blocks && rules.counters_in_record && rules.queue_end;
  if (start) Start(false);
}

TextRef World::Text(absl::string_view text) { return events.AddText(text.data(), text.size()); }
ReplyTo World::To(std::uint32_t link) { return ReplyTo{++correlation_, link, 0}; }

void World::Start(bool may_be_lost) {
  const std::uint64_t end = log.empty() ? 0 : log.back().end;
  core_ = std::make_unique<Core>(options_);
  const absl::Status status = core_->Load(image, end);
  MR_CHECK(status.ok());
  events.Clear();
  events.Add(EventType::kStarted, Started{may_be_lost ? 1u : 0u, 0});
  if (core_->NeedsInitialise()) events.Add(EventType::kInitialise, Initialise{Text("c"), Text("home"), 1, 2});
  Turn();
  Flush();
}

void World::Turn() {
  events.time_millis = time;
  if (keep_trace) AppendEventBatch(events, event_file);
  core_->Step(events, actions);
  if (keep_trace) AppendTrace(actions, trace);
  if (check) core_->CheckInvariants();
  events.Clear();
  Append();
  const char* at = actions.actions.data();
  const char* end = at + actions.actions.size();
  while (at < end) {
    Handle(static_cast<ActionType>(As<std::uint16_t>(at)), at + 8);
    at += 8 + As<std::uint16_t>(at + 2);
  }
}

void World::AppendTrace(const ActionBatch& actions, std::string& trace) {
  const AppendPlan& plan = actions.append;
  for (const BatchPlan& batch : plan.batches) {
    base::Put(trace, batch.offset);
    base::Put(trace, batch.bytes);
    base::Put(trace, batch.records_end);
  }
  base::Put(trace, plan.flush_first);
  base::Put(trace, plan.log_time_millis);
  base::Put(trace, plan.epoch);
  for (const RecordPlan& record : plan.records) {
    base::Put(trace, static_cast<std::uint8_t>(record.type));
    base::Put(trace, record.queue);
    base::Put(trace, record.topic_id);
    base::Put(trace, record.queue_offset);
    base::Put(trace, record.tag_field);
    base::Put(trace, record.time_millis);
    for (const std::uint32_t number :
         {record.keys.at, record.keys.size, record.head.at, record.head.size, record.body.slot, record.body.size}) {
      base::Put(trace, number);
    }
  }
  trace += actions.actions;
  trace += actions.text;
}

void World::Append() {
  const AppendPlan& plan = actions.append;
  MR_CHECK(plan.batches.empty() ? plan.records.empty() : plan.batches.back().records_end == plan.records.size());
  std::size_t first = 0;
  for (const BatchPlan& batch : plan.batches) {
    AppendBatch(plan, batch, first);
    first = batch.records_end;
  }
}

void World::AppendBatch(const AppendPlan& plan, const BatchPlan& batch_plan, std::size_t first) {
  MR_CHECK(first < batch_plan.records_end);
  LoggedBatch batch;
  batch.offset = batch_plan.offset;
  batch.end = batch_plan.offset + batch_plan.bytes;
  batch.log_time = plan.log_time_millis;
  batch.flush_first = plan.flush_first != 0;
  MR_CHECK(log.empty() || batch.offset >= log.back().end);
  MR_CHECK(batch.offset / options_.segment_bytes == (batch.end - 1) / options_.segment_bytes);
  std::uint32_t bytes = store::kBatchHeaderBytes;
  for (std::size_t i = first; i < batch_plan.records_end; ++i) {
    const RecordPlan& record = plan.records[i];
    LoggedRecord logged{record.type, record.queue, record.topic_id, record.queue_offset, OutText(record.head), {}, 0};
    std::uint32_t payload = record.head.size;
    if (record.has_body != 0) {
      logged.body = bodies_.at(record.body.slot);
      MR_CHECK(slots.erase(record.body.slot) == 1);
      bodies_.erase(record.body.slot);
      payload += record.body.size;
      stored[{record.topic_id, record.queue, record.queue_offset}] = logged.body;
      store_times[{record.topic_id, record.queue, record.queue_offset}] = plan.log_time_millis;
    }
    logged.bytes = store::RecordBytes(record.keys.size / 8, payload);
    bytes += logged.bytes;
    batch.records.push_back(std::move(logged));
  }
  MR_CHECK(bytes == batch_plan.bytes);
  log.push_back(std::move(batch));
}

void World::Handle(ActionType type, const char* at) {
  switch (type) {
    case ActionType::kReply: {
      const auto reply = As<Reply>(at);
      Replied& result = replied[reply.reply.correlation];
      MR_CHECK(result.code == 0);  // one answer each
      result = Replied{reply.code, OutText(reply.text), OutText(reply.payload)};
      return;
    }
    case ActionType::kSendReply: {
      const auto reply = As<SendReply>(at);
      Sent& result = sent[reply.reply.correlation];
      MR_CHECK(result.code == 0);
      result = Sent{reply.code, reply.queue, reply.first_offset, OutText(reply.text)};
      return;
    }
    case ActionType::kClaim: {
      const auto claim = As<Claim>(at);
      ClaimSeen pending{claim.claim, claim.topic_id, OutText(claim.filter), {}};
      for (std::uint32_t i = 0; i < claim.entries.size; i += sizeof(ClaimEntry)) {
        pending.entries.push_back(As<ClaimEntry>(actions.text.data() + claim.entries.at + i));
      }
      ++claims;
      claims_seen.push_back(pending);
      claims_to_judge_.push_back(claim.claim);
      MR_CHECK(claims_.emplace(claim.claim, std::move(pending)).second);
      return;
    }
    case ActionType::kDeliver: {
      const auto deliver = As<Deliver>(at);
      const auto claim = claims_.find(deliver.claim);
      MR_CHECK(claim != claims_.end());
      DeliverSeen& seen =
          delivers_seen.emplace_back(DeliverSeen{deliver.claim, deliver.answer, deliver.reply.correlation, {}});
      if (deliver.entries.size > 0) {
        Received& result = received[deliver.reply.correlation];
        MR_CHECK(result.code == 0);
        result.code = code::kOk;
        result.answer = deliver.answer;
        for (std::uint32_t i = 0; i < deliver.entries.size; i += sizeof(DeliverEntry)) {
          const auto entry = As<DeliverEntry>(actions.text.data() + deliver.entries.at + i);
          seen.delivered.push_back(entry.claim_index);
          const ClaimEntry& claimed = claim->second.entries.at(entry.claim_index);
          MR_CHECK(claimed.queue_offset == entry.handle.queue_offset && claimed.queue == entry.handle.queue);
          result.messages.push_back(
              {entry.handle, entry.attempt, stored.at({claim->second.topic, claimed.queue, claimed.queue_offset})});
        }
      }
      claims_.erase(claim);
      return;
    }
    case ActionType::kReceiveDone: {
      const auto done = As<ReceiveDone>(at);
      Received& result = received[done.reply.correlation];
      MR_CHECK(result.code == 0);
      result.code = done.code;
      result.text = OutText(done.text);
      return;
    }
    case ActionType::kReadBody: reads_.push_back(As<ReadBody>(at)); return;
    case ActionType::kReleaseBody: {
      const auto release = As<ReleaseBody>(at);
      MR_CHECK(slots.erase(release.slot) == 1);
      bodies_.erase(release.slot);
      return;
    }
    case ActionType::kTopicChanged:
      topics_changed.push_back(DecodeTopic(OutText(As<TopicChanged>(at).config))->name);
      return;
    case ActionType::kTopicDeleted: topics_deleted.push_back(OutText(As<TopicDeleted>(at).name)); return;
  }
}

void World::Judge(const ClaimSeen& claim) {
  std::string verdicts;
  for (const ClaimEntry& entry : claim.entries) {
    Verdict verdict;
    const auto body = stored.find({claim.topic, entry.queue, entry.queue_offset});
    if (body != stored.end()) {
      verdict.result = judge ? judge(claim.filter, body->second) : VerdictResult::kMatch;
      verdict.bytes = static_cast<std::uint32_t>(body->second.size());
      verdict.store_millis = store_times.at(body->first);
    }
    verdicts.append(reinterpret_cast<const char*>(&verdict), sizeof verdict);
  }
  events.Add(EventType::kVerdicts, Verdicts{claim.claim, Text(verdicts)});
}

void World::ReleaseClaims() {
  for (const std::uint64_t claim : claims_to_judge_) Judge(claims_.at(claim));
  claims_to_judge_.clear();
}

void World::ReleaseBodies() {
  for (const ReadBody& read : reads_) {
    BodyRead event;
    event.token = read.token;
    const auto body = stored.find({read.topic_id, read.queue, read.queue_offset});
    if (body != stored.end()) {
      event.body = {++next_slot_, static_cast<std::uint32_t>(body->second.size())};
      bodies_[next_slot_] = body->second;
      slots.insert(next_slot_);
      event.result = VerdictResult::kMatch;
    }
    events.Add(EventType::kBodyRead, event);
  }
  reads_.clear();
}

void World::FlushBatches(std::size_t count) {
  durable_ = std::min(log.size(), durable_ + count);
  if (durable_ == 0) return;
  const std::uint64_t end = log[durable_ - 1].end;
  if (options_.async_flush) events.Add(EventType::kWritten, core::Written{end});
  events.Add(EventType::kFlushed, Flushed{end});
}

void World::Settle() {
  if (events.count > 0) Turn();
  while (true) {
    if (!hold_claims) ReleaseClaims();
    if (!hold_bodies) ReleaseBodies();
    const bool now = core_->NextWakeMillis() <= core_->log_time_millis();
    if (events.count == 0 && !now) return;
    Turn();
  }
}

void World::Flush() {
  do {
    FlushBatches(log.size());
    Settle();
  } while (durable_ != log.size());
}

void World::Written() {
  events.Add(EventType::kWritten, core::Written{log.back().end});
  Settle();
}

void World::Advance(std::int64_t millis) {
  Flush();
  for (; millis > 0; millis -= 500) {
    time += std::min<std::int64_t>(millis, 500);
    Turn();
    Flush();
  }
}

void World::AdvanceUnflushed(std::int64_t millis) {
  Settle();
  for (; millis > 0; millis -= 500) {
    time += std::min<std::int64_t>(millis, 500);
    Turn();
    Settle();
  }
}

std::size_t World::UnflushedBatches() const { return log.size() - durable_; }

void World::Crash(std::size_t keep, bool power_cut) {
  const std::size_t kept = std::min(log.size(), durable_ + keep);
  for (std::size_t i = kept; i < log.size(); ++i) {
    for (const LoggedRecord& record : log[i].records) {
      const auto found = stored.find({record.topic_id, record.queue, record.queue_offset});
      if (!record.body.empty() && found != stored.end() && found->second == record.body) stored.erase(found);
    }
  }
  log.resize(kept);
  for (const LoggedBatch& batch : log) {
    for (const LoggedRecord& record : batch.records) {
      const absl::Status status =
          Fold(RecordView{record.type, record.queue, record.topic_id, record.queue_offset, record.head}, image);
      MR_CHECK(status.ok());
    }
    FoldBatchTime(batch.log_time, image);
  }
  if (!log.empty()) log.erase(log.begin(), log.end() - 1);  // the last one says where the log ends
  if (!log.empty()) log.back().records.clear();
  durable_ = log.size();
  claims_.clear();
  claims_to_judge_.clear();
  reads_.clear();
  bodies_.clear();
  slots.clear();
  Start(power_cut);
}

}  // namespace millrace::core::testing
