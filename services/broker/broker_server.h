#pragma once

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "auth/cluster_secret.h"
#include "services/broker/broker.h"
#include "rpc/server.h"

namespace millrace::broker {

// A broker behind its port.
class BrokerServer {
 public:
  // `loop`: serves links; null: one of its own. `secret`: what callers must have; null: nothing. Errors of Broker::Open
  // and rpc::StartServer.
  static absl::StatusOr<std::unique_ptr<BrokerServer>> Start(
      const BrokerOptions& options, const std::string& listen, io::FileSystem& fs, const base::Clock& clock,
      TopicListener& topics, std::shared_ptr<rpc::EventLoop> loop = nullptr,
      std::shared_ptr<const auth::ClusterSecret> secret = nullptr) {
    std::unique_ptr<BrokerServer> made(new BrokerServer());
    auto broker = Broker::Open(options, fs, clock, topics);
    if (!broker.ok()) return broker.status();
    made->broker_ = *std::move(broker);
    auto server = rpc::StartServer({.address = listen,
                                    .loop = std::move(loop),
                                    .message_bytes_max = 64 << 20,
                                    .admit = auth::AdmitBy(std::move(secret))},
                                   {&made->broker_->links()});
    if (!server.ok()) return server.status();
    made->server_ = *std::move(server);
    return made;
  }

  Broker& broker() { return *broker_; }
  int port() const { return server_->port(); }

  // Ends links first, so proxies look for another master at once; then what was confirmed is kept.
  absl::Status Stop() {
    server_->SetServing(false);
    const absl::Status stopped = broker_->Stop();
    server_->Shutdown(1'000);
    return stopped;
  }

 private:
  BrokerServer() = default;

  std::unique_ptr<Broker> broker_;
  std::unique_ptr<rpc::Server> server_;
};

}  // namespace millrace::broker
