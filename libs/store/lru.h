#pragma once

#include <cstddef>
#include <list>
#include <map>
#include <utility>

namespace millrace::store {

// At most `capacity` values by key; the one that was not asked for longest goes first. Not thread-safe.
template <typename Key, typename Value>
class Lru {
 public:
  explicit Lru(std::size_t capacity) : capacity_(capacity) {}

  // Null when absent. Valid until the next call.
  const Value* Find(const Key& key) {
    const auto found = at_.find(key);
    if (found == at_.end()) return nullptr;
    order_.splice(order_.begin(), order_, found->second);
    return &found->second->second;
  }

  void Insert(const Key& key, Value value) {
    Erase(key);
    order_.emplace_front(key, std::move(value));
    at_[key] = order_.begin();
    if (at_.size() > capacity_) {
      at_.erase(order_.back().first);
      order_.pop_back();
    }
  }

  void Erase(const Key& key) {
    const auto found = at_.find(key);
    if (found == at_.end()) return;
    order_.erase(found->second);
    at_.erase(found);
  }

  void Clear() {
    order_.clear();
    at_.clear();
  }

 private:
  const std::size_t capacity_;
  std::list<std::pair<Key, Value>> order_;
  std::map<Key, typename std::list<std::pair<Key, Value>>::iterator> at_;
};

}  // namespace millrace::store
