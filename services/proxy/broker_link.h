#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "link/frame.h"
#include "link/messages.h"

namespace millrace::proxy {

// The proxy's link to one broker set, as handlers see it.
// Threads.   Call and Receive from any thread; callbacks come from one thread of the link (or from the caller's, when
//            the link is down) and never block.
// Broken link. Sends end with an unknown outcome; acks, changes and queries are sent again until their time is over;
//            receives end empty when nothing was delivered.
class BrokerLink {
 public:
  virtual ~BrokerLink() = default;

  // One request, one kReply or kSendReply record. `done` is called exactly once. When the broker does not answer within
  // `timeout_millis`, or the link broke under a send, it gets kReply {code PROXY_TIMEOUT or INTERNAL_SERVER_ERROR
  // with a text}; `payload` views live during the call only.
  virtual void Call(link::Op op, std::string payload, std::int64_t timeout_millis,
                    std::function<void(const link::Record&)> done) = 0;

  // What a receive gets: deliveries in order, then one end. Views live during the call only.
  class Receiver {
   public:
    virtual ~Receiver() = default;
    virtual void OnDelivery(const link::Delivery& delivery) = 0;
    virtual void OnEnd(const link::DeliveryEnd& end) = 0;
  };
  // Returns a number for CancelReceive.
  virtual std::uint64_t Receive(std::string payload, std::int64_t timeout_millis,
                                std::shared_ptr<Receiver> receiver) = 0;
  // The client has gone: no OnEnd comes any more; offers of a partial answer are returned by ReportAnswer.
  virtual void CancelReceive(std::uint64_t receive) = 0;

  // How the client's stream ended (answer number of the DeliveryEnd, or of a Delivery when it broke before).
  virtual void ReportAnswer(std::uint64_t answer, bool well) = 0;
  // The client's stream has taken this many bytes of deliveries: credit for more.
  virtual void ReturnCredit(std::size_t bytes) = 0;

  // Liveness. Register names a client (again after every reconnect: the link does that itself from what it was told);
  // SignOfLife is sent once a second for all that had one; Forget after its termination.
  virtual void RegisterClient(absl::string_view client, absl::string_view group) = 0;
  virtual void SignOfLife(absl::string_view client, absl::string_view group) = 0;
  virtual void ClientStreamsEnded(absl::string_view client, absl::string_view group) = 0;

  virtual bool up() const = 0;
  // Name of the set at the other end; empty before the first hello.
  virtual std::string broker_set() const { return {}; }
};

}  // namespace millrace::proxy
