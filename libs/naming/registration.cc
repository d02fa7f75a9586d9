#include "naming/registration.h"

#include <utility>

namespace millrace::naming {

void Registration::SetTopics(std::vector<TopicRoute> topics) {
  ++route_.version;
  route_.topics.clear();
  for (TopicRoute& topic : topics) route_.topics[topic.id] = std::move(topic);
  for (Peer& peer : peers_) peer.needs_full = true;
}

void Registration::TopicChanged(TopicRoute topic) {
  ++route_.version;
  for (Peer& peer : peers_) peer.unsent[topic.id] = topic;
  route_.topics[topic.id] = std::move(topic);
}

void Registration::TopicRemoved(std::uint64_t id) {
  ++route_.version;
  for (Peer& peer : peers_) peer.unsent[id] = std::nullopt;
  route_.topics.erase(id);
}

void Registration::Opened(std::size_t peer) { peers_[peer].needs_full = true; }

void Registration::Answered(std::size_t peer, const wire::RegisterResponse& response) {
  if (response.send_full()) peers_[peer].needs_full = true;
}

std::vector<wire::RegisterRequest> Registration::NextFor(std::size_t peer_index, bool heartbeat) {
  Peer& peer = peers_[peer_index];
  std::vector<wire::RegisterRequest> requests;
  if (peer.needs_full) {
    requests = Full();
  } else if (peer.version != route_.version) {
    requests.push_back(Changes(peer));
  } else if (heartbeat) {
    wire::Heartbeat& beat = *requests.emplace_back().mutable_heartbeat();
    beat.set_version(route_.version);
    beat.set_expiry_millis(expiry_millis_);
  }
  if (requests.empty()) return requests;
  peer.needs_full = false;
  peer.version = route_.version;
  peer.unsent.clear();
  return requests;
}

std::vector<wire::RegisterRequest> Registration::Full() const {
  std::vector<wire::Registration> pieces = InPieces<wire::Registration>(route_.topics, [&] {
    wire::Registration full;
    full.set_cluster(route_.key.cluster);
    full.set_broker_set(route_.key.name);
    full.set_replica(route_.replica);
    full.set_address(route_.address);
    full.set_epoch(route_.epoch);
    full.set_version(route_.version);
    full.set_expiry_millis(expiry_millis_);
    return full;
  });
  std::vector<wire::RegisterRequest> requests;
  for (wire::Registration& piece : pieces) *requests.emplace_back().mutable_full() = std::move(piece);
  return requests;
}

wire::RegisterRequest Registration::Changes(const Peer& peer) const {
  wire::RegisterRequest request;
  wire::TopicChanges& changes = *request.mutable_changes();
  changes.set_from_version(peer.version);
  changes.set_version(route_.version);
  for (const auto& [id, topic] : peer.unsent) {
    if (topic.has_value()) {
      ToWire(*topic, *changes.add_changed());
    } else {
      changes.add_removed(id);
    }
  }
  return request;
}

}  // namespace millrace::naming
