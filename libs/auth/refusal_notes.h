#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "base/mutex.h"

namespace millrace::auth {

// Callers that are refused come back every second: their log has a line every ten seconds, which counts what it left
// out. Thread-safe.
class RefusalNotes {
 public:
  // Whether to write a line now, and how many were left out since the last one.
  std::optional<std::uint64_t> Note(std::int64_t monotonic_millis) {
    base::MutexLock lock(mu_);
    if (written_ && monotonic_millis - *written_ < kEveryMillis) {
      ++left_out_;
      return std::nullopt;
    }
    written_ = monotonic_millis;
    return std::exchange(left_out_, 0);
  }

 private:
  static constexpr std::int64_t kEveryMillis = 10'000;

  base::Mutex mu_;
  std::optional<std::int64_t> written_ ABSL_GUARDED_BY(mu_);
  std::uint64_t left_out_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace millrace::auth
