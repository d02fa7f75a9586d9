#include <algorithm>
#include <bit>

#include "core/impl.h"

// Progress records: one per cursor and turn, absolute.
namespace millrace::core {

void Core::Impl::MustRecord(Cursor& cursor) {
  if (cursor.must_record) return;
  cursor.must_record = true;
  to_record_.push_back(&cursor);
}

void Core::Impl::WriteProgress() {
  for (Cursor* cursor : to_record_) {
    if (!cursor->must_record) continue;  // a dead letter's record has said it
    scratch_.clear();
    EncodeProgress(*cursor, scratch_);
    RecordPlan& record = AddRecord(store::RecordType::kProgress, scratch_);
    record.topic_id = cursor->subscription->topic->config.id;
    record.queue = cursor->queue;
  }
  to_record_.clear();
}

// Appends to `out`. What the record says counts as said from here on.
void Core::Impl::EncodeProgress(Cursor& cursor, std::string& out) {
  const Rules& rules = options_.rules;
  const std::uint8_t wanted =
      kBlockForced | (rules.gap_blocks ? kBlockGap : 0) | (rules.dirty_blocks ? kBlockChanged : 0);
  std::sort(cursor.changed.begin(), cursor.changed.end(), [](Block* a, Block* b) { return a->index < b->index; });
  ProgressHead head;
  head.group_id = cursor.subscription->group->config.id;
  head.cursor.start = cursor.start;
  head.cursor.next = cursor.next;
  if (rules.counters_in_record) {
    head.cursor.acknowledged = cursor.passed.acknowledged;
    head.cursor.rejected = cursor.passed.rejected;
    head.cursor.dead_lettered = cursor.passed.dead_lettered;
    head.cursor.skipped = cursor.passed.skipped;
    head.cursor.expired = cursor.passed.expired;
  }
  for (const Block* block : cursor.changed) head.blocks += (block->changes & wanted) != 0;
  EncodeProgressHead(head, out);
  std::int64_t previous = -1;
  for (Block* block : cursor.changed) {
    if ((block->changes & wanted) != 0) {
      scratch_block_.clear();
      EncodeBlock(*block, scratch_block_);
      AppendProgressBlock(previous, block->index, scratch_block_, out);
      previous = block->index;
    }
    block->changes = 0;
    block->listed = false;
    if (block->open == 0) DropBlock(cursor, block->index);
  }
  cursor.changed.clear();
  cursor.durable_next = cursor.next;
  cursor.must_record = false;
}

void Core::Impl::EncodeBlock(const Block& block, std::string& out) {
  block_value_.open = block.open;
  block_value_.entries.clear();
  for (std::uint64_t rest = block.open; rest != 0; rest &= rest - 1) {
    const int position = std::countr_zero(rest);
    EntryValue value;
    value.position = static_cast<std::uint8_t>(position);
    if (EntrySays(*block.entries[position], value)) block_value_.entries.push_back(value);
  }
  Encode(block_value_, out);
}

bool Core::Impl::EntrySays(const Entry& entry, EntryValue& value) const {
  const bool in_flight = entry.state == EntryState::kOffered || entry.state == EntryState::kHeld;
  const bool open_delivery = in_flight || entry.nacked;
  value.attempt = entry.attempt;
  value.delivery = open_delivery && !entry.written ? entry.delivery - 1 : entry.delivery;
  if (open_delivery && entry.written) {
    value.lease = entry.nacked ? LeaseKind::kNacked : LeaseKind::kHeld;
    value.renewed = entry.renewed;
    value.suspend = entry.suspend;
    value.start = entry.start;
    value.end = entry.end;
    if (const Client* client = FindClient(entry.client)) value.client = client->name;
  } else if (entry.state == EntryState::kWaiting && !entry.nacked && !entry.dying && entry.end > now_) {
    value.lease = LeaseKind::kDelay;
    value.end = entry.end;
  }
  return value.attempt > 1 || value.delivery > 0 || value.lease != LeaseKind::kNone;
}

}  // namespace millrace::core
