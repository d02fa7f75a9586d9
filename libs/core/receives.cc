#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "core/codes.h"
#include "core/impl.h"

// Receives: waiting, and their way through claim and verdicts. claims.cc chooses what is claimed.
namespace millrace::core {

constexpr std::int64_t kPatienceMillis = 1'000;  // longest wait of a receive that wants none, for a first confirmation

void Core::Impl::OnReceive(const Receive& event, const EventBatch& batch) {
  const absl::string_view topic_name = Text(batch, event.topic), group_name = Text(batch, event.group);
  const auto done = [&](std::uint32_t code, absl::string_view text) {
    out_->Add(ActionType::kReceiveDone, ReceiveDone{event.reply, code, 0, OutText(text)});
  };
  if (log_failed_) return done(code::kInternalServerError, "the commit log has failed; restart the broker");
  if (receivers_.used() >= options_.waiting_receives_max) {
    return done(code::kTooManyRequests, absl::StrCat(receivers_.used(), " receives wait at this broker, at most ",
                                                     options_.waiting_receives_max, " may; receive again later"));
  }
  Group* group = FindGroup(group_name);
  if (group == nullptr && (event.auto_create == 0 || group_name.empty())) {
    return done(code::kConsumerGroupNotFound, absl::StrCat("group ", group_name, " does not exist; create it first"));
  }
  Topic* topic = FindTopic(topic_name);
  if (topic == nullptr && event.auto_create == 0) {
    return done(code::kTopicNotFound, absl::StrCat("topic ", topic_name, " does not exist; create it first"));
  }
  if (group == nullptr) group = CreateGroup(group_name);
  if (group->config.fifo) {
    return done(code::kNotImplemented,
                absl::StrCat("group ", group_name, " is ordered; delivery in order is not built yet"));
  }
  if (topic != nullptr && topic->config.access != Access::kRead && topic->config.access != Access::kReadWrite) {
    return done(code::kForbidden, absl::StrCat("topic ", topic_name, " may not be read; change its access"));
  }
  if (topic != nullptr && event.queue >= static_cast<std::int64_t>(topic->queues.size())) {
    return done(code::kBadRequest, absl::StrCat("queue ", event.queue, " of topic ", topic_name, ", which has ",
                                                topic->queues.size(), " queues"));
  }
  if (receiver_of_.contains({event.reply.link, event.reply.correlation})) {
    return done(code::kBadRequest,
                absl::StrCat("correlation ", event.reply.correlation, " waits already on this link"));
  }
  Receive patient = event;
  // Right after a start, and of a group that this very receive made, nothing is handed out until a record is confirmed:
  // to say "nothing there" before that would be untrue.
  if (!TurnConfirmed(serving_turn_) || !TurnConfirmed(group->usable_turn)) {
    patient.wait_millis = std::max(patient.wait_millis, kPatienceMillis);
  }
  Receiver& receiver = *AddReceiver(patient, batch);
  receiver.group = group;
  if (topic != nullptr) {
    receiver.subscription = Subscribe(*group, *topic);
    if (ClaimAgain(receiver) || Claim(receiver)) return;
  } else {
    receiver.topic.assign(topic_name.data(), topic_name.size());
  }
  WaitFor(receiver);
}

Receiver* Core::Impl::AddReceiver(const Receive& event, const EventBatch& batch) {
  Receiver& receiver = *receivers_.Take();
  receiver.kind = kReceiverTimer;
  receiver.claim = 0;
  receiver.again = false;
  receiver.renewed = event.auto_renew != 0;
  receiver.reply = event.reply;
  receiver.subscription = nullptr;
  receiver.client = ClientNumber(Text(batch, event.client));
  Sign(*FindClient(receiver.client));
  receiver.queue = event.queue < 0 ? -1 : event.queue;
  receiver.batch = std::clamp(event.batch, 1u, 32u);
  receiver.bytes_max = std::min(event.bytes_max, options_.answer_bytes_max);
  receiver.invisible = event.invisible_millis;
  receiver.deadline = now_ + std::max<std::int64_t>(event.wait_millis, 0);
  const absl::string_view filter = Text(batch, event.filter), attempt = Text(batch, event.attempt_id);
  receiver.filter.assign(filter.data(), filter.size());
  receiver.attempt_id.assign(attempt.data(), attempt.size());
  receiver.entries.clear();
  receiver.again_items.clear();
  receiver_of_[{event.reply.link, event.reply.correlation}] = &receiver;
  if (event.wait_millis > 0) wheel_.Set(&receiver, receiver.deadline);
  return &receiver;
}

// Nothing to claim now: in line until there is, or until its time is up.
void Core::Impl::WaitFor(Receiver& receiver) {
  if (receiver.deadline <= now_) return EndReceiver(receiver, code::kMessageNotFound, {});
  if (receiver.subscription == nullptr) {
    receiver.state = ReceiverState::kNoTopic;
    no_topic_.PushBack(&receiver);
    return;
  }
  receiver.state = ReceiverState::kWaiting;
  receiver.subscription->waiting.PushBack(&receiver);
}

void Core::Impl::OnReceiverDeadline(Receiver& receiver) {
  if (receiver.state != ReceiverState::kClaiming) EndReceiver(receiver, code::kMessageNotFound, {});
}

void Core::Impl::EndReceiver(Receiver& receiver, std::uint32_t code, absl::string_view text) {
  out_->Add(ActionType::kReceiveDone, ReceiveDone{receiver.reply, code, 0, OutText(text)});
  DropReceiver(receiver);
}

// What it has claimed is ready again, in its old place. A claim that is still under way is forgotten when its verdicts
// come.
void Core::Impl::DropReceiver(Receiver& receiver) {
  for (std::size_t i = receiver.entries.size(); i-- > 0;) {
    Entry* entry = receiver.entries[i];
    if (entry == nullptr) continue;
    entry->receiver = nullptr;
    SetState(*entry, EntryState::kReady);
    entry->cursor->retries.PushFront(entry);
    Wake(*entry->cursor->subscription);
  }
  receiver.entries.clear();
  TimerWheel::Cancel(&receiver);
  List<Receiver, WaitTag>::Remove(&receiver);
  receiver_of_.erase({receiver.reply.link, receiver.reply.correlation});
  if (receiver.claim != 0) receiver_of_claim_.erase(receiver.claim);
  receivers_.Give(&receiver);
}

void Core::Impl::EndReceiversOf(const Subscription* subscription, const Group* group, std::uint32_t code,
                                absl::string_view text) {
  for (std::uint32_t slot = 0; slot < receivers_.slots(); ++slot) {
    Receiver* receiver = receivers_.Slot(slot);
    if (receiver == nullptr) continue;
    const bool meant = subscription != nullptr ? receiver->subscription == subscription : receiver->group == group;
    if (meant) EndReceiver(*receiver, code, text);
  }
}

void Core::Impl::OnReceiveCancelled(const ReceiveCancelled& event) {
  const auto found = receiver_of_.find({event.reply.link, event.reply.correlation});
  if (found != receiver_of_.end()) DropReceiver(*found->second);
}

void Core::Impl::ForgetClaim(std::uint64_t claim) {
  out_->Add(ActionType::kDeliver, core::Deliver{ReplyTo{}, claim, 0, 0, {}});
}

void Core::Impl::OnVerdicts(const Verdicts& event, const EventBatch& batch) {
  const auto found = receiver_of_claim_.find(event.claim);
  if (found == receiver_of_claim_.end()) return ForgetClaim(event.claim);
  Receiver& receiver = *found->second;
  receiver_of_claim_.erase(found);
  receiver.claim = 0;
  const absl::string_view verdicts = Text(batch, event.verdicts);
  Judge(receiver, verdicts);
  if (!matched_.empty()) return Deliver(receiver, event.claim, matched_);
  ForgetClaim(event.claim);
  receiver.again = false;
  receiver.entries.clear();
  if (!Claim(receiver)) WaitFor(receiver);
}

// Fills matched_ with the claim's positions that are to be delivered; everything else of the claim is settled here.
void Core::Impl::Judge(Receiver& receiver, absl::string_view verdicts) {
  const std::size_t count = receiver.again ? receiver.again_items.size() : receiver.entries.size();
  MR_CHECK(verdicts.size() == count * sizeof(Verdict));
  matched_.clear();
  leftover_.clear();
  std::uint64_t bytes = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    Verdict verdict;
    std::memcpy(&verdict, verdicts.data() + i * sizeof verdict, sizeof verdict);
    if (receiver.again) {
      JudgeAgain(receiver, i, verdict, bytes);
    } else if (receiver.entries[i] != nullptr) {
      JudgeEntry(receiver, i, verdict, bytes);
    }
  }
  receiver.subscription->counters.bytes_out += bytes;
  for (std::size_t i = leftover_.size(); i-- > 0;) {
    Entry& entry = *leftover_[i];
    SetState(entry, EntryState::kReady);
    entry.cursor->retries.PushFront(&entry);
    Wake(*entry.cursor->subscription);
  }
}

void Core::Impl::JudgeEntry(Receiver& receiver, std::uint32_t index, const Verdict& verdict, std::uint64_t& bytes) {
  Entry& entry = *receiver.entries[index];
  LearnStoreTime(entry, verdict.store_millis);
  switch (verdict.result) {
    case VerdictResult::kMatch:
      // One message always goes: a large one would never fit otherwise.
      if (matched_.empty() || bytes + verdict.bytes <= receiver.bytes_max) {
        bytes += verdict.bytes;
        matched_.push_back(index);
      } else {
        entry.receiver = nullptr;
        receiver.entries[index] = nullptr;
        leftover_.push_back(&entry);
      }
      return;
    case VerdictResult::kNotRead:
      entry.receiver = nullptr;
      receiver.entries[index] = nullptr;
      leftover_.push_back(&entry);
      return;
    case VerdictResult::kReject: return Pass(entry, &PassedCounters::rejected, kBlockChanged);
    case VerdictResult::kGone: return Pass(entry, &PassedCounters::expired, kBlockChanged);
    case VerdictResult::kUnreadable: return Pass(entry, &PassedCounters::skipped, kBlockChanged);
    case VerdictResult::kDiskFailed:
      entry.receiver = nullptr;
      receiver.entries[index] = nullptr;
      return LookAgainLater(entry);
  }
}

// A lease that the same client asks for again, with its first answer lost on the way.
Entry* Core::Impl::AgainEntry(const Receiver& receiver, const LastAnswer::Item& item) const {
  if (item.queue >= receiver.subscription->cursors.size()) return nullptr;
  Entry* entry = FindEntry(*receiver.subscription->cursors[item.queue], item.offset);
  if (entry == nullptr || entry->delivery != item.delivery || entry->start != start_number_) return nullptr;
  if (entry->client != receiver.client) return nullptr;
  return entry->state == EntryState::kOffered || entry->state == EntryState::kHeld ? entry : nullptr;
}

void Core::Impl::JudgeAgain(Receiver& receiver, std::uint32_t index, const Verdict& verdict, std::uint64_t& bytes) {
  if (verdict.result != VerdictResult::kMatch) return;
  if (AgainEntry(receiver, receiver.again_items[index]) == nullptr) return;
  if (!matched_.empty() && bytes + verdict.bytes > receiver.bytes_max) return;
  bytes += verdict.bytes;
  matched_.push_back(index);
}

}  // namespace millrace::core
