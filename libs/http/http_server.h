#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include <prometheus/collectable.h>

namespace millrace::http {

// /livez, /readyz and /metrics of a process. /livez answers 200 as long as the process can answer, /readyz 200 or 503.
// Threads.  SetReady() from any thread. Collect() of the metrics runs in a thread of the server.
// Lifetime. `metrics` outlive it. Destruction stops listening and waits for answers in progress.
class HttpServer {
 public:
  // `listen`: "host:port", "[::]:5557"; port 0 picks a free one. `metrics`: what a scrape collects, in this order (a
  // prometheus::Registry is one).
  // Errors: kInvalidArgument  no host and port;  kAlreadyExists  the port is taken or not ours to bind
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const std::string& listen,
                                                           std::vector<const prometheus::Collectable*> metrics);
  virtual ~HttpServer() = default;
  virtual int port() const = 0;
  virtual void SetReady(bool ready) = 0;  // not ready at first
};

}  // namespace millrace::http
