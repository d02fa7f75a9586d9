#include <algorithm>

#include "core/impl.h"

// Held leases, their ends, and the way back to being ready.
namespace millrace::core {
namespace {

constexpr std::int64_t kDefaultBackoff[] = {1'000,   5'000,   10'000,    30'000,    60'000,    120'000,
                                            180'000, 240'000, 300'000,   360'000,   420'000,   480'000,
                                            540'000, 600'000, 1'200'000, 1'800'000, 3'600'000, 7'200'000};
constexpr std::int64_t kExponentialFirst = 5'000;
constexpr std::int64_t kExponentialMax = 7'200'000;
constexpr std::int64_t kReturnDelayMax = 60'000;

}  // namespace

// Entry `step` (from 1) of the group's retry schedule; the last one repeats.
std::int64_t Core::Impl::Backoff(const GroupConfig& group, std::uint32_t step) const {
  if (group.exponential_backoff) {
    std::int64_t delay = kExponentialFirst;
    for (std::uint32_t i = 1; i < step && delay < kExponentialMax; ++i) delay *= 2;
    return std::min(delay, kExponentialMax);
  }
  if (!group.backoff_millis.empty()) {
    return group.backoff_millis[std::min<std::size_t>(step, group.backoff_millis.size()) - 1];
  }
  return kDefaultBackoff[std::min<std::size_t>(step, std::size(kDefaultBackoff)) - 1];
}

// The client has the message: its lease begins.
void Core::Impl::Hold(Entry& entry) {
  const GroupConfig& group = entry.cursor->subscription->group->config;
  const std::int64_t limit = group.renew_limit_millis > 0 ? group.renew_limit_millis : options_.renew_limit_millis;
  SetState(entry, EntryState::kHeld);
  entry.end = now_ + (entry.renewed ? limit : entry.invisible);
  entry.returns = 0;
  entry.alone = false;
  ArmLease(entry);
}

// One timer for both: when the lease goes to the log, and when it ends.
void Core::Impl::ArmLease(Entry& entry) {
  if (entry.state == EntryState::kOffered) {
    if (!options_.rules.held_only && !entry.written) wheel_.Set(&entry, entry.write_at);
    return;
  }
  const bool lease = entry.state == EntryState::kHeld || entry.nacked;
  wheel_.Set(&entry, lease && !entry.written ? std::min(entry.write_at, entry.end) : entry.end);
}

void Core::Impl::OnEntryTimer(Entry& entry) {
  const bool lease = entry.state != EntryState::kWaiting || entry.nacked;
  if (lease && !entry.written && (entry.end > now_ || entry.state == EntryState::kOffered)) {
    entry.written = true;
    Change(*entry.cursor, entry.offset, kBlockForced);
    ArmLease(entry);
    return;
  }
  if (entry.end > now_) return ArmLease(entry);
  if (!lease) return MakeReady(entry);
  if (entry.state == EntryState::kHeld) ++entry.cursor->subscription->counters.expired;
  if (entry.state == EntryState::kHeld && entry.renewed) {
    return EndLease(entry, true, Backoff(entry.cursor->subscription->group->config, entry.attempt + 2));
  }
  EndLease(entry, true, 0);
}

// The open delivery is over. `counted`: it was an attempt, unless its client suspended it.
void Core::Impl::EndLease(Entry& entry, bool counted, std::int64_t wait) {
  const GroupConfig& group = entry.cursor->subscription->group->config;
  Detach(entry);
  Change(*entry.cursor, entry.offset, kBlockChanged);  // the number of a delivery that has ended
  entry.written = entry.nacked = entry.renewed = false;
  const bool counts = counted && !entry.suspend;
  entry.suspend = false;
  entry.client = 0;
  if (counts && entry.attempt >= group.max_attempts) {
    BeginDeadLetter(entry);
    return;
  }
  SetState(entry, EntryState::kWaiting);
  entry.end = now_ + wait;
  if (counts) {
    ++entry.attempt;
    if (options_.rules.attempt_record) {
      entry.barrier_turn = turn_;
      Change(*entry.cursor, entry.offset, kBlockForced);
    }
  }
  if (wait > 0) {
    ArmLease(entry);
  } else {
    MakeReady(entry);
  }
}

// The disk could not say what it is: nothing was delivered, so nothing counts.
void Core::Impl::LookAgainLater(Entry& entry) {
  SetState(entry, EntryState::kWaiting);
  entry.end = now_ + options_.return_millis;
  ArmLease(entry);
}

// An offer came to nothing. The second in a row makes it suspect: from then on it goes out alone, later and later, and
// a return counts.
void Core::Impl::GiveBack(Entry& entry) {
  const bool counted = entry.alone;
  ++entry.returns;
  entry.alone = entry.returns >= 2;
  ++sums_.returned;
  ++entry.cursor->subscription->counters.returned;
  const std::uint32_t doublings = std::min(entry.returns - 1, 16u);
  const std::int64_t longest = std::max(kReturnDelayMax, options_.return_millis);
  EndLease(entry, counted, std::min(options_.return_millis << doublings, longest));
}

void Core::Impl::MakeReady(Entry& entry) {
  if (!TurnConfirmed(entry.barrier_turn)) {
    if (entry.state != EntryState::kWaiting) SetState(entry, EntryState::kWaiting);
    entry.end = now_;
    barriers_.InsertOrdered(&entry, [](const Entry& a, const Entry& b) { return a.barrier_turn > b.barrier_turn; });
    return;
  }
  SetState(entry, EntryState::kReady);
  entry.since = now_;
  entry.cursor->retries.PushBack(&entry);
  Wake(*entry.cursor->subscription);
}

void Core::Impl::ReleaseBarriers() {
  while (Entry* entry = barriers_.front()) {
    if (!TurnConfirmed(entry->barrier_turn)) return;
    List<Entry, QueueTag>::Remove(entry);
    MakeReady(*entry);
  }
}

}  // namespace millrace::core
