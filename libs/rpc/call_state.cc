#include "rpc/call_state.h"

#include <utility>

#include "base/check.h"

namespace millrace::rpc {

bool CallState::Finish(const absl::Status& status) {
  if (end_ || !sends_.Close()) return false;
  status_ = status;
  return true;
}

void CallState::OnEnded(std::function<void(CallEnd)> then) {
  MR_CHECK(!then_set_);
  then_set_ = true;
  then_ = std::move(then);
}

bool CallState::TakeHeaders() {
  if (headers_taken_ || end_ || done_ || sends_.closing()) return false;
  headers_taken_ = true;
  ++outstanding_;
  return true;
}

bool CallState::TakeRead() {
  if (end_ || done_ || reading_ || sends_.closing()) return false;
  reading_ = true;
  ++outstanding_;
  return true;
}

SendQueue::Next CallState::TakeSend() {
  if (end_ || done_) return {};
  SendQueue::Next next = sends_.Take();
  if (next.kind == SendQueue::Kind::kNothing) return next;
  ++outstanding_;
  next.more = next.more && headers_taken_;
  headers_taken_ = true;
  if (next.kind != SendQueue::Kind::kMessage) final_ = Final::kOutstanding;
  return next;
}

bool CallState::OnRead() {
  reading_ = false;
  --outstanding_;
  return !end_ && !done_ && !sends_.closing();
}

void CallState::OnSent(bool ok) {
  --outstanding_;
  sends_.OnSent();
  if (final_ == Final::kOutstanding) final_ = ok ? Final::kSent : Final::kFailed;
  if (!ok) sends_.Drop();
  DecideEnd();
}

void CallState::OnDone(bool cancelled) {
  MR_CHECK(!done_);
  done_ = true;
  cancelled_ = cancelled;
  DecideEnd();
}

// "Done" alone may overtake the report of the final send, so a call that was not cancelled waits for both.
void CallState::DecideEnd() {
  if (end_ || !done_) return;
  if (!cancelled_ && final_ == Final::kOutstanding) return;
  end_ = !cancelled_ && final_ == Final::kSent ? CallEnd::kFinished : CallEnd::kCancelled;
  sends_.Drop();
}

std::function<void()> CallState::TakeEnded() {
  if (!end_ || !then_) return {};
  return [then = std::exchange(then_, nullptr), end = *end_] { then(end); };
}

}  // namespace millrace::rpc
