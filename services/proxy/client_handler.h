#pragma once

#include <string>

#include "services/proxy/service_parts.h"

namespace millrace::proxy {

// Heartbeat and NotifyClientTermination.
class ClientHandler {
 public:
  explicit ClientHandler(const ServiceParts& parts) : parts_(parts) {}

  void HandleHeartbeat(const RequestContext& context, const std::string& bytes);
  void HandleTermination(const RequestContext& context, const std::string& bytes);

 private:
  const ServiceParts& parts_;
};

}  // namespace millrace::proxy
