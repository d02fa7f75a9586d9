#include "core/impl.h"

namespace millrace::core {

void Core::Impl::CheckInvariants() const {
  std::int64_t all_ready = 0, all_in_flight = 0, all_waiting = 0;
  for (const auto& [topic_id, topic] : topics_) {
    std::int64_t visible = 0;
    MR_CHECK(topic->queues.size() == topic->config.queues);
    for (const Queue& queue : topic->queues) {
      MR_CHECK(0 <= queue.minimum && queue.minimum <= queue.visible && queue.visible <= queue.appended);
      visible += queue.visible;
    }
    MR_CHECK(visible == topic->visible_sum);
  }
  for (const auto& [group_id, group] : groups_) {
    std::uint64_t open = 0;
    for (const auto& [topic_id, subscription] : group->subscriptions) {
      MR_CHECK(subscription->cursors.size() == subscription->topic->queues.size());
      std::int64_t next = 0, ready = 0, claimed = 0, in_flight = 0, waiting = 0;
      for (const auto& cursor : subscription->cursors) {
        CheckCursor(*cursor);
        next += cursor->next;
        ready += cursor->ready;
        claimed += cursor->claimed;
        in_flight += cursor->in_flight;
        waiting += cursor->waiting;
      }
      MR_CHECK(next == subscription->next_sum && ready == subscription->ready && claimed == subscription->claimed);
      MR_CHECK(in_flight == subscription->in_flight && waiting == subscription->waiting_entries);
      PassedCounters passed;
      for (const auto& cursor : subscription->cursors) passed += cursor->passed;
      MR_CHECK(passed == subscription->passed);
      all_ready += ready + claimed + subscription->topic->visible_sum - next;
      all_in_flight += in_flight;
      all_waiting += waiting;
      open += static_cast<std::uint64_t>(ready + claimed + in_flight + waiting);
    }
    MR_CHECK(open == group->open_entries);
  }
  MR_CHECK(all_ready == sums_.ready && all_in_flight == sums_.in_flight && all_waiting == sums_.waiting);
}

// max - start = ready + claimed + in flight + waiting + passed, from the entries themselves.
void Core::Impl::CheckCursor(const Cursor& cursor) const {
  const Queue& queue = cursor.subscription->topic->queues[cursor.queue];
  std::int64_t ready = 0, claimed = 0, in_flight = 0, waiting = 0;
  std::int64_t previous = -1;
  for (const Block* block : cursor.blocks) {
    MR_CHECK(block->index > previous);
    previous = block->index;
    MR_CHECK(block->open != 0 || block->listed);
    for (int i = 0; i < kBlockEntries; ++i) {
      const Entry* entry = block->entries[i];
      MR_CHECK((entry != nullptr) == ((block->open >> i & 1) != 0));
      if (entry == nullptr) continue;
      MR_CHECK(entry->offset == block->index * kBlockEntries + i && entry->offset < cursor.next);
      CheckEntry(*entry);
      ready += entry->state == EntryState::kReady;
      claimed += entry->state == EntryState::kClaimed;
      in_flight += entry->state == EntryState::kOffered || entry->state == EntryState::kHeld;
      waiting += entry->state == EntryState::kWaiting;
    }
  }
  MR_CHECK(ready == cursor.ready && claimed == cursor.claimed);
  MR_CHECK(in_flight == cursor.in_flight && waiting == cursor.waiting);
  MR_CHECK(cursor.start <= cursor.next && cursor.next <= queue.visible && cursor.durable_next <= cursor.next);
  const std::int64_t unread = queue.visible - cursor.next;
  MR_CHECK(queue.visible - cursor.start == ready + unread + claimed + in_flight + waiting + cursor.passed.sum());
}

// Each state has exactly one thing that ends it.
void Core::Impl::CheckEntry(const Entry& entry) const {
  const bool queued = static_cast<const Node<QueueTag>&>(entry).linked();
  const bool timed = static_cast<const Node<TimerTag>&>(entry).linked();
  const bool leased = static_cast<const Node<ClientTag>&>(entry).linked();
  MR_CHECK(entry.attempt >= 1);
  MR_CHECK((entry.answer != nullptr) == (entry.state == EntryState::kOffered));
  MR_CHECK((entry.receiver != nullptr) == (entry.state == EntryState::kClaimed));
  if (entry.answer != nullptr) MR_CHECK(entry.answer->entries[entry.index] == &entry);
  if (entry.receiver != nullptr) MR_CHECK(entry.receiver->entries[entry.index] == &entry);
  const bool delivery_open = entry.state == EntryState::kOffered || entry.state == EntryState::kHeld || entry.nacked;
  MR_CHECK(leased == (delivery_open && entry.client != 0));
  switch (entry.state) {
    case EntryState::kReady: MR_CHECK(queued && !timed); return;
    case EntryState::kClaimed: MR_CHECK(!queued && !timed); return;
    case EntryState::kOffered: MR_CHECK(!queued); return;
    case EntryState::kHeld: MR_CHECK(!queued && (timed || !started_)); return;
    case EntryState::kWaiting:
      MR_CHECK((queued ? 1 : 0) + (timed ? 1 : 0) + (entry.dying ? 1 : 0) == 1 || !started_);
      return;
  }
}

}  // namespace millrace::core
