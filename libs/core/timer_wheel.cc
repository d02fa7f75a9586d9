#include "core/timer_wheel.h"

#include <algorithm>
#include <limits>

namespace millrace::core {

void TimerWheel::Set(Timer* timer, std::int64_t due) {
  Cancel(timer);
  timer->due = std::clamp<std::int64_t>(due, now_ + 1, now_ + (std::int64_t{1} << 46));
  Place(timer);
}

// The level of a timer is the highest byte in which its time differs from now: it comes down one level whenever that
// byte is reached.
void TimerWheel::Place(Timer* timer) {
  const auto difference = static_cast<std::uint64_t>(timer->due ^ now_);
  int level = 0;
  while (level + 1 < kLevels && difference >> (8 * (level + 1)) != 0) ++level;
  slots_[level][Index(timer->due, level)].PushBack(timer);
}

void TimerWheel::Tick() {
  ++now_;
  for (int level = kLevels - 1; level > 0; --level) {
    const std::uint64_t below = (std::uint64_t{1} << (8 * level)) - 1;
    if ((static_cast<std::uint64_t>(now_) & below) != 0) continue;
    auto& slot = slots_[level][Index(now_, level)];
    while (Timer* timer = slot.front()) {
      Cancel(timer);
      Place(timer);
    }
  }
}

std::int64_t TimerWheel::Next() const {
  for (int level = 0; level < kLevels; ++level) {
    for (std::size_t i = Index(now_, level) + 1; i < 256; ++i) {
      if (slots_[level][i].empty()) continue;
      const std::uint64_t above = ~((std::uint64_t{1} << (8 * (level + 1))) - 1);
      const std::uint64_t base = static_cast<std::uint64_t>(now_) & above;
      return static_cast<std::int64_t>(base | static_cast<std::uint64_t>(i) << (8 * level));
    }
  }
  return std::numeric_limits<std::int64_t>::max();
}

}  // namespace millrace::core
