#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "base/check.h"

namespace millrace::core {

// A queue in one array that grows by doubling and never shrinks, so a steady state allocates nothing.
template <typename T>
class Ring {
 public:
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  T& front() { return at(0); }
  T& back() { return at(size_ - 1); }

  // Element `i` from the front.
  T& at(std::size_t i) {
    MR_CHECK(i < size_);
    return items_[(first_ + i) & (items_.size() - 1)];
  }
  const T& at(std::size_t i) const { return const_cast<Ring*>(this)->at(i); }

  void push(T item) {
    if (size_ == items_.size()) Grow();
    items_[(first_ + size_) & (items_.size() - 1)] = std::move(item);
    ++size_;
  }

  T pop() {
    T item = std::move(front());
    first_ = (first_ + 1) & (items_.size() - 1);
    --size_;
    return item;
  }

  void clear() { first_ = size_ = 0; }

 private:
  void Grow() {
    std::vector<T> bigger(items_.empty() ? 16 : items_.size() * 2);
    for (std::size_t i = 0; i < size_; ++i) bigger[i] = std::move(at(i));
    items_ = std::move(bigger);
    first_ = 0;
  }

  std::vector<T> items_;  // a power of two, or none
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

}  // namespace millrace::core
