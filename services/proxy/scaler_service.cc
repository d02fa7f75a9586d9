#include "services/proxy/scaler_service.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/check.h"
#include "model/error.h"
#include "services/proxy/broker_query.h"

namespace millrace::proxy {
namespace {

namespace keda = externalscaler;

constexpr absl::string_view kMethodPrefix = "/externalscaler.ExternalScaler/";
constexpr char kLagMetric[] = "millrace-lag";
constexpr char kConsumersMetric[] = "millrace-consumers-needed";
constexpr std::int64_t kBrokerMillisMax = 2'500;
constexpr std::int64_t kAnswerMarginMillis = 200;
constexpr std::int64_t kLookMillis = 5'000;
constexpr std::size_t kWatchesMax = 1'000;

std::int64_t TimeoutOf(const rpc::ServerCall& call) {
  const std::int64_t remaining = call.RemainingMillis().value_or(kBrokerMillisMax + kAnswerMarginMillis);
  return std::clamp<std::int64_t>(remaining - kAnswerMarginMillis, 1, kBrokerMillisMax);
}

absl::StatusOr<ScalingTarget> TargetOf(const keda::ScaledObjectRef& object) {
  return ParseScalingTarget({object.scalermetadata().begin(), object.scalermetadata().end()});
}

absl::Status StatusOf(const model::Error& error) {
  return absl::Status(model::InfoOf(error.code).absl_code, error.text);
}

absl::Status Unreadable() {
  return absl::InternalError(
      "the broker's answer does not decode; run broker and proxy of the same or adjacent releases");
}

bool IsActiveWith(const ScalingTarget& target, const Backlog& backlog) { return backlog.lag() > target.activation_lag; }

void Add(const core::QueueProgress& queue, Backlog& backlog) {
  backlog.ready += queue.ready;
  backlog.in_flight += queue.claimed + queue.in_flight;
  backlog.acknowledged += queue.acknowledged;
}

// nullopt: the group has never received from the target's topic.
std::optional<Backlog> BacklogOf(const ScalingTarget& target, const core::GroupProgress& progress) {
  Backlog backlog{.clients = progress.clients};
  bool has_topic = target.topic.empty();
  for (const core::QueueProgress& queue : progress.queues) {
    if (!target.topic.empty() && queue.topic != target.topic) continue;
    has_topic = true;
    Add(queue, backlog);
  }
  if (!has_topic) return std::nullopt;
  return backlog;
}

std::string RateName(const ScalingTarget& target) { return absl::StrCat(target.group, "\n", target.topic); }

void AddValue(keda::GetMetricsResponse& response, const std::string& name, double value) {
  keda::MetricValue& metric = *response.add_metricvalues();
  metric.set_metricname(name);
  metric.set_metricvalue(static_cast<std::int64_t>(value));
  metric.set_metricvaluefloat(value);
}

void AddSpec(keda::GetMetricSpecResponse& response, const std::string& name, std::int64_t target) {
  keda::MetricSpec& spec = *response.add_metricspecs();
  spec.set_metricname(name);
  spec.set_targetsize(target);
  spec.set_targetsizefloat(static_cast<double>(target));
}

}  // namespace

const ScalerService::Method* ScalerService::FindMethod(absl::string_view path) {
  using S = ScalerService;
  using Object = keda::ScaledObjectRef;
  static constexpr Method kMethods[] = {
      {"IsActive", rpc::CallKind::kUnary, &S::Run<Object, &S::IsActive>},
      {"StreamIsActive", rpc::CallKind::kServerStream, &S::Run<Object, &S::StreamIsActive>},
      {"GetMetricSpec", rpc::CallKind::kUnary, &S::Run<Object, &S::GetMetricSpec>},
      {"GetMetrics", rpc::CallKind::kUnary, &S::Run<keda::GetMetricsRequest, &S::GetMetrics>},
  };
  if (!absl::ConsumePrefix(&path, kMethodPrefix)) return nullptr;
  for (const Method& method : kMethods) {
    if (method.name == path) return &method;
  }
  return nullptr;
}

template <typename Request, void (ScalerService::*handler)(const ScalerService::Call&, const Request&)>
void ScalerService::Run(const Call& call, absl::string_view message) {
  Request request;
  if (request.ParseFromArray(message.data(), static_cast<int>(message.size()))) return (this->*handler)(call, request);
  call->Finish(absl::InvalidArgumentError(absl::StrCat("the request's ", message.size(), " bytes are not an ",
                                                       request.GetTypeName(),
                                                       "; generate the client from protos/keda/externalscaler.proto")));
}

std::optional<rpc::CallKind> ScalerService::Kind(absl::string_view method) const {
  const Method* found = FindMethod(method);
  if (found == nullptr) return std::nullopt;
  return found->kind;
}

void ScalerService::OnRequest(Call call, absl::string_view message) {
  const Method* method = FindMethod(call->method());
  MR_CHECK(method != nullptr);
  (this->*method->handler)(call, message);
}

std::unique_ptr<rpc::StreamHandler> ScalerService::OnStream(Call) { return nullptr; }

void ScalerService::Look(const ScalingTarget& target, std::int64_t timeout_millis, Found then) {
  QueryBroker(link_, core::QueryKind::kGroupProgress, target.group, timeout_millis,
              [this, target, timeout_millis, then = std::move(then)](const model::Result<std::string>& found) {
                if (!found.ok()) return then(StatusOf(found.error()));
                const auto progress = core::DecodeProgress(*found);
                if (!progress) return then(Unreadable());
                const std::optional<Backlog> backlog = BacklogOf(target, *progress);
                if (!backlog) return LookAtTopic(target, progress->clients, timeout_millis, then);
                rates_.Note(RateName(target), *backlog, clock_.MonotonicMillis());
                then(*backlog);
              });
}

// A group starts with the oldest message of a topic, so all that is stored waits for it.
void ScalerService::LookAtTopic(const ScalingTarget& target, std::uint32_t clients, std::int64_t timeout_millis,
                                Found then) {
  QueryBroker(link_, core::QueryKind::kTopicProgress, target.topic, timeout_millis,
              [clients, then = std::move(then)](const model::Result<std::string>& found) {
                if (!found.ok()) return then(StatusOf(found.error()));
                const auto progress = core::DecodeProgress(*found);
                if (!progress) return then(Unreadable());
                Backlog backlog{.clients = clients};
                for (const core::QueueProgress& queue : progress->queues) {
                  backlog.ready += queue.maximum - queue.minimum;
                }
                then(backlog);
              });
}

void ScalerService::IsActive(const Call& call, const keda::ScaledObjectRef& request) {
  const auto target = TargetOf(request);
  if (!target.ok()) return call->Finish(target.status());
  Look(*target, TimeoutOf(*call), [call, target = *target](const absl::StatusOr<Backlog>& backlog) {
    if (!backlog.ok()) return call->Finish(backlog.status());
    keda::IsActiveResponse response;
    response.set_result(IsActiveWith(target, *backlog));
    call->WriteAndFinish(response.SerializeAsString());
  });
}

void ScalerService::GetMetricSpec(const Call& call, const keda::ScaledObjectRef& request) {
  const auto target = TargetOf(request);
  if (!target.ok()) return call->Finish(target.status());
  keda::GetMetricSpecResponse response;
  if (target->lag_per_consumer > 0) AddSpec(response, kLagMetric, target->lag_per_consumer);
  if (target->drain_seconds > 0) AddSpec(response, kConsumersMetric, 1);
  call->WriteAndFinish(response.SerializeAsString());
}

void ScalerService::GetMetrics(const Call& call, const keda::GetMetricsRequest& request) {
  const auto target = TargetOf(request.scaledobjectref());
  if (!target.ok()) return call->Finish(target.status());
  const std::string& name = request.metricname();
  const bool wants_lag = target->lag_per_consumer > 0 && (name.empty() || name == kLagMetric);
  const bool wants_consumers = target->drain_seconds > 0 && (name.empty() || name == kConsumersMetric);
  if (!wants_lag && !wants_consumers) {
    return call->Finish(
        absl::InvalidArgumentError(absl::StrCat("there is no metric \"", name, "\" for this trigger: targetLag gives ",
                                                kLagMetric, ", targetDrainSeconds gives ", kConsumersMetric)));
  }
  Look(*target, TimeoutOf(*call),
       [this, call, target = *target, wants_lag, wants_consumers](const absl::StatusOr<Backlog>& backlog) {
         if (!backlog.ok()) return call->Finish(backlog.status());
         keda::GetMetricsResponse response;
         if (wants_lag) AddValue(response, kLagMetric, static_cast<double>(backlog->lag()));
         if (wants_consumers) {
           const auto rate = rates_.PerConsumer(RateName(target), clock_.MonotonicMillis());
           AddValue(response, kConsumersMetric, ConsumersNeeded(target, *backlog, rate));
         }
         call->WriteAndFinish(response.SerializeAsString());
       });
}

void ScalerService::StreamIsActive(const Call& call, const keda::ScaledObjectRef& request) {
  const auto target = TargetOf(request);
  if (!target.ok()) return call->Finish(target.status());
  const auto watch = std::make_shared<Watch>(Watch{.call = call, .target = *target, .looking = true});
  bool is_full = false;
  {
    base::MutexLock lock(mu_);
    is_full = watches_.size() >= kWatchesMax;
    if (!is_full) watches_.push_back(watch);
  }
  if (is_full) {
    return call->Finish(
        absl::ResourceExhaustedError(absl::StrCat("this proxy serves ", kWatchesMax,
                                                  " streams of StreamIsActive already; use trigger type "
                                                  "external, or more proxies")));
  }
  call->OnEnded([this, raw = watch.get()](rpc::CallEnd) { Forget(raw); });
  LookFor(watch);
}

void ScalerService::Forget(const Watch* watch) {
  WatchPtr gone;  // goes after the lock
  base::MutexLock lock(mu_);
  const auto found =
      std::find_if(watches_.begin(), watches_.end(), [&](const WatchPtr& each) { return each.get() == watch; });
  if (found == watches_.end()) return;
  gone = std::move(*found);
  watches_.erase(found);
}

void ScalerService::LookFor(const WatchPtr& watch) {
  {
    base::MutexLock lock(mu_);
    watch->looking = true;
    watch->looked_millis = clock_.MonotonicMillis();
  }
  Look(watch->target, kBrokerMillisMax,
       [this, watch](const absl::StatusOr<Backlog>& backlog) { Tell(watch, backlog); });
}

void ScalerService::Tell(const WatchPtr& watch, const absl::StatusOr<Backlog>& backlog) {
  const bool is_final = absl::IsNotFound(backlog.status()) || absl::IsInvalidArgument(backlog.status());
  bool changed = false;
  {
    base::MutexLock lock(mu_);
    watch->looking = false;
    if (backlog.ok()) {
      const bool active = IsActiveWith(watch->target, *backlog);
      changed = std::exchange(watch->told, active) != active;
    }
  }
  if (is_final) return watch->call->Finish(backlog.status());
  // While the broker does not answer, what was said last stands.
  if (!changed) return;
  keda::IsActiveResponse response;
  response.set_result(IsActiveWith(watch->target, *backlog));
  watch->call->Write(response.SerializeAsString());
}

void ScalerService::Tick() {
  const std::int64_t now = clock_.MonotonicMillis();
  std::vector<WatchPtr> due;
  {
    base::MutexLock lock(mu_);
    for (const WatchPtr& watch : watches_) {
      if (!watch->looking && now - watch->looked_millis >= kLookMillis) due.push_back(watch);
    }
  }
  for (const WatchPtr& watch : due) LookFor(watch);
}

void ScalerService::EndStreams() {
  std::vector<WatchPtr> all;
  {
    base::MutexLock lock(mu_);
    all = watches_;
  }
  for (const WatchPtr& watch : all) {
    watch->call->Finish(absl::UnavailableError("the proxy is shutting down: connect again"));
  }
}

}  // namespace millrace::proxy
