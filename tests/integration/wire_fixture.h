#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "apache/rocketmq/v2/service.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "millrace/v1/admin.pb.h"
#include "tests/integration/stack.h"
#include "tests/support/wire_client.h"

// The checklist of the public wire contract, run against broker and proxy in one process, over a real port.
// Names of tests begin with the number of the item (docs/compatibility.md).
namespace millrace {

namespace v2 = apache::rocketmq::v2;
namespace admin_v1 = admin::v1;
using testing_support::Received;
using testing_support::WireClient;

class WireTest : public testing::Test {
 protected:
  explicit WireTest(const testing_support::Stack::Options& options = {})
      : stack_(options), client_(Client("client-1")) {}
  ~WireTest() override {
    stop_ = true;
    trickle_.join();
  }

  WireClient Client(const std::string& id) const { return WireClient(stack_.proxy_port(), id); }

  // Administration.
  template <typename Response, typename Request = admin_v1::ListGroupsRequest>
  Response Admin(absl::string_view method, const Request& request) {
    const auto bytes =
        admin_->CallAndWait(absl::StrCat("/millrace.admin.v1.Admin/", method), {}, request.SerializeAsString(), 20'000);
    MR_CHECK(bytes.ok());
    Response response;
    MR_CHECK(response.ParseFromString(*bytes) && response.status().code() == v2::OK);
    return response;
  }
  void CreateTopic(const std::string& name, admin_v1::TopicType type = admin_v1::NORMAL,
                   admin_v1::Access access = admin_v1::READ_WRITE, std::uint32_t queues = 4) {
    admin_v1::CreateTopicRequest request;
    request.set_name(name);
    request.mutable_settings()->set_type(type);
    request.mutable_settings()->set_access(access);
    request.mutable_settings()->set_queues(queues);
    Admin<admin_v1::TopicResponse>("CreateTopic", request);
  }
  void CreateGroup(const std::string& name, const std::function<void(admin_v1::GroupSettings&)>& set) {
    admin_v1::CreateGroupRequest request;
    request.set_name(name);
    set(*request.mutable_settings());
    Admin<admin_v1::GroupResponse>("CreateGroup", request);
  }
  std::uint32_t ClientsOf(const std::string& group) {
    admin_v1::DescribeGroupRequest request;
    request.set_name(group);
    return Admin<admin_v1::DescribeGroupResponse>("DescribeGroup", request).clients();
  }

  // Time passes slowly by itself, as real time does, and in bigger steps here: each of them lets the core take turns,
  // and after every other second the link, whose thread goes by real time, has shown that it lives.
  void AdvanceSeconds(int seconds, const std::function<bool()>& enough = nullptr) {
    constexpr int kStepMillis = 500;
    constexpr int kStepsPerTick = 4;
    for (int step = 1; step <= seconds * 1'000 / kStepMillis && !(enough && enough()); ++step) {
      stack_.Advance(kStepMillis);
      for (int turn = 0; turn < 3; ++turn) Admin<admin_v1::ListGroupsResponse>("ListGroups", {});
      if (++steps_ % kStepsPerTick == 0) WaitForLinkTick();
    }
  }
  void WaitForLinkTick() {
    constexpr std::int64_t kLinkTickMillis = 100;
    const std::int64_t until = trickled_ + kLinkTickMillis + 10;
    while (trickled_ < until) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  // Sending.
  static v2::Message MakeMessage(const std::string& topic, const std::string& body) {
    v2::Message message;
    message.mutable_topic()->set_name(topic);
    message.set_body(body);
    v2::SystemProperties& system = *message.mutable_system_properties();
    system.set_message_id("01" + body.substr(0, 32));
    system.set_message_type(v2::NORMAL);
    system.set_body_encoding(v2::IDENTITY);
    system.mutable_born_timestamp()->set_seconds(1'700'000'000);
    system.set_born_host("test-host");
    return message;
  }
  v2::SendMessageResponse Send(const std::vector<v2::Message>& messages) {
    v2::SendMessageRequest request;
    for (const v2::Message& message : messages) *request.add_messages() = message;
    return client_.Call<v2::SendMessageResponse>("SendMessage", request);
  }
  v2::Code SendCode(const v2::Message& message) { return Send({message}).status().code(); }
  void SendBodies(const std::string& topic, const std::vector<std::string>& bodies) {
    for (const std::string& body : bodies) ASSERT_EQ(SendCode(MakeMessage(topic, body)), v2::OK);
  }

  // Receiving.
  static v2::ReceiveMessageRequest ReceiveRequest(const std::string& topic, const std::string& group = "billing") {
    v2::ReceiveMessageRequest request;
    request.mutable_group()->set_name(group);
    request.mutable_message_queue()->mutable_topic()->set_name(topic);
    request.mutable_message_queue()->set_id(-1);
    request.mutable_filter_expression()->set_expression("*");
    request.set_batch_size(32);
    request.mutable_invisible_duration()->set_seconds(30);
    request.mutable_long_polling_timeout()->set_seconds(5);
    return request;
  }
  // Something is ready, or the request is refused.
  Received Receive(const v2::ReceiveMessageRequest& request) { return ReceiveAs(client_, request); }
  static Received ReceiveAs(WireClient& client, const v2::ReceiveMessageRequest& request) {
    return WireClient::Finish(*client.StartReceive(request));
  }
  // Polls for up to `seconds`, while time goes on, until there is a message.
  Received ReceiveWithin(int seconds, const v2::ReceiveMessageRequest& request) {
    return ReceiveWithin(client_, seconds, request);
  }
  Received ReceiveWithin(WireClient& client, int seconds, const v2::ReceiveMessageRequest& request) {
    const std::int64_t until = stack_.clock().MonotonicMillis() + seconds * 1'000;
    while (true) {
      const auto stream = client.StartReceive(request);
      while (!stream->heard().ended()) AdvanceSeconds(1, [&] { return stream->heard().ended(); });
      Received received = WireClient::Finish(*stream);
      if (!received.messages.empty() || stack_.clock().MonotonicMillis() >= until) return received;
    }
  }
  static std::vector<std::string> Bodies(const Received& received) {
    std::vector<std::string> bodies;
    for (const v2::Message& message : received.messages) bodies.push_back(message.body());
    return bodies;
  }
  static std::string HandleOf(const Received& received, std::size_t index = 0) {
    return received.messages.at(index).system_properties().receipt_handle();
  }

  // Handles.
  static v2::AckMessageRequest AckRequest(const std::string& topic, const std::vector<std::string>& handles,
                                          const std::string& group = "billing") {
    v2::AckMessageRequest request;
    request.mutable_group()->set_name(group);
    request.mutable_topic()->set_name(topic);
    for (const std::string& handle : handles) {
      v2::AckMessageEntry& entry = *request.add_entries();
      entry.set_message_id("id");
      entry.set_receipt_handle(handle);
    }
    return request;
  }
  v2::Code AckCode(const std::string& topic, const std::string& handle, const std::string& group = "billing") {
    const auto answer = client_.Call<v2::AckMessageResponse>("AckMessage", AckRequest(topic, {handle}, group));
    MR_CHECK(answer.entries_size() == 1);
    return answer.entries(0).status().code();
  }
  v2::ChangeInvisibleDurationResponse Change(const std::string& topic, const std::string& handle, std::int64_t seconds,
                                             bool suspend = false, const std::string& group = "billing") {
    v2::ChangeInvisibleDurationRequest request;
    request.mutable_group()->set_name(group);
    request.mutable_topic()->set_name(topic);
    request.set_receipt_handle(handle);
    request.mutable_invisible_duration()->set_seconds(seconds);
    if (suspend) request.set_suspend(true);
    return client_.Call<v2::ChangeInvisibleDurationResponse>("ChangeInvisibleDuration", request);
  }

  // Settings.
  static v2::TelemetryCommand ProducerSettings(const std::string& topic) {
    v2::TelemetryCommand command;
    command.mutable_settings()->set_client_type(v2::PRODUCER);
    command.mutable_settings()->mutable_publishing()->add_topics()->set_name(topic);
    return command;
  }
  static v2::TelemetryCommand ConsumerSettings(v2::ClientType type, const std::string& topic,
                                               const std::string& group = "billing") {
    v2::TelemetryCommand command;
    v2::Settings& settings = *command.mutable_settings();
    settings.set_client_type(type);
    settings.mutable_subscription()->mutable_group()->set_name(group);
    v2::SubscriptionEntry& entry = *settings.mutable_subscription()->add_subscriptions();
    entry.mutable_topic()->set_name(topic);
    entry.mutable_expression()->set_expression("*");
    return command;
  }
  static v2::TelemetryCommand Parsed(const std::string& bytes) {
    v2::TelemetryCommand command;
    MR_CHECK(command.ParseFromString(bytes));
    return command;
  }
  // The answer number `count` on the stream.
  static v2::TelemetryCommand Answer(WireClient::Stream& telemetry, std::size_t count = 1) {
    return Parsed(telemetry.heard().WaitForMessages(count).at(count - 1));
  }

  testing_support::Stack stack_;
  int steps_ = 0;
  std::atomic<bool> stop_{false};
  std::atomic<std::int64_t> trickled_{0};  // milliseconds
  std::thread trickle_{[this] {
    for (; !stop_; std::this_thread::sleep_for(std::chrono::milliseconds(1))) {
      stack_.Advance(1);
      ++trickled_;
    }
  }};
  std::unique_ptr<rpc::Channel> admin_ = rpc::MakeChannel(absl::StrCat("127.0.0.1:", stack_.admin_port()));
  WireClient client_;
};

}  // namespace millrace
