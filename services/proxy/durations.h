#pragma once

#include <algorithm>
#include <cstdint>

#include "google/protobuf/duration.pb.h"

namespace millrace::proxy {

// Rounded towards zero; cut to a range in which sums of a few of them cannot overflow.
inline std::int64_t MillisOf(const google::protobuf::Duration& duration) {
  constexpr std::int64_t kSecondsMax = 1ll << 40;
  return std::clamp<std::int64_t>(duration.seconds(), -kSecondsMax, kSecondsMax) * 1'000 + duration.nanos() / 1'000'000;
}

}  // namespace millrace::proxy
