#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/clock.h"
#include "core/events.h"
#include "core/metadata.h"
#include "link/messages.h"
#include "rpc/transport.h"
#include "services/proxy/broker_link.h"
#include "services/proxy/messaging_service.h"
#include "services/proxy/single_set_directory.h"

// A call and a broker in one thread: the test plays the transport and the broker.
namespace millrace::proxy {

class FakeCall final : public rpc::ServerCall {
 public:
  // `method`: of MessagingService, or a whole path.
  explicit FakeCall(absl::string_view method)
      : method_(method.front() == '/' ? std::string(method.data(), method.size())
                                      : absl::StrCat("/apache.rocketmq.v2.MessagingService/", method)) {}

  absl::string_view method() const override { return method_; }
  absl::string_view Header(absl::string_view key) const override {
    const auto found = headers.find(std::string(key));
    return found == headers.end() ? absl::string_view() : found->second;
  }
  absl::string_view authority() const override { return authority_text; }
  absl::string_view peer() const override { return "127.0.0.1:41234"; }
  bool tls() const override { return false; }
  std::optional<std::int64_t> RemainingMillis() const override { return remaining_millis; }
  void SendInitialMetadata() override { metadata_sent = true; }
  bool Write(std::string message) override {
    if (over()) return false;
    written.push_back(std::move(message));
    return true;
  }
  std::size_t UnsentBytes() const override { return unsent_bytes; }
  void Finish(const absl::Status& status) override {
    if (!over()) finished = status;
  }
  void WriteAndFinish(std::string message) override {
    if (Write(std::move(message))) Finish(absl::OkStatus());
  }
  void OnEnded(std::function<void(rpc::CallEnd)> then) override {
    if (end_) return then(*end_);
    then_ = std::move(then);
  }

  // The test as the transport.
  void End(rpc::CallEnd end) {
    end_ = end;
    if (const auto then = std::exchange(then_, nullptr)) then(end);
  }
  void Cancel() { End(rpc::CallEnd::kCancelled); }
  // A transport ends every call; a test that leaves one open forgets it, since its callback may hold the call itself.
  void Forget() { then_ = nullptr; }

  std::map<std::string, std::string> headers = {{"x-mq-client-id", "client-1"}};
  std::string authority_text = "proxy.example:8081";
  std::optional<std::int64_t> remaining_millis;
  std::size_t unsent_bytes = 0;

  bool metadata_sent = false;
  std::vector<std::string> written;
  std::optional<absl::Status> finished;

 private:
  bool over() const { return finished.has_value() || end_.has_value(); }

  const std::string method_;
  std::optional<rpc::CallEnd> end_;
  std::function<void(rpc::CallEnd)> then_;
};

class FakeLink final : public BrokerLink {
 public:
  struct Asked {
    link::Op op;
    std::string payload;
    std::int64_t timeout_millis;
    Done done;
  };
  struct Polled {
    std::uint64_t number;
    std::string payload;
    std::int64_t timeout_millis;
    std::shared_ptr<Receiver> receiver;
  };

  void Call(link::Op op, std::string payload, std::int64_t timeout_millis, Done done) override {
    if (op == link::Op::kQuery && answers_queries) return AnswerQuery(payload, done);
    if (op == link::Op::kPutGroup && answers_queries) return CreateGroup(payload, done);
    calls.push_back({op, std::move(payload), timeout_millis, std::move(done)});
  }
  std::uint64_t Receive(std::string payload, std::int64_t timeout_millis, std::shared_ptr<Receiver> receiver) override {
    polls.push_back({++number_, std::move(payload), timeout_millis, std::move(receiver)});
    return number_;
  }
  void CancelReceive(std::uint64_t receive) override { cancelled.push_back(receive); }
  void ReportAnswer(std::uint64_t answer, bool well) override { reports.emplace_back(answer, well); }
  void AnswerWritten(std::uint64_t answer) override { written.push_back(answer); }
  void ReturnCredit(std::size_t bytes) override { credit += bytes; }
  void RegisterClient(absl::string_view client, absl::string_view group) override {
    liveness.push_back(absl::StrCat("register ", client, " ", group));
  }
  void SignOfLife(absl::string_view client, absl::string_view group) override {
    liveness.push_back(absl::StrCat("sign ", client, " ", group));
  }
  void ClientStreamsEnded(absl::string_view client, absl::string_view group) override {
    liveness.push_back(absl::StrCat("streams ended ", client, " ", group));
  }
  bool up() const override { return true; }

  // The test as the broker.
  void Reply(std::size_t call, std::uint32_t code, absl::string_view text = {}, absl::string_view payload = {}) {
    Give(calls.at(call).done, {code, text, payload});
  }
  void ReplySent(std::size_t call, std::uint32_t code, std::int64_t first_offset, absl::string_view text = {}) {
    std::string bytes;
    link::Encode(link::SendReply{code, 0, first_offset, text}, bytes);
    calls.at(call).done({.op = link::Op::kSendReply, .payload = bytes});
  }
  static void Give(Done& done, const link::Reply& reply) {
    std::string bytes;
    link::Encode(reply, bytes);
    done({.op = link::Op::kReply, .payload = bytes});
  }

  void AddTopic(absl::string_view name, core::TopicType type = core::TopicType::kNormal,
                core::Access access = core::Access::kReadWrite, std::uint32_t queues = 4) {
    core::TopicConfig& topic = topics[std::string(name)];
    topic.name = std::string(name);
    topic.type = type;
    topic.access = access;
    topic.queues = queues;
  }

  bool answers_queries = true;
  int queries = 0;
  std::map<std::string, core::TopicConfig> topics;
  std::map<std::string, core::GroupConfig> groups;
  std::vector<Asked> calls;
  std::vector<Polled> polls;
  std::vector<std::uint64_t> cancelled;
  std::vector<std::pair<std::uint64_t, bool>> reports;
  std::vector<std::uint64_t> written;  // answers, one for each report of progress
  std::vector<std::string> liveness;
  std::size_t credit = 0;

 private:
  void AnswerQuery(const std::string& payload, Done& done) {
    ++queries;
    const auto request = link::Decode<link::MetadataRequest>(payload);
    MR_CHECK(request.has_value());
    const std::string name(request->name);
    std::string config;
    if (request->kind == static_cast<std::uint32_t>(core::QueryKind::kTopic)) {
      if (!topics.contains(name)) return Give(done, {40402, "no such topic", {}});
      core::Encode(topics[name], config);
      return Give(done, {20000, {}, config});
    }
    const bool creates = request->kind == static_cast<std::uint32_t>(core::QueryKind::kEnsureGroup);
    if (!creates && !groups.contains(name)) return Give(done, {40403, "no such group", {}});
    groups[name].name = name;
    core::Encode(groups[name], config);
    Give(done, {20000, {}, config});
  }
  void CreateGroup(const std::string& payload, Done& done) {
    const auto request = link::Decode<link::MetadataRequest>(payload);
    const auto group = core::DecodeGroup(request->config);
    MR_CHECK(group.has_value());
    groups.emplace(group->name, *group);
    Give(done, {20000, {}, {}});
  }

  std::uint64_t number_ = 0;
};

// The service over one fake link.
struct FakeProxy {
  explicit FakeProxy(bool auto_create_topics = false)
      : directory({.broker = "broker-a", .auto_create_topics = auto_create_topics}, link, clock),
        service({.auto_create_topics = auto_create_topics}, directory, clock) {}
  ~FakeProxy() {
    for (const auto& call : calls) call->Forget();
  }

  std::shared_ptr<FakeCall> NewCall(absl::string_view method) {
    return calls.emplace_back(std::make_shared<FakeCall>(method));
  }

  // Starts a unary call or a server stream.
  template <typename Request>
  std::shared_ptr<FakeCall> Start(absl::string_view method, const Request& request,
                                  const std::function<void(FakeCall&)>& set_up = nullptr) {
    auto call = NewCall(method);
    if (set_up) set_up(*call);
    service.OnRequest(call, request.SerializeAsString());
    return call;
  }

  // The last message of a call that has finished with OK.
  template <typename Response>
  static Response AnswerOf(const FakeCall& call) {
    MR_CHECK(call.finished.has_value() && call.finished->ok() && !call.written.empty());
    Response response;
    MR_CHECK(response.ParseFromString(call.written.back()));
    return response;
  }

  base::ManualClock clock;
  FakeLink link;
  SingleSetDirectory directory;
  MessagingService service;
  std::vector<std::shared_ptr<FakeCall>> calls;
};

}  // namespace millrace::proxy
