#pragma once

#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "rpc/send_queue.h"
#include "rpc/transport.h"

namespace millrace::rpc {

// The rules of one accepted call on the server: which operation may start now, how and when the call ends, and when
// the transport may let go of it. It starts nothing itself.
// Threads.   Not thread-safe: the call guards it with its lock and runs what TakeEnded() returns outside of it.
// Contract of the transport. Every operation that a Take...() allowed completes once; "done" comes once for every
// accepted call, after a cancellation or after the final status.
class CallState {
 public:
  // The handler's side.
  bool Write(std::string message) { return !end_ && sends_.Push(std::move(message)); }
  // The first one counts. False: the call is over or finished, nothing changed.
  bool Finish(const absl::Status& status);
  void OnEnded(std::function<void(CallEnd)> then);
  std::size_t UnsentBytes() const { return sends_.bytes(); }
  const absl::Status& status() const { return status_; }  // goes out with kLastMessage and kClose

  // What the transport has to start now.
  bool TakeHeaders();
  bool TakeRead();
  // `more` is only set after headers of their own: gRPC 1.51 never flushes a held-back message that carries them.
  SendQueue::Next TakeSend();

  // What the transport reports.
  void OnHeadersSent() { --outstanding_; }
  // True: what has been read concerns the handler.
  bool OnRead();
  void OnSent(bool ok);
  void OnDone(bool cancelled);

  // Non-empty exactly once: when the call is over and somebody wants to know.
  std::function<void()> TakeEnded();
  std::optional<CallEnd> end() const { return end_; }
  // Nothing will be reported any more.
  bool Idle() const { return done_ && outstanding_ == 0; }

 private:
  enum class Final { kNone, kOutstanding, kSent, kFailed };  // the send that carries the status

  void DecideEnd();

  SendQueue sends_;
  absl::Status status_;
  std::function<void(CallEnd)> then_;
  std::optional<CallEnd> end_;
  int outstanding_ = 0;  // operations started and not reported
  Final final_ = Final::kNone;
  bool headers_taken_ = false;
  bool reading_ = false;
  bool done_ = false;
  bool cancelled_ = false;
  bool then_set_ = false;
};

}  // namespace millrace::rpc
