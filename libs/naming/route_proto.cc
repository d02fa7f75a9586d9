#include "naming/route_proto.h"

namespace millrace::naming {

void ToWire(const TopicRoute& topic, wire::Topic& to) {
  to.set_id(topic.id);
  to.set_name(topic.name);
  to.set_type(topic.type);
  to.set_queues(topic.queues);
  to.set_access(topic.access);
  to.set_version(topic.version);
}

TopicRoute FromWire(const wire::Topic& topic) {
  return {.id = topic.id(),
          .name = topic.name(),
          .type = topic.type(),
          .queues = topic.queues(),
          .access = topic.access(),
          .version = topic.version()};
}

std::vector<wire::SetUpdate> FullUpdate(const SetRoute& route) {
  return InPieces<wire::SetUpdate>(route.topics, [&] {
    wire::SetUpdate update;
    update.set_cluster(route.key.cluster);
    update.set_broker_set(route.key.name);
    update.set_replica(route.replica);
    update.set_address(route.address);
    update.set_epoch(route.epoch);
    update.set_version(route.version);
    update.set_full(true);
    return update;
  });
}

std::optional<SetRoute> UpdateReader::Read(const wire::SetUpdate& update, bool& mistake) {
  const SetKey key{update.cluster(), update.broker_set()};
  const auto known = routes_.find(key);
  if (!update.full() && known == routes_.end()) {
    mistake = true;
    return std::nullopt;
  }
  SetRoute& route = routes_[key];
  const bool first_piece = update.full() && !pieces_.contains(key);
  if (first_piece) route.topics.clear();
  route.key = key;
  route.replica = update.replica();
  route.address = update.address();
  route.epoch = update.epoch();
  route.version = update.version();
  for (const wire::Topic& topic : update.topics()) route.topics[topic.id()] = FromWire(topic);
  for (const std::uint64_t id : update.removed_topics()) route.topics.erase(id);
  if (update.more()) {
    pieces_.insert(key);
    return std::nullopt;
  }
  pieces_.erase(key);
  return route;
}

}  // namespace millrace::naming
