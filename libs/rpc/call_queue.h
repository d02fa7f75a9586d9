#pragma once

#include <atomic>
#include <memory>

#include "base/mutex.h"
#include "rpc/event_loop.h"

// Inside the library only: it includes gRPC.
namespace millrace::rpc {

// The calls of one loop. All events of a call come from one loop, so from one thread, in order.
class CallQueue {
 public:
  explicit CallQueue(const std::shared_ptr<EventLoop>& loop) : completions_(loop->queue()), loop_(loop.get()) {}

  grpc::ServerCompletionQueue& completions() { return *completions_; }

  // A call is posted: gRPC may hand it out.
  void Post() { ++calls_; }
  // gRPC has handed it out.
  void Enter() { loop_->Use(); }
  // Nothing more will be reported about it.
  void Leave(bool entered) {
    if (entered) loop_->Unuse();
    if (--calls_ > 0) return;
    base::MutexLock lock(mu_);
    drained_ = true;
    changed_.NotifyAll();
  }
  void WaitUntilDrained() {
    base::MutexLock lock(mu_);
    while (!drained_) changed_.Wait(mu_);
  }

 private:
  const std::shared_ptr<grpc::ServerCompletionQueue> completions_;
  EventLoop* const loop_;      // until drained
  std::atomic<int> calls_{0};  // posted or in flight
  base::Mutex mu_;
  base::CondVar changed_;
  bool drained_ ABSL_GUARDED_BY(mu_) = false;  // no call is left and none will come
};

}  // namespace millrace::rpc
