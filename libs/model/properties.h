#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"

// Limits of a message and the property keys that belong to the server. Origin: RocketMQ 5's proxy defaults.
namespace millrace::model {

inline constexpr std::int64_t kMessageBodyBytesMax = 4 << 20;  // as transmitted
inline constexpr int kUserPropertiesMax = 128;
inline constexpr int kPropertyBytesMax = 16'384;         // keys and values of user properties, tag and keys
inline constexpr int kEncodedPropertyBytesMax = 32'767;  // system and user slice of a stored message together
inline constexpr int kMessageGroupBytesMax = 63;
inline constexpr int kTopicNameMax = 127;
inline constexpr int kConsumerGroupNameMax = 120;
inline constexpr int kLiteTopicNameMax = 64;
inline constexpr std::int64_t kTransactionRecoveryMillisMax = 3'600'000;
inline constexpr std::int64_t kDelayMillisMax = 40ll * 24 * 3'600 * 1'000;

// Whether `key` may not be a user property: RocketMQ's own keys, and those of ours (5.12 of its contract lets some of
// them through and then misreads or shows them).
bool IsReservedPropertyKey(absl::string_view key);

}  // namespace millrace::model
