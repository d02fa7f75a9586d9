#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "core/actions.h"
#include "link/messages.h"
#include "link/session.h"
#include "rpc/transport.h"
#include "services/broker/claim_gate.h"
#include "services/broker/inbox.h"

namespace millrace::broker {

// The broker's end of every link: turns records into events of the core, and carries the core's answers back. A link is
// two streams of one proxy process, `requests` and `bodies`; it is up once both have said hello, and goes as a whole.
// Threads. Records arrive on transport threads; Answer... and Tick come from the core's thread.
class LinkHub final : public rpc::Service {
 public:
  struct Options {
    std::string cluster;
    std::string broker_set;
    std::uint64_t start_number = 0;
    std::uint64_t epoch = 0;
    std::string mac_key;
    bool auto_create_topics = false;
    bool auto_create_groups = true;
  };
  // kGetMessage does not concern the core. Called from transport threads.
  using GetMessage = std::function<void(core::ReplyTo reply, const link::GetMessage& request)>;

  LinkHub(const base::Clock& clock, Inbox& inbox, BodySlots& bodies, ClaimGate& gate, GetMessage get_message);

  // What hellos say; set once, before the first stream.
  void SetUp(Options options);

  // A stream of a link over any transport: attach a sink to it, feed it frames.
  std::shared_ptr<link::Session> NewStream();

  // /millrace.link.v1.Link/Stream over rpc.
  std::optional<rpc::CallKind> Kind(absl::string_view method) const override;
  void OnRequest(std::shared_ptr<rpc::ServerCall> call, absl::string_view message) override;
  std::unique_ptr<rpc::StreamHandler> OnStream(std::shared_ptr<rpc::ServerCall> call) override;

  void Answer(core::ReplyTo to, const link::SendReply& reply);
  void Answer(core::ReplyTo to, const link::Reply& reply);
  // From any thread: an answer that no turn of the core gives.
  void AnswerNow(core::ReplyTo to, const link::Reply& reply);
  // False: the link went down.
  bool Deliver(core::ReplyTo to, const link::Delivery& delivery);
  bool EndDelivery(core::ReplyTo to, const link::DeliveryEnd& end);
  // The op of the request behind `to`.
  static link::Op OpOf(core::ReplyTo to) { return static_cast<link::Op>(to.reserved); }

  // Sends what was queued since the last call, and answers overdue frames. True: another Tick is wanted in 1 ms.
  bool FlushTurn();
  void Tick();  // every 250 ms or so: pings, silence
  void CloseAll(const absl::Status& status);

  std::size_t links() const;
  link::Session::Counters counters() const;  // of all streams since the start
  std::size_t queued_bytes() const;          // of records that no frame has taken

 private:
  struct Stream {
    std::uint64_t number = 0;
    std::shared_ptr<link::Session> session;  // guarded by mu_, as is `bodies`
    bool bodies = false;
    std::atomic<std::uint32_t> link{0};  // 0: no hello yet
    std::atomic<bool> ended{false};
  };
  struct Link {
    std::uint64_t process = 0;
    std::uint32_t credit_bytes = 0;
    std::shared_ptr<link::Session> requests, bodies;
  };

  void OnRecord(Stream& stream, const link::Record& record);
  void OnHello(Stream& stream, const link::Record& record);
  void OnEnded(Stream& stream, const absl::Status& status);
  void PostLinkDown(std::uint32_t link);
  bool PostRequest(std::uint32_t link, const link::Record& record);
  void PostSend(core::ReplyTo reply, const link::SendRequest& request);
  void Refuse(Stream& stream, const std::string& why);
  std::shared_ptr<link::Session> SessionOf(std::uint32_t link, bool bodies);
  bool QueueTo(core::ReplyTo to, bool bodies, link::Op op, const std::string& payload);

  const base::Clock& clock_;
  Inbox& inbox_;
  BodySlots& bodies_;
  ClaimGate& gate_;
  const GetMessage get_message_;
  Options options_;

  mutable base::Mutex mu_;
  std::uint64_t next_stream_ ABSL_GUARDED_BY(mu_) = 1;
  std::uint32_t next_link_ ABSL_GUARDED_BY(mu_) = 1;
  std::map<std::uint64_t, std::shared_ptr<Stream>> streams_ ABSL_GUARDED_BY(mu_);
  std::map<std::uint32_t, Link> links_ ABSL_GUARDED_BY(mu_);
  link::Session::Counters ended_ ABSL_GUARDED_BY(mu_);  // of streams that have ended

  // The core's thread.
  std::vector<std::shared_ptr<link::Session>> touched_;
  std::string scratch_;
};

}  // namespace millrace::broker
