#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "base/histogram.h"
#include "base/mutex.h"
#include "services/proxy/broker_link.h"

namespace millrace::proxy {

// A system topic and group: no user's rate or lag contains them.
inline constexpr absl::string_view kCanaryTopic = "rmq_sys_canary";
inline constexpr absl::string_view kCanaryGroup = "CID_RMQ_SYS_CANARY";

// Sends a tiny message per Tick() through the broker, receives and acknowledges what comes: says whether the way works
// and how long it takes when nobody uses it. Every proxy's canary shares the topic and the group, so one receives
// messages of another too; their time is that of both machines' wall clocks.
// Threads.   Tick and Stop from one; callbacks from the link's.
// Lifetime.  `link` and `clock` outlive its callbacks, which hold it. Stop() before the link goes.
class Canary final : public std::enable_shared_from_this<Canary> {
 public:
  Canary(BrokerLink& link, const base::Clock& clock, const std::string& proxy_name);

  void Tick();
  void Stop();

  std::uint64_t sends(bool ok) const { return ok ? sent_ : failed_; }
  std::uint64_t acks(bool ok) const { return ok ? acknowledged_ : unacknowledged_; }
  // From the send to the delivery, nanoseconds.
  const base::Histogram& end_to_end() const { return end_to_end_; }

 private:
  class Poll;

  void Prepare();
  void Send();
  void Receive();
  void OnMessage(absl::string_view body);
  void OnPollEnded(bool delivered);
  void Acknowledge(const std::string& handle);

  BrokerLink& link_;
  const base::Clock& clock_;
  const std::string client_, id_;
  std::atomic<bool> stopped_{false}, prepared_{false}, preparing_{false}, polling_{false};
  std::atomic<std::uint64_t> sent_{0}, failed_{0}, acknowledged_{0}, unacknowledged_{0};
  base::Histogram end_to_end_{base::kLatencyNanos};
  base::Mutex mu_;
  std::uint64_t receive_ ABSL_GUARDED_BY(mu_) = 0;  // of the last poll
};

}  // namespace millrace::proxy
