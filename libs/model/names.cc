#include "model/names.h"

#include <algorithm>
#include <array>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "model/properties.h"
#include "model/text.h"

namespace millrace::model {
namespace {

constexpr auto kSystemTopics = std::to_array<absl::string_view>({
    "BenchmarkTest",
    "CHECKPOINT_TOPIC",
    "OFFSET_MOVED_EVENT",
    "RMQ_SYS_ROCKSDB_TRANS_HALF_TOPIC",
    "RMQ_SYS_ROCKSDB_TRANS_OP_HALF_TOPIC",
    "RMQ_SYS_TRACE_TOPIC",
    "RMQ_SYS_TRANS_HALF_TOPIC",
    "RMQ_SYS_TRANS_OP_HALF_TOPIC",
    "SCHEDULE_TOPIC_XXXX",
    "SELF_TEST_TOPIC",
    "TBW102",
    "TRANS_CHECK_MAX_TIME_TOPIC",
});
static_assert(std::is_sorted(kSystemTopics.begin(), kSystemTopics.end()), "looked up by binary search");

constexpr absl::string_view kSystemTopicPrefix = "rmq_sys_";
constexpr absl::string_view kSystemGroupPrefix = "CID_RMQ_SYS_";

bool IsPlain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}
bool IsNameCharacter(char c) { return IsPlain(c) || c == '%' || c == '|'; }

struct NameRule {
  absl::string_view what;
  ErrorCode code;
  std::size_t size_max;
  bool (*allowed)(char);
  absl::string_view allowed_text;
};
constexpr absl::string_view kNameCharacters = "a-z A-Z 0-9 _ - % |";
constexpr NameRule kTopicRule{"topic", ErrorCode::kIllegalTopic, kTopicNameMax, IsNameCharacter, kNameCharacters};
constexpr NameRule kGroupRule{"consumer group", ErrorCode::kIllegalConsumerGroup, kConsumerGroupNameMax,
                              IsNameCharacter, kNameCharacters};
constexpr NameRule kLiteTopicRule{"lite topic", ErrorCode::kIllegalLiteTopic, kLiteTopicNameMax, IsPlain,
                                  "a-z A-Z 0-9 _ -"};

std::optional<Error> Check(const NameRule& rule, absl::string_view name) {
  if (IsBlank(name)) return Error{rule.code, absl::StrCat("the ", rule.what, " name is blank: give one")};
  if (name.size() > rule.size_max) {
    return Error{rule.code, absl::StrCat("the ", rule.what, " name ", Quoted(name), " has ", name.size(),
                                         " bytes, the limit is ", rule.size_max, ": shorten it")};
  }
  if (!std::all_of(name.begin(), name.end(), rule.allowed)) {
    return Error{rule.code, absl::StrCat("the ", rule.what, " name ", Quoted(name),
                                         " has a character that is not one of ", rule.allowed_text, ": rename it")};
  }
  return std::nullopt;
}

// `code` is that of the topic or group which carries the namespace.
std::optional<Error> CheckNamespace(absl::string_view resource_namespace, ErrorCode code) {
  if (std::all_of(resource_namespace.begin(), resource_namespace.end(), IsPlain)) return std::nullopt;
  return Error{code, absl::StrCat("the namespace ", Quoted(resource_namespace), " has a character that is not one of ",
                                  kLiteTopicRule.allowed_text, ": rename it")};
}

// Splits "%DLQ%" or "%RETRY%" off the front of `name`.
absl::string_view TakePrefix(absl::string_view& name) {
  for (const absl::string_view prefix : {kDeadLetterPrefix, kRetryPrefix}) {
    if (absl::ConsumePrefix(&name, prefix)) return prefix;
  }
  return {};
}

Result<std::string> FullName(const NameRule& rule, absl::string_view resource_namespace, absl::string_view name,
                             std::optional<Error> (*validate)(absl::string_view)) {
  if (auto error = Check(rule, name)) return *std::move(error);
  if (auto error = CheckNamespace(resource_namespace, rule.code)) return *std::move(error);
  std::string full = WrapNamespace(resource_namespace, name);
  if (auto error = validate(full)) return *std::move(error);
  return full;
}

}  // namespace

std::optional<Error> ValidateTopic(absl::string_view full_name) {
  if (auto error = Check(kTopicRule, full_name)) return error;
  if (IsSystemTopic(full_name)) {
    return Error{ErrorCode::kIllegalTopic,
                 absl::StrCat("topic ", Quoted(full_name), " is reserved for the system: use another name")};
  }
  if (full_name == kDeadLetterPrefix) {
    return Error{ErrorCode::kIllegalTopic, "topic '%DLQ%' names no consumer group: use '%DLQ%<group>'"};
  }
  if (absl::StartsWith(full_name, kRetryPrefix)) {
    return Error{ErrorCode::kIllegalTopic, absl::StrCat("topic ", Quoted(full_name),
                                                        " is a retry topic, and there are none: messages are "
                                                        "redelivered in their own topic; subscribe that one")};
  }
  return std::nullopt;
}

std::optional<Error> ValidateConsumerGroup(absl::string_view full_name) {
  if (auto error = Check(kGroupRule, full_name)) return error;
  if (IsSystemGroup(full_name)) {
    return Error{ErrorCode::kIllegalConsumerGroup,
                 absl::StrCat("consumer group ", Quoted(full_name), " starts with ", kSystemGroupPrefix,
                              ", which is reserved for the system: use another name")};
  }
  return std::nullopt;
}

std::optional<Error> ValidateLiteTopic(absl::string_view name) { return Check(kLiteTopicRule, name); }

Result<std::string> FullTopicName(absl::string_view resource_namespace, absl::string_view name) {
  return FullName(kTopicRule, resource_namespace, name, ValidateTopic);
}

Result<std::string> FullConsumerGroupName(absl::string_view resource_namespace, absl::string_view name) {
  return FullName(kGroupRule, resource_namespace, name, ValidateConsumerGroup);
}

std::string WrapNamespace(absl::string_view resource_namespace, absl::string_view name) {
  if (resource_namespace.empty() || IsSystemTopic(name)) return std::string(name);
  absl::string_view rest = name;
  const absl::string_view prefix = TakePrefix(rest);
  absl::string_view behind = rest;
  if (absl::ConsumePrefix(&behind, resource_namespace) && absl::StartsWith(behind, "%")) return std::string(name);
  return absl::StrCat(prefix, resource_namespace, "%", rest);
}

NameParts UnwrapNamespace(absl::string_view full_name) {
  absl::string_view rest = full_name;
  const absl::string_view prefix = TakePrefix(rest);
  const std::size_t bar = rest.find('%');
  const bool has_namespace = bar != absl::string_view::npos && bar > 0 && bar + 1 < rest.size();
  if (!has_namespace) return {"", std::string(full_name)};
  return {std::string(rest.substr(0, bar)), absl::StrCat(prefix, rest.substr(bar + 1))};
}

bool IsSystemTopic(absl::string_view name) {
  return absl::StartsWith(name, kSystemTopicPrefix) ||
         std::binary_search(kSystemTopics.begin(), kSystemTopics.end(), name);
}

bool IsSystemGroup(absl::string_view name) { return absl::StartsWith(name, kSystemGroupPrefix); }

bool IsDeadLetterTopic(absl::string_view full_name) { return absl::StartsWith(full_name, kDeadLetterPrefix); }

std::string DeadLetterTopicOf(absl::string_view full_group_name) {
  return absl::StrCat(kDeadLetterPrefix, full_group_name);
}

absl::string_view GroupOfDeadLetterTopic(absl::string_view full_topic_name) {
  return absl::StripPrefix(full_topic_name, kDeadLetterPrefix);
}

}  // namespace millrace::model
