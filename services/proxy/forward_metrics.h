#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/histogram.h"
#include "link/frame.h"

namespace millrace::proxy {

// How long the broker took with requests of one link, from their hand-over to it until its answer. Any thread.
class ForwardMetrics {
 public:
  void Record(link::Op op, std::int64_t nanos) { nanos_[RowOf(op)].Record(nanos); }

  // Calls `each(label, histogram)`.
  template <typename Each>
  void ForEach(Each&& each) const {
    static constexpr std::array<const char*, kRows> kLabels = {
        "other", "send", "ack", "change_invisible", "forward_dead_letter", "query", "get_message"};
    for (std::size_t i = 0; i < kRows; ++i) each(kLabels[i], nanos_[i]);
  }

 private:
  static constexpr std::size_t kRows = 7;
  static constexpr std::size_t RowOf(link::Op op) {
    switch (op) {
      case link::Op::kSend: return 1;
      case link::Op::kAck: return 2;
      case link::Op::kChangeInvisible: return 3;
      case link::Op::kForwardDeadLetter: return 4;
      case link::Op::kQuery: return 5;
      case link::Op::kGetMessage: return 6;
      default: return 0;
    }
  }

  struct Nanos : base::Histogram {
    Nanos() : Histogram(base::kLatencyNanos) {}
  };
  std::array<Nanos, kRows> nanos_;
};

}  // namespace millrace::proxy
