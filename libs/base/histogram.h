#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "base/check.h"

// Histograms with fixed buckets, for code that measures itself. How they are shown: http/metric_families.h.
namespace millrace::base {

// Inclusive upper bounds in a whole unit (nanoseconds, milliseconds, bytes), rising; one more bucket takes the rest.
class HistogramBounds {
 public:
  static constexpr std::size_t kMax = 19;

  constexpr HistogramBounds(std::initializer_list<std::int64_t> bounds) {
    for (const std::int64_t bound : bounds) bounds_.at(size_++) = bound;
  }
  constexpr std::size_t size() const { return size_; }
  constexpr std::size_t buckets() const { return size_ + 1; }
  constexpr std::int64_t operator[](std::size_t bucket) const { return bounds_[bucket]; }
  constexpr std::size_t BucketOf(std::int64_t value) const {
    std::size_t bucket = 0;
    while (bucket < size_ && value > bounds_[bucket]) ++bucket;
    return bucket;
  }

 private:
  std::array<std::int64_t, kMax> bounds_{};
  std::size_t size_ = 0;
};

// What one histogram has counted, in HistogramBounds' unit. Not cumulative.
struct HistogramCounts {
  std::array<std::uint64_t, HistogramBounds::kMax + 1> buckets{};
  std::uint64_t sum = 0;
};

// Any thread records, any reads: two relaxed additions, no lock, no allocation. A value below 0 counts as 0.
// A copy that is read while others record may lack some of their values.
class Histogram {
 public:
  // `bounds` outlive it (constants).
  explicit Histogram(const HistogramBounds& bounds) : bounds_(bounds) {}

  void Record(std::int64_t value) {
    if (value < 0) value = 0;
    buckets_[bounds_.BucketOf(value)].fetch_add(1, std::memory_order_relaxed);
    sum_.fetch_add(static_cast<std::uint64_t>(value), std::memory_order_relaxed);
  }
  const HistogramBounds& bounds() const { return bounds_; }
  HistogramCounts counts() const {
    HistogramCounts counts;
    for (std::size_t i = 0; i < bounds_.buckets(); ++i) counts.buckets[i] = buckets_[i].load(std::memory_order_relaxed);
    counts.sum = sum_.load(std::memory_order_relaxed);
    return counts;
  }

 private:
  const HistogramBounds& bounds_;
  std::array<std::atomic<std::uint64_t>, HistogramBounds::kMax + 1> buckets_{};
  std::atomic<std::uint64_t> sum_{0};
};

// Nanoseconds: from 0.1 ms to 30 s, for calls, disks and queues.
inline constexpr HistogramBounds kLatencyNanos{
    100'000,       250'000,       500'000,       1'000'000,      2'500'000,     5'000'000,
    10'000'000,    25'000'000,    50'000'000,    100'000'000,    250'000'000,   500'000'000,
    1'000'000'000, 2'500'000'000, 5'000'000'000, 10'000'000'000, 30'000'000'000};
// Milliseconds: RocketMQ's buckets of rocketmq_rpc_latency.
inline constexpr HistogramBounds kRpcMillis{1, 3, 5, 7, 10, 100, 1'000, 2'000, 3'000};

}  // namespace millrace::base
