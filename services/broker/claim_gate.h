#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>

#include "base/mutex.h"
#include "core/events.h"

namespace millrace::broker {

// What each link may still be sent of deliveries: its credit, in bytes of stored messages. Claims take theirs before a
// body is read, so what the readers, the queues of a link and its proxy hold together is never more than the proxy
// allowed. A link without credit waits alone.
// Thread-safe.
class ClaimGate {
 public:
  using Go = std::function<void(std::uint64_t granted)>;

  void Open(std::uint32_t link, std::uint64_t credit_bytes);
  // What waits there is dropped: the core forgets the claims of a link that is down.
  void Close(std::uint32_t link);

  // Takes at least `least` (> 0) and at most `most` bytes, and returns how many. 0: the claim waits in line; `go` is
  // called with the grant once there is credit, in the thread that brought it, or never when the receive is cancelled
  // or the link goes.
  std::uint64_t Take(core::ReplyTo receive, std::uint64_t least, std::uint64_t most, Go go);
  // Credit that the proxy returned, or a grant that was not used.
  void GiveBack(std::uint32_t link, std::uint64_t bytes);
  void Cancel(core::ReplyTo receive);

  std::size_t waiting() const;

 private:
  struct Claim {
    std::uint64_t correlation = 0;
    std::uint64_t least = 0, most = 0;
    Go go;
  };
  struct Link {
    std::uint64_t credit = 0;
    std::deque<Claim> waiting;
  };

  mutable base::Mutex mu_;
  std::map<std::uint32_t, Link> links_ ABSL_GUARDED_BY(mu_);
};

}  // namespace millrace::broker
