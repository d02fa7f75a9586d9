#pragma once

#include <atomic>
#include <cstdint>

#include "services/proxy/rpc_metrics.h"

namespace millrace::proxy {

// What the client-facing service counts since its start, and gauges of what is open now. Any thread counts, any reads.
struct ProxyMetrics {
  using Counter = std::atomic<std::uint64_t>;
  using Gauge = std::atomic<std::int64_t>;

  RpcMetrics rpc;               // calls that have ended; of Telemetry the streams
  Counter messages_in{0};       // stored, as the broker said
  Counter messages_out{0};      // in streams that ended well
  Counter bytes_in{0};          // of SendMessage requests
  Counter bytes_out{0};         // of delivered messages, as written
  Counter answers_returned{0};  // deliveries whose stream did not end well
  Gauge polls_waiting{0};
  Gauge telemetry_streams{0};
};

}  // namespace millrace::proxy
