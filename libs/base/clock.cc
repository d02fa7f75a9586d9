#include "base/clock.h"

#include <ctime>

namespace millrace::base {
namespace {

std::int64_t Millis(clockid_t id) {
  timespec ts{};
  clock_gettime(id, &ts);
  return static_cast<std::int64_t>(ts.tv_sec) * 1000 + ts.tv_nsec / 1'000'000;
}

}  // namespace

std::int64_t SystemClock::WallMillis() const { return Millis(CLOCK_REALTIME); }
std::int64_t SystemClock::MonotonicMillis() const { return Millis(CLOCK_BOOTTIME); }

}  // namespace millrace::base
