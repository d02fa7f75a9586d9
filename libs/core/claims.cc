#include <algorithm>

#include "core/impl.h"

// Which entries a receive looks at next.
namespace millrace::core {

void Core::Impl::Wake(Subscription& subscription) {
  if (subscription.wake || subscription.waiting.empty()) return;
  subscription.wake = true;
  to_serve_.push_back(&subscription);
}

void Core::Impl::ServeReceivers() {
  for (std::size_t i = 0; i < to_serve_.size(); ++i) Serve(*to_serve_[i]);
  to_serve_.clear();
}

// As many receives as there are windows to claim: one append wakes one of them, not all.
void Core::Impl::Serve(Subscription& subscription) {
  subscription.wake = false;
  Receiver* receiver = subscription.waiting.front();
  while (receiver != nullptr) {
    Receiver* next = subscription.waiting.After(receiver);
    if (!Claim(*receiver) && receiver->queue < 0) return;  // nothing in any queue
    receiver = next;
  }
}

bool Core::Impl::MayHandOut(const Cursor& cursor) const {
  return cursor.claimed + cursor.in_flight < options_.in_flight_max;
}

// Takes a window for the receive and tells a reader. False: there is nothing for it.
bool Core::Impl::Claim(Receiver& receiver) {
  if (!TurnConfirmed(serving_turn_) || !TurnConfirmed(receiver.group->usable_turn)) return false;
  Pick(receiver);
  if (receiver.entries.empty()) return false;
  SendClaim(receiver);
  return true;
}

void Core::Impl::SendClaim(Receiver& receiver) {
  List<Receiver, WaitTag>::Remove(&receiver);
  receiver.state = ReceiverState::kClaiming;
  receiver.claim = ++claim_sequence_;
  receiver_of_claim_[receiver.claim] = &receiver;
  TextRef entries{static_cast<std::uint32_t>(out_->text.size()), 0};
  const auto add = [&](std::uint32_t queue, std::int64_t offset) {
    const ClaimEntry entry{offset, queue, 0};
    entries.size += out_->AddText(reinterpret_cast<const char*>(&entry), sizeof entry).size;
  };
  for (const Entry* entry : receiver.entries) add(entry->cursor->queue, entry->offset);
  for (const LastAnswer::Item& item : receiver.again_items) add(item.queue, item.offset);
  out_->Add(ActionType::kClaim, core::Claim{receiver.claim, receiver.subscription->topic->config.id, entries,
                                            OutText(receiver.filter), receiver.reply});
}

// The same attempt id asks for the same leases.
bool Core::Impl::ClaimAgain(Receiver& receiver) {
  if (receiver.attempt_id.empty()) return false;
  const auto found = receiver.subscription->last_answers.find(receiver.client);
  if (found == receiver.subscription->last_answers.end()) return false;
  const LastAnswer& last = found->second;
  if (last.attempt_id != receiver.attempt_id || last.queue != receiver.queue) return false;
  for (const LastAnswer::Item& item : last.items) {
    if (AgainEntry(receiver, item) != nullptr) receiver.again_items.push_back(item);
  }
  if (receiver.again_items.empty()) return false;
  receiver.again = true;
  SendClaim(receiver);
  return true;
}

// Retries first, at most half of the window while new entries wait, then new entries, then whatever retries are left.
void Core::Impl::Pick(Receiver& receiver) {
  Subscription& subscription = *receiver.subscription;
  const auto queues = static_cast<std::uint32_t>(subscription.cursors.size());
  const std::uint32_t first = receiver.queue >= 0 ? receiver.queue : subscription.next_queue++ % queues;
  const std::uint32_t count = receiver.queue >= 0 ? 1 : queues;
  receiver.again_items.clear();
  const auto each = [&](auto pick) {
    for (std::uint32_t i = 0; i < count && receiver.entries.size() < receiver.batch; ++i) {
      pick(*subscription.cursors[(first + i) % queues]);
    }
  };
  if (subscription.ready > 0) {
    const bool unread = subscription.topic->visible_sum > subscription.next_sum;
    if (unread && receiver.batch % 2 != 0) subscription.odd = !subscription.odd;
    const std::uint32_t share = unread ? (receiver.batch + (subscription.odd ? 1 : 0)) / 2 : receiver.batch;
    each([&](Cursor& cursor) { PickRetries(receiver, cursor, share); });
    if (receiver.entries.size() == 1 && receiver.entries[0]->alone) return;
  }
  each([&](Cursor& cursor) { PickNew(receiver, cursor); });
  if (subscription.ready > 0) each([&](Cursor& cursor) { PickRetries(receiver, cursor, receiver.batch); });
}

void Core::Impl::TakeEntry(Receiver& receiver, Entry& entry) {
  SetState(entry, EntryState::kClaimed);
  entry.receiver = &receiver;
  entry.index = static_cast<std::uint32_t>(receiver.entries.size());
  receiver.entries.push_back(&entry);
}

void Core::Impl::PickRetries(Receiver& receiver, Cursor& cursor, std::uint32_t limit) {
  while (receiver.entries.size() < limit && MayHandOut(cursor)) {
    Entry* entry = cursor.retries.front();
    if (entry == nullptr) return;
    if (!receiver.entries.empty() && (entry->alone || receiver.entries[0]->alone)) return;
    List<Entry, QueueTag>::Remove(entry);
    TakeEntry(receiver, *entry);
  }
}

void Core::Impl::PickNew(Receiver& receiver, Cursor& cursor) {
  const Subscription& subscription = *cursor.subscription;
  const Queue& queue = subscription.topic->queues[cursor.queue];
  std::int64_t offset = cursor.next;
  while (receiver.entries.size() < receiver.batch && offset < queue.visible && MayHandOut(cursor) &&
         subscription.group->open_entries < OpenEntriesMax()) {
    TakeEntry(receiver, *OpenEntry(cursor, offset++, kBlockGap));
  }
  if (offset > cursor.next) Advance(cursor, offset);
}

}  // namespace millrace::core
