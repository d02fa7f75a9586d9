#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace millrace::rpc {

// Owns a listening socket: accepts, waits for the first byte without reading it, and hands the connection over.
//
// Counting. A copy of every descriptor that was handed over stays here and reports the end of the connection (peer
//           gone, or the new owner has called shutdown(2), as gRPC does before it closes), so an open connection costs
//           two descriptors.
// Limits.   At `connections_max` further ones are closed at once; so is one that says nothing for
//           `first_byte_timeout_millis`.
// Threads.  One of its own, which also runs `hand_over` and `ended`. Destruction closes the listening socket and the
// connections
//           that have not been handed over, and waits for the thread.
class Acceptor {
 public:
  enum class Protocol { kPlaintext, kTls };
  // Takes the descriptor: non-blocking, close-on-exec, TCP_NODELAY set.
  using HandOver = std::function<void(int fd, Protocol protocol)>;
  // A connection that was handed over has ended.
  using Ended = std::function<void()>;
  // Connections so far. Open: accepted less ended.
  struct Counters {
    std::atomic<std::uint64_t> accepted{0}, ended{0};
    std::atomic<std::uint64_t> refused{0};  // at the limit
  };
  struct Options {
    std::string address;
    int connections_max;
    std::int64_t first_byte_timeout_millis;
    Counters* counters;  // outlive the acceptor
  };

  // Listens when it returns. Errors as StartServer().
  static absl::StatusOr<std::unique_ptr<Acceptor>> Start(const Options& options, HandOver hand_over, Ended ended);
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  int port() const { return port_; }

 private:
  struct Silent {
    int fd;
    std::int64_t deadline_millis;
  };

  Acceptor(const Options& options, HandOver hand_over, Ended ended, int listener, int port);

  void Run();
  void OnEvent(int fd);
  void AcceptAll();
  void Add(int fd);
  void LookAtFirstByte(int fd);
  void GiveAway(int fd, Protocol protocol);
  void CloseSilent(int fd);
  void CloseOverdue();
  void PauseAccepting(int error);
  int TimeoutMillis() const;
  void Watch(int fd, std::uint32_t events, int operation);

  const Options options_;
  const HandOver hand_over_;
  const Ended ended_;
  const int port_;
  const int listener_;
  const int epoll_;
  const int stop_;            // eventfd
  std::list<Silent> silent_;  // the oldest first
  std::unordered_map<int, std::list<Silent>::iterator> silent_by_fd_;
  std::unordered_set<int> copies_;        // of descriptors that were handed over
  std::int64_t paused_until_millis_ = 0;  // 0: accepting
  bool full_reported_ = false;
  std::thread thread_;  // the last: it uses all of the above
};

}  // namespace millrace::rpc
