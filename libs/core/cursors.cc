#include <algorithm>

#include "core/impl.h"

// Cursors, their blocks of 64 offsets, entries, and the counters of both.
namespace millrace::core {

Subscription* Core::Impl::Subscribe(Group& group, Topic& topic) {
  auto& place = group.subscriptions[topic.config.id];
  if (place == nullptr) {
    place = std::make_unique<Subscription>();
    place->group = &group;
    place->topic = &topic;
    const auto at = std::find_if(topic.subscriptions.begin(), topic.subscriptions.end(),
                                 [&](Subscription* other) { return other->group->config.id > group.config.id; });
    topic.subscriptions.insert(at, place.get());
    AddCursors(*place);
    Touch(*place);
  }
  return place.get();
}

// A group starts at each queue's minimum when it first subscribes; a queue that appears later starts at its own.
void Core::Impl::AddCursors(Subscription& subscription) {
  while (subscription.cursors.size() < subscription.topic->queues.size()) {
    auto cursor = std::make_unique<Cursor>();
    cursor->subscription = &subscription;
    cursor->queue = static_cast<std::uint32_t>(subscription.cursors.size());
    const Queue& queue = subscription.topic->queues[cursor->queue];
    cursor->start = cursor->next = cursor->durable_next = std::min(queue.minimum, queue.visible);
    subscription.next_sum += cursor->next;
    sums_.ready += queue.visible - cursor->next;
    if (started_) MustRecord(*cursor);  // its start, and that it exists
    subscription.cursors.push_back(std::move(cursor));
  }
}

Block* Core::Impl::FindBlock(const Cursor& cursor, std::int64_t index) const {
  const auto at = std::lower_bound(cursor.blocks.begin(), cursor.blocks.end(), index,
                                   [](const Block* block, std::int64_t wanted) { return block->index < wanted; });
  return at != cursor.blocks.end() && (*at)->index == index ? *at : nullptr;
}

Block* Core::Impl::MakeBlock(Cursor& cursor, std::int64_t index) {
  const auto at = std::lower_bound(cursor.blocks.begin(), cursor.blocks.end(), index,
                                   [](const Block* block, std::int64_t wanted) { return block->index < wanted; });
  if (at != cursor.blocks.end() && (*at)->index == index) return *at;
  Block* block = blocks_.Take();
  block->index = index;
  cursor.blocks.insert(at, block);
  return block;
}

void Core::Impl::DropBlock(Cursor& cursor, std::int64_t index) {
  const auto at = std::lower_bound(cursor.blocks.begin(), cursor.blocks.end(), index,
                                   [](const Block* block, std::int64_t wanted) { return block->index < wanted; });
  MR_CHECK(at != cursor.blocks.end() && (*at)->index == index && (*at)->open == 0);
  blocks_.Give(*at);
  cursor.blocks.erase(at);
}

Entry* Core::Impl::FindEntry(const Cursor& cursor, std::int64_t offset) const {
  const Block* block = FindBlock(cursor, offset / kBlockEntries);
  return block == nullptr ? nullptr : block->entries[offset % kBlockEntries];
}

void Core::Impl::Change(Cursor& cursor, std::int64_t offset, std::uint8_t change) {
  Block* block = MakeBlock(cursor, offset / kBlockEntries);
  block->changes |= change;
  if (!block->listed) {
    block->listed = true;
    cursor.changed.push_back(block);
  }
  if ((change & kBlockForced) != 0) MustRecord(cursor);
}

// A new entry in state kReady, in no list.
Entry* Core::Impl::OpenEntry(Cursor& cursor, std::int64_t offset, std::uint8_t change) {
  Block* block = MakeBlock(cursor, offset / kBlockEntries);
  const auto position = static_cast<std::size_t>(offset % kBlockEntries);
  MR_CHECK(block->entries[position] == nullptr);
  Entry* entry = entries_.Take();
  entry->kind = kEntryTimer;
  entry->cursor = &cursor;
  entry->offset = offset;
  block->entries[position] = entry;
  block->open |= std::uint64_t{1} << position;
  ++cursor.subscription->group->open_entries;
  Count(cursor, EntryState::kReady, 1);
  if (change != 0) Change(cursor, offset, change);
  return entry;
}

void Core::Impl::Count(Cursor& cursor, EntryState state, int by) {
  Subscription& subscription = *cursor.subscription;
  Touch(subscription);
  switch (state) {
    case EntryState::kReady:
      cursor.ready += by;
      subscription.ready += by;
      sums_.ready += by;
      return;
    case EntryState::kClaimed:
      cursor.claimed += by;
      subscription.claimed += by;
      sums_.ready += by;
      return RoomAgain(cursor, by);
    case EntryState::kOffered:
    case EntryState::kHeld:
      cursor.in_flight += by;
      subscription.in_flight += by;
      sums_.in_flight += by;
      return RoomAgain(cursor, by);
    case EntryState::kWaiting:
      cursor.waiting += by;
      subscription.waiting_entries += by;
      sums_.waiting += by;
      return;
  }
}

// A cursor that was at its limit may hand out again.
void Core::Impl::RoomAgain(Cursor& cursor, int by) {
  if (by < 0 && cursor.claimed + cursor.in_flight + 1 == options_.in_flight_max) Wake(*cursor.subscription);
}

void Core::Impl::SetState(Entry& entry, EntryState state) {
  Count(*entry.cursor, entry.state, -1);
  entry.state = state;
  Count(*entry.cursor, state, 1);
}

// Out of every structure but its block. The state stays what it was.
void Core::Impl::Detach(Entry& entry) {
  TimerWheel::Cancel(&entry);
  List<Entry, QueueTag>::Remove(&entry);
  List<Entry, ClientTag>::Remove(&entry);
  if (entry.answer != nullptr) {
    Answer& answer = *entry.answer;
    answer.entries[entry.index] = nullptr;
    entry.answer = nullptr;
    if (--answer.open == 0 && answer.newer == 0) DropAnswer(answer);
  }
  if (entry.receiver != nullptr) {
    entry.receiver->entries[entry.index] = nullptr;
    entry.receiver = nullptr;
  }
  if (entry.letter != 0) {
    if (DeadLetter* letter = letters_.Find(entry.letter)) letter->entry = nullptr;
    entry.letter = 0;
  }
}

void Core::Impl::Pass(Entry& entry, std::int64_t PassedCounters::*reason, std::uint8_t change) {
  Cursor& cursor = *entry.cursor;
  const std::int64_t offset = entry.offset;
  ++(cursor.passed.*reason);
  ++(cursor.subscription->passed.*reason);
  FreeEntry(entry);
  Change(cursor, offset, change);
}

void Core::Impl::FreeEntry(Entry& entry) {
  Cursor& cursor = *entry.cursor;
  Detach(entry);
  Count(cursor, entry.state, -1);
  Block* block = FindBlock(cursor, entry.offset / kBlockEntries);
  const auto position = static_cast<std::size_t>(entry.offset % kBlockEntries);
  block->entries[position] = nullptr;
  block->open &= ~(std::uint64_t{1} << position);
  Group& group = *cursor.subscription->group;
  if (group.open_entries-- == OpenEntriesMax()) {
    for (const auto& [topic, subscription] : group.subscriptions) Wake(*subscription);
  }
  entries_.Give(&entry);
}

void Core::Impl::Advance(Cursor& cursor, std::int64_t next) {
  MR_CHECK(next >= cursor.next);
  Touch(*cursor.subscription);
  cursor.subscription->next_sum += next - cursor.next;
  sums_.ready -= next - cursor.next;
  cursor.next = next;
  // Rejects alone are no reason for a record, but an acknowledgement after a crash opens everything above the durable
  // `next`: bound that.
  if (cursor.next - cursor.durable_next > kUnrecordedEntriesMax) MustRecord(cursor);
}

// Retention took them. Whoever still holds one may acknowledge it: it counts as passed.
void Core::Impl::ExpireBelow(Cursor& cursor, std::int64_t minimum) {
  for (std::size_t i = 0; i < cursor.blocks.size(); ++i) {
    Block* block = cursor.blocks[i];
    if (block->index * kBlockEntries >= minimum) break;
    for (Entry* entry : block->entries) {
      if (entry != nullptr && entry->offset < minimum) Pass(*entry, &PassedCounters::expired, kBlockChanged);
    }
  }
  if (minimum > cursor.next) {
    cursor.passed.expired += minimum - cursor.next;
    cursor.subscription->passed.expired += minimum - cursor.next;
    Advance(cursor, minimum);
  }
}

}  // namespace millrace::core
