#include "services/proxy/receive_stream.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "model/names.h"
#include "model/stored_message.h"
#include "services/proxy/answers.h"
#include "services/proxy/egress.h"

namespace millrace::proxy {
namespace {

// The transport tells when a message has been taken, and nothing of the pieces that a long one consists of. So that is
// given the time that its pieces would have: the broker takes an offer back 15 s after the last piece.
constexpr std::size_t kPieceBytes = 1 << 20;
constexpr std::int64_t kPieceMillis = 15'000;

model::Error NoMessage() { return {model::ErrorCode::kMessageNotFound, "no message is ready: poll again"}; }

void WriteStatus(const ServiceParts& parts, const RequestContext& context, const model::Error& error) {
  if (error.code != model::ErrorCode::kMessageNotFound) NoteRefusal(parts, context, error);
  context.call().Write(MakeStatusElement(error));
  context.call().WriteAndFinish(MakeDeliveryTimestampElement(parts.clock.WallMillis()));
}

}  // namespace

void EndWithStatus(const ServiceParts& parts, const RequestContext& context, const model::Error& error) {
  NoteEnd(parts, context, error.number());
  WriteStatus(parts, context, error);
}

ReceiveStream::ReceiveStream(const ServiceParts& parts, RequestContext context, const std::string& topic,
                             BrokerLink& link)
    : parts_(parts),
      context_(std::move(context)),
      resource_namespace_(model::UnwrapNamespace(topic).resource_namespace),
      topic_name_(model::UnwrapNamespace(topic).name),
      link_(link) {}

void ReceiveStream::NoteEnd(int code) const {
  parts_.metrics.rpc.Record(Method::kReceiveMessage, code, parts_.clock.MonotonicNanos() - context_.began_nanos(),
                            waits_);
}

void ReceiveStream::Start(std::string payload, std::int64_t timeout_millis, bool waits) {
  waits_ = waits;
  ++parts_.metrics.polls_waiting;
  parts_.clients.AddPoll(context_.client_id(), shared_from_this());
  context_.call().OnEnded([self = shared_from_this()](rpc::CallEnd end) { self->OnCallEnded(end); });
  {
    base::MutexLock lock(mu_);
    if (state_ == State::kOver) return;
  }
  const std::uint64_t receive = link_.Receive(std::move(payload), timeout_millis, shared_from_this());
  bool stop = false;
  {
    base::MutexLock lock(mu_);
    receive_ = receive;
    stop = stop_when_started_;
  }
  if (stop) link_.CancelReceive(receive);
}

void ReceiveStream::StopReceive() {
  std::uint64_t receive = 0;
  {
    base::MutexLock lock(mu_);
    receive = receive_;
    stop_when_started_ = true;  // Start() has not learned the number yet
  }
  if (receive != 0) link_.CancelReceive(receive);
}

std::string ReceiveStream::ElementOf(const link::Delivery& delivery) const {
  const auto stored = model::ParseStoredMessage(delivery.stored);
  if (!stored) return {};
  DeliveryFields fields{.resource_namespace = resource_namespace_,
                        .topic = topic_name_,
                        .receipt_handle = delivery.handle,
                        .queue_id = static_cast<std::int32_t>(delivery.queue),
                        .queue_offset = delivery.queue_offset,
                        .delivery_attempt = static_cast<std::int32_t>(delivery.attempt),
                        .store_millis = delivery.store_millis,
                        .store_host = parts_.options.store_host};
  if (delivery.invisible_millis > 0) fields.invisible_millis = delivery.invisible_millis;
  if (!delivery.origin_topic.empty()) fields.dead_letter = DeadLetterOrigin{delivery.origin_topic, stored->id};
  return MakeMessageElement(*stored, fields);
}

void ReceiveStream::OnDelivery(const link::Delivery& delivery) {
  std::string element = ElementOf(delivery);
  if (element.empty()) {
    MR_LOG(Error, "a delivered message does not decode, it is left out",
           {{"topic", topic_name_}, {"queue", delivery.queue}, {"queue_offset", delivery.queue_offset}});
    return link_.ReturnCredit(delivery.stored.size());
  }
  bool is_first = false;
  bool client_has_gone = false;
  {
    base::MutexLock lock(mu_);
    client_has_gone = state_ != State::kWaiting && state_ != State::kDelivering;
    if (!client_has_gone) {
      is_first = state_ == State::kWaiting;
      state_ = State::kDelivering;
      answer_ = delivery.answer;
      ++messages_;
    }
  }
  if (client_has_gone) {
    link_.ReturnCredit(delivery.stored.size());
    return link_.ReportAnswer(delivery.answer, false);
  }
  if (is_first) context_.call().Write(MakeStatusElement(kOk, "OK"));
  const std::size_t bytes = element.size();
  parts_.metrics.bytes_out += bytes;
  context_.call().Write(std::move(element));
  OnWritten(bytes, delivery.stored.size());
}

void ReceiveStream::OnWritten(std::size_t element, std::size_t delivered) {
  const bool all_taken = context_.call().UnsentBytes() == 0;
  std::size_t credit = 0;
  {
    base::MutexLock lock(mu_);
    if (ends_.empty()) taken_millis_ = parts_.clock.MonotonicMillis();
    given_ += element;
    ends_.push_back(given_);
    credit_owed_ += delivered;
    // Once the call is over nobody else gives it back.
    if (all_taken || state_ == State::kOver) credit = std::exchange(credit_owed_, 0);
  }
  if (credit > 0) link_.ReturnCredit(credit);
}

void ReceiveStream::OnEnd(const link::DeliveryEnd& end) {
  bool delivered = false;
  {
    base::MutexLock lock(mu_);
    if (state_ != State::kWaiting && state_ != State::kDelivering) return;
    delivered = state_ == State::kDelivering;
    state_ = State::kEnding;
  }
  // An answer that broke off still holds messages that the client can work on.
  if (delivered) {
    NoteEnd(kOk);
    return context_.call().WriteAndFinish(MakeDeliveryTimestampElement(parts_.clock.WallMillis()));
  }
  if (end.answer != 0) link_.ReportAnswer(end.answer, false);  // none of it could be passed on
  const bool is_error = end.code != kOk && end.code != static_cast<std::uint32_t>(NoMessage().number());
  const model::Error error = is_error ? BrokerError(end.code, end.text) : NoMessage();
  NoteEnd(error.number());
  WriteStatus(parts_, context_, error);
}

void ReceiveStream::Progress() {
  const std::size_t unsent = context_.call().UnsentBytes();
  std::uint64_t answer = 0;
  {
    base::MutexLock lock(mu_);
    if (state_ != State::kDelivering && state_ != State::kEnding) return;
    // Status and time are in `unsent` and not in `given_`: at worst a few bytes too little.
    const std::size_t taken = given_ - std::min(unsent, given_);
    while (!ends_.empty() && ends_.front() <= taken) ends_.pop_front();
    const std::int64_t now = parts_.clock.MonotonicMillis();
    if (taken > taken_) {
      taken_ = taken;
      taken_millis_ = now;
      answer = answer_;
    } else if (!ends_.empty()) {
      const std::size_t further_pieces = (ends_.front() - taken) / kPieceBytes;
      if (now - taken_millis_ < static_cast<std::int64_t>(further_pieces) * kPieceMillis) answer = answer_;
    }
  }
  if (answer != 0) link_.AnswerWritten(answer);
}

void ReceiveStream::EndEarly() {
  {
    base::MutexLock lock(mu_);
    if (state_ != State::kWaiting) return;
    state_ = State::kEnding;
  }
  StopReceive();
  NoteEnd(NoMessage().number());
  WriteStatus(parts_, context_, NoMessage());
}

void ReceiveStream::OnCallEnded(rpc::CallEnd end) {
  const bool well = end == rpc::CallEnd::kFinished;
  State before;
  std::uint64_t answer = 0;
  std::size_t messages = 0;
  std::size_t credit = 0;
  {
    base::MutexLock lock(mu_);
    before = std::exchange(state_, State::kOver);
    answer = answer_;
    messages = messages_;
    credit = std::exchange(credit_owed_, 0);
  }
  --parts_.metrics.polls_waiting;
  if (before == State::kWaiting || before == State::kDelivering) {
    NoteEnd(RpcMetrics::kCancelled);
    StopReceive();
  }
  if (answer != 0) {
    link_.ReportAnswer(answer, well);
    if (well) {
      parts_.metrics.messages_out += messages;
    } else {
      ++parts_.metrics.answers_returned;
    }
  }
  if (credit > 0) link_.ReturnCredit(credit);
  parts_.clients.RemovePoll(context_.client_id(), this, !well);
}

}  // namespace millrace::proxy
