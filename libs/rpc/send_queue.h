#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "base/check.h"

namespace millrace::rpc {

// Messages of one call on their way out. gRPC takes one at a time, so the rest waits here.
// Not thread-safe: the call guards it with its lock.
class SendQueue {
 public:
  enum class Kind {
    kNothing,      // something is outstanding, or nothing is due
    kMessage,      // send `message`
    kLastMessage,  // send `message` and close the sending side
    kClose,        // close the sending side
  };
  struct Next {
    Kind kind = Kind::kNothing;
    bool more = false;  // kMessage: another one follows for certain, so the transport may hold this one back
    std::string message;
  };

  // False: closed or dropped, the message goes nowhere.
  bool Push(std::string message) {
    if (closing_) return false;
    bytes_ += message.size();
    waiting_.push_back(std::move(message));
    return true;
  }

  // Everything pushed so far still goes out, nothing more is taken. False: it was closed or dropped before.
  bool Close() {
    if (closing_) return false;
    closing_ = close_due_ = true;
    return true;
  }

  // The call is broken: forgets what waits, sends nothing any more.
  void Drop() {
    closing_ = true;
    close_due_ = false;
    waiting_.clear();
    first_ = 0;
    bytes_ = outstanding_bytes_;
  }

  // Whatever it returns has to be started by the caller, and OnSent() called at its completion.
  Next Take() {
    Next next;
    if (outstanding_) return next;
    if (first_ < waiting_.size()) {
      next.message = std::move(waiting_[first_]);
      DropFirst();
      next.more = first_ < waiting_.size();
      next.kind = close_due_ && !next.more ? Kind::kLastMessage : Kind::kMessage;
    } else if (close_due_) {
      next.kind = Kind::kClose;
    } else {
      return next;
    }
    if (next.kind != Kind::kMessage) close_due_ = false;
    outstanding_ = true;
    outstanding_bytes_ = next.message.size();
    return next;
  }

  void OnSent() {
    MR_CHECK(outstanding_);
    outstanding_ = false;
    bytes_ -= outstanding_bytes_;
    outstanding_bytes_ = 0;
  }

  bool closing() const { return closing_; }
  bool outstanding() const { return outstanding_; }
  std::size_t bytes() const { return bytes_; }  // pushed and not sent yet, with the message that is outstanding

 private:
  // Keeps the space of a queue that never runs empty in proportion to what waits.
  void DropFirst() {
    if (++first_ == waiting_.size()) {
      waiting_.clear();
      first_ = 0;
    } else if (first_ >= 64 && first_ * 2 > waiting_.size()) {
      waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(first_));
      first_ = 0;
    }
  }

  absl::InlinedVector<std::string, 1> waiting_;  // a unary answer needs no allocation
  std::size_t first_ = 0;                        // waiting_[0 .. first_) has been taken
  std::size_t bytes_ = 0;
  std::size_t outstanding_bytes_ = 0;
  bool outstanding_ = false;
  bool closing_ = false;    // takes nothing more
  bool close_due_ = false;  // the closing itself has still to be sent
};

}  // namespace millrace::rpc
