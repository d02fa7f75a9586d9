#pragma once

#include <cstdint>

#include "base/mutex.h"
#include "model/error.h"
#include "services/proxy/request_context.h"

namespace millrace::proxy {

// Log lines about refused requests, so that a client's request id leads to the cause. At most ten a second: a client
// in a retry loop must not fill the disk; what was left out is counted in the next line. Thread-safe.
class RefusalLog {
 public:
  void Note(const RequestContext& context, const model::Error& error, std::int64_t now_millis);

 private:
  base::Mutex mu_;
  std::int64_t second_ ABSL_GUARDED_BY(mu_) = -1;
  int lines_ ABSL_GUARDED_BY(mu_) = 0;
  std::uint64_t left_out_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace millrace::proxy
