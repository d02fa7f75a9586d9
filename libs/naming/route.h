#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

// Routes as nameservers, brokers and proxies exchange them.
namespace millrace::naming {

struct SetKey {
  std::string cluster, name;
  friend auto operator<=>(const SetKey&, const SetKey&) = default;
};

// One topic on one broker set. `type` and `access`: numbers of the v2 enums MessageType and Permission.
struct TopicRoute {
  std::uint64_t id = 0;
  std::string name;
  int type = 1;
  std::uint32_t queues = 0;
  int access = 0;
  std::uint64_t version = 0;
  friend bool operator==(const TopicRoute&, const TopicRoute&) = default;
};

// What is known of one broker set: where its master is and what it holds.
struct SetRoute {
  SetKey key;
  std::uint32_t replica = 0;
  std::string address;                         // "host:port"
  std::uint64_t epoch = 0;                     // the highest one wins, then the highest version
  std::uint64_t version = 0;                   // rises with every change
  std::map<std::uint64_t, TopicRoute> topics;  // by id
  friend bool operator==(const SetRoute&, const SetRoute&) = default;

  bool NewerThan(const SetRoute& other) const {
    return epoch != other.epoch ? epoch > other.epoch : version > other.version;
  }
};

struct TopicChanges {
  std::vector<TopicRoute> changed;
  std::vector<std::uint64_t> removed;
};

inline void ApplyChanges(const TopicChanges& changes, std::map<std::uint64_t, TopicRoute>& topics) {
  for (const TopicRoute& topic : changes.changed) topics[topic.id] = topic;
  for (const std::uint64_t id : changes.removed) topics.erase(id);
}

}  // namespace millrace::naming
