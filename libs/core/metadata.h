#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

// Topics and groups as they stand in metadata records, the image, queries and routes. Encoded with a version byte
// first; unknown trailing bytes are ignored. docs/formats/records.md
namespace millrace::core {

// Values as in the v2 enum MessageType; kMixed is ours.
enum class TopicType : std::uint8_t {
  kNormal = 1,
  kFifo = 2,
  kDelay = 3,
  kTransaction = 4,
  kLite = 5,
  kPriority = 6,
  kMixed = 7,
};

// Values as in the v2 enum Permission.
enum class Access : std::uint8_t { kNone = 1, kRead = 2, kWrite = 3, kReadWrite = 4 };

struct TopicConfig {
  std::uint64_t id = 0;       // never used again
  std::uint64_t version = 0;  // of the set's metadata when it last changed
  std::string name;           // full name
  TopicType type = TopicType::kNormal;
  Access access = Access::kReadWrite;
  std::uint32_t queues = 8;
  std::int64_t created_millis = 0;
};

struct GroupConfig {
  std::uint64_t id = 0;
  std::uint64_t version = 0;
  std::string name;
  bool fifo = false;
  std::uint32_t max_attempts = 17;
  bool exponential_backoff = false;          // initial 5 s, max 2 h, x2
  std::vector<std::int64_t> backoff_millis;  // customized; empty: the default schedule of 18 entries
  std::int64_t renew_limit_millis = 0;       // 0: the broker's
  std::string lite_topic;                    // stored only, until lite topics are built
  std::uint8_t lite_model = 0;               // 0 none, 1 shared, 2 exclusive
  std::int32_t lite_quota = 0;
  std::int64_t created_millis = 0;
};

inline constexpr std::uint32_t kTopicQueuesMax = 65'536;     // of one topic
inline constexpr std::uint64_t kDeadLetterBit = 1ull << 63;  // topic id of %DLQ%g is g's id with this bit
inline constexpr absl::string_view kDeadLetterPrefix = "%DLQ%";

void Encode(const TopicConfig& topic, std::string& out);
void Encode(const GroupConfig& group, std::string& out);
// nullopt: does not decode.
std::optional<TopicConfig> DecodeTopic(absl::string_view bytes);
std::optional<GroupConfig> DecodeGroup(absl::string_view bytes);

// Progress of one group on one queue, and sums of them (queue -1).
struct QueueProgress {
  std::uint64_t topic_id = 0;
  std::string topic;
  std::int32_t queue = 0;
  std::int64_t minimum = 0, maximum = 0, start = 0, next = 0;
  std::int64_t ready = 0, claimed = 0, in_flight = 0, waiting = 0;
  std::int64_t acknowledged = 0, rejected = 0, dead_lettered = 0, skipped = 0, expired = 0;
  std::int64_t oldest_open_offset = -1;  // first entry that is not passed; -1: none
};

struct GroupProgress {
  GroupConfig group;
  std::uint32_t clients = 0;
  std::vector<QueueProgress> queues;
};

// Query answers. A list is back to back: u32 size, encoded item.
void Encode(const GroupProgress& progress, std::string& out);
std::optional<GroupProgress> DecodeProgress(absl::string_view bytes);

}  // namespace millrace::core
