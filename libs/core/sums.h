#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"
#include "base/histogram.h"
#include "core/metadata.h"

// What the core keeps count of for a scrape: per topic, per group, and per group on a topic (a pair). Kept on every
// change, handed over for what has changed (Core::PublishSums). Counters begin at 0 at each start; gauges are what the
// store says, so they are the same after a restart.
namespace millrace::core {

inline constexpr std::int64_t kSinceNothing = -1;  // there is nothing that could be old
inline constexpr std::int64_t kSinceUnknown = -2;

// Milliseconds: ages and processing times.
inline constexpr base::HistogramBounds kAgeMillis{1,     5,     10,    25,     50,     100,    250,     500,
                                                  1'000, 2'500, 5'000, 10'000, 30'000, 60'000, 300'000, 3'600'000};

// Bytes: RocketMQ's buckets of rocketmq_message_size.
inline constexpr base::HistogramBounds kSizeBytes{1'024, 4'096, 524'288, 1'048'576, 2'097'152, 4'194'304};
inline constexpr std::size_t kTopicTypes = 7;

struct TopicCounters {
  std::uint64_t messages_in = 0, bytes_in = 0;
};

struct PairCounters {
  std::uint64_t messages_out = 0, bytes_out = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t redelivered = 0;  // deliveries of what had been delivered before
  std::uint64_t expired = 0;      // leases that ended by themselves
  std::uint64_t returned = 0;     // deliveries whose stream did not end well
  std::uint64_t dead_lettered = 0;
};

struct PairHistograms {  // of kAgeMillis
  base::HistogramCounts delivery_age, ack_latency, end_to_end;
};

struct TopicSums {
  std::uint64_t id = 0;
  absl::string_view name;
  TopicType type = TopicType::kNormal;
  TopicCounters counters;
};

struct GroupSums {
  std::uint64_t id = 0;
  absl::string_view name;
  std::uint32_t clients = 0;  // consumers that are alive, each counted once
};

// lag = ready + in_flight + waiting
struct PairSums {
  std::uint64_t group_id = 0, topic_id = 0;
  absl::string_view group, topic;
  std::int64_t ready = 0;  // with what a receive looks at just now
  std::int64_t in_flight = 0, waiting = 0;
  std::int64_t dead_lettered_ever = 0, expired_ever = 0;  // over the life of the pair
  // Log time, ms: since when the oldest ready message is ready; when the oldest unfinished one was stored.
  std::int64_t ready_since = kSinceNothing, unfinished_since = kSinceNothing;
  PairCounters counters;
  const PairHistograms* histograms = nullptr;  // nullptr: nothing was delivered since the start
};

// Whose store time the core would like to know; the event StoreTime answers.
struct StoreTimeWanted {
  std::uint64_t topic_id = 0, group_id = 0;
  std::int64_t queue_offset = 0;
  std::uint32_t queue = 0;
};

// Views last for the call.
class SumsListener {
 public:
  virtual ~SumsListener() = default;
  virtual void OnTopic(const TopicSums& topic) = 0;
  virtual void OnGroup(const GroupSums& group) = 0;
  virtual void OnPair(const PairSums& pair) = 0;
  virtual void OnTopicGone(std::uint64_t topic_id) = 0;
  virtual void OnGroupGone(std::uint64_t group_id) = 0;
  virtual void OnPairGone(std::uint64_t group_id, std::uint64_t topic_id) = 0;
  virtual void AskStoreTime(const StoreTimeWanted& wanted) = 0;
};

}  // namespace millrace::core
