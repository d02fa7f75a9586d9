#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/mutex.h"
#include "core/core.h"
#include "core/sums.h"

namespace millrace::broker {

// What the scrapes have noted of one row.
struct ScrapeNotes {
  std::uint64_t messages = 0;  // at the last look
  double rate = 0;             // messages per second, a moving average
  bool looked = false;
  bool in_other = false;             // its counters are in `other`
  bool histograms_in_other = false;  // ... and its histograms
};

struct TopicRow {
  bool used = false;
  std::uint64_t id = 0;
  std::string name;
  core::TopicType type = core::TopicType::kNormal;
  core::TopicCounters counters;
  ScrapeNotes notes;
};

struct GroupRow {
  bool used = false;
  std::uint64_t id = 0;
  std::string name;
  std::uint32_t clients = 0;
};

struct PairRow {
  bool used = false;
  std::string group, topic;
  core::PairSums sums;  // without its views
  std::unique_ptr<core::PairHistograms> histograms;
  ScrapeNotes notes;
};

// The sums that the core has handed over. The core's thread updates, scrapes read; neither ever waits long: an update
// gives way to a scrape, a scrape holds the table for 256 rows at a time.
class SumsTable {
 public:
  // `ask`: the core would like to know a store time; called by Update.
  explicit SumsTable(std::function<void(const core::StoreTimeWanted&)> ask) : rows_(std::move(ask)) {}

  // Takes over what has changed, see Core::PublishSums. True: more is left (a scrape was reading, for example).
  bool Update(core::Core& core, std::size_t limit);

  // Every row. `each` may change the notes of it. Rows that come or go meanwhile may be missed.
  template <typename Each>
  void ForEachTopic(Each each) {
    ForEach([](Rows& rows) -> auto& { return rows.topics.rows; }, each);
  }
  template <typename Each>
  void ForEachGroup(Each each) {
    ForEach([](Rows& rows) -> auto& { return rows.groups.rows; }, each);
  }
  template <typename Each>
  void ForEachPair(Each each) {
    ForEach([](Rows& rows) -> auto& { return rows.pairs.rows; }, each);
  }

  // What rows had counted whose counters were in `other` when they went.
  struct Gone {
    core::TopicCounters topics;
    core::PairCounters pairs;
    core::PairHistograms histograms;
  };
  Gone gone() const;

 private:
  template <typename Key, typename Row>
  struct Index {
    Row& At(const Key& key) {
      const auto [place, added] = places.try_emplace(key, rows.size());
      if (!added) return rows[place->second];
      if (free.empty()) {
        rows.emplace_back();
      } else {
        place->second = free.back();
        free.pop_back();
      }
      return rows[place->second];
    }
    // nullptr: there is none. The row is free afterwards and may be looked at until the next At().
    Row* Drop(const Key& key) {
      const auto place = places.find(key);
      if (place == places.end()) return nullptr;
      Row& row = rows[place->second];
      free.push_back(place->second);
      places.erase(place);
      return &row;
    }
    std::deque<Row> rows;
    absl::flat_hash_map<Key, std::size_t> places;
    std::vector<std::size_t> free;
  };

  struct Rows final : core::SumsListener {
    explicit Rows(std::function<void(const core::StoreTimeWanted&)> ask) : ask(std::move(ask)) {}
    void OnTopic(const core::TopicSums& topic) override;
    void OnGroup(const core::GroupSums& group) override;
    void OnPair(const core::PairSums& pair) override;
    void OnTopicGone(std::uint64_t topic_id) override;
    void OnGroupGone(std::uint64_t group_id) override;
    void OnPairGone(std::uint64_t group_id, std::uint64_t topic_id) override;
    void AskStoreTime(const core::StoreTimeWanted& wanted) override { ask(wanted); }

    const std::function<void(const core::StoreTimeWanted&)> ask;
    Index<std::uint64_t, TopicRow> topics;
    Index<std::uint64_t, GroupRow> groups;
    Index<std::pair<std::uint64_t, std::uint64_t>, PairRow> pairs;
    Gone gone;
  };

  template <typename Select, typename Each>
  void ForEach(Select select, Each each) {
    for (std::size_t at = 0;;) {
      const base::MutexLock lock(mu_);
      auto& rows = select(rows_);
      for (std::size_t end = std::min(rows.size(), at + kSlice); at < end; ++at) {
        if (rows[at].used) each(rows[at]);
      }
      if (at >= rows.size()) return;
    }
  }

  static constexpr std::size_t kSlice = 256;
  mutable base::Mutex mu_;
  Rows rows_ ABSL_GUARDED_BY(mu_);
};

}  // namespace millrace::broker
