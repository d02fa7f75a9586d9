#pragma once

#include <string>

#include "services/proxy/service_parts.h"

namespace millrace::proxy {

// SendMessage. Reads the request's bytes once (ingress.h), asks the directory for the topic and passes the messages on
// as one record; the broker's answer becomes one entry for each message, in the request's order.
class SendHandler {
 public:
  explicit SendHandler(const ServiceParts& parts) : parts_(parts) {}
  void Handle(const RequestContext& context, absl::string_view bytes);

 private:
  const ServiceParts& parts_;
};

}  // namespace millrace::proxy
