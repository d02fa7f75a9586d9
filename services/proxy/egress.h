#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "model/error.h"
#include "model/stored_message.h"

// Stored messages made into what clients read, without decoding them: the server's fields are appended inside the
// system properties (never as a second occurrence of them, which Node.js would take for the only one).
namespace millrace::proxy {

struct DeadLetterOrigin {
  absl::string_view topic;
  absl::string_view message_id;
};

// What the server knows about one delivery.
struct DeliveryFields {
  absl::string_view resource_namespace;  // of the topic; may be empty
  absl::string_view topic;
  std::optional<absl::string_view> receipt_handle;  // none: a pull, a check or verify command
  std::int32_t queue_id = 0;
  std::int64_t queue_offset = 0;
  std::int32_t delivery_attempt = 1;  // 1 for the first
  std::int64_t store_millis = 0;
  absl::string_view store_host;  // "ip:port"
  std::optional<std::int64_t> invisible_millis;
  std::optional<DeadLetterOrigin> dead_letter;
};

// A serialised v2.Message with everything a client dereferences (3.9 of the contract); absent optional properties are
// absent.
std::string MakeMessage(const model::StoredMessageView& message, const DeliveryFields& delivery);

// Elements of the answer stream of ReceiveMessage: serialised v2.ReceiveMessageResponse.
// A message and a status of PullMessageResponse have the same bytes.
std::string MakeMessageElement(const model::StoredMessageView& message, const DeliveryFields& delivery);
std::string MakeStatusElement(int code, absl::string_view text);  // code of the v2 enum Code
std::string MakeStatusElement(const model::Error& error);
std::string MakeDeliveryTimestampElement(std::int64_t now_millis);

// The last element of a PullMessage answer: a serialised v2.PullMessageResponse.
std::string MakeNextOffsetElement(std::int64_t next_offset);

}  // namespace millrace::proxy
