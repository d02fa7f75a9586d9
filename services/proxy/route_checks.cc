#include "services/proxy/route_checks.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "model/names.h"
#include "services/proxy/record_hashes.h"

namespace millrace::proxy {
namespace {

using model::Error;
using model::ErrorCode;

Error NoQueue(const TopicRoute& route, absl::string_view what, absl::string_view fix) {
  return {ErrorCode::kForbidden,
          absl::StrCat("topic ", route.config.name, " has no ", what, " queue: ", fix, " on the topic")};
}

}  // namespace

model::Result<const SetRoute*> ReadableSet(const TopicRoute& route, absl::string_view broker) {
  const SetRoute* chosen = nullptr;
  for (const SetRoute& set : route.sets) {
    if (!set.readable()) continue;
    if (set.broker == broker) return &set;
    if (chosen == nullptr) chosen = &set;
  }
  if (chosen == nullptr) return NoQueue(route, "readable", "set read access");
  return chosen;
}

model::Result<const SetRoute*> WritableSet(const TopicRoute& route, absl::string_view message_group,
                                           absl::string_view message_id) {
  if (!message_group.empty()) {
    const SetRoute& set = route.sets[GroupHash(message_group) % route.sets.size()];
    if (!set.writable()) return NoQueue(route, "writable", "set write access");
    return &set;
  }
  // Rendezvous hash: a set that joins or leaves moves no message between the others.
  const SetRoute* chosen = nullptr;
  std::uint64_t best = 0;
  for (const SetRoute& set : route.sets) {
    if (!set.writable()) continue;
    if (chosen != nullptr && route.sets.size() == 1) break;
    const std::uint64_t score = route.sets.size() == 1 ? 0 : KeyHash(absl::StrCat(set.broker, "/", message_id));
    if (chosen == nullptr || score > best) {
      chosen = &set;
      best = score;
    }
  }
  if (chosen == nullptr) return NoQueue(route, "writable", "set write access");
  return chosen;
}

std::optional<Error> CheckType(const TopicRoute& route, MessageType type) {
  const core::TopicType topic_type = route.config.type;
  const bool dead_letters = model::IsDeadLetterTopic(route.config.name);
  const bool is_mixed = topic_type == core::TopicType::kMixed;
  const bool fits_mixed = type != MessageType::kLite && type != MessageType::kPriority;
  if (dead_letters || (is_mixed && fits_mixed) || static_cast<int>(topic_type) == static_cast<int>(type)) {
    return std::nullopt;
  }
  return Error{ErrorCode::kMessagePropertyConflictWithType,
               absl::StrCat("the message is of type ", NameOfType(type), ", topic ", route.config.name,
                            " takes messages of type ", NameOfType(topic_type),
                            ": send to a topic of that type, or leave out the property that makes the type")};
}

absl::string_view NameOfType(MessageType type) { return NameOfType(static_cast<core::TopicType>(type)); }

absl::string_view NameOfType(core::TopicType type) {
  switch (type) {
    case core::TopicType::kNormal: return "NORMAL";
    case core::TopicType::kFifo: return "FIFO (message_group)";
    case core::TopicType::kDelay: return "DELAY (delivery_timestamp)";
    case core::TopicType::kTransaction: return "TRANSACTION";
    case core::TopicType::kLite: return "LITE (lite_topic)";
    case core::TopicType::kPriority: return "PRIORITY (priority)";
    case core::TopicType::kMixed: return "NORMAL, FIFO, DELAY or TRANSACTION";
  }
  return "unknown";
}

}  // namespace millrace::proxy
