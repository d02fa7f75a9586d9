#include "services/proxy/messaging_service.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "services/proxy/answers.h"
#include "services/proxy/receive_stream.h"
#include "services/proxy/telemetry_handler.h"

namespace millrace::proxy {

MessagingService::MessagingService(const ServiceOptions& options, Directory& directory, const base::Clock& clock)
    : options_(options),
      clients_(directory, clock),
      parts_{options_, clock, directory, clients_, metrics_, refusals_},
      send_(parts_),
      receive_(parts_),
      ack_(parts_),
      route_(parts_),
      client_(parts_) {}

std::optional<rpc::CallKind> MessagingService::Kind(absl::string_view method) const {
  const auto found = FindMethod(method);
  if (!found) return std::nullopt;
  return KindOf(*found);
}

std::vector<std::string> MessagingService::FrequentMethods() const {
  return {PathOf(Method::kSendMessage), PathOf(Method::kAckMessage)};
}

void MessagingService::OnRequest(std::shared_ptr<rpc::ServerCall> call, absl::string_view message) {
  const auto method = FindMethod(call->method());
  MR_CHECK(method.has_value());  // Kind() let the call in
  const RequestContext context(std::move(call), *method, parts_.clock.MonotonicNanos());
  if (const auto error = Admit(parts_, context)) {
    // One status and nothing else is what clients expect for UNAUTHORIZED (contract 2.3).
    const bool status_alone = *method != Method::kReceiveMessage || error->code == model::ErrorCode::kUnauthorized;
    if (!status_alone) return EndWithStatus(parts_, context, *error);
    return Refuse(parts_, context, *error);
  }
  Dispatch(context, message);
}

void MessagingService::Dispatch(const RequestContext& context, absl::string_view bytes) {
  switch (context.method()) {
    case Method::kSendMessage: return send_.Handle(context, bytes);
    case Method::kReceiveMessage: return receive_.Handle(context, bytes);
    case Method::kAckMessage: return ack_.HandleAck(context, bytes);
    case Method::kChangeInvisibleDuration: return ack_.HandleChange(context, bytes);
    case Method::kForwardMessageToDeadLetterQueue: return ack_.HandleForward(context, bytes);
    case Method::kQueryRoute: return route_.HandleRoute(context, bytes);
    case Method::kQueryAssignment: return route_.HandleAssignment(context, bytes);
    case Method::kHeartbeat: return client_.HandleHeartbeat(context, bytes);
    case Method::kNotifyClientTermination: return client_.HandleTermination(context, bytes);
    case Method::kTelemetry:
    case Method::kPullMessage:
    case Method::kUpdateOffset:
    case Method::kGetOffset:
    case Method::kQueryOffset:
    case Method::kEndTransaction:
    case Method::kRecallMessage:
    case Method::kSyncLiteSubscription: return RefuseUnoffered(context);
  }
}

void MessagingService::RefuseUnoffered(const RequestContext& context) {
  clients_.Saw(context.client_id(), "");
  Refuse(parts_, context,
         {model::ErrorCode::kNotImplemented,
          absl::StrCat(NameOf(context.method()), " is not offered by this version of the server")});
}

std::unique_ptr<rpc::StreamHandler> MessagingService::OnStream(std::shared_ptr<rpc::ServerCall> call) {
  const auto method = FindMethod(call->method());
  MR_CHECK(method == Method::kTelemetry);
  auto stream = std::make_shared<TelemetryStream>(
      parts_, RequestContext(std::move(call), *method, parts_.clock.MonotonicNanos()));
  stream->Start();
  return HandlerOf(std::move(stream));
}

void MessagingService::Tick() {
  clients_.Tick();
  if (draining_) clients_.EndPolls();  // those that began to wait while the drain began
}

void MessagingService::BeginDrain() {
  draining_ = true;
  receive_.StopWaiting();
  clients_.EndPolls();
}

void MessagingService::EndStreams() {
  clients_.CloseStreams(absl::UnavailableError("the server is shutting down: reconnect"));
}

}  // namespace millrace::proxy
