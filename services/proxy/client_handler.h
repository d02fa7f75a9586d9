#pragma once

#include <string>

#include "services/proxy/service_parts.h"

namespace millrace::proxy {

// Heartbeat and NotifyClientTermination.
class ClientHandler {
 public:
  explicit ClientHandler(const ServiceParts& parts) : parts_(parts) {}

  void HandleHeartbeat(const RequestContext& context, absl::string_view bytes);
  void HandleTermination(const RequestContext& context, absl::string_view bytes);

 private:
  const ServiceParts& parts_;
};

}  // namespace millrace::proxy
