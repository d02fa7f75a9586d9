#include "services/proxy/rpc_metrics.h"

#include <algorithm>
#include <numeric>

#include "apache/rocketmq/v2/definition.pb.h"
#include "base/check.h"

namespace millrace::proxy {

namespace v2 = apache::rocketmq::v2;

namespace {

constexpr std::size_t kOkSlot = 0;
constexpr std::size_t kOtherSlot = 1;
constexpr std::size_t kFirstSortedSlot = 2;
constexpr int kServerErrors = 50'000;  // codes from here to the next are the server's fault
constexpr int kClientReports = 60'000;

}  // namespace

RpcMetrics::RpcMetrics() {
  codes_[kOkSlot] = v2::OK;
  codes_[kOtherSlot] = v2::CODE_UNSPECIFIED;
  slots_ = kFirstSortedSlot;
  codes_[slots_++] = kCancelled;
  const auto* codes = v2::Code_descriptor();
  for (int i = 0; i < codes->value_count(); ++i) {
    const int code = codes->value(i)->number();
    if (code == v2::OK || code == v2::CODE_UNSPECIFIED) continue;
    MR_CHECK(slots_ < kCodesMax);
    codes_[slots_++] = code;
  }
  std::sort(codes_.begin() + kFirstSortedSlot, codes_.begin() + slots_);
}

std::size_t RpcMetrics::SlotOf(int code) const {
  if (code == v2::OK) return kOkSlot;
  const auto begin = codes_.begin() + kFirstSortedSlot, end = codes_.begin() + slots_;
  const auto found = std::lower_bound(begin, end, code);
  return found != end && *found == code ? static_cast<std::size_t>(found - codes_.begin()) : kOtherSlot;
}

void RpcMetrics::Record(Method method, int code, std::int64_t nanos, bool waited) {
  const std::size_t row = RowOf(method, waited);
  answers_[row][SlotOf(code)].Record(nanos);
  nanos_[row].Record(nanos);
}

void RpcMetrics::ForEachAnswer(absl::FunctionRef<void(const Answers&)> each) const {
  for (std::size_t row = 0; row < kRows; ++row) {
    const bool waited = row == kRows - 1;
    const Method method = waited ? Method::kReceiveMessage : static_cast<Method>(row);
    for (std::size_t slot = 0; slot < slots_; ++slot) {
      const base::HistogramCounts counts = answers_[row][slot].counts();
      const std::uint64_t count = std::accumulate(counts.buckets.begin(), counts.buckets.end(), std::uint64_t{0});
      if (count > 0) each({method, waited, codes_[slot], count, counts});
    }
  }
}

std::string CodeLabel(int code) {
  if (code == RpcMetrics::kCancelled) return "cancelled";
  return code == v2::CODE_UNSPECIFIED ? "other" : v2::Code_Name(static_cast<v2::Code>(code));
}

const char* ResultLabel(int code) {
  if (code == RpcMetrics::kCancelled) return "cancelled";
  return code >= kServerErrors && code < kClientReports ? "process_request_failed" : "success";
}

}  // namespace millrace::proxy
