#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/strings/string_view.h"
#include "link/frame.h"
#include "link/messages.h"

namespace millrace::proxy {

// The proxy's link to one broker set, as handlers see it.
// Threads.   Every method from any thread. Callbacks come from threads of the link, or from the caller's when a call is
//            refused at once; without a lock held, so they may use the link; they never block.
// Broken link. Sends that may have reached the broker end with an unknown outcome and are never sent twice; acks,
//            changes and queries are sent again until their time is over; receives that were sent end, empty when
//            nothing was delivered. What was not sent waits for the next link until its time is over.
class BrokerLink {
 public:
  virtual ~BrokerLink() = default;

  // One request, one kReply or kSendReply record. `done` is called exactly once. When the broker does not answer within
  // `timeout_millis`, or the link broke under a send, it gets kReply {code PROXY_TIMEOUT with a text}; a send beyond
  // the bytes that may queue gets TOO_MANY_REQUESTS at once, in the caller's thread. `payload` views live during the
  // call only.
  using Done = absl::AnyInvocable<void(const link::Record&)>;  // small ones are kept without an allocation
  virtual void Call(link::Op op, std::string payload, std::int64_t timeout_millis, Done done) = 0;

  // What a receive gets: deliveries in order, one at a time, then one end. When the link breaks or the time is over the
  // end may overtake a last delivery; that one is taken as of a client that has gone. Every delivery's bytes are given
  // back by ReturnCredit, every answer is reported by ReportAnswer. Views live during the call only.
  class Receiver {
   public:
    virtual ~Receiver() = default;
    virtual void OnDelivery(const link::Delivery& delivery) = 0;
    virtual void OnEnd(const link::DeliveryEnd& end) = 0;
  };
  // Returns a number for CancelReceive, which the receiver may hear from before it is returned.
  virtual std::uint64_t Receive(std::string payload, std::int64_t timeout_millis,
                                std::shared_ptr<Receiver> receiver) = 0;
  // The client has gone: no OnEnd comes any more; offers of a partial answer are returned by ReportAnswer.
  virtual void CancelReceive(std::uint64_t receive) = 0;

  // How the client's stream ended (answer number of the DeliveryEnd, or of a Delivery when it broke before). Ignored
  // when the answer came over a link that is gone: its broker has taken the offers back.
  virtual void ReportAnswer(std::uint64_t answer, bool well) = 0;
  // The client's stream has taken another piece of the answer: its offers live on.
  virtual void AnswerWritten(std::uint64_t) {}
  // The client's stream has taken this many bytes of deliveries (Delivery::stored): credit for more. Exactly once each.
  virtual void ReturnCredit(std::size_t bytes) = 0;

  // Liveness. A client is named to the broker when it registers or has a sign of life for the first time, and again
  // after every reconnect; signs of life go out once a second for all that had one. ClientStreamsEnded holds until the
  // next sign. A call of kClientTerminated ends all that.
  virtual void RegisterClient(absl::string_view client, absl::string_view group) = 0;
  virtual void SignOfLife(absl::string_view client, absl::string_view group) = 0;
  virtual void ClientStreamsEnded(absl::string_view client, absl::string_view group) = 0;

  virtual bool up() const = 0;
  // Name of the set at the other end; empty before the first hello.
  virtual std::string broker_set() const { return {}; }
};

}  // namespace millrace::proxy
