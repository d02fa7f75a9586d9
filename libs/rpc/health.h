#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "rpc/transport.h"

namespace millrace::rpc {

// grpc.health.v1.Health. The same answer for every service name: a process serves all of its services or none.
// Our own, because gRPC's brings a callback completion queue whose threads compete for the sockets of all calls.
// Threads. Thread-safe.
class HealthService final : public Service {
 public:
  void SetServing(bool serving);

  std::optional<CallKind> Kind(absl::string_view method) const override;
  void OnRequest(std::shared_ptr<ServerCall> call, absl::string_view message) override;
  std::unique_ptr<StreamHandler> OnStream(std::shared_ptr<ServerCall> call) override;

 private:
  // Shared with the OnEnded callbacks of watching calls, which may come after the service is gone.
  struct Shared {
    base::Mutex mu;
    bool serving ABSL_GUARDED_BY(mu) = true;
    std::vector<std::shared_ptr<ServerCall>> watchers ABSL_GUARDED_BY(mu);
  };
  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
};

}  // namespace millrace::rpc
