#include "services/proxy/client_handler.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "apache/rocketmq/v2/service.pb.h"
#include "link/messages.h"
#include "services/proxy/answers.h"

namespace millrace::proxy {
namespace {

namespace v2 = apache::rocketmq::v2;
using model::Error;
using model::ErrorCode;

constexpr std::int64_t kTerminationMillisMax = 1'000;  // clients wait for the answer before they exit

bool IsConsumer(int client_type) { return client_type >= v2::PUSH_CONSUMER && client_type <= v2::LITE_SIMPLE_CONSUMER; }

// Answers OK once every broker has answered or its time is over: the client ends whatever they say.
class PendingTermination {
 public:
  PendingTermination(const ServiceParts& parts, RequestContext context) : parts_(parts), context_(std::move(context)) {}

  void Begin() { ++missing_; }
  void End() {
    if (--missing_ == 0) Answer(parts_, context_, kOk, OkAnswer());
  }

 private:
  const ServiceParts& parts_;
  const RequestContext context_;
  std::atomic<int> missing_{1};  // the one is the asking itself
};

}  // namespace

void ClientHandler::HandleHeartbeat(const RequestContext& context, absl::string_view bytes) {
  v2::HeartbeatRequest request;
  if (!Decode(parts_, context, bytes, request)) return;
  const auto settings = parts_.clients.SettingsOf(context.client_id());
  const int type = settings ? settings->client_type : request.client_type();
  if (type == v2::PRODUCER) {
    parts_.clients.SawProducer(context.client_id());
  } else if (IsConsumer(type)) {
    const bool names_group = request.has_group() || !settings;
    const auto group = names_group ? context.Group(request.group()) : model::Result<std::string>(settings->group);
    if (!group.ok()) return Refuse(parts_, context, group.error());
    parts_.clients.Saw(context.client_id(), *group);
  } else {
    return Refuse(parts_, context,
                  {ErrorCode::kUnrecognizedClientType,
                   absl::StrCat("client_type is ", static_cast<int>(request.client_type()),
                                " and the client has sent no settings: send settings on Telemetry, or set client_type "
                                "and, for consumers, the group")});
  }
  Answer(parts_, context, kOk, OkAnswer());
}

void ClientHandler::HandleTermination(const RequestContext& context, absl::string_view bytes) {
  v2::NotifyClientTerminationRequest request;
  if (!Decode(parts_, context, bytes, request)) return;
  const auto settings = parts_.clients.SettingsOf(context.client_id());
  const bool is_consumer = settings && IsConsumer(settings->client_type);
  std::string group;
  if (!request.group().name().empty() || (is_consumer && request.has_group())) {
    auto named = context.Group(request.group());
    if (!named.ok()) return Refuse(parts_, context, named.error());
    group = *std::move(named);
  }
  std::vector<std::string> groups = parts_.clients.Terminate(context.client_id());
  if (std::find(groups.begin(), groups.end(), group) == groups.end()) groups.push_back(group);

  const auto pending = std::make_shared<PendingTermination>(parts_, context);
  const std::int64_t timeout = std::min(context.BrokerMillis(), kTerminationMillisMax);
  parts_.directory.ForEachLink([&](BrokerLink& link) {
    for (const std::string& each : groups) {
      std::string record;
      link::Encode(link::ClientRecord{.client = context.client_id(), .group = each}, record);
      pending->Begin();
      link.Call(link::Op::kClientTerminated, std::move(record), timeout,
                [pending](const link::Record&) { pending->End(); });
    }
  });
  pending->End();
}

}  // namespace millrace::proxy
