#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "naming/route.h"
#include "naming/route_proto.h"

namespace millrace::naming {

// What a broker tells nameservers, and how far each of them is. Pure: no clock, no threads.
class Registration {
 public:
  // `route` without topics; its version is the first one.
  Registration(std::size_t nameservers, SetRoute route, std::uint32_t expiry_millis)
      : peers_(nameservers), route_(std::move(route)), expiry_millis_(expiry_millis) {}

  void SetTopics(std::vector<TopicRoute> topics);
  void TopicChanged(TopicRoute topic);
  void TopicRemoved(std::uint64_t id);

  // The stream to `peer` has just been opened, or has broken.
  void Opened(std::size_t peer);
  // An answer of `peer`.
  void Answered(std::size_t peer, const wire::RegisterResponse& response);
  // What `peer` is to be told now: a full registration, changes, or (when `heartbeat` is set) a heartbeat. Empty:
  // nothing. What is handed out counts as sent.
  std::vector<wire::RegisterRequest> NextFor(std::size_t peer, bool heartbeat);

 private:
  struct Peer {
    bool needs_full = true;
    std::uint64_t version = 0;                                  // what it was told
    std::map<std::uint64_t, std::optional<TopicRoute>> unsent;  // by topic id; nullopt: removed
  };

  std::vector<wire::RegisterRequest> Full() const;
  wire::RegisterRequest Changes(const Peer& peer) const;

  std::vector<Peer> peers_;
  SetRoute route_;
  const std::uint32_t expiry_millis_;
};

}  // namespace millrace::naming
