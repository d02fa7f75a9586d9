#pragma once

#include <optional>

#include "absl/strings/string_view.h"
#include "model/error.h"
#include "services/proxy/directory.h"
#include "services/proxy/system_properties.h"

namespace millrace::proxy {

// The set that a receive, an acknowledgement or a change goes to: the one of that name, else the first readable one.
// kForbidden: no set has a readable queue.
model::Result<const SetRoute*> ReadableSet(const TopicRoute& route, absl::string_view broker);

// The set of a message: a message group stays with one set as long as the sets are the same, others go by their id, so
// that a message that is sent again meets the same set.
// kForbidden: no set (or not the group's) has a writable queue.
model::Result<const SetRoute*> WritableSet(const TopicRoute& route, absl::string_view message_group,
                                           absl::string_view message_id);

// kMessagePropertyConflictWithType: the topic does not take messages of that type.
std::optional<model::Error> CheckType(const TopicRoute& route, MessageType type);

absl::string_view NameOfType(MessageType type);
absl::string_view NameOfType(core::TopicType type);

}  // namespace millrace::proxy
