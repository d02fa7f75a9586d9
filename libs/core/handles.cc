#include "absl/strings/str_cat.h"
#include "core/codes.h"
#include "core/impl.h"

// What a receipt handle is still good for, and the requests that carry one.
namespace millrace::core {
namespace {

constexpr std::int64_t kGapMax = 65'536;  // entries that one acknowledgement above `next` may open
constexpr absl::string_view kEnded = "its lease has ended";

}  // namespace

// After the possible loss of a confirmed tail, offsets at or beyond the end of that moment mean other messages.
bool Core::Impl::EpochAllows(const core::Handle& handle, const Queue& queue) const {
  if (handle.epoch > epoch_) return false;
  if (handle.epoch == epoch_) return true;
  // Every later epoch must have an end above the offset; a queue without one was empty, or not there.
  const std::uint64_t first = options_.rules.epoch_list ? handle.epoch + 1 : epoch_;
  std::uint64_t found = 0;
  for (const auto& [epoch, end] : queue.epoch_ends) {
    if (epoch < first) continue;
    if (handle.queue_offset >= end) return false;
    ++found;
  }
  return found == epoch_ - first + 1;
}

Core::Impl::Judged Core::Impl::JudgeHandle(const core::Handle& handle, absl::string_view topic_name,
                                           absl::string_view group_name) {
  Topic* topic = FindTopic(topic_name);
  Group* group = FindGroup(group_name);
  const auto refuse = [](absl::string_view why) { return Judged{HandleState::kRefused, nullptr, nullptr, why}; };
  if (topic == nullptr || handle.topic_id != topic->config.id) {
    return refuse("the handle is of another topic, or of a deleted one with this name");
  }
  if (group == nullptr || handle.group_id != group->config.id) {
    return refuse("the handle is of another group, or of a deleted one with this name");
  }
  if (handle.queue >= topic->queues.size()) return refuse("the handle's queue does not exist");
  const Queue& queue = topic->queues[handle.queue];
  if (!EpochAllows(handle, queue)) return refuse("the message was lost with the end of the log");
  if (handle.queue_offset < 0 || handle.queue_offset >= queue.visible) return refuse("the message does not exist");
  Cursor& cursor = *Subscribe(*group, *topic)->cursors[handle.queue];
  Entry* entry = FindEntry(cursor, handle.queue_offset);
  const bool earlier_start = handle.start != start_number_ || !options_.rules.start_number;
  if (entry == nullptr) {
    if (handle.queue_offset < cursor.next) return Judged{HandleState::kPassed, &cursor, nullptr, {}};
    if (!earlier_start || handle.queue_offset - cursor.next > kGapMax) return refuse("the message was not delivered");
    return Judged{HandleState::kOpen, &cursor, nullptr, {}};
  }
  const Judged open{HandleState::kOpen, &cursor, entry, {}};
  const bool in_flight = entry->state == EntryState::kOffered || entry->state == EntryState::kHeld;
  if (in_flight || entry->nacked || entry->dying) {
    const bool same_start = handle.start == entry->start || !options_.rules.start_number;
    if (handle.delivery != entry->delivery || !same_start) return refuse("the message has been delivered again since");
    return open;
  }
  if (options_.rules.start_number && (entry->seen || !earlier_start)) return refuse(kEnded);
  if (!options_.rules.start_number && entry->seen) return refuse(kEnded);
  return handle.delivery > entry->delivery ? open : refuse(kEnded);
}

// An acknowledgement above `next`, of a delivery before a crash: everything between becomes ready.
Entry* Core::Impl::OpenGap(Cursor& cursor, std::int64_t offset) {
  for (std::int64_t at = cursor.next; at <= offset; ++at) {
    Entry* entry = OpenEntry(cursor, at, kBlockGap);
    if (at == offset) break;
    entry->since = now_;
    cursor.retries.PushBack(entry);
  }
  Advance(cursor, offset + 1);
  Wake(*cursor.subscription);
  return FindEntry(cursor, offset);
}

// It may have been passed a moment ago, by a record that is not confirmed.
void Core::Impl::AnswerPassed(const ReplyTo& reply) {
  if (!options_.rules.passed_waits) return AnswerOk(reply);
  Wait wait;
  wait.reply = reply;
  WaitForTurn(wait);
}

void Core::Impl::CountAck(const Entry& entry) {
  ++sums_.acknowledged;
  Subscription& subscription = *entry.cursor->subscription;
  ++subscription.counters.acknowledged;
  const bool delivered = entry.state == EntryState::kOffered || entry.state == EntryState::kHeld || entry.nacked;
  if (!delivered || subscription.histograms == nullptr) return;
  Observe(subscription.histograms->ack_latency, entry.since);
  Observe(subscription.histograms->end_to_end, entry.store_millis);
}

void Core::Impl::OnAck(const Ack& event, const EventBatch& batch) {
  if (log_failed_) {
    return AnswerError(event.reply, code::kInternalServerError, "the commit log has failed; restart the broker");
  }
  const Judged judged = JudgeHandle(event.handle, Text(batch, event.topic), Text(batch, event.group));
  if (judged.state == HandleState::kRefused) {
    return AnswerError(event.reply, code::kInvalidReceiptHandle, judged.why);
  }
  if (judged.entry != nullptr && judged.entry->dying) {
    return AnswerError(event.reply, code::kInvalidReceiptHandle, "the message is becoming a dead letter");
  }
  if (judged.state == HandleState::kPassed) return AnswerPassed(event.reply);
  Entry* entry = judged.entry != nullptr ? judged.entry : OpenGap(*judged.cursor, event.handle.queue_offset);
  CountAck(*entry);
  Pass(*entry, &PassedCounters::acknowledged, kBlockForced);
  if (options_.async_ack) return AnswerOk(event.reply);
  Wait wait;
  wait.reply = event.reply;
  WaitForTurn(wait);
}

void Core::Impl::OnChangeInvisible(const ChangeInvisible& event, const EventBatch& batch) {
  if (log_failed_) {
    return AnswerError(event.reply, code::kInternalServerError, "the commit log has failed; restart the broker");
  }
  const Judged judged = JudgeHandle(event.handle, Text(batch, event.topic), Text(batch, event.group));
  if (judged.state == HandleState::kPassed) return AnswerPassed(event.reply);
  Entry* entry = judged.entry;
  const bool leased =
      entry != nullptr && (entry->state == EntryState::kOffered || entry->state == EntryState::kHeld || entry->nacked);
  if (judged.state != HandleState::kOpen || !leased) {
    return AnswerError(event.reply, code::kInvalidReceiptHandle, judged.why.empty() ? kEnded : judged.why);
  }
  AnswerOk(event.reply, absl::string_view(reinterpret_cast<const char*>(&event.handle), sizeof event.handle));
  Client* client = FindClient(entry->client);
  Detach(*entry);
  entry->suspend = event.suspend != 0;
  if (event.duration_millis <= 0) return EndLease(*entry, true, 0);
  if (entry->written) Change(*entry->cursor, entry->offset, kBlockChanged);
  // With auto_renew it is a nack: no longer in flight. Without, the lease is moved.
  entry->nacked = entry->renewed || entry->nacked;
  entry->renewed = false;
  entry->returns = 0;
  entry->alone = false;
  SetState(*entry, entry->nacked ? EntryState::kWaiting : EntryState::kHeld);
  if (client != nullptr) client->leases.PushBack(entry);
  entry->end = now_ + event.duration_millis;
  entry->written = false;
  entry->write_at = now_ + options_.lease_write_millis;
  ArmLease(*entry);
}

void Core::Impl::OnForwardDeadLetter(const ForwardDeadLetter& event, const EventBatch& batch) {
  if (log_failed_) {
    return AnswerError(event.reply, code::kInternalServerError, "the commit log has failed; restart the broker");
  }
  const Judged judged = JudgeHandle(event.handle, Text(batch, event.topic), Text(batch, event.group));
  if (judged.state == HandleState::kRefused) {
    return AnswerError(event.reply, code::kInvalidReceiptHandle, judged.why);
  }
  if (judged.state == HandleState::kPassed) return AnswerPassed(event.reply);
  Entry* entry = judged.entry != nullptr ? judged.entry : OpenGap(*judged.cursor, event.handle.queue_offset);
  DeadLetter* letter = entry->dying ? letters_.Find(entry->letter) : nullptr;
  if (letter == nullptr) {
    // This delivery is the one that the letter speaks of: a repeated request carries the same handle.
    entry->delivery = event.handle.delivery;
    entry->start = event.handle.start;
    Detach(*entry);
    entry->written = entry->nacked = entry->renewed = false;
    Change(*entry->cursor, entry->offset, kBlockChanged);
    letter = BeginDeadLetter(*entry);
  }
  letter->replies.push_back(event.reply);
}

}  // namespace millrace::core
