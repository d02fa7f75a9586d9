#pragma once

#include <array>
#include <cstdint>

#include "core/list.h"

namespace millrace::core {

struct TimerTag {};

// Lives inside the thing that it ends. `kind` says what that is.
struct Timer : Node<TimerTag> {
  std::int64_t due = 0;
  std::uint8_t kind = 0;
};

// Timers of 1 ms in six levels of 256 slots. Setting and cancelling is O(1) and allocates nothing. Timers of one
// millisecond fire in the order in which they were set: the same events give the same order.
class TimerWheel {
 public:
  // Forgets nothing: call it while no timer is set.
  void Reset(std::int64_t now) { now_ = now; }

  // Fires when time reaches `due`, never inside this call. Moves the timer when it is set already.
  void Set(Timer* timer, std::int64_t due);
  static void Cancel(Timer* timer) { List<Timer, TimerTag>::Remove(timer); }

  // Moves time to `now` and calls fire(Timer*) for each timer that is due; it is no longer set then. `fire` may set
  // and cancel timers.
  template <typename Fire>
  void Advance(std::int64_t now, Fire fire) {
    while (now_ < now) {
      Tick();
      auto& slot = slots_[0][Index(now_, 0)];
      while (Timer* timer = slot.front()) {
        Cancel(timer);
        fire(timer);
      }
    }
  }

  // A lower bound of the earliest due time that is above the current time; max int64 when no timer is set. Exact within
  // the current 256 ms.
  std::int64_t Next() const;

 private:
  static constexpr int kLevels = 6;
  static std::size_t Index(std::int64_t time, int level) {
    return static_cast<std::size_t>(static_cast<std::uint64_t>(time) >> (8 * level)) & 255;
  }
  void Tick();
  void Place(Timer* timer);

  std::int64_t now_ = 0;
  std::array<std::array<List<Timer, TimerTag>, 256>, kLevels> slots_;
};

}  // namespace millrace::core
