#include "cli/message_client.h"

#include <unistd.h>

#include <chrono>
#include <deque>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/mutex.h"
#include "cli/exit_code.h"

namespace millrace::cli {
namespace {

namespace v2 = apache::rocketmq::v2;

constexpr char kService[] = "/apache.rocketmq.v2.MessagingService/";
// The lease of a message between its delivery and the acknowledgement that follows when it has been printed.
constexpr std::int64_t kInvisibleSeconds = 30;
// A server may make a long poll this long, whatever was asked for.
constexpr std::int64_t kPollMillisMin = 5'000;
// An answer may come this much later than its long poll ends.
constexpr std::int64_t kAnswerMarginMillis = 5'000;

std::string HostName() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "localhost";
}

// Collects the messages of a stream for the thread that waits for them.
class Collector final : public rpc::ClientStreamHandler {
 public:
  void OnMessage(std::string message) override {
    base::MutexLock lock(mu_);
    messages_.push_back(std::move(message));
    changed_.NotifyAll();
  }

  void OnEnded(const absl::Status& status) override {
    base::MutexLock lock(mu_);
    ended_ = status;
    changed_.NotifyAll();
  }

  // The next message; nullopt when the stream has ended (`status` says how) or nothing came in time.
  std::optional<std::string> Next(std::int64_t timeout_millis, absl::Status& status) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_millis);
    base::MutexLock lock(mu_);
    while (messages_.empty() && !ended_) {
      const auto left = deadline - std::chrono::steady_clock::now();
      if (left <= std::chrono::nanoseconds(0)) {
        status = absl::DeadlineExceededError(absl::StrCat("no answer within ", timeout_millis, " ms"));
        return std::nullopt;
      }
      changed_.WaitFor(mu_, left);
    }
    if (messages_.empty()) {
      status = *ended_;
      return std::nullopt;
    }
    std::string message = std::move(messages_.front());
    messages_.pop_front();
    return message;
  }

 private:
  base::Mutex mu_;
  base::CondVar changed_;
  std::deque<std::string> messages_ ABSL_GUARDED_BY(mu_);
  std::optional<absl::Status> ended_ ABSL_GUARDED_BY(mu_);
};

Outcome Judge(const v2::Status& status) {
  return {ExitCodeOf(status.code()), status.code() == v2::OK ? "" : StatusText(status)};
}

v2::ReceiveMessageRequest MakeReceive(const std::string& topic, const std::string& group, int batch,
                                      std::int64_t wait_millis) {
  v2::ReceiveMessageRequest request;
  request.mutable_group()->set_name(group);
  request.mutable_message_queue()->mutable_topic()->set_name(topic);
  request.mutable_message_queue()->set_id(-1);
  request.mutable_filter_expression()->set_type(v2::TAG);
  request.mutable_filter_expression()->set_expression("*");
  request.set_batch_size(batch);
  request.mutable_invisible_duration()->set_seconds(kInvisibleSeconds);
  request.mutable_long_polling_timeout()->set_seconds(wait_millis / 1'000);
  request.mutable_long_polling_timeout()->set_nanos(static_cast<std::int32_t>(wait_millis % 1'000 * 1'000'000));
  return request;
}

}  // namespace

std::string StatusText(const v2::Status& status) {
  const std::string name = v2::Code_IsValid(status.code()) ? v2::Code_Name(status.code()) : "unknown code";
  return absl::StrCat(status.message().empty() ? "refused" : status.message(), " (", name, " ",
                      static_cast<int>(status.code()), ")");
}

MessageClient::MessageClient(Session& session)
    : session_(session),
      client_id_(absl::StrCat(HostName(), "@", getpid(), "@millrace@", base::HexUpper(base::RandomBytes(6)))),
      channel_(session.Connect(session.proxy)) {}

Outcome MessageClient::Unreachable(const absl::Status& status) const {
  return {ExitCodeOf(status), absl::StrCat("no answer from the proxy at ", session_.proxy, " (", status.message(),
                                           "); start one with `millrace up`, or name another with --proxy HOST:PORT")};
}

template <typename Response>
Outcome MessageClient::Call(const std::string& method, const std::string& request, Response& response) {
  const auto answer = channel_->CallAndWait(
      kService + method, {{"x-mq-client-id", client_id_}, {"x-mq-language", "CPP"}}, request, session_.timeout_millis);
  if (!answer.ok()) return Unreachable(answer.status());
  if (!response.ParseFromString(*answer)) {
    return {kExitFailed, absl::StrCat("the answer of ", session_.proxy, " to ", method,
                                      " does not decode; is that a proxy's port for clients?")};
  }
  return Judge(response.status());
}

Outcome MessageClient::Send(const v2::Message& message, std::int64_t& offset) {
  v2::SendMessageRequest request;
  *request.add_messages() = message;
  v2::SendMessageResponse response;
  Outcome outcome = Call("SendMessage", request.SerializeAsString(), response);
  if (outcome.exit_code == kExitOk && response.entries_size() == 1) offset = response.entries(0).offset();
  return outcome;
}

Outcome MessageClient::Receive(const std::string& topic, const std::string& group, int batch, std::int64_t wait_millis,
                               const std::function<void(const v2::Message&)>& each) {
  const auto collector = std::make_shared<Collector>();
  const auto stream = channel_->OpenStream(absl::StrCat(kService, "ReceiveMessage"),
                                           {{"x-mq-client-id", client_id_}, {"x-mq-language", "CPP"}}, collector);
  stream->Write(MakeReceive(topic, group, batch, wait_millis).SerializeAsString());
  stream->WritesDone();
  absl::Status ended;
  Outcome outcome;
  const bool ends_here = wait_millis < kPollMillisMin;
  const std::int64_t patience_millis = ends_here ? wait_millis : wait_millis + kAnswerMarginMillis;
  while (auto bytes = collector->Next(patience_millis, ended)) {
    v2::ReceiveMessageResponse response;
    if (!response.ParseFromString(*bytes)) {
      ended = absl::DataLossError("a part of the answer does not decode");
      break;
    }
    if (response.has_status() && response.status().code() != v2::MESSAGE_NOT_FOUND) outcome = Judge(response.status());
    if (response.has_message()) each(response.message());
  }
  stream->Cancel();
  if (ends_here && absl::IsDeadlineExceeded(ended)) return outcome;
  return ended.ok() ? outcome : Unreachable(ended);
}

Outcome MessageClient::Acknowledge(const std::string& topic, const std::string& group,
                                   const std::vector<v2::AckMessageEntry>& entries) {
  v2::AckMessageRequest request;
  request.mutable_topic()->set_name(topic);
  request.mutable_group()->set_name(group);
  for (const v2::AckMessageEntry& entry : entries) *request.add_entries() = entry;
  v2::AckMessageResponse response;
  Outcome outcome = Call("AckMessage", request.SerializeAsString(), response);
  for (const v2::AckMessageResultEntry& entry : response.entries()) {
    if (entry.status().code() == v2::OK) continue;
    outcome = Judge(entry.status());
    outcome.text = absl::StrCat("message ", entry.message_id(), " is not acknowledged: ", outcome.text);
  }
  return outcome;
}

Outcome MessageClient::GiveBack(const std::string& topic, const std::string& group, const v2::AckMessageEntry& entry) {
  v2::ChangeInvisibleDurationRequest request;
  request.mutable_topic()->set_name(topic);
  request.mutable_group()->set_name(group);
  request.set_message_id(entry.message_id());
  request.set_receipt_handle(entry.receipt_handle());
  request.mutable_invisible_duration()->set_seconds(0);
  request.set_suspend(true);
  v2::ChangeInvisibleDurationResponse response;
  return Call("ChangeInvisibleDuration", request.SerializeAsString(), response);
}

Outcome MessageClient::Terminate(const std::string& group) {
  v2::NotifyClientTerminationRequest request;
  request.mutable_group()->set_name(group);
  v2::NotifyClientTerminationResponse response;
  return Call("NotifyClientTermination", request.SerializeAsString(), response);
}

}  // namespace millrace::cli
