#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "rpc/transport.h"

namespace millrace::proxy {

// The methods of apache.rocketmq.v2.MessagingService.
enum class Method : std::uint8_t {
  kQueryRoute,
  kHeartbeat,
  kSendMessage,
  kQueryAssignment,
  kReceiveMessage,
  kAckMessage,
  kForwardMessageToDeadLetterQueue,
  kPullMessage,
  kUpdateOffset,
  kGetOffset,
  kQueryOffset,
  kEndTransaction,
  kTelemetry,
  kNotifyClientTermination,
  kChangeInvisibleDuration,
  kRecallMessage,
  kSyncLiteSubscription,
};
inline constexpr std::size_t kMethodCount = 17;

// `path`: "/apache.rocketmq.v2.MessagingService/SendMessage". nullopt: not a method of this service.
std::optional<Method> FindMethod(absl::string_view path);
rpc::CallKind KindOf(Method method);
absl::string_view NameOf(Method method);  // "SendMessage"
std::string PathOf(Method method);

}  // namespace millrace::proxy
