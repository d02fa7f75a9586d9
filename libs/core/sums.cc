#include <algorithm>
#include <bit>

#include "core/impl.h"

// Sums for scrapes: what has changed is handed over in slices, so that no turn walks all of it.
namespace millrace::core {
namespace {

constexpr std::uint32_t kStoreTimesAskedMax = 64;  // at a time: they share the readers with deliveries

// `time` 0: unknown, and so is what is earliest.
void TakeEarlier(std::int64_t& since, std::int64_t time) {
  if (since == kSinceUnknown) return;
  if (time == 0) {
    since = kSinceUnknown;
  } else if (since == kSinceNothing || time < since) {
    since = time;
  }
}

}  // namespace

void Core::Impl::Touch(Topic& topic) {
  if (!static_cast<Node<SumsTag>&>(topic).linked()) changed_topics_.PushBack(&topic);
}

void Core::Impl::Touch(Group& group) {
  if (!static_cast<Node<SumsTag>&>(group).linked()) changed_groups_.PushBack(&group);
}

void Core::Impl::Touch(Subscription& subscription) {
  if (!static_cast<Node<SumsTag>&>(subscription).linked()) changed_pairs_.PushBack(&subscription);
}

void Core::Impl::ForgetSums(Topic& topic) {
  List<Topic, SumsTag>::Remove(&topic);
  gone_.push_back({0, topic.config.id});
}

void Core::Impl::ForgetSums(Group& group) {
  List<Group, SumsTag>::Remove(&group);
  gone_.push_back({group.config.id, 0});
}

void Core::Impl::ForgetSums(Subscription& subscription) {
  List<Subscription, SumsTag>::Remove(&subscription);
  List<Subscription, AskTag>::Remove(&subscription);
  if (scan_.pair == &subscription) scan_ = {};
  for (const auto& cursor : subscription.cursors) store_times_asked_ -= cursor->asked ? 1 : 0;
  gone_.push_back({subscription.group->config.id, subscription.topic->config.id});
}

PairHistograms& Core::Impl::HistogramsOf(Subscription& subscription) {
  if (subscription.histograms == nullptr) subscription.histograms = std::make_unique<PairHistograms>();
  return *subscription.histograms;
}

void Core::Impl::Observe(base::HistogramCounts& histogram, std::int64_t since) {
  if (since == 0) return;  // from before this start
  const std::int64_t age = std::max<std::int64_t>(now_ - since, 0);
  ++histogram.buckets[kAgeMillis.BucketOf(age)];
  histogram.sum += static_cast<std::uint64_t>(age);
}

// A reader has seen the entry, so its store time is known.
void Core::Impl::LearnStoreTime(Cursor& cursor, std::int64_t offset, std::int64_t store_millis) {
  if (offset > cursor.known_offset && offset <= cursor.next) {
    cursor.known_offset = offset;
    cursor.known_time = store_millis;
  }
}

void Core::Impl::LearnStoreTime(Entry& entry, std::int64_t store_millis) {
  if (store_millis <= 0) return;
  entry.store_millis = store_millis;
  if (entry.since == 0 && entry.delivery == 0) entry.since = store_millis;
  LearnStoreTime(*entry.cursor, entry.offset, store_millis);
}

void Core::Impl::OnStoreTime(const StoreTime& event) {
  Group* group = FindGroup(event.group_id);
  if (group == nullptr) return;
  const auto pair = group->subscriptions.find(event.topic_id);
  if (pair == group->subscriptions.end() || event.queue >= pair->second->cursors.size()) return;
  Cursor& cursor = *pair->second->cursors[event.queue];
  if (!cursor.asked) return;
  cursor.asked = false;
  --store_times_asked_;
  if (Subscription* next = unasked_.front()) {
    List<Subscription, AskTag>::Remove(next);
    Touch(*next);
  }
  if (event.store_millis <= 0) return;
  if (Entry* entry = FindEntry(cursor, event.queue_offset)) {
    LearnStoreTime(*entry, event.store_millis);
  } else {
    LearnStoreTime(cursor, event.queue_offset, event.store_millis);
  }
  Touch(*pair->second);
}

void Core::Impl::AskStoreTime(Cursor& cursor, std::int64_t offset, SumsListener& listener) {
  if (cursor.asked) return;
  Subscription& subscription = *cursor.subscription;
  if (store_times_asked_ >= kStoreTimesAskedMax) {
    if (!static_cast<Node<AskTag>&>(subscription).linked()) unasked_.PushBack(&subscription);
    return;
  }
  cursor.asked = true;
  ++store_times_asked_;
  listener.AskStoreTime({subscription.topic->config.id, subscription.group->config.id, offset, cursor.queue});
}

// What is oldest on one queue. What cannot be told exactly is asked for; until then the time of an entry before it
// stands in for it.
void Core::Impl::ScanCursor(Cursor& cursor, SumsListener& listener) {
  const Queue& queue = cursor.subscription->topic->queues[cursor.queue];
  const bool unread = cursor.next < queue.visible;
  const bool exact = cursor.known_offset == cursor.next;
  if (const Entry* retry = cursor.retries.front()) {
    const std::int64_t since = retry->since != 0 ? retry->since : retry->store_millis;
    TakeEarlier(scan_.ready_since, since);
    if (since == 0) AskStoreTime(cursor, retry->offset, listener);
  }
  const Entry* oldest = nullptr;
  for (const Block* block : cursor.blocks) {
    if (block->open == 0) continue;
    oldest = block->entries[std::countr_zero(block->open)];
    break;
  }
  if (oldest != nullptr) {
    TakeEarlier(scan_.unfinished_since, oldest->store_millis);
    if (oldest->store_millis == 0) AskStoreTime(cursor, oldest->offset, listener);
  }
  if (!unread) return;
  TakeEarlier(scan_.ready_since, cursor.known_time);
  if (oldest == nullptr) TakeEarlier(scan_.unfinished_since, cursor.known_time);
  if (!exact) AskStoreTime(cursor, cursor.next, listener);
}

void Core::Impl::PublishPair(const Subscription& pair, SumsListener& listener) {
  PairSums sums;
  sums.group_id = pair.group->config.id;
  sums.topic_id = pair.topic->config.id;
  sums.group = pair.group->config.name;
  sums.topic = pair.topic->config.name;
  sums.ready = pair.ready + pair.claimed + pair.topic->visible_sum - pair.next_sum;
  sums.in_flight = pair.in_flight;
  sums.waiting = pair.waiting_entries;
  sums.dead_lettered_ever = pair.passed.dead_lettered;
  sums.expired_ever = pair.passed.expired;
  sums.ready_since = scan_.ready_since;
  sums.unfinished_since = scan_.unfinished_since;
  sums.counters = pair.counters;
  sums.histograms = pair.histograms.get();
  listener.OnPair(sums);
}

bool Core::Impl::PublishSums(std::size_t limit, SumsListener& listener) {
  for (const auto& [group, topic] : gone_) {
    if (group == 0) {
      listener.OnTopicGone(topic);
    } else if (topic == 0) {
      listener.OnGroupGone(group);
    } else {
      listener.OnPairGone(group, topic);
    }
  }
  gone_.clear();
  for (; limit > 0 && !changed_topics_.empty(); --limit) {
    Topic& topic = *changed_topics_.front();
    List<Topic, SumsTag>::Remove(&topic);
    listener.OnTopic({topic.config.id, topic.config.name, topic.config.type, topic.counters});
  }
  for (; limit > 0 && !changed_groups_.empty(); --limit) {
    Group& group = *changed_groups_.front();
    List<Group, SumsTag>::Remove(&group);
    listener.OnGroup({group.config.id, group.config.name, group.clients});
  }
  while (limit > 0) {
    if (scan_.pair == nullptr) {
      scan_ = {};
      scan_.pair = changed_pairs_.front();
      if (scan_.pair == nullptr) break;
      // Out of the list first: what changes while it is scanned puts it back.
      List<Subscription, SumsTag>::Remove(scan_.pair);
    }
    const auto& cursors = scan_.pair->cursors;
    for (; limit > 0 && scan_.queue < cursors.size(); --limit) ScanCursor(*cursors[scan_.queue++], listener);
    if (scan_.queue < cursors.size()) break;
    PublishPair(*scan_.pair, listener);
    scan_.pair = nullptr;
  }
  return scan_.pair != nullptr || !changed_topics_.empty() || !changed_groups_.empty() || !changed_pairs_.empty();
}

}  // namespace millrace::core
