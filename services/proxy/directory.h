#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "core/metadata.h"
#include "model/error.h"
#include "services/proxy/broker_link.h"

namespace millrace::proxy {

// One broker set's share of a topic.
struct SetRoute {
  std::string broker;          // name of the set, as clients see it
  BrokerLink* link = nullptr;  // lives as long as the directory
  core::Access access = core::Access::kReadWrite;
  std::uint32_t queues = 0;

  bool readable() const { return access == core::Access::kRead || access == core::Access::kReadWrite; }
  bool writable() const { return access == core::Access::kWrite || access == core::Access::kReadWrite; }
};

struct TopicRoute {
  core::TopicConfig config;
  bool is_virtual = false;     // unknown yet: the first send creates it (auto_create_topics)
  std::vector<SetRoute> sets;  // in the order of their names, never empty
};

// Topics and groups as the brokers know them, cached.
// Threads.   Any. Callbacks run in the caller's thread when the answer is at hand, else in a link's; they never block.
// Errors.    kTopicNotFound, kConsumerGroupNotFound; what a broker said; kProxyTimeout when none answered.
// Freshness. A change at a broker shows within a second of use; what is unknown is asked for again after a second.
class Directory {
 public:
  virtual ~Directory() = default;

  using RoutePtr = std::shared_ptr<const TopicRoute>;
  using TopicCallback = std::function<void(model::Result<RoutePtr>)>;
  // The route that is at hand and fresh enough to use; nullptr: ask FindTopic.
  virtual RoutePtr CachedTopic(absl::string_view full_name) = 0;
  virtual void FindTopic(absl::string_view full_name, TopicCallback then) = 0;

  using GroupPtr = std::shared_ptr<const core::GroupConfig>;
  using GroupCallback = std::function<void(model::Result<GroupPtr>)>;
  // A group is created on first use; `fifo`: as an ordered one.
  virtual void FindGroup(absl::string_view full_name, bool fifo, GroupCallback then) = 0;

  // Every master there is a link to: clients are made known to all of them.
  virtual void ForEachLink(absl::FunctionRef<void(BrokerLink&)> each) = 0;
};

}  // namespace millrace::proxy
