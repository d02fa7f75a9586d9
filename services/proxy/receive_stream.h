#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "base/mutex.h"
#include "link/messages.h"
#include "model/error.h"
#include "services/proxy/broker_link.h"
#include "services/proxy/client_registry.h"
#include "services/proxy/service_parts.h"

namespace millrace::proxy {

// Ends a ReceiveMessage stream without messages: status, delivery_timestamp, OK.
void EndWithStatus(const ServiceParts& parts, const RequestContext& context, const model::Error& error);

// The answer stream of one receive: status before the first message, then the messages, then the time.
// Every answer of the broker is reported exactly once: well when the client's stream ended well with it, else not, so
// that its messages come back soon.
// Threads.   Deliveries from the link's thread; EndEarly and the call's end from any.
// Lifetime.  Shared by the link, the call and the registry of clients.
class ReceiveStream final : public BrokerLink::Receiver,
                            public WaitingPoll,
                            public std::enable_shared_from_this<ReceiveStream> {
 public:
  // `topic`: full name.
  ReceiveStream(const ServiceParts& parts, RequestContext context, const std::string& topic, BrokerLink& link);

  // `payload`: an encoded link::ReceiveRequest; `waits`: it is ready to wait for messages. Called once.
  void Start(std::string payload, std::int64_t timeout_millis, bool waits);

  void OnDelivery(const link::Delivery& delivery) override;
  void OnEnd(const link::DeliveryEnd& end) override;
  void EndEarly() override;
  void Progress() override;

 private:
  enum class State { kWaiting, kDelivering, kEnding, kOver };

  void OnCallEnded(rpc::CallEnd end);
  void NoteEnd(int code) const;
  std::string ElementOf(const link::Delivery& delivery) const;
  // A message of `element` bytes is in the client's stream; it was `delivered` bytes of the link.
  void OnWritten(std::size_t element, std::size_t delivered);
  // Nothing more is wanted from the broker.
  void StopReceive();

  const ServiceParts& parts_;
  const RequestContext context_;
  const std::string resource_namespace_;
  const std::string topic_name_;
  BrokerLink& link_;
  bool waits_ = false;

  base::Mutex mu_;
  State state_ ABSL_GUARDED_BY(mu_) = State::kWaiting;
  bool stop_when_started_ ABSL_GUARDED_BY(mu_) = false;
  std::uint64_t receive_ ABSL_GUARDED_BY(mu_) = 0;  // number at the link; 0: not started
  std::uint64_t answer_ ABSL_GUARDED_BY(mu_) = 0;   // 0: nothing delivered
  std::size_t messages_ ABSL_GUARDED_BY(mu_) = 0;
  // What the client's stream was given and has taken, to tell the broker of progress.
  std::size_t given_ ABSL_GUARDED_BY(mu_) = 0;          // bytes
  std::size_t taken_ ABSL_GUARDED_BY(mu_) = 0;          // bytes at the last look
  std::int64_t taken_millis_ ABSL_GUARDED_BY(mu_) = 0;  // when it last took something, or had something to take again
  std::deque<std::size_t> ends_ ABSL_GUARDED_BY(mu_);   // of the messages that it has not taken, in bytes given
  std::size_t credit_owed_ ABSL_GUARDED_BY(mu_) = 0;    // bytes of deliveries that the client's stream may still hold
};

}  // namespace millrace::proxy
