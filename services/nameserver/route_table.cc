#include "services/nameserver/route_table.h"

#include <utility>

namespace millrace::nameserver {

void RouteTable::Register(std::uint32_t expiry_millis, naming::SetRoute route, std::int64_t now_millis) {
  const ReplicaKey key{route.key, route.replica};
  Replica& replica = replicas_[key];
  replica.expiry_millis = expiry_millis > 0 ? expiry_millis : default_expiry_millis_;
  replica.expires_at = now_millis + replica.expiry_millis;
  if (replica.route == route) return;
  replica.route = std::move(route);
  Elect(key.set);
}

bool RouteTable::Change(const ReplicaKey& key, std::uint64_t from, std::uint64_t version,
                        const naming::TopicChanges& changes, std::int64_t now_millis) {
  const auto found = replicas_.find(key);
  if (found == replicas_.end() || found->second.route.version != from) return false;
  Replica& replica = found->second;
  replica.expires_at = now_millis + replica.expiry_millis;
  replica.route.version = version;
  naming::ApplyChanges(changes, replica.route.topics);
  if (speakers_.at(key.set) == key.replica) {
    changes_.push_back({.kind = SetChange::Kind::kTopics, .key = key.set, .topics = changes});
  } else {
    Elect(key.set);
  }
  return true;
}

bool RouteTable::Heartbeat(const ReplicaKey& key, std::uint64_t version, std::uint32_t expiry_millis,
                           std::int64_t now_millis) {
  const auto found = replicas_.find(key);
  if (found == replicas_.end() || found->second.route.version != version) return false;
  Replica& replica = found->second;
  if (expiry_millis > 0) replica.expiry_millis = expiry_millis;
  replica.expires_at = now_millis + replica.expiry_millis;
  return true;
}

void RouteTable::Unregister(const ReplicaKey& key) {
  if (replicas_.erase(key) > 0) Elect(key.set);
}

void RouteTable::Expire(std::int64_t now_millis) {
  std::vector<ReplicaKey> silent;
  for (const auto& [key, replica] : replicas_) {
    if (now_millis >= replica.expires_at) silent.push_back(key);
  }
  for (const ReplicaKey& key : silent) Unregister(key);
}

std::map<naming::SetKey, const naming::SetRoute*> RouteTable::routes() const {
  std::map<naming::SetKey, const naming::SetRoute*> routes;
  for (const auto& [key, replica] : speakers_) routes[key] = &replicas_.at({key, replica}).route;
  return routes;
}

const naming::SetRoute* RouteTable::Find(const naming::SetKey& key) const {
  const auto speaker = speakers_.find(key);
  return speaker == speakers_.end() ? nullptr : &replicas_.at({key, speaker->second}).route;
}

void RouteTable::Elect(const naming::SetKey& key) {
  const Replica* best = nullptr;
  std::uint32_t replica = 0;
  for (auto at = replicas_.lower_bound({key, 0}); at != replicas_.end() && at->first.set == key; ++at) {
    if (best != nullptr && !at->second.route.NewerThan(best->route)) continue;
    best = &at->second;
    replica = at->first.replica;
  }
  if (best == nullptr) {
    speakers_.erase(key);
    changes_.push_back({.kind = SetChange::Kind::kGone, .key = key});
    return;
  }
  speakers_[key] = replica;
  changes_.push_back({.kind = SetChange::Kind::kFull, .key = key});
}

}  // namespace millrace::nameserver
