#include "services/proxy/ingress.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "model/names.h"
#include "model/stored_message.h"
#include "model/text.h"
#include "services/proxy/message_fields.h"

namespace millrace::proxy {
namespace {

using model::Error;
using model::ErrorCode;
using model::Quoted;

using Check = std::optional<Error> (*)(const MessageFields&, const IngressContext&, const IngressLimits&);

std::optional<Error> CheckBody(const MessageFields& message, const IngressContext&, const IngressLimits& limits) {
  if (message.body.empty()) return Error{ErrorCode::kMessageBodyEmpty, "the body is empty: send at least one byte"};
  if (message.body.size() <= static_cast<std::size_t>(limits.body_bytes_max)) return std::nullopt;
  return Error{ErrorCode::kMessageBodyTooLarge,
               absl::StrCat("the body has ", message.body.size(), " bytes, the limit is ", limits.body_bytes_max,
                            ": compress or split it")};
}

Error EncodedTooLarge() {
  return {ErrorCode::kMessagePropertiesTooLarge,
          absl::StrCat("the encoded system and user properties have more than ", model::kEncodedPropertyBytesMax,
                       " bytes: use fewer or shorter keys and properties")};
}

std::optional<Error> CheckUserProperties(const MessageFields& message, const IngressContext&,
                                         const IngressLimits& limits) {
  if (message.too_large) return EncodedTooLarge();
  if (message.user.size() > static_cast<std::size_t>(limits.user_properties_max)) {
    return Error{ErrorCode::kMessagePropertiesTooLarge,
                 absl::StrCat("the message has ", message.user.size(), " user properties, the limit is ",
                              limits.user_properties_max, ": move some into the body")};
  }
  for (const UserProperty& property : message.user) {
    if (!model::IsReservedPropertyKey(property.key)) continue;
    return Error{ErrorCode::kIllegalMessagePropertyKey, absl::StrCat("the user property key ", Quoted(property.key),
                                                                     " is reserved for the server: use another key")};
  }
  for (const UserProperty& property : message.user) {
    if (!model::HasControlCharacter(property.key) && !model::HasControlCharacter(property.value)) continue;
    return Error{ErrorCode::kIllegalMessagePropertyKey,
                 absl::StrCat("the user property ", Quoted(property.key), " = ", Quoted(property.value),
                              " holds a control character (U+0000-1F, U+7F-9F): remove or encode it")};
  }
  return std::nullopt;
}

// Why `text` cannot be a tag, a key or a message group; empty when it can.
absl::string_view FaultOf(absl::string_view text) {
  if (text.empty()) return {};
  if (model::IsBlank(text)) return "holds nothing but white space";
  if (model::HasControlCharacter(text)) return "holds a control character (U+0000-1F, U+7F-9F)";
  return {};
}

std::optional<Error> CheckTagAndKeys(const MessageFields& message, const IngressContext&, const IngressLimits&) {
  const absl::string_view tag = message.system.tag;
  absl::string_view fault = FaultOf(tag);
  if (fault.empty() && tag.find('|') != absl::string_view::npos) fault = "holds a '|'";
  if (!fault.empty()) {
    return Error{ErrorCode::kIllegalMessageTag,
                 absl::StrCat("the tag ", Quoted(tag), " ", fault, ": use another tag, or leave it out")};
  }
  for (const absl::string_view key : message.system.keys) {
    if (fault = FaultOf(key); fault.empty()) continue;
    return Error{ErrorCode::kIllegalMessageKey,
                 absl::StrCat("the key ", Quoted(key), " ", fault, ": use another key, or leave it out")};
  }
  return std::nullopt;
}

std::optional<Error> CheckPropertyBytes(const MessageFields& message, const IngressContext&,
                                        const IngressLimits& limits) {
  std::size_t bytes = message.system.tag.size();
  for (const UserProperty& property : message.user) bytes += property.key.size() + property.value.size();
  for (const absl::string_view key : message.system.keys) bytes += key.size();
  if (bytes <= static_cast<std::size_t>(limits.property_bytes_max)) return std::nullopt;
  return Error{ErrorCode::kMessagePropertiesTooLarge,
               absl::StrCat("user properties, tag and keys have ", bytes, " bytes together, the limit is ",
                            limits.property_bytes_max, ": move some into the body")};
}

std::optional<Error> CheckMessageId(const MessageFields& message, const IngressContext&, const IngressLimits&) {
  if (!model::IsBlank(message.system.message_id)) return std::nullopt;
  return Error{ErrorCode::kIllegalMessageId, "the message id is blank: set system_properties.message_id"};
}

std::optional<Error> CheckTimes(const MessageFields& message, const IngressContext& context,
                                const IngressLimits& limits) {
  const SystemProperties& system = message.system;
  if (system.DerivedType() == MessageType::kTransaction && system.recovery) {
    const std::int64_t millis = system.recovery->MillisRoundedUp();
    if (millis < 0 || millis > limits.transaction_recovery_millis_max) {
      return Error{ErrorCode::kBadRequest,
                   absl::StrCat("orphaned_transaction_recovery_duration is ", millis, " ms, it must be between 0 and ",
                                limits.transaction_recovery_millis_max, " ms: choose a shorter one")};
    }
  }
  if (system.delivery) {
    const std::int64_t delay = system.delivery->MillisRoundedUp() - context.now_millis;
    if (delay > limits.delay_millis_max) {
      return Error{ErrorCode::kIllegalDeliveryTime,
                   absl::StrCat("delivery_timestamp is ", delay, " ms from now, the limit is ", limits.delay_millis_max,
                                " ms: send the message later, or ask for an earlier time")};
    }
  }
  return std::nullopt;
}

std::optional<Error> CheckRouting(const MessageFields& message, const IngressContext&, const IngressLimits& limits) {
  const SystemProperties& system = message.system;
  if (system.priority && *system.priority < 0) {
    return Error{ErrorCode::kBadRequest,
                 absl::StrCat("the priority is ", *system.priority, ", it must be 0 or more: larger is more urgent")};
  }
  const absl::string_view group = system.message_group;
  if (const absl::string_view fault = FaultOf(group); !fault.empty()) {
    return Error{ErrorCode::kIllegalMessageGroup,
                 absl::StrCat("the message group ", Quoted(group), " ", fault, ": use another one")};
  }
  if (group.size() > static_cast<std::size_t>(limits.message_group_bytes_max)) {
    return Error{ErrorCode::kIllegalMessageGroup,
                 absl::StrCat("the message group ", Quoted(group), " has ", group.size(), " bytes, the limit is ",
                              limits.message_group_bytes_max, ": shorten or hash it")};
  }
  return system.lite_topic.empty() ? std::nullopt : model::ValidateLiteTopic(system.lite_topic);
}

constexpr Check kChecks[] = {CheckBody,      CheckUserProperties, CheckTagAndKeys, CheckPropertyBytes,
                             CheckMessageId, CheckTimes,          CheckRouting};

// A batch goes to one queue, so what decides about the queue must be the same in all of it.
std::optional<Error> CheckBatch(const MessageList& messages) {
  const SystemProperties& first = messages.front().system;
  for (std::size_t i = 1; i < messages.size(); ++i) {
    const SystemProperties& other = messages[i].system;
    const absl::string_view what = other.DerivedType() != first.DerivedType()         ? "type"
                                   : first.DerivedType() == MessageType::kTransaction ? "transaction"
                                   : other.message_group != first.message_group       ? "message group"
                                   : other.priority != first.priority                 ? "priority"
                                   : other.lite_topic != first.lite_topic             ? "lite topic"
                                                                                      : "";
    if (what.empty()) continue;
    return Error{ErrorCode::kBadRequest,
                 absl::StrCat("messages 1 and ", i + 1, " of the batch of ", messages.size(),
                              what == "transaction" ? " are transactions" : absl::StrCat(" differ in ", what),
                              ": send them one by one")};
  }
  return std::nullopt;
}

Error InMessage(Error error, std::size_t index, std::size_t count) {
  if (count > 1) error.text = absl::StrCat("message ", index + 1, " of ", count, ": ", error.text);
  return error;
}

std::string JoinRaw(const std::vector<UserProperty>& user) {
  std::string joined;
  for (const UserProperty& property : user) joined.append(property.raw.data(), property.raw.size());
  return joined;
}

model::Result<std::string> MakeStored(const MessageFields& message, const IngressContext& context) {
  const std::optional<SystemSlice> system =
      MakeSystemSlice(message.system_occurrences, message.system, context.now_millis, context.peer_host);
  const std::string user = JoinRaw(message.user);
  if (!system || system->bytes.size() + user.size() > model::kEncodedPropertyBytesMax) return EncodedTooLarge();
  return model::EncodeStoredMessage({
      .compressed = message.system.body_encoding == kEncodingGzip,
      .message_type = static_cast<std::uint8_t>(message.system.DerivedType()),
      .tag = system->tag,
      .id = system->id,
      .md5 = base::Md5(message.body),
      .system = system->bytes,
      .user = user,
      .body = message.body,
  });
}

IngressMessage Describe(const MessageFields& fields, std::string stored, const IngressContext& context) {
  const SystemProperties& system = fields.system;
  IngressMessage message;
  message.message_id = system.message_id;
  message.tag = system.tag;
  message.message_group = system.message_group;
  message.lite_topic = system.lite_topic;
  message.keys = system.keys;
  message.type = system.DerivedType();
  message.compressed = system.body_encoding == kEncodingGzip;
  message.verbatim = KeepsBytes(system);
  message.born_millis = system.born ? system.born->MillisRoundedDown() : context.now_millis;
  if (system.delivery) message.delivery_millis = system.delivery->MillisRoundedUp();
  if (system.recovery) message.recovery_millis = system.recovery->MillisRoundedUp();
  if (message.type == MessageType::kPriority) message.priority = system.priority;
  message.stored = std::move(stored);
  return message;
}

std::optional<Error> CheckMessages(MessageList& messages, const IngressContext& context, const IngressLimits& limits) {
  for (std::size_t i = 0; i < messages.size(); ++i) {
    for (const Check check : kChecks) {
      if (auto error = check(messages[i], context, limits)) return InMessage(*std::move(error), i, messages.size());
    }
  }
  return CheckBatch(messages);
}

// The topic of all messages.
model::Result<std::string> TopicOf(const MessageList& messages, const IngressContext& context) {
  const MessageFields& first = messages.front();
  const absl::string_view resource_namespace =
      first.resource_namespace.empty() ? context.default_namespace : first.resource_namespace;
  auto topic = model::FullTopicName(resource_namespace, first.topic);
  if (!topic.ok()) return topic;
  for (const MessageFields& other : messages) {
    if (other.topic == first.topic && other.resource_namespace == first.resource_namespace) continue;
    return Error{ErrorCode::kMessageCorrupted,
                 absl::StrCat("one request sends to the topics ", Quoted(first.topic), " and ", Quoted(other.topic),
                              " (or to two namespaces): send one request for each topic")};
  }
  return topic;
}

}  // namespace

model::Result<IngressSend> ScanSendRequest(absl::string_view request, const IngressContext& context,
                                           const IngressLimits& limits) {
  MessageList messages;
  if (auto error = ScanMessages(request, messages)) return *std::move(error);
  if (messages.empty()) {
    return Error{ErrorCode::kMessageCorrupted, "the request holds no message: send at least one"};
  }
  auto topic = TopicOf(messages, context);
  if (!topic.ok()) return topic.error();
  if (auto error = CheckMessages(messages, context, limits)) return *std::move(error);

  IngressSend send{*std::move(topic), {}};
  send.messages.reserve(messages.size());
  for (std::size_t i = 0; i < messages.size(); ++i) {
    auto stored = MakeStored(messages[i], context);
    if (!stored.ok()) return InMessage(stored.error(), i, messages.size());
    send.messages.push_back(Describe(messages[i], *std::move(stored), context));
  }
  return send;
}

}  // namespace millrace::proxy
