#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "apache/rocketmq/v2/service.pb.h"
#include "services/proxy/service_parts.h"

namespace millrace::proxy {

// How long a receive may wait for its first message (4.8 of the contract).
//   wanted_millis    long_polling_timeout, if the request has one
//   remaining_millis until the client's deadline, if it has one
// Between 5 and 20 s, but always over 0.5 s before the client's deadline; 0: only what is ready.
std::int64_t PollMillis(std::optional<std::int64_t> wanted_millis, std::optional<std::int64_t> remaining_millis,
                        std::int64_t request_timeout_millis);

// ReceiveMessage: checks, then one receive at the broker, whose deliveries become the elements of the client's stream.
class ReceiveHandler {
 public:
  explicit ReceiveHandler(const ServiceParts& parts) : parts_(parts) {}
  void Handle(const RequestContext& context, absl::string_view bytes);

  // Receives that come from now on answer with what is ready and do not wait.
  void StopWaiting() { stop_waiting_ = true; }

 private:
  const ServiceParts& parts_;
  std::atomic<bool> stop_waiting_{false};
};

}  // namespace millrace::proxy
