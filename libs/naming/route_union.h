#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "naming/route.h"

namespace millrace::naming {

// What several nameservers say, as one. The newest statement about a set (epoch, then version) counts, whoever made it.
// A nameserver that says less than it did (it has just restarted, or lost a broker) removes nothing: a set goes when
// its link is down and for `expiry_millis` no nameserver that can be heard has named it.
// Pure: no clock, no threads.
class RouteUnion {
 public:
  using Sets = std::map<SetKey, std::shared_ptr<const SetRoute>>;

  RouteUnion(std::size_t sources, std::int64_t expiry_millis) : named_(sources), expiry_millis_(expiry_millis) {}

  // Source `source` says this. All of these return whether sets() has changed.
  bool Said(std::size_t source, SetRoute route, std::int64_t now_millis);
  // Source `source` no longer names the set.
  bool Withdrawn(std::size_t source, const SetKey& key, std::int64_t now_millis);
  // Source `source` cannot be heard: what it said last counts from now on as no longer named.
  bool Lost(std::size_t source, std::int64_t now_millis);
  // The caller's link to the set's broker came up or went down. Down is what a new set begins with.
  bool LinkIs(const SetKey& key, bool up, std::int64_t now_millis);
  bool Tick(std::int64_t now_millis);

  const Sets& sets() const { return sets_; }

 private:
  bool IsNamed(const SetKey& key) const;
  void Touch(const SetKey& key, std::int64_t now_millis);

  std::vector<std::set<SetKey>> named_;  // by source: what it names now
  const std::int64_t expiry_millis_;
  Sets sets_;
  std::map<SetKey, std::int64_t> last_named_millis_;
  std::set<SetKey> linked_;
};

}  // namespace millrace::naming
