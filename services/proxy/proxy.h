#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "auth/user_file.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "io/file_system.h"
#include "rpc/server.h"
#include "services/proxy/admin_service.h"
#include "services/proxy/canary.h"
#include "services/proxy/link_client.h"
#include "services/proxy/messaging_service.h"
#include "services/proxy/proxy_config.h"
#include "services/proxy/scaler_service.h"
#include "services/proxy/single_set_directory.h"

namespace millrace::proxy {

// A proxy behind its two ports: clients, and administrators (autoscalers among them).
// Lifetime. `clock` outlives it. Destruction stops at once.
class Proxy {
 public:
  // `open`: how links reach the broker set `broker_set`. `loop`: serves clients first of all; null: one of its own.
  // Errors are those of rpc::StartServer, FindTlsIdentity and auth::UserFile.
  static absl::StatusOr<std::unique_ptr<Proxy>> Start(const ProxyConfig& config, const std::string& broker_set,
                                                      LinkClient::OpenStream open, io::FileSystem& fs,
                                                      const base::Clock& clock,
                                                      std::shared_ptr<rpc::EventLoop> loop = nullptr);
  ~Proxy();

  int port() const { return clients_->port(); }
  int admin_port() const { return admins_->port(); }
  bool ready() const { return link_->up(); }
  const std::string& name() const { return name_; }
  rpc::ConnectionCounts connections() const { return clients_->connections(); }
  std::size_t routes() const { return directory_->topics(); }
  const ProxyMetrics& metrics() const { return service_->metrics(); }
  const ClientRegistry& clients() const { return service_->clients(); }
  const LinkClient& link() const { return *link_; }
  const auth::UserFile* users() const { return users_.get(); }  // null: authentication is off
  const Canary* canary() const { return canary_.get(); }  // null: off

  // Drains: health says NOT_SERVING, long polls end, calls in flight are finished, then streams and ports close.
  void Stop();

 private:
  Proxy(const ProxyConfig& config, const std::string& broker_set, LinkClient::OpenStream open,
        const base::Clock& clock);
  void Run();

  const ProxyConfig config_;
  const std::string name_;
  const base::Clock& clock_;
  std::unique_ptr<auth::UserFile> users_;
  std::unique_ptr<LinkClient> link_;
  std::unique_ptr<SingleSetDirectory> directory_;
  std::unique_ptr<MessagingService> service_;
  std::unique_ptr<AdminService> admin_;
  std::unique_ptr<ScalerService> scaler_;
  std::shared_ptr<Canary> canary_;  // null: off
  std::unique_ptr<rpc::Server> clients_, admins_;

  base::Mutex mu_;
  base::CondVar stop_signal_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;  // the service's tick
};

}  // namespace millrace::proxy
