#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "base/histogram.h"
#include "services/proxy/method.h"

namespace millrace::proxy {

// How long calls of the service took, by method and code. Lies on the way of every send: four relaxed additions at
// fixed places, no lock, no allocation.
// Threads. Any.
class RpcMetrics {
 public:
  // Instead of a code: the client went before the call had an answer.
  static constexpr int kCancelled = -1;

  RpcMetrics();

  // `code`: number of a v2 Code, or kCancelled. `waited`: a receive that was ready to wait for messages.
  void Record(Method method, int code, std::int64_t nanos, bool waited = false);

  // Ended calls of one method with one code, in RocketMQ's buckets (base::kRpcNanos).
  struct Answers {
    Method method;
    bool waited;
    int code;
    std::uint64_t count;
    base::HistogramCounts nanos;
  };
  // Those that there were.
  void ForEachAnswer(absl::FunctionRef<void(const Answers&)> each) const;
  // The same calls by method, whatever their code, in finer buckets.
  const base::Histogram& nanos(Method method, bool waited) const { return nanos_[RowOf(method, waited)]; }

 private:
  // Receives that may wait have a row of their own behind those of the methods.
  static constexpr std::size_t kRows = kMethodCount + 1;
  static constexpr std::size_t kCodesMax = 72;
  static std::size_t RowOf(Method method, bool waited) { return waited ? kRows - 1 : static_cast<std::size_t>(method); }
  std::size_t SlotOf(int code) const;

  struct Coarse : base::Histogram {
    Coarse() : Histogram(base::kRpcNanos) {}
  };
  struct Fine : base::Histogram {
    Fine() : Histogram(base::kLatencyNanos) {}
  };

  // Code of each slot: OK, the one for unknown codes, and the rest rising.
  std::array<int, kCodesMax> codes_{};
  std::size_t slots_ = 0;
  std::array<std::array<Coarse, kCodesMax>, kRows> answers_;
  std::array<Fine, kRows> nanos_;
};

// Labels. Names of v2 codes ("TOPIC_NOT_FOUND"), "cancelled", or "other" for a code that this version does not know.
std::string CodeLabel(int code);
// RocketMQ's label `result`.
const char* ResultLabel(int code);

}  // namespace millrace::proxy
