#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "grpcpp/grpcpp.h"

// Inside the library only: it includes gRPC.
namespace millrace::rpc {

// What completion queues hand back.
struct Tag {
  void* owner;
  void (*on_completion)(void* owner, bool ok);
};

template <auto kMethod, typename Owner>
Tag TagOf(Owner* owner) {
  return {owner, [](void* to, bool ok) { (static_cast<Owner*>(to)->*kMethod)(ok); }};
}

// One completion queue and the thread that serves it; at most one server and any number of channels use it.
//
// Why. gRPC polls all sockets of a process in one epoll set, and every thread that waits for a completion queue takes
//      its turn at polling: what it finds for other queues it hands over. Two threads cost twice the CPU of one, so a
//      process has one loop for all it serves and calls, and a loop without users does not poll.
// Threads.  All. Handlers run on the loop's thread.
// Lifetime. Destruction waits for its thread, so it must not happen there; servers and channels that use it are gone or
//           shut down before. What may live longer (calls that a handler keeps) shares `queue`.
class EventLoop {
 public:
  EventLoop() : EventLoop(nullptr) {}
  // Serves `queue`, of the builder of another loop.
  explicit EventLoop(std::unique_ptr<grpc::ServerCompletionQueue> queue)
      : queue_(queue != nullptr ? std::move(queue) : builder_.AddCompletionQueue()), thread_([this] { Run(); }) {}
  ~EventLoop() {
    Use();
    queue_->Shutdown();
    thread_.join();
  }
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  const std::shared_ptr<grpc::ServerCompletionQueue>& queue() const { return queue_; }
  // Makes the one server: its first queue is the loop's.
  grpc::ServerBuilder& builder() { return builder_; }

  // Something is under way that may complete: the loop polls until as many calls of Unuse() have come.
  void Use() {
    if (users_++ > 0) return;
    base::MutexLock lock(mu_);
    used_.NotifyAll();
  }
  void Unuse() { --users_; }
  bool polling() const { return polling_; }

  // From a handler: `run` comes on this thread once no more events are ready (or after a good many of them), so that
  // what they all have to say can leave together. False, and `run` never comes: this is not the thread of `loop`.
  // Static, because a loop that is gone is nobody's thread.
  static bool Soon(const EventLoop* loop, std::function<void()> run) {
    if (current_ != loop) return false;
    current_->soon_.push_back(std::move(run));
    return true;
  }

 private:
  static constexpr int kQuietMillis = 100;  // without events, before a loop without users stops polling
  static constexpr int kEventsBeforeSoon = 128;

  void Run() {
    current_ = this;
    void* tag = nullptr;
    bool ok = false;
    bool quiet = false;
    gpr_timespec deadline = Deadline();
    while (true) {
      // Computed once for many events: clocks cost as much as an event.
      const gpr_timespec until = soon_.empty() ? deadline : gpr_inf_past(GPR_CLOCK_MONOTONIC);
      const auto next = queue_->AsyncNext(&tag, &ok, until);
      if (next == grpc::CompletionQueue::SHUTDOWN) return;
      if (next == grpc::CompletionQueue::GOT_EVENT) {
        quiet = false;
        static_cast<const Tag*>(tag)->on_completion(static_cast<const Tag*>(tag)->owner, ok);
        if (!soon_.empty() && ++events_ >= kEventsBeforeSoon) RunSoon();
      } else if (!soon_.empty()) {
        RunSoon();
      } else {
        if (std::exchange(quiet, true)) WaitForUsers();
        deadline = Deadline();
      }
    }
  }

  static gpr_timespec Deadline() {
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(kQuietMillis, GPR_TIMESPAN));
  }

  void RunSoon() {
    events_ = 0;
    std::vector<std::function<void()>> due;
    due.swap(soon_);
    for (const auto& run : due) run();
  }

  void WaitForUsers() {
    base::MutexLock lock(mu_);
    polling_ = false;
    while (users_ == 0) used_.Wait(mu_);
    polling_ = true;
  }

  static inline thread_local EventLoop* current_ = nullptr;  // whose thread this is

  grpc::ServerBuilder builder_;
  const std::shared_ptr<grpc::ServerCompletionQueue> queue_;
  std::atomic<int> users_{0};
  std::atomic<bool> polling_{true};
  base::Mutex mu_;
  base::CondVar used_;
  std::vector<std::function<void()>> soon_;  // the thread's, as is `events_`
  int events_ = 0;                           // since soon_ was empty
  std::thread thread_;
};

}  // namespace millrace::rpc
