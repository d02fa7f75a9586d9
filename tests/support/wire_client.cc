#include "tests/support/wire_client.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"

namespace millrace::testing_support {
namespace {

namespace v2 = apache::rocketmq::v2;

constexpr std::int64_t kPatienceMillis = 20'000;
constexpr absl::string_view kService = "/apache.rocketmq.v2.MessagingService/";

using Header = std::pair<absl::string_view, absl::string_view>;

std::vector<Header> Listed(const std::map<std::string, std::string>& headers) {
  std::vector<Header> all;
  for (const auto& [key, value] : headers) all.emplace_back(key, value);
  return all;
}

}  // namespace

void WireStream::OnMessage(std::string message) {
  base::MutexLock lock(mu_);
  messages_.push_back(std::move(message));
  changed_.NotifyAll();
}

void WireStream::OnEnded(const absl::Status& status) {
  base::MutexLock lock(mu_);
  end_ = status;
  changed_.NotifyAll();
}

std::vector<std::string> WireStream::WaitForMessages(std::size_t count) {
  base::MutexLock lock(mu_);
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMillis);
  while (messages_.size() < count && !end_) {
    MR_CHECK(std::chrono::steady_clock::now() < until);
    changed_.WaitFor(mu_, std::chrono::milliseconds(kPatienceMillis));
  }
  return messages_;
}

absl::Status WireStream::WaitForEnd() {
  base::MutexLock lock(mu_);
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMillis);
  while (!end_) {
    MR_CHECK(std::chrono::steady_clock::now() < until);
    changed_.WaitFor(mu_, std::chrono::milliseconds(kPatienceMillis));
  }
  return *end_;
}

bool WireStream::ended() const {
  base::MutexLock lock(mu_);
  return end_.has_value();
}

std::vector<std::string> WireStream::messages() const {
  base::MutexLock lock(mu_);
  return messages_;
}

WireClient::WireClient(int port, const std::string& client_id)
    : headers{{"x-mq-client-id", client_id}, {"x-mq-language", "CPP"}, {"x-mq-client-version", "5.0.0"}},
      channel_(rpc::MakeChannel(absl::StrCat("127.0.0.1:", port))) {}

absl::StatusOr<std::string> WireClient::CallBytes(absl::string_view method, std::string request) {
  return channel_->CallAndWait(absl::StrCat(kService, method), Listed(headers), std::move(request), kPatienceMillis);
}

std::unique_ptr<WireClient::Stream> WireClient::Open(absl::string_view method) {
  auto heard = std::make_shared<WireStream>();
  auto call = channel_->OpenStream(absl::StrCat(kService, method), Listed(headers), heard);
  return std::make_unique<Stream>(std::move(heard), std::move(call));
}

std::unique_ptr<WireClient::Stream> WireClient::OpenTelemetry() { return Open("Telemetry"); }

std::unique_ptr<WireClient::Stream> WireClient::StartReceive(const v2::ReceiveMessageRequest& request) {
  auto stream = Open("ReceiveMessage");
  stream->Write(request);
  stream->WritesDone();
  return stream;
}

Received WireClient::Finish(Stream& receive) {
  Received received;
  received.end = receive.heard().WaitForEnd();
  for (const std::string& bytes : receive.heard().messages()) {
    v2::ReceiveMessageResponse element;
    MR_CHECK(element.ParseFromString(bytes));
    if (element.has_status()) {
      received.order.push_back("status");
      received.status = element.status();
    } else if (element.has_message()) {
      received.order.push_back("message");
      received.messages.push_back(element.message());
    } else {
      received.order.push_back("time");
    }
  }
  return received;
}

void WireClient::Fail(absl::string_view method, const absl::Status& status) {
  std::fprintf(stderr, "%s ended with %s\n", std::string(method).c_str(), status.ToString().c_str());
  std::abort();
}

}  // namespace millrace::testing_support
