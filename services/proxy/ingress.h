#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"
#include "model/error.h"
#include "model/properties.h"
#include "services/proxy/system_properties.h"

namespace millrace::proxy {

// What a send may hold; a limit is the largest value that passes.
struct IngressLimits {
  std::int64_t body_bytes_max = model::kMessageBodyBytesMax;
  int user_properties_max = model::kUserPropertiesMax;
  int property_bytes_max = model::kPropertyBytesMax;
  int message_group_bytes_max = model::kMessageGroupBytesMax;
  std::int64_t transaction_recovery_millis_max = model::kTransactionRecoveryMillisMax;
  std::int64_t delay_millis_max = model::kDelayMillisMax;
};

struct IngressContext {
  absl::string_view default_namespace;  // header x-mq-namespace: for resources without one
  absl::string_view peer_host;          // born_host of producers that give none
  std::int64_t now_millis = 0;          // wall time
};

// One message of a send. Views live as long as the request's bytes.
struct IngressMessage {
  absl::string_view message_id;
  absl::string_view tag;            // empty: none
  absl::string_view message_group;  // empty: none
  absl::string_view lite_topic;     // empty: none
  Texts keys;
  MessageType type = MessageType::kNormal;
  bool compressed = false;
  bool verbatim = false;  // the producer's system properties were kept byte for byte (fields may be appended)
  std::int64_t born_millis = 0;
  std::optional<std::int64_t> delivery_millis;  // not before; may be in the past
  std::optional<std::int64_t> recovery_millis;  // grace before the first check of a transaction
  std::optional<std::int32_t> priority;         // PRIORITY messages only
  std::string stored;                           // docs/formats/stored_message.md
};

struct IngressSend {
  std::string topic;  // full name
  absl::InlinedVector<IngressMessage, 1> messages;
};

// Checks the bytes of a v2.SendMessageRequest and makes stored messages of it, without decoding it into objects: walks
// over the wire bytes once, then copies each body once. The first check that fails fails the request; the order of the
// checks is that of the public contract (4.5), and bytes that are no SendMessageRequest come before all
// (kMessageCorrupted). What needs the topic (does it exist, does it take this type) is the caller's.
//
// All messages of a batch have one type, message group, priority and lite topic, and a transaction stands alone
// (kBadRequest), because a batch goes to one queue.
model::Result<IngressSend> ScanSendRequest(absl::string_view request, const IngressContext& context,
                                           const IngressLimits& limits);

}  // namespace millrace::proxy
