#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>

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

 private:
  // How long a loop without users still polls: completions of what was under way come meanwhile.
  static constexpr std::chrono::seconds kQuiet{2};

  void Run() {
    void* tag = nullptr;
    bool ok = false;
    while (true) {
      switch (queue_->AsyncNext(&tag, &ok, std::chrono::system_clock::now() + kQuiet)) {
        case grpc::CompletionQueue::SHUTDOWN:
          return;
        case grpc::CompletionQueue::GOT_EVENT:
          static_cast<const Tag*>(tag)->on_completion(static_cast<const Tag*>(tag)->owner, ok);
          break;
        case grpc::CompletionQueue::TIMEOUT:
          WaitForUsers();
          break;
      }
    }
  }

  void WaitForUsers() {
    base::MutexLock lock(mu_);
    while (users_ == 0) used_.Wait(mu_);
  }

  grpc::ServerBuilder builder_;
  const std::shared_ptr<grpc::ServerCompletionQueue> queue_;
  std::atomic<int> users_{0};
  base::Mutex mu_;
  base::CondVar used_;
  std::thread thread_;
};

}  // namespace millrace::rpc
