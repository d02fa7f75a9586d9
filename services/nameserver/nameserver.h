#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "auth/cluster_secret.h"
#include "base/clock.h"
#include "base/mutex.h"
#include <prometheus/collectable.h>
#include "rpc/server.h"
#include "services/nameserver/nameserver_service.h"

namespace millrace::nameserver {

struct NameserverOptions {
  std::string listen = "0.0.0.0:9876";
  std::int64_t expiry_millis = 10'000;
  std::vector<std::string> expect;                    // broker sets to wait for before it is ready, at most 15 s
  std::shared_ptr<const auth::ClusterSecret> secret;  // what callers must have; null: nothing
};

// A nameserver behind its port. As a Collectable it answers a scrape with its own metrics.
// Lifetime. `clock` outlives it. Destruction stops it at once.
class Nameserver final : public prometheus::Collectable {
 public:
  // `on_ready` runs once, in any thread, when the expected sets are there or have been waited for.
  // Errors: those of rpc::StartServer
  static absl::StatusOr<std::unique_ptr<Nameserver>> Start(const NameserverOptions& options, const base::Clock& clock,
                                                           std::function<void()> on_ready);
  ~Nameserver() override;

  int port() const { return server_->port(); }
  // Stops accepting, waits for what is in flight, stops. `on_ready` does not run afterwards.
  void Stop();

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  Nameserver(const NameserverOptions& options, const base::Clock& clock, std::function<void()> on_ready);
  void Run();
  void StopTicking();
  bool IsReady(std::int64_t waited_millis) const;

  const NameserverOptions options_;
  const base::Clock& clock_;
  const std::function<void()> on_ready_;
  NameserverService service_;
  base::Mutex mu_;
  base::CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::unique_ptr<rpc::Server> server_;
  std::thread thread_;
};

}  // namespace millrace::nameserver
