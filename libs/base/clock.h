#pragma once

#include <atomic>
#include <cstdint>

// Time as a seam. Wall time is for stamps that leave the process and for log time to steer by; every timeout of a
// shell uses the monotonic clock, which counts through suspends (CLOCK_BOOTTIME).
namespace millrace::base {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::int64_t WallMillis() const = 0;       // since 1970-01-01T00:00:00Z
  virtual std::int64_t MonotonicMillis() const = 0;  // since an arbitrary point
  virtual std::int64_t MonotonicNanos() const = 0;   // since the same point
};

// Thread-safe.
class SystemClock final : public Clock {
 public:
  std::int64_t WallMillis() const override;
  std::int64_t MonotonicMillis() const override;
  std::int64_t MonotonicNanos() const override;
};

// Stands still until it is moved. Thread-safe.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(std::int64_t wall_millis = 1'700'000'000'000) : wall_(wall_millis), monotonic_(1'000) {}
  std::int64_t WallMillis() const override { return wall_; }
  std::int64_t MonotonicMillis() const override { return monotonic_; }
  std::int64_t MonotonicNanos() const override { return monotonic_ * 1'000'000; }
  void Advance(std::int64_t millis) {
    wall_ += millis;
    monotonic_ += millis;
  }
  void JumpWall(std::int64_t millis) { wall_ += millis; }

 private:
  std::atomic<std::int64_t> wall_;
  std::atomic<std::int64_t> monotonic_;
};

}  // namespace millrace::base
