#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "link/session.h"
#include "rpc/transport.h"
#include "services/proxy/broker_link.h"

namespace millrace::proxy {

// BrokerLink over two streams that it opens itself, and opens again when they break. What was called while the link is
// down waits for it until its time is over; only a send that may have reached the broker is never sent twice.
class LinkClient final : public BrokerLink {
 public:
  struct Options {
    std::string proxy_name;
    std::string cluster;                       // empty: any
    std::uint32_t credit_bytes = 64u << 20;
    std::int64_t reconnect_millis = 100;
    std::int64_t handshake_millis = 3'000;
  };
  // Connects a session to the broker: attaches a sink and feeds frames, or ends the session. Never blocks.
  using OpenStream = std::function<void(const std::shared_ptr<link::Session>&)>;

  LinkClient(const Options& options, const base::Clock& clock, OpenStream open);
  ~LinkClient() override;  // answers everything that waits

  void Call(link::Op op, std::string payload, std::int64_t timeout_millis,
            std::function<void(const link::Record&)> done) override;
  std::uint64_t Receive(std::string payload, std::int64_t timeout_millis, std::shared_ptr<Receiver> receiver) override;
  void CancelReceive(std::uint64_t receive) override;
  void ReportAnswer(std::uint64_t answer, bool well) override;
  void ReturnCredit(std::size_t bytes) override;
  void RegisterClient(absl::string_view client, absl::string_view group) override;
  void SignOfLife(absl::string_view client, absl::string_view group) override;
  void ClientStreamsEnded(absl::string_view client, absl::string_view group) override;
  bool up() const override;

  std::string broker_set() const override;
  link::Session::Counters counters() const;

 private:
  struct PendingCall {
    link::Op op = link::Op::kQuery;
    std::string payload;  // kept while it may be sent (again)
    std::int64_t deadline = 0;
    bool sent = false;
    std::function<void(const link::Record&)> done;
  };
  struct PendingReceive {
    std::string payload;
    std::int64_t deadline = 0;
    bool sent = false;
    std::shared_ptr<Receiver> receiver;
  };
  struct Client {
    std::uint32_t number = 0;
    bool alive = false;  // since the last ClientsAlive
  };
  using ClientKey = std::pair<std::string, std::string>;  // client, group

  void Run();
  void Tick();
  void Connect();
  void OnRecord(std::uint64_t attempt, bool bodies, const link::Record& record);
  void OnStreamEnded(std::uint64_t attempt, const absl::Status& status);
  void OnUp();
  void Answer(const link::Record& record);
  void Fail(std::vector<PendingCall> calls, std::vector<PendingReceive> receives, absl::string_view why);
  std::uint32_t NumberOf(absl::string_view client, absl::string_view group);

  const Options options_;
  const base::Clock& clock_;
  const OpenStream open_;

  mutable base::Mutex mu_;
  base::CondVar stop_signal_;
  std::shared_ptr<link::Session> requests_ ABSL_GUARDED_BY(mu_), bodies_ ABSL_GUARDED_BY(mu_);
  int hellos_ ABSL_GUARDED_BY(mu_) = 0;
  bool up_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::string broker_set_ ABSL_GUARDED_BY(mu_);
  std::uint64_t attempt_ ABSL_GUARDED_BY(mu_) = 0;
  std::int64_t attempt_began_ ABSL_GUARDED_BY(mu_) = 0;
  std::uint64_t next_correlation_ ABSL_GUARDED_BY(mu_) = 1;
  std::map<std::uint64_t, PendingCall> calls_ ABSL_GUARDED_BY(mu_);
  std::map<std::uint64_t, PendingReceive> receives_ ABSL_GUARDED_BY(mu_);
  std::map<ClientKey, Client> clients_ ABSL_GUARDED_BY(mu_);
  std::uint32_t next_client_ ABSL_GUARDED_BY(mu_) = 1;

  std::int64_t last_alive_ = 0;  // the thread's own
  std::thread thread_;
};

// Streams of /millrace.link.v1.Link/Stream over `channel`.
LinkClient::OpenStream OverChannel(std::shared_ptr<rpc::Channel> channel, const base::Clock& clock);

}  // namespace millrace::proxy
