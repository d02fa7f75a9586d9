#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <random>
#include <set>

#include "core/records.h"
#include "core/testing/world.h"

// Random operations on a core and on a model of it that is a few vectors without any of the core's structures. The
// model says for every handle what its acknowledgement is worth, for every entry in which state it is, and what is left
// after a crash at any batch.
namespace millrace::core::testing {
namespace {

constexpr std::uint32_t kGroups = 2, kQueues = 2, kClients = 3, kAttempts = 3;
constexpr std::int64_t kInvisible = 20'011, kOffer = 15'053, kOfferMax = 60'029, kReturn = 1'013, kWrite = 997,
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

class Trial {
 public:
  Trial(std::uint32_t seed, bool async, bool check) : rng_(seed), world_(MakeOptions(async)), async_(async) {
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

  void Step() {
    const std::uint32_t pick = Random(100);
    Note("step " + std::to_string(pick) + " at " + std::to_string(now()));
    if (pick < 14) Send();
    else if (pick < 30) Receive();
    else if (pick < 42) { world_.ReleaseClaims(); Turn(); }
    else if (pick < 52) EndAnswer();
    else if (pick < 66) Ack();
    else if (pick < 73) Change();
    else if (pick < 85) Flush();
    else if (pick < 93) Tick();
    else if (pick < 94) Forward();
    else if (pick < 95) Alive();
    else if (pick < 96) LinkDown();
    else if (pick < 97) Terminate();
    else if (pick < 98) Retire();
    else if (pick < 99) { world_.ReleaseBodies(); Turn(); }
    else if (Random(2) == 0) Crash();
    if (Random(4) == 0) Compare();
  }

  // No faults any more: every message is acknowledged, rejected or dead in every group, and dead ones are there once.
  void Drain() {
    for (int i = 0; i < 90; ++i) {
      Flush(true);
      world_.ReleaseClaims();
      world_.ReleaseBodies();
      Turn();
      for (int client = 0; client < static_cast<int>(kClients); ++client) {
        for (std::uint32_t group = 0; group < kGroups; ++group) {
          LinkDown(client);  // drops what it waits for
          Receive(client, group, false);
          world_.ReleaseClaims();
          Turn();
          const auto ways = ways_;
          for (const auto& [answer, way] : ways) EndAnswer(answer, true);
          const std::size_t count = handles_.size();
          for (std::size_t h = given_before_; h < count; ++h) Ack(handles_[h]);
          given_before_ = count;
        }
      }
      Tick(1'000);
      Tick(900);
    }
    Flush(true);
    Compare();
    std::multiset<std::string> letters, dead;
    for (auto& [where, items] : items_) {
      for (std::size_t i = 0; i < items.size(); ++i) {
        EXPECT_TRUE(items[i].passed()) << where.first << " " << where.second << " " << i << " is " << static_cast<int>(items[i].is);
        if (items[i].is == Is::kDead) dead.insert(std::to_string(where.first) + bodies_.at({where.second, i}));
      }
    }
    for (const auto& [key, body] : world_.stored) {
      const std::uint64_t topic = std::get<0>(key);
      if ((topic & kDeadLetterBit) != 0) letters.insert(std::to_string((topic & ~kDeadLetterBit) - 1) + body);
    }
    if (!async_) {
      EXPECT_EQ(letters, dead);
    }
  }

 private:
  static Options MakeOptions(bool async) {
    Options options;
    options.segment_bytes = 8'192;
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

  std::uint32_t Random(std::uint32_t below) { return rng_() % below; }
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
      } else if (item.is == Is::kWaiting && !item.nacked && item.end != kUntilRecord && item.end > now() + kWrite) {
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

  // --- operations ---
  void Send() {
    const std::uint32_t count = 1 + Random(3);
    std::vector<std::string> bodies;
    for (std::uint32_t i = 0; i < count; ++i) bodies.push_back("m" + std::to_string(++body_));
    const std::size_t before = appends_.size();
    world_.Send("T", bodies);
    Turn();
    ASSERT_EQ(appends_.size(), before + count);
    for (std::uint32_t i = 0; i < count; ++i) {
      bodies_[{appends_[before + i].queue, appends_[before + i].offset}] = bodies[i];
    }
  }

  void Receive() { Receive(static_cast<int>(Random(kClients)), Random(kGroups), Random(3) == 0); }

  void Receive(int client, std::uint32_t group, bool renewed) {
    for (const auto& [correlation, waiting] : waiting_) {
      if (waiting == client) return;  // one at a time
    }
    signs_[client] = now();
    ReceiveOptions options;
    options.batch = 1 + Random(4);
    options.invisible = kInvisible;
    options.wait = 1'000'000'000;
    options.renew = renewed;
    options.link = static_cast<std::uint32_t>(client) + 1;
    options.filter = std::to_string(group) + std::to_string(client) + (renewed ? "r" : "f");
    if (Random(4) == 0) options.queue = static_cast<std::int32_t>(Random(kQueues));
    waiting_[world_.Receive(Client(client), Group(group), "T", options)] = client;
    Turn();
  }

  void EndAnswer() {
    if (ways_.empty()) return;
    auto way = ways_.begin();
    std::advance(way, Random(static_cast<std::uint32_t>(ways_.size())));
    if (Random(6) == 0) {
      way->second.written = now();
      world_.AnswerWritten(way->first);
      return Turn();
    }
    EndAnswer(way->first, Random(4) != 0);
  }

  void EndAnswer(std::uint64_t answer, bool well) {
    world_.AnswerEnded(answer, well);
    if (well) {
      EachOfAnswer(answer, [&](Item& item) {
        item.is = Is::kHeld;
        item.end = now() + (item.renewed ? 900'000 : kInvisible);
        item.returns = 0;
        item.alone = false;
        item.answer = 0;
      });
      ways_.erase(answer);
    } else {
      Return(answer);
    }
    Turn();
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

  void Ack() {
    if (!handles_.empty()) Ack(handles_[Pick()]);
  }

  std::size_t Pick() {  // mostly a recent one
    const auto count = static_cast<std::uint32_t>(handles_.size());
    return Random(4) == 0 ? Random(count) : count - 1 - Random(std::min(count, 8u));
  }

  void Ack(const Given& given) {
    Note("ack " + Name(given));
    const auto reply = world_.Ack(given.handle, Group(given.where.first), "T");
    const Worth worth = Judge(given);
    Item* item = worth == Worth::kRefused ? nullptr : &At(given.where)[given.handle.queue_offset];
    const bool accepted = worth == Worth::kOpen && item->is != Is::kDying;
    if (accepted) *item = Item{.is = Is::kAcked};
    const bool ok = accepted || worth == Worth::kPassed;
    expected_[reply] = {ok ? code::kOk : code::kInvalidReceiptHandle, accepted, given.where, given.handle.queue_offset};
    Turn();
  }

  void Change() {
    if (handles_.empty()) return;
    const Given given = handles_[Pick()];
    const std::int64_t millis = Random(2) == 0 ? 0 : 1 + Random(40'000);
    const bool suspend = Random(4) == 0;
    Note("change " + Name(given) + " by " + std::to_string(millis) + (suspend ? " suspend" : ""));
    const auto reply = world_.Change(given.handle, Group(given.where.first), "T", millis, suspend);
    const Worth worth = Judge(given);
    Item* item = worth == Worth::kOpen ? &At(given.where)[given.handle.queue_offset] : nullptr;
    const bool leased = item != nullptr && (item->is == Is::kOffered || item->is == Is::kHeld || item->nacked);
    const bool ok = leased || worth == Worth::kPassed;
    expected_[reply] = {ok ? code::kOk : code::kInvalidReceiptHandle, false, given.where, 0};
    if (leased) {
      LeaveAnswer(*item);
      item->suspend = suspend;
      if (millis == 0) {
        End(*item, true, 0);
      } else {
        item->nacked = item->renewed || item->nacked;
        item->renewed = false;
        item->returns = 0;
        item->alone = false;
        item->is = item->nacked ? Is::kWaiting : Is::kHeld;
        item->end = now() + millis;
        item->written = false;
        item->write_at = now() + kWrite;
      }
    }
    Turn();
  }

  void Forward() {
    if (handles_.empty()) return;
    const Given given = handles_[Pick()];
    const auto reply = world_.Forward(given.handle, Group(given.where.first), "T");
    const Worth worth = Judge(given);
    expected_[reply] = {worth == Worth::kRefused ? code::kInvalidReceiptHandle : code::kOk, false, given.where, 0};
    if (worth == Worth::kOpen) {
      Item& item = At(given.where)[given.handle.queue_offset];
      LeaveAnswer(item);
      item.is = Is::kDying;
      item.delivery = given.handle.delivery;
      item.start = given.handle.start;
      item.written = item.nacked = item.renewed = false;
    }
    Turn();
  }

  void LeaveAnswer(Item& item) {
    const std::uint64_t answer = item.answer;
    item.answer = 0;
    if (answer == 0) return;
    std::size_t left = 0;
    EachOfAnswer(answer, [&](Item&) { ++left; });
    if (left == 0) ways_.erase(answer);
  }

  void Flush(bool all = false) {
    const std::size_t count = std::min(batches_ - flushed_, all ? batches_ : 1 + Random(3));
    ASSERT_EQ(batches_ - flushed_, world_.UnflushedBatches());
    flushed_ += count;
    world_.FlushBatches(count);
    Confirm();
    Turn();
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

  void Tick() { Tick(1 + Random(Random(3) == 0 ? 20'000 : 1'000)); }

  void Tick(std::int64_t millis) {
    while (millis > 0) {
      const std::int64_t step = std::min<std::int64_t>(millis, 1'000);
      millis -= step;
      world_.time += step;
      Turn();
    }
  }

  void Alive() {
    const int client = static_cast<int>(Random(kClients));
    const auto number = static_cast<std::uint32_t>(client) + 10;
    world_.Register(Client(client), Group(0), number, static_cast<std::uint32_t>(client) + 1);
    world_.Alive({number}, static_cast<std::uint32_t>(client) + 1);
    signs_[client] = now();
    registered_.insert(client);
    Turn();
  }

  void LinkDown() { LinkDown(static_cast<int>(Random(kClients))); }

  void LinkDown(int client) {
    world_.LinkDown(static_cast<std::uint32_t>(client) + 1);
    DropReceives(client);
    const auto ways = ways_;
    for (const auto& [answer, way] : ways) {
      if (way.client == client) Return(answer);
    }
    registered_.erase(client);
    Turn();
  }

  void Terminate() {
    const int client = static_cast<int>(Random(kClients));
    world_.Terminate(Client(client), Group(0));
    EndClient(client);
    registered_.erase(client);
    Turn();
  }

  void Retire() {
    const std::uint32_t queue = Random(kQueues);
    minimum_[queue] = std::max<std::int64_t>(minimum_[queue], ends_[queue] - 20);
    Retire(queue);
    Turn();
  }

  void Retire(std::uint32_t queue) {
    world_.Minimum(1, queue, minimum_[queue]);
    for (std::uint32_t group = 0; group < kGroups; ++group) {
      const Where where{group, queue};
      Items& items = At(where);
      for (std::int64_t i = 0; i < minimum_[queue]; ++i) {
        if (items[i].passed()) continue;
        LeaveAnswer(items[i]);
        items[i] = Item{.is = Is::kExpired};
      }
    }
  }

  void Crash() {
    const bool power_cut = Random(2) == 0;
    const std::size_t keep = Random(static_cast<std::uint32_t>(batches_ - flushed_) + 1);
    const std::size_t survive = flushed_ + keep;
    std::erase_if(appends_, [&](const Append& append) { return append.batch > survive; });
    for (std::uint32_t queue = 0; queue < kQueues; ++queue) ends_[queue] = 0;
    for (const Append& append : appends_) ends_[append.queue] = append.offset + 1;
    shown_appends_ = appends_.size();
    std::erase_if(bodies_, [&](const auto& each) { return each.first.second >= ends_[each.first.first]; });
    items_.clear();
    signs_.clear();
    for (auto& [where, list] : saved_) {
      while (!list.empty() && list.back().batch > survive) list.pop_back();
      if (list.empty()) continue;
      items_[where] = list.back().items;
      list.erase(list.begin(), list.end() - 1);
    }
    for (auto& [where, items] : items_) {
      for (Item& item : items) {
        if (item.is == Is::kWaiting && !item.nacked && item.end <= now()) item.is = Is::kReady;
        if (item.client >= 0) signs_[item.client] = now();
      }
    }
    claims_.clear();
    ways_.clear();
    waiting_.clear();
    registered_.clear();
    expected_.clear();
    if (async_) {  // a written, shown message may be lost with what was said about it
      acked_.clear();
      shown_.clear();
    }
    if (async_ && power_cut) {
      epochs_[world_.core().epoch() + 1] = ends_;
    }
    world_.Crash(keep, power_cut);
    // The log of the world keeps its last batch, to say where it ends; the start has appended since.
    batches_ = survive + world_.log.size() - 1;
    flushed_ = batches_;
    world_.claims_seen.clear();
    world_.delivers_seen.clear();
    for (std::uint32_t queue = 0; queue < kQueues; ++queue) {
      minimum_[queue] = std::min(minimum_[queue], ends_[queue]);
      Retire(queue);
    }
    Turn();
    for (const auto& [where, offset] : acked_) {
      ASSERT_TRUE(offset >= ends_[where.second] || At(where)[offset].passed()) << "an answered ack was lost";
    }
    Compare();
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
        SCOPED_TRACE(::testing::Message() << "core: next " << queue.next << " of " << queue.maximum << " ready " << queue.ready << " claimed "
                     << queue.claimed << " in flight " << queue.in_flight << " waiting " << queue.waiting << " acked "
                     << queue.acknowledged << " rejected " << queue.rejected << " dead " << queue.dead_lettered
                     << " expired " << queue.expired);
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
           std::to_string(given.handle.queue_offset) + " delivery " + std::to_string(given.handle.delivery) + " start " +
           std::to_string(given.handle.start);
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

  std::mt19937 rng_;
  std::vector<std::string> steps_;
  World world_;
  const bool async_;
  int body_ = 0;
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
  std::size_t given_before_ = 0;
  std::map<std::uint64_t, Expected> expected_;
  std::set<std::pair<Where, std::int64_t>> acked_;
  std::map<std::pair<Where, std::int64_t>, std::uint32_t> shown_;
  std::map<std::uint64_t, std::vector<std::int64_t>> epochs_;
};

TEST(Property, TheCoreAgreesWithTheModel) {
  const char* seed_text = std::getenv("MILLRACE_SEED");
  const bool is_long = std::getenv("MILLRACE_LONG") != nullptr;
  const std::uint32_t first = seed_text != nullptr ? std::atoi(seed_text) : std::random_device()();
  std::cout << "seed " << first << " (MILLRACE_SEED repeats it)\n";
  const int steps = 500, runs = (is_long ? 1'000'000 : 200'000) / steps;
  for (int i = 0; i < runs; ++i) {
    const std::uint32_t seed = first + static_cast<std::uint32_t>(i);
    SCOPED_TRACE("MILLRACE_SEED=" + std::to_string(seed));
    Trial run(seed, seed % 4 == 0, seed % 8 < 2);
    for (int step = 0; step < steps && !::testing::Test::HasFailure(); ++step) run.Step();
    if (!::testing::Test::HasFailure() && seed % 4 == 1) run.Drain();
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace millrace::core::testing
