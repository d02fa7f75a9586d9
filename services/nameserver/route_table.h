#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "naming/route.h"

namespace millrace::nameserver {

// One replica of a broker set.
struct ReplicaKey {
  naming::SetKey set;
  std::uint32_t replica = 0;
  friend auto operator<=>(const ReplicaKey&, const ReplicaKey&) = default;
};

// What watchers are told of one set.
struct SetChange {
  enum class Kind { kFull, kTopics, kGone };
  Kind kind = Kind::kFull;
  naming::SetKey key;
  naming::TopicChanges topics;  // kTopics; the rest is in RouteTable::routes()
};

// Who is registered, until when, and who speaks for each set: of its replicas the one with the highest epoch, then the
// highest version.
// Pure: no clock, no threads. Times are those of a monotonic clock.
class RouteTable {
 public:
  explicit RouteTable(std::int64_t default_expiry_millis) : default_expiry_millis_(default_expiry_millis) {}

  // `expiry_millis`: how long it counts without a sign of life; 0: the default.
  void Register(std::uint32_t expiry_millis, naming::SetRoute route, std::int64_t now_millis);
  // False: this replica is not known in version `from`; it has to register in full.
  bool Change(const ReplicaKey& key, std::uint64_t from, std::uint64_t version, const naming::TopicChanges& changes,
              std::int64_t now_millis);
  bool Heartbeat(const ReplicaKey& key, std::uint64_t version, std::uint32_t expiry_millis, std::int64_t now_millis);
  void Unregister(const ReplicaKey& key);
  void Expire(std::int64_t now_millis);

  // Replicas, for metrics and readiness.
  std::size_t replicas() const { return replicas_.size(); }
  // Who speaks for each set. Pointers last until the next call that is not const.
  std::map<naming::SetKey, const naming::SetRoute*> routes() const;
  const naming::SetRoute* Find(const naming::SetKey& key) const;
  // What has changed since the last call, in order.
  std::vector<SetChange> TakeChanges() { return std::exchange(changes_, {}); }

 private:
  struct Replica {
    naming::SetRoute route;
    std::int64_t expiry_millis = 0;
    std::int64_t expires_at = 0;
  };

  // Notes what is to be told after `key`'s replicas have changed. `before`: who spoke for it.
  void Elect(const naming::SetKey& key);

  const std::int64_t default_expiry_millis_;
  std::map<ReplicaKey, Replica> replicas_;
  std::map<naming::SetKey, std::uint32_t> speakers_;  // replica
  std::vector<SetChange> changes_;
};

}  // namespace millrace::nameserver
