#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "apache/rocketmq/v2/definition.pb.h"
#include "cli/command.h"

// Runs commands against a server that is played by the test.
namespace millrace::cli {

// Answers by method; keeps what was asked.
class FakeServer {
 public:
  struct Answer {
    absl::Status status;
    std::vector<std::string> messages;
  };

  // The next call of `method` gets `answer`; the last one given repeats.
  void On(const std::string& method, Answer answer) { answers_[method].push_back(std::move(answer)); }
  template <typename Response>
  void On(const std::string& method, const Response& response) {
    On(method, Answer{absl::OkStatus(), {response.SerializeAsString()}});
  }

  Answer Handle(absl::string_view path, std::string request) {
    const std::string method(path.substr(path.rfind('/') + 1));
    if (on_request) on_request(method, request);
    requests.push_back({method, std::move(request)});
    auto& queue = answers_[method];
    if (queue.empty()) return {absl::UnimplementedError(method), {}};
    Answer answer = queue.front();
    if (queue.size() > 1) queue.erase(queue.begin());
    return answer;
  }

  template <typename Request>
  Request Asked(const std::string& method, std::size_t nth = 0) const {
    Request request;
    for (const auto& [name, bytes] : requests) {
      if (name != method || nth-- > 0) continue;
      EXPECT_TRUE(request.ParseFromString(bytes));
      return request;
    }
    ADD_FAILURE() << method << " was not called";
    return request;
  }

  std::vector<std::string> Methods() const {
    std::vector<std::string> methods;
    for (const auto& [name, bytes] : requests) methods.push_back(name);
    return methods;
  }

  // Called with each request before it is answered: an answer can depend on what was asked.
  std::function<void(const std::string& method, const std::string& request)> on_request;
  void Saw(rpc::HeaderList list) {
    headers.clear();
    for (const auto& [key, value] : list) headers[std::string(key)] = std::string(value);
  }

  std::vector<std::pair<std::string, std::string>> requests;
  std::map<std::string, std::string> headers;  // of the last call

 private:
  std::map<std::string, std::vector<Answer>> answers_;
};

class FakeStream final : public rpc::ClientStream {
 public:
  FakeStream(FakeServer& server, absl::string_view method, std::shared_ptr<rpc::ClientStreamHandler> handler)
      : server_(server), method_(method), handler_(std::move(handler)) {}
  void Write(std::string message) override {
    const FakeServer::Answer answer = server_.Handle(method_, std::move(message));
    for (const std::string& part : answer.messages) handler_->OnMessage(part);
    handler_->OnEnded(answer.status);
  }
  void WritesDone() override {}
  void Cancel() override {}

 private:
  FakeServer& server_;
  const std::string method_;
  const std::shared_ptr<rpc::ClientStreamHandler> handler_;
};

class FakeChannel final : public rpc::Channel {
 public:
  explicit FakeChannel(FakeServer& server) : server_(server) {}
  std::unique_ptr<rpc::ClientStream> OpenStream(absl::string_view method, rpc::HeaderList headers,
                                                std::shared_ptr<rpc::ClientStreamHandler> handler) override {
    server_.Saw(headers);
    return std::make_unique<FakeStream>(server_, method, std::move(handler));
  }
  absl::StatusOr<std::string> CallAndWait(absl::string_view method, rpc::HeaderList headers, std::string request,
                                          std::int64_t) override {
    server_.Saw(headers);
    const FakeServer::Answer answer = server_.Handle(method, std::move(request));
    if (!answer.status.ok()) return answer.status;
    return answer.messages.at(0);
  }

 private:
  FakeServer& server_;
};

class CliTest : public testing::Test {
 protected:
  int Run(std::vector<std::string> arguments) {
    out_.str("");
    err_.str("");
    Environment env{.in = in_,
                    .out = out_,
                    .err = err_,
                    .clock = clock_,
                    .connect =
                        [this](const std::string& target) {
                          targets_.push_back(target);
                          return std::make_unique<FakeChannel>(server_);
                        },
                    .variable = [this](const char* name) { return variables_[name]; }};
    return cli::Run(std::move(arguments), env);
  }

  template <typename Response>
  static Response Ok(Response response = {}) {
    response.mutable_status()->set_code(apache::rocketmq::v2::OK);
    return response;
  }

  template <typename Response>
  static Response Refused(int code, const std::string& text) {
    Response response;
    response.mutable_status()->set_code(code);
    response.mutable_status()->set_text(text);
    return response;
  }

  base::ManualClock clock_{1'700'000'000'250};
  FakeServer server_;
  std::istringstream in_;
  std::ostringstream out_, err_;
  std::map<std::string, std::string> variables_;
  std::vector<std::string> targets_;
};

}  // namespace millrace::cli
