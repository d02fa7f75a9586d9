#include "base/clock.h"

#include <ctime>

namespace millrace::base {
namespace {

std::int64_t Nanos(clockid_t id) {
  timespec ts{};
  clock_gettime(id, &ts);
  return static_cast<std::int64_t>(ts.tv_sec) * 1'000'000'000 + ts.tv_nsec;
}

}  // namespace

std::int64_t SystemClock::WallMillis() const { return Nanos(CLOCK_REALTIME) / 1'000'000; }
std::int64_t SystemClock::MonotonicMillis() const { return Nanos(CLOCK_BOOTTIME) / 1'000'000; }
std::int64_t SystemClock::MonotonicNanos() const { return Nanos(CLOCK_BOOTTIME); }

}  // namespace millrace::base
