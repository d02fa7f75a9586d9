#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "core/metadata.h"

// Payloads of the core's records and values of the state image: docs/formats/records.md, docs/formats/state_image.md.
namespace millrace::core {

inline constexpr std::size_t kMaxBlockClients = 64;  // one per entry of a block at most

// What an image knows of a cursor; the head of a progress record too.
struct CursorValue {
  std::int64_t start = 0;
  std::int64_t next = 0;
  std::int64_t acknowledged = 0, rejected = 0, dead_lettered = 0, skipped = 0, expired = 0;
};
void Encode(const CursorValue& value, std::string& out);
CursorValue ReadCursorValue(base::ByteReader& reader);

enum class LeaseKind : std::uint8_t {
  kNone = 0,
  kHeld = 1,    // in flight until `end`
  kNacked = 2,  // not in flight, handles of the delivery are good until `end`
  kDelay = 3,   // ended; visible again at `end`
};

// An open entry with something to say.
struct EntryValue {
  std::uint8_t position = 0;  // in its block
  LeaseKind lease = LeaseKind::kNone;
  bool renewed = false;
  bool suspend = false;
  std::uint32_t attempt = 1;   // that the next delivery would show
  std::uint32_t delivery = 0;  // last delivery that ended or whose lease is written
  std::uint32_t start = 0;     // of the lease
  std::int64_t end = 0;
  absl::string_view client;
};

struct BlockValue {
  std::uint64_t open = 0;
  std::vector<EntryValue> entries;  // by position
};

// An empty string when nothing is open.
void Encode(const BlockValue& block, std::string& out);
// Views point into `bytes`. False: does not decode.
bool DecodeBlock(absl::string_view bytes, BlockValue& block);

// One progress record, as fold and load walk through it: the head, then `blocks` times NextBlock().
struct ProgressHead {
  std::uint64_t group_id = 0;
  CursorValue cursor;
  std::uint64_t blocks = 0;
};
void EncodeProgressHead(const ProgressHead& head, std::string& out);
ProgressHead ReadProgressHead(base::ByteReader& reader);
// `value`: an encoded BlockValue. `previous`: index of the block before it, -1 at first.
void AppendProgressBlock(std::int64_t previous, std::int64_t index, absl::string_view value, std::string& out);
struct ProgressBlock {
  std::int64_t index = 0;
  absl::string_view value;  // empty: nothing open
};
ProgressBlock ReadProgressBlock(base::ByteReader& reader, std::int64_t previous);

// Prefix of a dead letter record, before its stored message: where the copy comes from. The progress record that passes
// the original follows it.
struct DeadLetterOrigin {
  std::uint64_t topic_id = 0;
  std::string topic;
  std::uint32_t queue = 0;
  std::int64_t queue_offset = 0;
  std::uint32_t attempts = 0;  // deliveries that counted
};
void Encode(const DeadLetterOrigin& origin, std::string& out);
// The origin in a dead letter record's payload (or in its head). For delivery: `dead_letter_queue` of the message.
// `prefix_bytes` becomes the size of everything before the stored message.
// Errors: kDataLoss  does not decode.
absl::StatusOr<DeadLetterOrigin> DecodeDeadLetterOrigin(absl::string_view payload, std::uint32_t& prefix_bytes);

enum class MetadataKind : std::uint8_t { kInitialise = 1, kTopic, kTopicDeleted, kGroup, kGroupDeleted };

// Ids and version after the change.
struct MetadataHead {
  MetadataKind kind = MetadataKind::kTopic;
  std::uint64_t version = 0;
  std::uint64_t next_topic = 1;
  std::uint64_t next_group = 1;
};
void Encode(const MetadataHead& head, std::string& out);
MetadataHead ReadMetadataHead(base::ByteReader& reader);

struct ClusterValue {
  std::string cluster, home, mac_key;
};
void Encode(const ClusterValue& value, std::string& out);
ClusterValue ReadClusterValue(base::ByteReader& reader);

struct CursorName {
  std::uint64_t topic_id = 0;
  std::uint32_t queue = 0;
};

// Keys of the image. The topic comes first, so what belongs to a deleted topic is one range per letter.
namespace key {
inline constexpr absl::string_view kCluster = "M";
inline constexpr absl::string_view kIds = "N";
inline constexpr absl::string_view kLogTime = "L";
inline constexpr absl::string_view kStart = "S";
inline constexpr absl::string_view kEpoch = "E";
std::string Topic(std::uint64_t topic);
std::string Group(std::uint64_t group);
std::string QueueEnd(std::uint64_t topic, std::uint32_t queue);
std::string EpochEnd(std::uint64_t topic, std::uint32_t queue, std::uint64_t epoch);
std::string CursorOf(std::uint64_t topic, std::uint32_t queue, std::uint64_t group);
std::string BlockPrefix(std::uint64_t topic, std::uint32_t queue, std::uint64_t group);
std::string BlockOf(std::uint64_t topic, std::uint32_t queue, std::uint64_t group, std::int64_t block);
std::string OfTopic(char letter, std::uint64_t topic);
// Big-endian number at `at` of a key; the key must be long enough.
std::uint64_t Number64(absl::string_view key, std::size_t at);
std::uint32_t Number32(absl::string_view key, std::size_t at);
}  // namespace key

}  // namespace millrace::core
