#pragma once

#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "model/error.h"
#include "services/proxy/system_properties.h"

// A v2.SendMessageRequest split into fields, without a decode. Views live as long as its bytes.
namespace millrace::proxy {

struct UserProperty {
  absl::string_view key;
  absl::string_view value;
  absl::string_view raw;  // the field of the message
};

// One v2.Message, split into its fields.
struct MessageFields {
  absl::string_view resource_namespace;
  absl::string_view topic;
  absl::string_view body;
  std::vector<UserProperty> user;
  Texts system_occurrences;
  SystemProperties system;
  bool too_large = false;  // properties above the limits of a scan: they were not read
};

using MessageList = absl::InlinedVector<MessageFields, 1>;

// The messages of a request into `messages`. Of user properties with the same key the last one stays, as in a map.
// Errors: kMessageCorrupted (the bytes do not decode, or a text is not UTF-8), kPayloadTooLarge (too many messages).
std::optional<model::Error> ScanMessages(absl::string_view request, MessageList& messages);

}  // namespace millrace::proxy
