#pragma once

#include <string>

#include "services/proxy/service_parts.h"

namespace millrace::proxy {

// AckMessage, ChangeInvisibleDuration and ForwardMessageToDeadLetterQueue: what is done with a receipt handle. Answers
// repeat the handle that the client sent whatever the outcome, because clients copy it before they look at the status.
class AckHandler {
 public:
  explicit AckHandler(const ServiceParts& parts) : parts_(parts) {}

  void HandleAck(const RequestContext& context, absl::string_view bytes);
  void HandleChange(const RequestContext& context, absl::string_view bytes);
  void HandleForward(const RequestContext& context, absl::string_view bytes);

 private:
  const ServiceParts& parts_;
};

}  // namespace millrace::proxy
