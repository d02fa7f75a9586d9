#include "services/proxy/method.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace millrace::proxy {
namespace {

constexpr absl::string_view kPrefix = "/apache.rocketmq.v2.MessagingService/";

// In the order of the enum.
constexpr std::array<absl::string_view, kMethodCount> kNames = {
    "QueryRoute",
    "Heartbeat",
    "SendMessage",
    "QueryAssignment",
    "ReceiveMessage",
    "AckMessage",
    "ForwardMessageToDeadLetterQueue",
    "PullMessage",
    "UpdateOffset",
    "GetOffset",
    "QueryOffset",
    "EndTransaction",
    "Telemetry",
    "NotifyClientTermination",
    "ChangeInvisibleDuration",
    "RecallMessage",
    "SyncLiteSubscription",
};

}  // namespace

std::optional<Method> FindMethod(absl::string_view path) {
  if (!absl::ConsumePrefix(&path, kPrefix)) return std::nullopt;
  const auto found = std::find(kNames.begin(), kNames.end(), path);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<Method>(found - kNames.begin());
}

rpc::CallKind KindOf(Method method) {
  switch (method) {
    case Method::kReceiveMessage:
    case Method::kPullMessage: return rpc::CallKind::kServerStream;
    case Method::kTelemetry: return rpc::CallKind::kBidi;
    default: return rpc::CallKind::kUnary;
  }
}

absl::string_view NameOf(Method method) { return kNames[static_cast<std::size_t>(method)]; }

std::string PathOf(Method method) { return absl::StrCat(kPrefix, NameOf(method)); }

}  // namespace millrace::proxy
