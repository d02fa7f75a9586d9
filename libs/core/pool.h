#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/check.h"

namespace millrace::core {

// Objects that come and go often: addresses are stable, memory is kept. T has `std::uint32_t slot` (the pool's) and
// `std::uint64_t id` (0 while free). An id is never used twice, so a late answer to an old one finds nothing.
template <typename T>
class Pool {
 public:
  // The object is as the last user left it, but for slot and id: Reset() it.
  T* Take() {
    if (free_.empty()) {
      auto item = std::make_unique<T>();
      item->slot = static_cast<std::uint32_t>(items_.size());
      MR_CHECK(item->slot < kSlots);
      free_.push_back(item->slot);
      items_.push_back(std::move(item));
      free_.reserve(items_.size());
    }
    T* item = items_[free_.back()].get();
    free_.pop_back();
    item->id = ++sequence_ * kSlots | item->slot;
    return item;
  }

  void Give(T* item) {
    MR_CHECK(item->id != 0);
    item->id = 0;
    free_.push_back(item->slot);
  }

  T* Find(std::uint64_t id) const {
    const std::uint64_t slot = id % kSlots;
    return id != 0 && slot < items_.size() && items_[slot]->id == id ? items_[slot].get() : nullptr;
  }

  std::uint32_t slots() const { return static_cast<std::uint32_t>(items_.size()); }
  std::uint32_t used() const { return static_cast<std::uint32_t>(items_.size() - free_.size()); }
  // nullptr while free.
  T* Slot(std::uint32_t slot) const { return items_[slot]->id != 0 ? items_[slot].get() : nullptr; }

 private:
  static constexpr std::uint64_t kSlots = 1u << 24;
  std::vector<std::unique_ptr<T>> items_;
  std::vector<std::uint32_t> free_;
  std::uint64_t sequence_ = 0;
};

// Plain recycling for small objects that are found by pointer.
template <typename T>
class Recycler {
 public:
  T* Take() {
    if (free_.empty()) AddChunk();
    T* item = free_.back();
    free_.pop_back();
    *item = T();
    return item;
  }
  void Give(T* item) { free_.push_back(item); }

 private:
  static constexpr std::size_t kChunk = 128;
  void AddChunk() {
    chunks_.push_back(std::make_unique<T[]>(kChunk));
    free_.reserve(chunks_.size() * kChunk);
    for (std::size_t i = kChunk; i-- > 0;) free_.push_back(&chunks_.back()[i]);
  }
  std::vector<std::unique_ptr<T[]>> chunks_;
  std::vector<T*> free_;
};

}  // namespace millrace::core
