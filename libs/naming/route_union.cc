#include "naming/route_union.h"

#include <utility>

namespace millrace::naming {

bool RouteUnion::Said(std::size_t source, SetRoute route, std::int64_t now_millis) {
  const SetKey key = route.key;
  named_[source].insert(key);
  Touch(key, now_millis);
  const auto known = sets_.find(key);
  if (known != sets_.end() && !route.NewerThan(*known->second)) return false;
  sets_[key] = std::make_shared<const SetRoute>(std::move(route));
  return true;
}

bool RouteUnion::Withdrawn(std::size_t source, const SetKey& key, std::int64_t now_millis) {
  if (named_[source].erase(key) > 0) Touch(key, now_millis);
  return Tick(now_millis);
}

bool RouteUnion::Lost(std::size_t source, std::int64_t now_millis) {
  for (const SetKey& key : named_[source]) Touch(key, now_millis);
  named_[source].clear();
  return Tick(now_millis);
}

bool RouteUnion::LinkIs(const SetKey& key, bool up, std::int64_t now_millis) {
  if (up) {
    linked_.insert(key);
    return false;
  }
  linked_.erase(key);
  return Tick(now_millis);
}

bool RouteUnion::Tick(std::int64_t now_millis) {
  const auto gone = [&](const auto& set) {
    if (IsNamed(set.first)) {
      Touch(set.first, now_millis);
      return false;
    }
    return !linked_.contains(set.first) && now_millis - last_named_millis_[set.first] >= expiry_millis_;
  };
  std::vector<SetKey> removed;
  for (const auto& set : sets_) {
    if (gone(set)) removed.push_back(set.first);
  }
  for (const SetKey& key : removed) {
    sets_.erase(key);
    last_named_millis_.erase(key);
  }
  return !removed.empty();
}

bool RouteUnion::IsNamed(const SetKey& key) const {
  for (const std::set<SetKey>& names : named_) {
    if (names.contains(key)) return true;
  }
  return false;
}

void RouteUnion::Touch(const SetKey& key, std::int64_t now_millis) { last_named_millis_[key] = now_millis; }

}  // namespace millrace::naming
