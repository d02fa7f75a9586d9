#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rpc/transport.h"
#include "services/proxy/ack_handler.h"
#include "services/proxy/client_handler.h"
#include "services/proxy/receive_handler.h"
#include "services/proxy/route_handler.h"
#include "services/proxy/send_handler.h"
#include "services/proxy/service_parts.h"

namespace millrace::proxy {

// apache.rocketmq.v2.MessagingService: what the official SDKs call. Business failures are an in-band status; a unary
// call never ends with an error of the transport.
// Threads.   OnRequest and OnStream from any thread, several at once; they never block. Tick, BeginDrain and
//            EndStreams from one.
// Lifetime.  `directory` and `clock` outlive the service; the service outlives every call and every callback of a link.
class MessagingService final : public rpc::Service {
 public:
  MessagingService(const ServiceOptions& options, Directory& directory, const base::Clock& clock);

  std::optional<rpc::CallKind> Kind(absl::string_view method) const override;
  std::vector<std::string> FrequentMethods() const override;
  void OnRequest(std::shared_ptr<rpc::ServerCall> call, absl::string_view message) override;
  std::unique_ptr<rpc::StreamHandler> OnStream(std::shared_ptr<rpc::ServerCall> call) override;

  // Wanted once a second: forgets clients that have gone and tells open streams about changed groups.
  void Tick();

  // Shutdown, first step: polls end at once with MESSAGE_NOT_FOUND, new ones do not wait. Everything is still served.
  void BeginDrain();
  // Second step, when the transport has stopped accepting: ends the Telemetry streams with UNAVAILABLE.
  void EndStreams();

  const ProxyMetrics& metrics() const { return metrics_; }
  const ClientRegistry& clients() const { return clients_; }

 private:
  void Dispatch(const RequestContext& context, absl::string_view bytes);
  void RefuseUnoffered(const RequestContext& context);

  const ServiceOptions options_;
  ProxyMetrics metrics_;
  RefusalLog refusals_;
  ClientRegistry clients_;
  const ServiceParts parts_;
  SendHandler send_;
  ReceiveHandler receive_;
  AckHandler ack_;
  RouteHandler route_;
  ClientHandler client_;
  bool draining_ = false;  // Tick's thread
};

}  // namespace millrace::proxy
