#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "model/error.h"

// Names of topics, consumer groups and lite topics. A *full name* is what brokers store: "<namespace>%<name>" when the
// client's resource has a namespace, else the name alone. The prefix of a dead letter topic stays in front:
// "%DLQ%<namespace>%<group>". Origin: RocketMQ 5's topic and group validators.
namespace millrace::model {

inline constexpr absl::string_view kDeadLetterPrefix = "%DLQ%";
inline constexpr absl::string_view kRetryPrefix = "%RETRY%";

// kIllegalTopic: blank, longer than 127, a character outside %|a-zA-Z0-9_-, a system topic, "%DLQ%" without a group,
// or a retry topic (redelivery happens in place, so nothing can ever stand in one).
std::optional<Error> ValidateTopic(absl::string_view full_name);

// kIllegalConsumerGroup: blank, longer than 120, a character as above, or the reserved prefix CID_RMQ_SYS_.
std::optional<Error> ValidateConsumerGroup(absl::string_view full_name);

// kIllegalLiteTopic: blank, longer than 64 bytes, or a character outside a-zA-Z0-9_-.
std::optional<Error> ValidateLiteTopic(absl::string_view name);

// Validates the parts and the whole. `resource_namespace` may be empty.
Result<std::string> FullTopicName(absl::string_view resource_namespace, absl::string_view name);
Result<std::string> FullConsumerGroupName(absl::string_view resource_namespace, absl::string_view name);

// Puts the namespace in front, behind %DLQ% or %RETRY%. Names that carry it already and system topics stay as they are.
std::string WrapNamespace(absl::string_view resource_namespace, absl::string_view name);

struct NameParts {
  std::string resource_namespace;
  std::string name;
  friend bool operator==(const NameParts&, const NameParts&) = default;
};
// The opposite: "<ns>%<name>" in two, "%DLQ%<ns>%<group>" as {ns, "%DLQ%group"}.
NameParts UnwrapNamespace(absl::string_view full_name);

bool IsSystemTopic(absl::string_view name);
bool IsSystemGroup(absl::string_view name);
bool IsDeadLetterTopic(absl::string_view full_name);
std::string DeadLetterTopicOf(absl::string_view full_group_name);
// The group of a dead letter topic; a view into `full_topic_name`.
absl::string_view GroupOfDeadLetterTopic(absl::string_view full_topic_name);

}  // namespace millrace::model
