#include "services/proxy/scaling.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status.h"
#include "model/names.h"

namespace millrace::proxy {
namespace {

using Metadata = std::map<std::string, std::string>;

constexpr double kMessagesMax = 1e12;
constexpr double kDrainSecondsMax = 7 * 24 * 3'600;
constexpr double kRateMax = 1e7;

constexpr std::int64_t kMemoryMillis = 600'000;
constexpr std::int64_t kIntervalMillisMin = 1'000;    // shorter ones are mostly noise
constexpr std::int64_t kIntervalMillisMax = 300'000;  // nobody knows what happened in between
constexpr std::size_t kGroupsMax = 1'000;

absl::string_view ValueOf(const Metadata& metadata, const std::string& key) {
  const auto found = metadata.find(key);
  return found == metadata.end() ? absl::string_view() : found->second;
}

// 0 when the key is absent.
absl::StatusOr<double> NumberOf(const Metadata& metadata, const std::string& key, double least, double most) {
  const absl::string_view text = ValueOf(metadata, key);
  if (text.empty()) return 0.0;
  double number = 0;
  if (absl::SimpleAtod(text, &number) && number >= least && number <= most) return number;
  return absl::InvalidArgumentError(
      absl::StrCat("the trigger's metadata says ", key, ": \"", text, "\"; write a number from ", least, " to ", most));
}

absl::Status CheckNames(const ScalingTarget& target) {
  if (target.group.empty()) {
    return absl::InvalidArgumentError(
        "the trigger's metadata has no consumerGroup: name the group whose consumers are to be scaled");
  }
  auto error = model::ValidateConsumerGroup(target.group);
  if (!error && !target.topic.empty()) error = model::ValidateTopic(target.topic);
  return error ? absl::InvalidArgumentError(error->text) : absl::OkStatus();
}

}  // namespace

absl::StatusOr<ScalingTarget> ParseScalingTarget(const Metadata& metadata) {
  ScalingTarget target;
  target.group = std::string(ValueOf(metadata, "consumerGroup"));
  target.topic = std::string(ValueOf(metadata, "topic"));
  MR_RETURN_IF_ERROR(CheckNames(target));
  MR_ASSIGN_OR_RETURN(const double lag, NumberOf(metadata, "targetLag", 1, kMessagesMax));
  MR_ASSIGN_OR_RETURN(const double activation, NumberOf(metadata, "activationLag", 0, kMessagesMax));
  MR_ASSIGN_OR_RETURN(target.drain_seconds, NumberOf(metadata, "targetDrainSeconds", 1, kDrainSecondsMax));
  MR_ASSIGN_OR_RETURN(target.rate_per_consumer, NumberOf(metadata, "ratePerConsumer", 0.001, kRateMax));
  target.lag_per_consumer = static_cast<std::int64_t>(lag);
  target.activation_lag = static_cast<std::int64_t>(activation);
  if (target.lag_per_consumer > 0 || target.drain_seconds > 0) return target;
  return absl::InvalidArgumentError(
      "the trigger's metadata has no target: give targetLag (messages per consumer), targetDrainSeconds (in which the "
      "backlog is to be consumed), or both");
}

WorkRates::Group* WorkRates::Ensure(const std::string& name, std::int64_t now_millis) {
  const auto found = groups_.find(name);
  if (found != groups_.end()) return &found->second;
  if (groups_.size() >= kGroupsMax) {
    std::erase_if(groups_, [&](const auto& each) { return now_millis - each.second.looked_millis > kMemoryMillis; });
    if (groups_.size() >= kGroupsMax) return nullptr;
  }
  return &groups_[name];
}

void WorkRates::Note(const std::string& name, const Backlog& backlog, std::int64_t now_millis) {
  base::MutexLock lock(mu_);
  Group* group = Ensure(name, now_millis);
  if (group == nullptr) return;
  const std::int64_t millis = now_millis - group->looked_millis;
  if (group->last && millis < kIntervalMillisMin) return;
  const std::optional<Backlog> before = std::exchange(group->last, backlog);
  group->looked_millis = now_millis;
  if (!before) return;
  const bool is_another = backlog.acknowledged < before->acknowledged;  // deleted and made again
  if (is_another) group->busy.clear();
  const bool was_busy = before->ready > 0 && backlog.ready > 0 && before->clients > 0 && backlog.clients > 0;
  if (was_busy && !is_another && millis <= kIntervalMillisMax) {
    const double consumers = (before->clients + backlog.clients) / 2.0;
    group->busy.push_back({now_millis, consumers * static_cast<double>(millis) / 1'000.0,
                           static_cast<double>(backlog.acknowledged - before->acknowledged)});
  }
  while (!group->busy.empty() && now_millis - group->busy.front().end_millis > kMemoryMillis) group->busy.pop_front();
}

std::optional<double> WorkRates::PerConsumer(const std::string& name, std::int64_t now_millis) const {
  base::MutexLock lock(mu_);
  const auto found = groups_.find(name);
  if (found == groups_.end()) return std::nullopt;
  double consumer_seconds = 0, acknowledged = 0;
  for (const Interval& interval : found->second.busy) {
    if (now_millis - interval.end_millis > kMemoryMillis) continue;
    consumer_seconds += interval.consumer_seconds;
    acknowledged += interval.acknowledged;
  }
  if (acknowledged <= 0) return std::nullopt;
  return acknowledged / consumer_seconds;
}

double ConsumersNeeded(const ScalingTarget& target, const Backlog& backlog, std::optional<double> measured_rate) {
  if (backlog.ready <= 0) return 0;
  if (target.rate_per_consumer > 0) measured_rate = target.rate_per_consumer;
  const auto ready = static_cast<double>(backlog.ready);
  if (!measured_rate) return std::max(1.0, static_cast<double>(backlog.clients));
  return std::min(ready, std::ceil(ready / (*measured_rate * target.drain_seconds)));
}

}  // namespace millrace::proxy
