#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "services/proxy/method.h"

namespace millrace::proxy {

// Counters of the client-facing service since its start, and gauges of what is open now. Any thread counts, any reads.
struct ProxyMetrics {
  using Counter = std::atomic<std::uint64_t>;
  using Gauge = std::atomic<std::int64_t>;

  std::array<Counter, kMethodCount> requests{};  // by method; Telemetry counts streams
  std::array<Counter, kMethodCount> refused{};   // answered with another code than OK or MESSAGE_NOT_FOUND
  Counter messages_in{0};                        // stored, as the broker said
  Counter messages_out{0};                       // in streams that ended well
  Counter bytes_in{0};                           // of SendMessage requests
  Counter bytes_out{0};                          // of delivered messages, as written
  Counter answers_returned{0};                   // deliveries whose stream did not end well
  Gauge polls_waiting{0};
  Gauge telemetry_streams{0};
};

}  // namespace millrace::proxy
