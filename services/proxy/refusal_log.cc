#include "services/proxy/refusal_log.h"

#include "base/log.h"

namespace millrace::proxy {
namespace {
constexpr int kLinesPerSecond = 10;
}

void RefusalLog::Note(const RequestContext& context, const model::Error& error, std::int64_t now_millis) {
  if (!base::LogEnabled(base::LogLevel::kInfo)) return;
  std::uint64_t left_out = 0;
  {
    base::MutexLock lock(mu_);
    if (const std::int64_t second = now_millis / 1'000; second != second_) {
      second_ = second;
      lines_ = 0;
    }
    if (++lines_ > kLinesPerSecond) {
      ++left_out_;
      return;
    }
    left_out = std::exchange(left_out_, 0);
  }
  MR_LOG(Info, "request refused",
         {{"method", NameOf(context.method())},
          {"code", error.number()},
          {"text", error.text},
          {"client", context.client_id()},
          {"request_id", context.request_id()},
          {"peer", context.call().peer()},
          {"left_out", left_out}});
}

}  // namespace millrace::proxy
