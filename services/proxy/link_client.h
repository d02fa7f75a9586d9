#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "link/session.h"
#include "rpc/transport.h"
#include "services/proxy/broker_link.h"
#include "services/proxy/forward_metrics.h"
#include "services/proxy/link_roster.h"

namespace millrace::proxy {

// BrokerLink over two streams that it opens itself, and opens again when they break. Memory: deliveries are bounded by
// the credit that it gives the broker, over all its links; sends by what may queue.
class LinkClient final : public BrokerLink {
 public:
  struct Options {
    std::string proxy_name;
    std::string cluster;                     // empty: any
    std::uint32_t credit_bytes = 64u << 20;  // more than the largest message
    std::size_t send_bytes_max = 64u << 20;  // of sends that wait for the transport or the link
    std::int64_t reconnect_millis = 100;
    std::int64_t handshake_millis = 3'000;
    std::int64_t tick_millis = 100;  // 0: no thread of its own, the owner calls Tick()
  };
  // Connects a session to the broker: attaches a sink and feeds frames, or ends the session. Never blocks.
  using OpenStream = std::function<void(const std::shared_ptr<link::Session>&)>;

  LinkClient(const Options& options, const base::Clock& clock, OpenStream open);
  ~LinkClient() override;  // answers everything that waits

  void Call(link::Op op, std::string payload, std::int64_t timeout_millis, Done done) override;
  std::uint64_t Receive(std::string payload, std::int64_t timeout_millis, std::shared_ptr<Receiver> receiver) override;
  void CancelReceive(std::uint64_t receive) override;
  void ReportAnswer(std::uint64_t answer, bool well) override;
  void AnswerWritten(std::uint64_t answer) override;
  void ReturnCredit(std::size_t bytes) override;
  void RegisterClient(absl::string_view client, absl::string_view group) override;
  void SignOfLife(absl::string_view client, absl::string_view group) override;
  void ClientStreamsEnded(absl::string_view client, absl::string_view group) override;
  bool up() const override;

  std::string broker_set() const override;
  std::string cluster() const;  // empty before the first hello

  struct Stats {
    link::Session::Counters frames;  // of both streams, over all links
    std::uint64_t breaks = 0;        // links that were up and broke
    std::size_t calls = 0, receives = 0;
    std::size_t queued_bytes = 0;  // that no frame has taken yet
  };
  Stats stats() const;
  const ForwardMetrics& forwarded() const { return forwarded_; }

  // Connects, gives up what is late, pings, sends signs of life and credit. From one thread.
  void Tick();

 private:
  struct PendingCall {
    link::Op op = link::Op::kQuery;
    std::string payload;  // kept while it may be sent (again)
    std::int64_t deadline = 0;
    std::int64_t began_nanos = 0;
    bool sent = false;
    Done done;
  };
  struct PendingReceive {
    std::string payload;
    std::int64_t deadline = 0;
    bool sent = false;
    std::shared_ptr<Receiver> receiver;
  };
  // What the broker said on one of the two streams.
  struct BrokerHello {
    bool said = false;
    std::uint64_t start_number = 0;
    std::string set, cluster;
  };
  struct Late {
    std::vector<PendingCall> calls;
    std::vector<PendingReceive> receives;
  };

  class Life;

  void Run();
  void Connect();
  void OnRecord(std::uint64_t attempt, bool bodies, const link::Record& record);
  void OnHello(std::uint64_t attempt, bool bodies, const link::Record& record);
  void OnDelivery(std::uint64_t attempt, const link::Record& record);
  void OnDeliveryEnd(std::uint64_t attempt, const link::Record& record);
  void OnReply(std::uint64_t attempt, const link::Record& record);
  void OnStreamEnded(std::uint64_t attempt, const absl::Status& status);
  void Refuse(std::uint64_t attempt, const std::string& why);

  void TakeLate(std::int64_t now, Late& unsent, Late& sent) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void BringUp() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void QueueRequest(std::uint64_t correlation, link::Op op, absl::string_view payload, std::int64_t deadline)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void QueueClient(link::Op op, const link::ClientRecord& client) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void QueueCredit() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Sign(absl::string_view client, absl::string_view group);
  static void Fail(Late late, absl::string_view why);

  const Options options_;
  const base::Clock& clock_;
  const OpenStream open_;
  const std::shared_ptr<Life> life_;

  mutable base::Mutex mu_;
  base::CondVar stop_signal_;
  std::shared_ptr<link::Session> requests_ ABSL_GUARDED_BY(mu_), bodies_ ABSL_GUARDED_BY(mu_);
  BrokerHello hellos_[2] ABSL_GUARDED_BY(mu_);
  bool up_ ABSL_GUARDED_BY(mu_) = false;  // requests_ and bodies_ are there, and the broker has said hello on both
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::string broker_set_ ABSL_GUARDED_BY(mu_), cluster_ ABSL_GUARDED_BY(mu_);
  link::Session::Counters ended_frames_ ABSL_GUARDED_BY(mu_);  // of earlier links
  std::uint64_t breaks_ ABSL_GUARDED_BY(mu_) = 0;
  ForwardMetrics forwarded_;
  std::uint64_t attempt_ ABSL_GUARDED_BY(mu_) = 0;  // which link: what an older one still says is dropped
  std::int64_t attempt_began_ ABSL_GUARDED_BY(mu_);
  std::uint64_t next_correlation_ ABSL_GUARDED_BY(mu_) = 1;
  absl::flat_hash_map<std::uint64_t, PendingCall> calls_ ABSL_GUARDED_BY(mu_);  // by correlation, which grows
  std::map<std::uint64_t, PendingReceive> receives_ ABSL_GUARDED_BY(mu_);
  std::size_t unsent_bytes_ ABSL_GUARDED_BY(mu_) = 0;          // of sends in calls_
  std::set<std::uint64_t> open_answers_ ABSL_GUARDED_BY(mu_);  // of this link, not reported
  LinkRoster roster_ ABSL_GUARDED_BY(mu_);

  // allowance + held + due = Options::credit_bytes, whatever links come and go.
  std::uint64_t allowance_ ABSL_GUARDED_BY(mu_) = 0;  // the broker may send this much
  std::uint64_t held_ ABSL_GUARDED_BY(mu_) = 0;       // delivered, not given back
  std::uint64_t due_ ABSL_GUARDED_BY(mu_);            // given back, the broker does not know it yet

  std::int64_t last_alive_ = 0;  // Tick's thread
  std::thread thread_;
};

// Streams of /millrace.link.v1.Link/Stream over `channel`.
LinkClient::OpenStream OverChannel(std::shared_ptr<rpc::Channel> channel, const base::Clock& clock);

}  // namespace millrace::proxy
