#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "rpc/transport.h"

namespace millrace::naming {

// A nameserver answers or says something every second; a stream that is silent for longer is broken.
inline constexpr std::int64_t kSilenceMaxMillis = 5'000;
inline constexpr std::int64_t kReopenMillis = 1'000;

// One stream to one server that its owner keeps open: what arrives is kept until the owner's thread takes it.
// Threads. All methods from the owner's thread; `wake` runs in a transport thread when there is something to take.
class HeldStream {
 public:
  struct Events {
    std::vector<std::string> messages;
    bool ended = false;  // after these messages; Open() may be tried again
    std::string cause;
  };

  HeldStream(std::unique_ptr<rpc::Channel> channel, const char* method, std::function<void()> wake);
  ~HeldStream();

  // True: a new stream was begun, and the first message is to be written.
  bool Open(std::int64_t now_millis);
  bool is_open() const { return stream_ != nullptr; }
  void Write(std::string message) { stream_->Write(std::move(message)); }
  void WritesDone() { stream_->WritesDone(); }
  // Also ends a stream that has been silent for too long.
  Events Take(std::int64_t now_millis);

 private:
  class Inbox;

  const std::unique_ptr<rpc::Channel> channel_;
  const char* const method_;
  const std::function<void()> wake_;
  std::shared_ptr<Inbox> inbox_;
  std::unique_ptr<rpc::ClientStream> stream_;
  std::int64_t heard_millis_ = 0;
  std::int64_t opened_millis_ = -kReopenMillis;
};

}  // namespace millrace::naming
