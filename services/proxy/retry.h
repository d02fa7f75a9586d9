#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

// How long a failed message waits before its next delivery. Origin: RocketMQ 5's group retry policies.
namespace millrace::proxy {

// The schedule of groups that choose none: entry n - 1 after delivery n, the last one repeats.
inline constexpr std::array<std::int64_t, 18> kDefaultBackoffMillis = {
    1'000,   5'000,   10'000,  30'000,  60'000,  120'000,   180'000,   240'000,   300'000,
    360'000, 420'000, 480'000, 540'000, 600'000, 1'200'000, 1'800'000, 3'600'000, 7'200'000};

inline constexpr std::int64_t kExponentialInitialMillis = 5'000;
inline constexpr std::int64_t kExponentialMaxMillis = 7'200'000;
inline constexpr int kExponentialMultiplier = 2;
inline constexpr std::int32_t kDefaultMaxAttempts = 17;  // deliveries, the first included

struct RetryPolicy {
  std::int32_t max_attempts = kDefaultMaxAttempts;
  bool exponential = false;
  std::vector<std::int64_t> backoff_millis;  // customized; empty: the default schedule
};

// The wait after delivery number `attempt` (from 1; less counts as 1) has failed.
inline std::int64_t BackoffMillis(const RetryPolicy& policy, std::int32_t attempt) {
  const std::size_t failed = static_cast<std::size_t>(std::max(attempt, 1)) - 1;
  if (policy.exponential) {
    std::int64_t millis = kExponentialInitialMillis;
    for (std::size_t i = 0; i < failed && millis < kExponentialMaxMillis; ++i) millis *= kExponentialMultiplier;
    return std::min(millis, kExponentialMaxMillis);
  }
  if (!policy.backoff_millis.empty()) return policy.backoff_millis[std::min(failed, policy.backoff_millis.size() - 1)];
  return kDefaultBackoffMillis[std::min(failed, kDefaultBackoffMillis.size() - 1)];
}

}  // namespace millrace::proxy
