#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "core/records.h"
#include "core/testing/shown_sums.h"
#include "core/testing/world.h"

// A model of the core that is a few vectors without any of the core's structures. It says for every handle what its
// acknowledgement is worth, for every entry in which state it is, and what is left after a crash at any batch.
namespace millrace::core::testing {

inline constexpr std::uint32_t kGroups = 2, kQueues = 2, kClients = 3, kAttempts = 3;
inline constexpr std::int64_t kInvisible = 20'011, kOffer = 15'053, kOfferMax = 60'029, kReturn = 1'013, kWrite = 997,
                              kSilence = 60'137, kStreams = 15'149;

enum class Is { kReady, kClaimed, kOffered, kHeld, kWaiting, kDying, kAcked, kRejected, kDead, kExpired };

struct Item {
  Is is = Is::kReady;
  std::uint32_t attempt = 1, delivery = 0, start = 0, returns = 0;
  int client = -1;
  bool renewed = false, written = false, suspend = false, seen = false, alone = false, nacked = false;
  std::int64_t end = 0, write_at = 0;
  std::size_t barrier = 0;  // not ready before so many batches were flushed; 0: none
  std::uint64_t answer = 0;
  bool passed() const { return is >= Is::kAcked; }
};

using Where = std::pair<std::uint32_t, std::uint32_t>;  // group, queue
using Items = std::vector<Item>;

struct Way {  // an answer on its way
  int client = 0;
  bool renewed = false;
  std::int64_t begun = 0, written = 0;
  std::int64_t lapses() const {
    std::int64_t latest = begun + kOfferMax;
    if (!renewed) latest = std::min(latest, begun + kInvisible);
    return std::min(written + kOffer, latest);
  }
};

struct Given {
  Handle handle;
  Where where;
  std::uint32_t attempt;
};

struct Saved {
  std::size_t batch;  // number of the batch, counted over the whole run
  Items items;
};

class Ledger {
 public:
  Ledger(bool async, bool check) : world_(MakeOptions(async)), async_(async) {
    world_.check = check;
    world_.hold_claims = world_.hold_bodies = true;
    world_.judge = [](const std::string& filter, const std::string& body) {
      return filter[0] == '1' && body.back() == '3' ? VerdictResult::kReject : VerdictResult::kMatch;
    };
    world_.Make("T", "G0", kQueues, kAttempts);
    world_.Make("unused", "G1", 1, kAttempts);
    ends_.assign(kQueues, 0);
    minimum_.assign(kQueues, 0);
    batches_ = flushed_ = world_.log.size();
  }

 protected:
  static Options MakeOptions(bool async) {
    Options options;
    options.segment_bytes = 16'384;
    options.async_flush = async;
    options.offer_millis = kOffer;
    options.offer_max_millis = kOfferMax;
    options.return_millis = kReturn;
    options.lease_write_millis = kWrite;
    options.client_silence_millis = kSilence;
    options.client_streams_ended_millis = kStreams;
    options.in_flight_max = 50;
    options.send_timeout_millis = 1'000'000'000;  // every answer is seen
    return options;
  }

  static std::string Group(std::uint32_t group) { return "G" + std::to_string(group); }
  static std::string Client(int client) { return "c" + std::to_string(client); }
  std::int64_t now() { return world_.core().log_time_millis(); }

  Items& At(Where where) {
    Items& items = items_[where];
    if (items.size() < static_cast<std::size_t>(ends_[where.second])) items.resize(ends_[where.second]);
    return items;
  }

  // --- one turn and what is seen of it ---
  void Turn() {
    const std::size_t before = world_.log.size();
    world_.Turn();
    for (const World::DeliverSeen& seen : world_.delivers_seen) OnDeliver(seen);
    world_.delivers_seen.clear();
    Time();
    for (const World::ClaimSeen& seen : world_.claims_seen) OnClaim(seen);
    world_.claims_seen.clear();
    for (std::size_t i = before; i < world_.log.size(); ++i) OnBatch(world_.log[i]);
    OnReplies();
  }

  void OnClaim(const World::ClaimSeen& seen) {
    const std::uint32_t group = seen.filter[0] - '0';
    const int client = seen.filter[1] - '0';
    for (const ClaimEntry& entry : seen.entries) {
      ASSERT_LT(entry.queue_offset, ends_[entry.queue]) << "not confirmed, and claimed";
      Item& item = At({group, entry.queue})[entry.queue_offset];
      ASSERT_EQ(item.is, Is::kReady) << group << " " << entry.queue << " " << entry.queue_offset;
      ASSERT_TRUE(!item.alone || seen.entries.size() == 1) << "goes out alone";
      item.is = Is::kClaimed;
      item.client = client;
    }
    claims_[seen.claim] = {seen, group, client};
  }

  void OnDeliver(const World::DeliverSeen& seen) {
    const auto found = claims_.find(seen.claim);
    ASSERT_TRUE(found != claims_.end());
    const auto claim = found->second;
    claims_.erase(found);
    if (claim.gone) return;
    const bool renewed = claim.seen.filter[2] == 'r';
    std::set<std::uint32_t> delivered(seen.delivered.begin(), seen.delivered.end());
    for (std::uint32_t i = 0; i < claim.seen.entries.size(); ++i) {
      const ClaimEntry& entry = claim.seen.entries[i];
      Item& item = At({claim.group, entry.queue})[entry.queue_offset];
      const bool mine = item.is == Is::kClaimed && item.client == claim.client;
      ASSERT_EQ(delivered.contains(i), mine && !Rejects(claim.group, {entry.queue, entry.queue_offset}));
      if (!mine) continue;
      if (!delivered.contains(i)) {
        item.is = Is::kRejected;
        continue;
      }
      item.is = Is::kOffered;
      ++item.delivery;
      item.start = world_.core().start_number();
      item.renewed = renewed;
      item.written = item.suspend = false;
      item.seen = true;
      item.answer = seen.answer;
      item.write_at = now() + kWrite;
    }
    if (delivered.empty()) return;
    ways_[seen.answer] = Way{claim.client, renewed, now(), now()};
    waiting_.erase(seen.correlation);
    for (const Delivered& message : world_.received.at(seen.correlation).messages) {
      const Where where{claim.group, message.handle.queue};
      const Item& item = At(where)[message.handle.queue_offset];
      ASSERT_EQ(message.attempt, item.attempt);
      ASSERT_EQ(message.handle.delivery, item.delivery);
      ASSERT_EQ(message.body, bodies_.at({message.handle.queue, message.handle.queue_offset}));
      std::uint32_t& shown = shown_[{where, message.handle.queue_offset}];
      ASSERT_GE(message.attempt, shown) << "an attempt that was seen before";
      ASSERT_LE(message.attempt, kAttempts);
      shown = message.attempt;
      ASSERT_FALSE(acked_.contains({where, message.handle.queue_offset})) << "delivered after its answered ack";
      handles_.push_back({message.handle, where, message.attempt});
    }
  }

  bool Rejects(std::uint32_t group, std::pair<std::uint32_t, std::int64_t> at) {
    return group == 1 && bodies_.at(at).back() == '3';
  }

  void OnBatch(const LoggedBatch& batch) {
    ++batches_;
    for (const LoggedRecord& record : batch.records) {
      if (record.type == store::RecordType::kMessage) {
        appends_.push_back({batches_, record.queue, record.queue_offset});
      } else if (record.type == store::RecordType::kProgress && record.topic_id == 1) {
        base::ByteReader reader(record.head);
        Save(static_cast<std::uint32_t>(ReadProgressHead(reader).group_id) - 1, record.queue);
      } else if (record.type == store::RecordType::kDeadLetter) {
        std::uint32_t prefix = 0;
        const DeadLetterOrigin origin = *DecodeDeadLetterOrigin(record.head, prefix);
        const auto group = static_cast<std::uint32_t>((record.topic_id & ~kDeadLetterBit) - 1);
        Item& item = At({group, origin.queue})[origin.queue_offset];
        ASSERT_EQ(item.is, Is::kDying);
        item.is = Is::kDead;
      }
    }
    // One batch is one whole: what its letters pass, its snapshots know.
    for (const LoggedRecord& record : batch.records) {
      if (record.type != store::RecordType::kDeadLetter) continue;
      std::uint32_t prefix = 0;
      const DeadLetterOrigin origin = *DecodeDeadLetterOrigin(record.head, prefix);
      Save(static_cast<std::uint32_t>((record.topic_id & ~kDeadLetterBit) - 1), origin.queue);
    }
    for (auto& [where, items] : items_) {
      for (Item& item : items) {
        if (item.barrier == kThisTurn) item.barrier = batches_;
      }
    }
  }

  // What the log knows of a cursor after this batch.
  void Save(std::uint32_t group, std::uint32_t queue) {
    Items items = At({group, queue});
    for (Item& item : items) {
      if (item.passed()) continue;
      const bool delivery_open = item.is == Is::kOffered || item.is == Is::kHeld || item.nacked;
      Item saved;
      saved.attempt = item.attempt;
      saved.delivery = delivery_open && !item.written ? item.delivery - 1 : item.delivery;
      saved.suspend = item.suspend;
      if (delivery_open && item.written) {
        saved = item;
        saved.seen = true;
        saved.returns = 0;
        saved.alone = false;
      } else if (item.is == Is::kWaiting && !item.nacked && item.end != kUntilRecord && item.end > now()) {
        saved.is = Is::kWaiting;
        saved.end = item.end;
      }
      saved.barrier = 0;
      item = saved;
    }
    auto& list = saved_[{group, queue}];
    list.push_back({batches_, std::move(items)});
  }

  void OnReplies() {
    for (auto at = expected_.begin(); at != expected_.end();) {
      const std::uint32_t code = world_.replied[at->first].code;
      if (code == 0) {
        ++at;
        continue;
      }
      ASSERT_EQ(code, at->second.code);
      if (code == code::kOk && at->second.ack) acked_.insert({at->second.where, at->second.offset});
      at = expected_.erase(at);
    }
  }

  // --- time ---
  void Time() {
    if (now() == last_time_) return;  // what was overdue when it was set ends a moment later
    last_time_ = now();
    // Everything that is due, in the order in which it became due.
    struct Due {
      std::int64_t at;
      int kind;  // 0 entry, 1 answer, 2 client
      Where where;
      std::size_t index;
    };
    std::vector<Due> due;
    for (auto& [where, items] : items_) {
      for (std::size_t i = 0; i < items.size(); ++i) {
        const Item& item = items[i];
        const bool lease = item.is == Is::kHeld || item.nacked;
        const bool plain = item.is == Is::kWaiting && !item.nacked;
        if (!lease && !plain) continue;
        const std::int64_t at = lease && !item.written ? std::min(item.write_at, item.end) : item.end;
        if (at <= now()) due.push_back({at, 0, where, i});
      }
    }
    for (const auto& [answer, way] : ways_) {
      if (way.lapses() <= now()) due.push_back({way.lapses(), 1, {}, answer});
    }
    for (int client = 0; client < static_cast<int>(kClients); ++client) {
      if (signs_.contains(client) && signs_[client] + kSilence <= now()) {
        due.push_back({signs_[client] + kSilence, 2, {}, static_cast<std::size_t>(client)});
      }
    }
    std::stable_sort(due.begin(), due.end(), [](const Due& a, const Due& b) { return a.at < b.at; });
    for (const Due& each : due) {
      if (each.kind == 0) OnItem(At(each.where)[each.index]);
      if (each.kind == 1) Return(each.index);
      if (each.kind == 2) OnSilence(static_cast<int>(each.index));
    }
  }

  void OnItem(Item& item) {
    const bool lease = item.is == Is::kHeld || item.nacked;
    if (lease && !item.written && item.end > now()) {
      item.written = true;
    } else if (item.end > now()) {
      return;
    } else if (!lease) {
      Ready(item);
    } else {
      End(item, true, 0);
    }
  }

  void Ready(Item& item) {
    if (item.barrier == kThisTurn || item.barrier > flushed_) {
      item.is = Is::kWaiting;
      item.end = kUntilRecord;  // until its record is there
    } else {
      item.is = Is::kReady;
    }
  }

  void End(Item& item, bool counted, std::int64_t wait) {
    const bool counts = counted && !item.suspend;
    item.written = item.nacked = item.renewed = item.suspend = false;
    item.client = -1;
    item.answer = 0;
    if (counts && item.attempt >= kAttempts) {
      item.is = Is::kDying;
      return;
    }
    item.is = Is::kWaiting;
    item.end = now() + wait;
    if (counts) {
      ++item.attempt;
      item.barrier = kThisTurn;
    }
    if (wait == 0) Ready(item);
  }

  template <typename F>
  void EachOfAnswer(std::uint64_t answer, F f) {
    for (auto& [where, items] : items_) {
      for (Item& item : items) {
        if (item.is == Is::kOffered && item.answer == answer) f(item);
      }
    }
  }

  void Return(std::uint64_t answer) {
    EachOfAnswer(answer, [&](Item& item) {
      const bool counted = item.alone;
      ++item.returns;
      item.alone = item.returns >= 2;
      End(item, counted, std::min<std::int64_t>(kReturn << std::min(item.returns - 1, 16u), 60'000));
    });
    ways_.erase(answer);
  }

  void OnSilence(int client) {
    EndClient(client);
    signs_.erase(client);
    registered_.erase(client);
  }

  void EndClient(int client) {
    for (auto& [where, items] : items_) {
      for (Item& item : items) {
        const bool mine = item.client == client && item.renewed && (item.is == Is::kOffered || item.is == Is::kHeld);
        if (mine) End(item, item.is == Is::kHeld, kReturn);
      }
    }
    DropReceives(client);
  }

  void DropReceives(int client) {
    for (auto& [id, claim] : claims_) {
      if (claim.client != client || claim.gone) continue;
      claim.gone = true;
      for (const ClaimEntry& entry : claim.seen.entries) {
        Item& item = At({claim.group, entry.queue})[entry.queue_offset];
        if (item.is == Is::kClaimed && item.client == client) item.is = Is::kReady;
      }
    }
    std::erase_if(waiting_, [&](const auto& each) { return each.second == client; });
  }

  enum class Worth { kRefused, kPassed, kOpen };
  Worth Judge(const Given& given) {
    const Handle& handle = given.handle;
    for (const auto& [epoch, ends] : epochs_) {
      if (epoch > handle.epoch && handle.queue_offset >= ends[handle.queue]) return Worth::kRefused;
    }
    if (handle.queue_offset >= ends_[handle.queue]) return Worth::kRefused;
    const Item& item = At(given.where)[handle.queue_offset];
    if (item.passed()) return Worth::kPassed;
    if (item.is == Is::kOffered || item.is == Is::kHeld || item.is == Is::kDying || item.nacked) {
      return handle.delivery == item.delivery && handle.start == item.start ? Worth::kOpen : Worth::kRefused;
    }
    if (item.seen || handle.start == world_.core().start_number()) return Worth::kRefused;
    return handle.delivery > item.delivery ? Worth::kOpen : Worth::kRefused;
  }

  void LeaveAnswer(Item& item) {
    const std::uint64_t answer = item.answer;
    item.answer = 0;
    if (answer == 0) return;
    std::size_t left = 0;
    EachOfAnswer(answer, [&](Item&) { ++left; });
    if (left == 0) ways_.erase(answer);
  }

  void Confirm() {
    while (shown_appends_ < appends_.size() && appends_[shown_appends_].batch <= flushed_) {
      const Append& append = appends_[shown_appends_++];
      ends_[append.queue] = append.offset + 1;
    }
    for (auto& [where, items] : items_) {
      for (Item& item : items) {
        if (item.is == Is::kWaiting && item.end == kUntilRecord && item.barrier <= flushed_) item.is = Is::kReady;
      }
    }
  }

  void Compare() {
    const auto query = world_.Query(QueryKind::kGroupProgress, Group(0)),
               other = world_.Query(QueryKind::kGroupProgress, Group(1));
    Turn();
    for (std::uint32_t group = 0; group < kGroups; ++group) {
      const auto progress = DecodeProgress(world_.replied.at(group == 0 ? query : other).payload);
      for (const QueueProgress& queue : progress->queues) {
        if (queue.topic != "T") continue;
        const Items& items = At({group, static_cast<std::uint32_t>(queue.queue)});
        SCOPED_TRACE(Describe(group, queue.queue, items));
        std::map<Is, std::int64_t> count;
        for (const Item& item : items) ++count[item.is];
        ASSERT_EQ(queue.maximum, ends_[queue.queue]);
        ASSERT_EQ(queue.ready, count[Is::kReady]);
        ASSERT_EQ(queue.claimed, count[Is::kClaimed]);
        ASSERT_EQ(queue.in_flight, count[Is::kOffered] + count[Is::kHeld]);
        ASSERT_EQ(queue.waiting, count[Is::kWaiting] + count[Is::kDying]);
        ASSERT_EQ(queue.acknowledged, count[Is::kAcked]);
        ASSERT_EQ(queue.rejected, count[Is::kRejected]);
        ASSERT_EQ(queue.dead_lettered, count[Is::kDead]);
        ASSERT_EQ(queue.expired, count[Is::kExpired] - queue.start);
      }
    }
    CompareSums();
  }

  // What scrapes are told, which is kept on change, is what a walk over all entries finds.
  void CompareSums() {
    if (sums_ == nullptr || sums_start_ != world_.core().start_number()) {
      sums_ = std::make_unique<ShownSums>(world_, [this] { Turn(); });
      sums_start_ = world_.core().start_number();
    }
    sums_->Update();
    for (std::uint32_t group = 0; group < kGroups; ++group) {
      const auto found = sums_->pairs.find({Group(group), "T"});
      if (found == sums_->pairs.end()) continue;
      std::map<Is, std::int64_t> count;
      std::int64_t oldest = kSinceNothing;
      for (std::uint32_t queue = 0; queue < kQueues; ++queue) {
        const Items& items = At({group, queue});
        for (std::size_t i = 0; i < items.size(); ++i) {
          ++count[items[i].is];
          if (items[i].passed()) continue;
          const std::int64_t stored = world_.store_times.at({1, queue, static_cast<std::int64_t>(i)});
          if (oldest == kSinceNothing || stored < oldest) oldest = stored;
        }
      }
      const PairSums& pair = found->second;
      ASSERT_EQ(pair.ready, count[Is::kReady] + count[Is::kClaimed]);
      ASSERT_EQ(pair.in_flight, count[Is::kOffered] + count[Is::kHeld]);
      ASSERT_EQ(pair.waiting, count[Is::kWaiting] + count[Is::kDying]);
      ASSERT_EQ(pair.dead_lettered_ever, count[Is::kDead]);
      ASSERT_EQ(pair.unfinished_since, oldest);
      const bool ready = count[Is::kReady] > 0;
      ASSERT_EQ(ready, pair.ready_since != kSinceNothing);
      ASSERT_TRUE(!ready || pair.ready_since >= oldest);
    }
  }

  // One letter per entry, and the last operations.
  std::string Describe(std::uint32_t group, std::int32_t queue, const Items& items) {
    std::string text = "group " + std::to_string(group) + " queue " + std::to_string(queue) + ": ";
    for (const Item& item : items) text.push_back("rcohwdARDX"[static_cast<int>(item.is)]);
    for (std::size_t i = 0; i < items.size(); ++i) {
      const Item& item = items[i];
      if (item.passed() || (item.is == Is::kReady && item.delivery == 0)) continue;
      text += "\n  " + std::to_string(i) + ": attempt " + std::to_string(item.attempt) + " delivery " +
              std::to_string(item.delivery) + " end " + std::to_string(item.end) + (item.written ? " written" : "") +
              (item.suspend ? " suspended" : "") + (item.nacked ? " nacked" : "") + (item.renewed ? " renewed" : "");
    }
    for (const std::string& step : steps_) text += "\n" + step;
    return text;
  }

  static std::string Name(const Given& given) {
    return Group(given.where.first) + "/" + std::to_string(given.where.second) + "/" +
           std::to_string(given.handle.queue_offset) + " delivery " + std::to_string(given.handle.delivery) +
           " start " + std::to_string(given.handle.start);
  }

  void Note(std::string step) {
    steps_.push_back(std::move(step));
    if (steps_.size() > 40) steps_.erase(steps_.begin());
  }

  struct Append {
    std::size_t batch;
    std::uint32_t queue;
    std::int64_t offset;
  };
  struct Claimed {
    World::ClaimSeen seen;
    std::uint32_t group = 0;
    int client = 0;
    bool gone = false;
  };
  struct Expected {
    std::uint32_t code;
    bool ack;
    Where where;
    std::int64_t offset;
  };
  static constexpr std::size_t kThisTurn = SIZE_MAX;
  static constexpr std::int64_t kUntilRecord = INT64_MAX;

  std::vector<std::string> steps_;
  World world_;
  std::unique_ptr<ShownSums> sums_;
  std::uint32_t sums_start_ = 0;  // of the core that told it
  const bool async_;
  std::int64_t last_time_ = 0;
  std::map<Where, Items> items_;
  std::map<Where, std::vector<Saved>> saved_;
  std::vector<std::int64_t> ends_, minimum_;
  std::vector<Append> appends_;
  std::size_t shown_appends_ = 0;
  std::size_t batches_ = 0, flushed_ = 0;
  std::map<std::pair<std::uint32_t, std::int64_t>, std::string> bodies_;
  std::map<std::uint64_t, Claimed> claims_;
  std::map<std::uint64_t, Way> ways_;
  std::map<std::uint64_t, int> waiting_;  // receives, by client
  std::map<int, std::int64_t> signs_;
  std::set<int> registered_;
  std::vector<Given> handles_;
  std::map<std::uint64_t, Expected> expected_;
  std::set<std::pair<Where, std::int64_t>> acked_;
  std::map<std::pair<Where, std::int64_t>, std::uint32_t> shown_;
  std::map<std::uint64_t, std::vector<std::int64_t>> epochs_;
};

}  // namespace millrace::core::testing
