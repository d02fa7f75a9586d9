#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "naming/route_proto.h"
#include "rpc/transport.h"
#include "services/nameserver/route_table.h"

namespace millrace::nameserver {

// The Nameserver service of protos/millrace/v1/nameserver.proto over a RouteTable.
// Threads.  Any. Messages to watchers are queued under the lock, so that each gets all changes in their order.
// Lifetime. `clock` outlives it; it outlives every call (shut the server down first).
class NameserverService final : public rpc::Service {
 public:
  NameserverService(std::int64_t expiry_millis, const base::Clock& clock) : clock_(clock), table_(expiry_millis) {}

  std::optional<rpc::CallKind> Kind(absl::string_view method) const override;
  void OnRequest(std::shared_ptr<rpc::ServerCall> call, absl::string_view message) override;
  std::unique_ptr<rpc::StreamHandler> OnStream(std::shared_ptr<rpc::ServerCall> call) override;

  // Once a second: replicas that have been silent for too long go, and watchers hear that this nameserver lives.
  void Tick();

  struct Counts {
    std::size_t replicas = 0, sets = 0, topics = 0, watchers = 0;
    std::uint64_t registrations = 0, changes = 0, heartbeats = 0, expired = 0;
  };
  Counts counts() const;
  // Names of the sets that are registered, of all clusters.
  std::vector<std::string> SetNames() const;

 private:
  class RegisterStream;
  struct Watcher {
    std::shared_ptr<rpc::ServerCall> call;
    std::string cluster;
  };

  // Each answers whether the replica has to register in full.
  void Register(std::uint32_t expiry_millis, naming::SetRoute route);
  bool Change(const ReplicaKey& key, const naming::wire::TopicChanges& changes);
  bool Heartbeat(const ReplicaKey& key, const naming::wire::Heartbeat& heartbeat);
  void Goodbye(const ReplicaKey& key);

  void TellWatchers() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Send(const Watcher& watcher, const naming::wire::RouteUpdate& update) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SendEverything(const Watcher& watcher) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const base::Clock& clock_;
  mutable base::Mutex mu_;
  RouteTable table_ ABSL_GUARDED_BY(mu_);
  std::map<const rpc::ServerCall*, Watcher> watchers_ ABSL_GUARDED_BY(mu_);
  Counts counts_ ABSL_GUARDED_BY(mu_);
};

}  // namespace millrace::nameserver
