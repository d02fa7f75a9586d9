#pragma once

#include <algorithm>
#include <cstdint>

namespace millrace::broker {

// What log time steers towards. It advances with the monotonic clock, at double or half speed to meet the wall clock,
// and never goes back; so a jump of the wall clock neither fires timers nor freezes leases.
class LogClock {
 public:
  LogClock(std::int64_t last_log_time, std::int64_t wall, std::int64_t monotonic)
      : log_time_(std::max(last_log_time, wall)), monotonic_(monotonic) {}

  std::int64_t Advance(std::int64_t wall, std::int64_t monotonic) {
    const std::int64_t elapsed = std::max<std::int64_t>(0, monotonic - monotonic_);
    monotonic_ += elapsed;
    const std::int64_t behind = wall - (log_time_ + elapsed);
    log_time_ += elapsed + (behind > 0 ? std::min(behind, elapsed) : std::max(behind, -(elapsed / 2)));
    return log_time_;
  }

 private:
  std::int64_t log_time_;
  std::int64_t monotonic_;
};

}  // namespace millrace::broker
