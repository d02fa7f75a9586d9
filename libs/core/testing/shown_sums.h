#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/sums.h"
#include "core/testing/world.h"

namespace millrace::core::testing {

// Everything that was handed over, by name.
class ShownSums final : public SumsListener {
 public:
  explicit ShownSums(World& world) : ShownSums(world, [&world] { world.Turn(); }) {}
  // `turn`: takes a turn of the world.
  ShownSums(World& world, std::function<void()> turn) : world_(world), turn_(std::move(turn)) {}

  // Until nothing is left; store times that the core asks for are answered when `answer`.
  void Update(bool answer = true, std::size_t limit = 1'000) {
    do {
      while (world_.core().PublishSums(limit, *this)) ++slices;
      if (!answer || asked.empty()) return;
      for (const StoreTimeWanted& wanted : asked) {
        StoreTime event{wanted.topic_id, wanted.group_id, wanted.queue_offset, 0, wanted.queue, 0};
        const auto at = world_.store_times.find({wanted.topic_id, wanted.queue, wanted.queue_offset});
        if (at != world_.store_times.end()) event.store_millis = at->second;
        world_.events.Add(EventType::kStoreTime, event);
      }
      asked.clear();
      turn_();
    } while (true);
  }

  void OnTopic(const TopicSums& topic) override {
    topic_names_[topic.id] = Copy(topic.name);
    topics[Copy(topic.name)] = topic.counters;
  }
  void OnGroup(const GroupSums& group) override {
    group_names_[group.id] = Copy(group.name);
    groups[Copy(group.name)] = group.clients;
  }
  void OnPair(const PairSums& pair) override {
    const auto key = std::pair(Copy(pair.group), Copy(pair.topic));
    pairs[key] = pair;
    histograms[key] = pair.histograms != nullptr ? *pair.histograms : PairHistograms{};
    pair_names_[{pair.group_id, pair.topic_id}] = key;
    ++handed_over;
  }
  void OnTopicGone(std::uint64_t id) override { topics.erase(topic_names_.at(id)); }
  void OnGroupGone(std::uint64_t id) override { groups.erase(group_names_.at(id)); }
  void OnPairGone(std::uint64_t group, std::uint64_t topic) override { pairs.erase(pair_names_.at({group, topic})); }
  void AskStoreTime(const StoreTimeWanted& wanted) override { asked.push_back(wanted); }

  const PairSums& At(const std::string& group, const std::string& topic) { return pairs.at({group, topic}); }

  std::map<std::string, TopicCounters> topics;
  std::map<std::string, std::uint32_t> groups;
  std::map<std::pair<std::string, std::string>, PairSums> pairs;
  std::map<std::pair<std::string, std::string>, PairHistograms> histograms;
  std::vector<StoreTimeWanted> asked;
  std::size_t handed_over = 0, slices = 0;

 private:
  static std::string Copy(absl::string_view text) { return std::string(text.data(), text.size()); }

  World& world_;
  const std::function<void()> turn_;
  std::map<std::uint64_t, std::string> topic_names_, group_names_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::pair<std::string, std::string>> pair_names_;
};

}  // namespace millrace::core::testing
