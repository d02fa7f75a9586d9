#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"
#include "model/stored_message.h"

// A producer's v2.SystemProperties as wire bytes: read without a decode, and made into the system slice of a stored
// message (docs/formats/stored_message.md).
namespace millrace::proxy {

// Numbers of the v2 enum MessageType.
enum class MessageType : std::uint8_t {
  kNormal = 1,
  kFifo = 2,
  kDelay = 3,
  kTransaction = 4,
  kLite = 5,
  kPriority = 6,
};

// Field numbers of v2.SystemProperties.
enum SystemField : std::uint32_t {
  kTagField = 1,
  kKeysField = 2,
  kMessageIdField = 3,
  kBodyDigestField = 4,
  kBodyEncodingField = 5,
  kMessageTypeField = 6,
  kBornTimestampField = 7,
  kBornHostField = 8,
  kStoreTimestampField = 9,
  kStoreHostField = 10,
  kDeliveryTimestampField = 11,
  kReceiptHandleField = 12,
  kQueueIdField = 13,
  kQueueOffsetField = 14,
  kInvisibleDurationField = 15,
  kDeliveryAttemptField = 16,
  kMessageGroupField = 17,
  kTraceContextField = 18,
  kRecoveryDurationField = 19,
  kDeadLetterQueueField = 20,
  kLiteTopicField = 21,
  kPriorityField = 22,
};

inline constexpr std::uint64_t kEncodingIdentity = 1;  // numbers of the v2 enum Encoding
inline constexpr std::uint64_t kEncodingGzip = 2;

// google.protobuf.Timestamp or Duration.
struct WireTime {
  std::int64_t seconds = 0;
  std::int32_t nanos = 0;

  std::int64_t MillisRoundedDown() const;  // cut to +-9e15, so that it stays exact in a double
  std::int64_t MillisRoundedUp() const;
};

using Texts = absl::InlinedVector<absl::string_view, 2>;  // nearly always few

// What a producer may say. Absent texts are empty; views live as long as the scanned bytes.
struct SystemProperties {
  absl::string_view tag;
  Texts keys;
  absl::string_view message_id;
  absl::string_view born_host;
  absl::string_view message_group;
  absl::string_view trace_context;
  absl::string_view lite_topic;
  std::uint64_t body_encoding = 0;
  std::int32_t message_type = 0;
  std::optional<WireTime> born;
  std::optional<WireTime> delivery;
  std::optional<WireTime> recovery;
  std::optional<std::int32_t> priority;
  bool has_server_fields = false;  // fields that only the server sets
  bool has_empty_texts = false;    // an optional text that is present and empty
  int occurrences = 0;             // of the whole field in the message

  MessageType DerivedType() const;
};

// Merges one occurrence, as a protobuf parser does. False: it does not decode, or a text in it is not UTF-8.
bool ScanSystemProperties(absl::string_view occurrence, SystemProperties& properties);

struct SystemSlice {
  std::string bytes;
  model::SliceRange tag;
  model::SliceRange id;
};

// `occurrences` are those that were scanned into `properties`. What the producer left out is added: type, encoding,
// born time and host. nullopt: more bytes than a stored message can hold (model::kEncodedPropertyBytesMax).
std::optional<SystemSlice> MakeSystemSlice(const Texts& occurrences, const SystemProperties& properties,
                                           std::int64_t now_millis, absl::string_view peer_host);

// Whether MakeSystemSlice() copies the bytes as they are (and at most appends) instead of going through the fields.
bool KeepsBytes(const SystemProperties& properties);

}  // namespace millrace::proxy
