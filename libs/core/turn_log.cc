#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "core/codes.h"
#include "core/impl.h"

// The turn's write batch and what its confirmation sets free.
namespace millrace::core {

RecordPlan& Core::Impl::AddRecord(store::RecordType type, absl::string_view head) {
  RecordPlan& record = out_->append.records.emplace_back();
  record.type = type;
  record.head = OutText(head);
  planned_bytes_ += store::RecordBytes(0, static_cast<std::uint32_t>(head.size()));
  return record;
}

void Core::Impl::EndTurn() {
  ReadNextLetters();
  ServeReceivers();
  WriteLetters();
  WriteProgress();
  Seal();
  LayOut();
  ConfirmTurns(turn_);
  ServeReceivers();
  TimeOutWaits();
}

void Core::Impl::Seal() {
  if (sealed_ || log_failed_ || planned_bytes_ != 0 || flushed_end_ < log_end_) return;
  if (now_ < idle_since_ + options_.seal_idle_millis) return;
  AddRecord(store::RecordType::kSeal, {});
}

void Core::Impl::LayOut() {
  AppendPlan& plan = out_->append;
  if (log_failed_) plan.records.clear();
  if (!plan.records.empty()) {
    LayOutBatches(plan);
    plan.flush_first = flush_first_ ? 1 : 0;
    plan.log_time_millis = now_;
    plan.epoch = epoch_;
    sealed_ = plan.records.size() == 1 && plan.records[0].type == store::RecordType::kSeal;
    turn_ends_.push({turn_, log_end_});
  }
  planned_bytes_ = 0;
  flush_first_ = false;
}

// A batch ends where the next record would make it larger than a segment. Letters stay together: the first of a cursor
// says that the originals of all of them are passed.
void Core::Impl::LayOutBatches(AppendPlan& plan) {
  const auto bytes_of = [](const RecordPlan& record) {
    const std::uint32_t payload = record.head.size + (record.has_body != 0 ? record.body.size : 0);
    return store::RecordBytes(record.keys.size / sizeof(std::uint64_t), payload);
  };
  if (store::kBatchHeaderBytes + planned_bytes_ <= options_.segment_bytes) {
    return LayOutBatch(planned_bytes_, plan.records.size(), plan);
  }
  std::uint64_t batch = 0;
  for (std::size_t i = 0; i < plan.records.size();) {
    std::uint64_t unit = bytes_of(plan.records[i]);
    std::size_t end = i + 1;
    if (plan.records[i].type == store::RecordType::kDeadLetter) {
      for (; end < plan.records.size() && plan.records[end].type == store::RecordType::kDeadLetter; ++end) {
        unit += bytes_of(plan.records[end]);
      }
    }
    if (batch > 0 && store::kBatchHeaderBytes + batch + unit > options_.segment_bytes) {
      LayOutBatch(batch, i, plan);
      batch = 0;
    }
    batch += unit;
    i = end;
  }
  LayOutBatch(batch, plan.records.size(), plan);
}

// A batch never spans segments: what does not fit the rest of one starts the next.
void Core::Impl::LayOutBatch(std::uint64_t records_bytes, std::size_t records_end, AppendPlan& plan) {
  const std::uint64_t bytes = store::kBatchHeaderBytes + records_bytes;
  MR_CHECK(bytes <= options_.segment_bytes);
  const std::uint64_t used = log_end_ % options_.segment_bytes;
  if (used + bytes > options_.segment_bytes) log_end_ += options_.segment_bytes - used;
  plan.batches.push_back({log_end_, static_cast<std::uint32_t>(bytes), static_cast<std::uint32_t>(records_end)});
  log_end_ += bytes;
}

void Core::Impl::WaitForTurn(Wait wait) {
  wait.turn = turn_;
  wait.deadline = now_ + options_.send_timeout_millis;
  waits_.push(wait);
}

void Core::Impl::OnConfirmed(std::uint64_t end) {
  confirmed_end_ = std::max(confirmed_end_, std::min(end, log_end_));
  ConfirmTurns(turn_ - 1);  // this turn's own batch is not laid out yet
}

// A turn is confirmed when its batch is; one without a batch when everything before it is.
void Core::Impl::ConfirmTurns(std::uint64_t complete) {
  if (log_failed_) return;
  while (!turn_ends_.empty() && turn_ends_.front().log_end <= confirmed_end_) turn_ends_.pop();
  confirmed_turn_ = turn_ends_.empty() ? complete : turn_ends_.front().turn - 1;
  Confirm();
}

void Core::Impl::Confirm() {
  while (!pending_ends_.empty() && TurnConfirmed(pending_ends_.front().turn)) {
    const PendingEnd pending = pending_ends_.pop();
    Topic* topic = FindTopic(pending.topic_id);
    if (topic == nullptr) continue;
    Queue& queue = topic->queues[pending.queue];
    for (Subscription* subscription : topic->subscriptions) {
      Cursor& cursor = *subscription->cursors[pending.queue];
      if (cursor.next == queue.visible) LearnStoreTime(cursor, cursor.next, pending.store_millis);
      sums_.ready += pending.end - queue.visible;
      Touch(*subscription);
      Wake(*subscription);
    }
    topic->visible_sum += pending.end - queue.visible;
    queue.visible = pending.end;
  }
  while (!waits_.empty() && TurnConfirmed(waits_.front().turn)) {
    Wait wait = waits_.pop();
    if (timed_out_ > 0) --timed_out_;
    FinishWait(wait, code::kOk, {});
  }
  ReleaseBarriers();
}

void Core::Impl::FinishWait(Wait& wait, std::uint32_t code, absl::string_view text) {
  switch (wait.kind) {
    case WaitKind::kSend:
      if (wait.answered) return;
      out_->Add(ActionType::kSendReply, SendReply{wait.reply, code, wait.queue, wait.offset, OutText(text)});
      return;
    case WaitKind::kReply:
      if (!wait.answered) out_->Add(ActionType::kReply, Reply{wait.reply, code, 0, OutText(text), {}});
      return;
    case WaitKind::kTopicReply:
    case WaitKind::kGroupReply: {
      if (wait.answered) return;
      std::string payload;
      const Topic* topic = wait.kind == WaitKind::kTopicReply ? FindTopic(wait.id) : nullptr;
      const Group* group = wait.kind == WaitKind::kGroupReply ? FindGroup(wait.id) : nullptr;
      if (code == code::kOk && topic != nullptr) Encode(topic->config, payload);
      if (code == code::kOk && group != nullptr) Encode(group->config, payload);
      out_->Add(ActionType::kReply, Reply{wait.reply, code, 0, OutText(text), OutText(payload)});
      return;
    }
    case WaitKind::kTopicChanged:
      if (const Topic* topic = FindTopic(wait.id)) {
        scratch_.clear();
        Encode(topic->config, scratch_);
        out_->Add(ActionType::kTopicChanged, TopicChanged{OutText(scratch_)});
        WakeReceiversOf(*topic);
      }
      return;
    case WaitKind::kTopicDeleted:
      if (const auto name = deleted_names_.find(wait.id); name != deleted_names_.end()) {
        out_->Add(ActionType::kTopicDeleted, TopicDeleted{wait.id, OutText(name->second)});
        deleted_names_.erase(name);
      }
      return;
    case WaitKind::kGroupUsable:
      if (const Group* group = FindGroup(wait.id)) {
        for (const auto& [topic, subscription] : group->subscriptions) Wake(*subscription);
      } else if (wait.id == 0) {
        for (const auto& [id, each] : groups_) {
          for (const auto& [topic, subscription] : each->subscriptions) Wake(*subscription);
        }
      }
      return;
  }
}

// The outcome of what is not confirmed in time is unknown: it may be stored or not.
void Core::Impl::TimeOutWaits() {
  while (timed_out_ < waits_.size() && waits_.at(timed_out_).deadline <= now_) {
    Wait& wait = waits_.at(timed_out_++);
    const bool is_answer = wait.kind == WaitKind::kSend || wait.kind == WaitKind::kReply ||
                           wait.kind == WaitKind::kTopicReply || wait.kind == WaitKind::kGroupReply;
    if (!is_answer || wait.answered) continue;
    FinishWait(
        wait, code::kMasterPersistenceTimeout,
        absl::StrCat("not confirmed by the log within ", options_.send_timeout_millis, " ms; it may be stored or not"));
    wait.answered = true;
  }
}

}  // namespace millrace::core
