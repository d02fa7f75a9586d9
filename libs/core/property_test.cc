#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <random>

#include "core/testing/ledger.h"

// Random operations on a core and on its model.
namespace millrace::core::testing {
namespace {

class Trial : public Ledger {
 public:
  Trial(std::uint32_t seed, bool async, bool check) : Ledger(async, check), rng_(seed) {}

  void Step() {
    const std::uint32_t pick = Random(100);
    Note("step " + std::to_string(pick) + " at " + std::to_string(now()));
    if (pick < 14)
      Send();
    else if (pick < 30)
      Receive();
    else if (pick < 42) {
      world_.ReleaseClaims();
      Turn();
    } else if (pick < 52)
      EndAnswer();
    else if (pick < 66)
      Ack();
    else if (pick < 73)
      Change();
    else if (pick < 85)
      Flush();
    else if (pick < 93)
      Tick();
    else if (pick < 94)
      Forward();
    else if (pick < 95)
      Alive();
    else if (pick < 96)
      LinkDown();
    else if (pick < 97)
      Terminate();
    else if (pick < 98)
      Retire();
    else if (pick < 99) {
      world_.ReleaseBodies();
      Turn();
    } else if (Random(2) == 0)
      Crash();
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
        EXPECT_TRUE(items[i].passed()) << Describe(where.first, where.second, items);
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
  std::uint32_t Random(std::uint32_t below) { return rng_() % below; }

  // --- operations ---
  void Send() {
    const std::uint32_t count = 1 + Random(Random(8) == 0 ? 40 : 3);
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
    options.batch = Random(3) == 0 ? 32 : 1 + Random(4);
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
    const bool was_acked = worth == Worth::kPassed && item->is == Is::kAcked;
    if (accepted) *item = Item{.is = Is::kAcked};
    const bool ok = accepted || worth == Worth::kPassed;
    expected_[reply] = {ok ? code::kOk : code::kInvalidReceiptHandle, accepted || was_acked, given.where,
                        given.handle.queue_offset};
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

  void Flush(bool all = false) {
    const std::size_t count = std::min(batches_ - flushed_, all ? batches_ : 1 + Random(3));
    ASSERT_EQ(batches_ - flushed_, world_.UnflushedBatches());
    flushed_ += count;
    world_.FlushBatches(count);
    Confirm();
    Turn();
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

  std::mt19937 rng_;
  int body_ = 0;
  std::size_t given_before_ = 0;
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
