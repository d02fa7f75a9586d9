#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "core/metadata.h"
#include "keda/externalscaler.pb.h"
#include "rpc/transport.h"
#include "services/proxy/broker_link.h"
#include "services/proxy/scaling.h"

namespace millrace::proxy {

// Serves externalscaler.ExternalScaler (protos/keda/externalscaler.proto, docs/autoscaling.md): KEDA scales the
// consumers of a group on its backlog. Every answer is what the broker says at that moment.
// Errors.    Of the call. kInvalidArgument: the trigger's metadata is wrong;  kNotFound: no such group or topic;
//            kDeadlineExceeded: the broker did not answer;  kResourceExhausted: too many streams.
// Threads.   OnRequest from any thread; answers come from the link's. Tick and EndStreams from one.
// Lifetime.  `link` and `clock` outlive the service, the service every call and every callback of the link.
class ScalerService final : public rpc::Service {
 public:
  ScalerService(BrokerLink& link, const base::Clock& clock) : link_(link), clock_(clock) {}

  std::optional<rpc::CallKind> Kind(absl::string_view method) const override;
  void OnRequest(std::shared_ptr<rpc::ServerCall> call, absl::string_view message) override;
  std::unique_ptr<rpc::StreamHandler> OnStream(std::shared_ptr<rpc::ServerCall> call) override;

  // Wanted once a second: looks for StreamIsActive every five.
  void Tick();
  // Shutdown: StreamIsActive ends with UNAVAILABLE.
  void EndStreams();

 private:
  using Call = std::shared_ptr<rpc::ServerCall>;
  // One StreamIsActive.
  struct Watch {
    Call call;
    ScalingTarget target;
    std::optional<bool> told;
    std::int64_t looked_millis = 0;
    bool looking = false;
  };
  using WatchPtr = std::shared_ptr<Watch>;
  using Found = std::function<void(const absl::StatusOr<Backlog>&)>;

  void IsActive(const Call& call, const externalscaler::ScaledObjectRef& request);
  void StreamIsActive(const Call& call, const externalscaler::ScaledObjectRef& request);
  void GetMetricSpec(const Call& call, const externalscaler::ScaledObjectRef& request);
  void GetMetrics(const Call& call, const externalscaler::GetMetricsRequest& request);

  using Handler = void (ScalerService::*)(const Call&, absl::string_view message);
  struct Method {
    absl::string_view name;
    rpc::CallKind kind;
    Handler handler;
  };
  // nullptr: no method of this service.
  static const Method* FindMethod(absl::string_view path);
  template <typename Request, void (ScalerService::*handler)(const Call&, const Request&)>
  void Run(const Call& call, absl::string_view message);

  // The backlog now; it is noted for the group's rate.
  void Look(const ScalingTarget& target, std::int64_t timeout_millis, Found then);
  void LookAtTopic(const ScalingTarget& target, std::uint32_t clients, std::int64_t timeout_millis, Found then);
  void LookFor(const WatchPtr& watch);
  void Tell(const WatchPtr& watch, const absl::StatusOr<Backlog>& backlog);
  void Forget(const Watch* watch);

  BrokerLink& link_;
  const base::Clock& clock_;
  WorkRates rates_;
  base::Mutex mu_;
  std::vector<WatchPtr> watches_ ABSL_GUARDED_BY(mu_);  // and what they hold
};

}  // namespace millrace::proxy
