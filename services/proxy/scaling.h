#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/mutex.h"

// How many consumers a group needs: what autoscalers are told, computed from counters of the broker.
namespace millrace::proxy {

// What a workload wants, from the metadata of its trigger.
struct ScalingTarget {
  std::string group;                  // full name
  std::string topic;                  // full name; empty: every topic of the group
  std::int64_t lag_per_consumer = 0;  // messages; 0: not asked for
  double drain_seconds = 0;           // in which what is ready is to be consumed; 0: not asked for
  double rate_per_consumer = 0;       // messages per second that one consumer manages; 0: as measured
  std::int64_t activation_lag = 0;    // a backlog above it needs a consumer
};

// Keys: consumerGroup, topic, targetLag, targetDrainSeconds, ratePerConsumer, activationLag; others are KEDA's.
// Errors: kInvalidArgument  a name is missing or illegal, a number is none or out of range, no target is given
absl::StatusOr<ScalingTarget> ParseScalingTarget(const std::map<std::string, std::string>& metadata);

struct Backlog {
  std::int64_t ready = 0;
  std::int64_t in_flight = 0;     // with consumers, not acknowledged
  std::int64_t acknowledged = 0;  // since the group began
  std::uint32_t clients = 0;      // alive

  // What a consumer works on or could work on. Messages that wait for a pause to end come back as ready ones.
  std::int64_t lag() const { return ready + in_flight; }
};

// What one consumer of a group manages per second, measured while there was work for it: between two looks at the
// backlog that both found ready messages. Idle consumers say nothing about how fast they could be.
// Memory. Of at most 1,000 groups, each as long as somebody looks every ten minutes.
// Threads. Any.
class WorkRates {
 public:
  void Note(const std::string& name, const Backlog& backlog, std::int64_t now_millis);
  // nullopt: not known (yet).
  std::optional<double> PerConsumer(const std::string& name, std::int64_t now_millis) const;

 private:
  struct Interval {
    std::int64_t end_millis = 0;
    double consumer_seconds = 0;
    double acknowledged = 0;
  };
  struct Group {
    std::int64_t looked_millis = 0;
    std::optional<Backlog> last;
    std::deque<Interval> busy;  // of the last ten minutes
  };
  // nullptr: there are too many.
  Group* Ensure(const std::string& name, std::int64_t now_millis) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  mutable base::Mutex mu_;
  std::map<std::string, Group> groups_ ABSL_GUARDED_BY(mu_);
};

// Consumers that empty what is ready within `target.drain_seconds`, at most one per message. With an unknown rate: as
// many as there are, at least one.
double ConsumersNeeded(const ScalingTarget& target, const Backlog& backlog, std::optional<double> measured_rate);

}  // namespace millrace::proxy
