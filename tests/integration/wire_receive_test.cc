// Checklist: receiving, and the tag filter.
#include "base/digest.h"
#include "tests/integration/wire_fixture.h"

namespace millrace {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

class ReceiveWireTest : public WireTest {
 protected:
  ReceiveWireTest() { CreateTopic("orders"); }
  void WaitForPolls(std::int64_t count) {
    while (stack_.proxy().metrics().polls_waiting < count) std::this_thread::yield();
  }
};

TEST_F(ReceiveWireTest, C_074_StatusMessagesTimeAndAGoodEnd) {
  SendBodies("orders", {"a", "b", "c"});
  const Received received = Receive(ReceiveRequest("orders"));
  EXPECT_EQ(received.status.code(), v2::OK);
  ASSERT_GE(received.order.size(), 3u);
  EXPECT_EQ(received.order.front(), "status");
  EXPECT_EQ(received.order.back(), "time");
  EXPECT_EQ(received.order.size(), received.messages.size() + 2);
  EXPECT_TRUE(received.end.ok());
}

TEST_F(ReceiveWireTest, C_075_AnExpiredPollSaysThatThereIsNoMessage) {
  const Received received = ReceiveWithin(1, ReceiveRequest("orders"));
  EXPECT_EQ(received.status.code(), v2::MESSAGE_NOT_FOUND);
  EXPECT_THAT(received.order, ElementsAre("status", "time"));
  EXPECT_TRUE(received.end.ok());
}

TEST_F(ReceiveWireTest, C_076_C_077_PollsLastFromFiveToTwentySeconds) {
  const auto seconds_of = [&](const v2::ReceiveMessageRequest& request) {
    const std::int64_t began = stack_.clock().MonotonicMillis();
    ReceiveWithin(1, request);
    return (stack_.clock().MonotonicMillis() - began) / 1'000;
  };
  const auto near = [](std::int64_t seconds) { return testing::AllOf(testing::Ge(seconds), testing::Le(seconds + 2)); };
  v2::ReceiveMessageRequest request = ReceiveRequest("orders");
  request.mutable_long_polling_timeout()->set_seconds(1);
  EXPECT_THAT(seconds_of(request), near(5));
  request.mutable_long_polling_timeout()->set_seconds(12);
  EXPECT_THAT(seconds_of(request), near(12));
  request.mutable_long_polling_timeout()->set_seconds(60);
  EXPECT_THAT(seconds_of(request), near(20));
  request.clear_long_polling_timeout();
  EXPECT_THAT(seconds_of(request), near(20));
}

TEST_F(ReceiveWireTest, C_077_APollWithoutATimeLeavesHalfOfTheRequestTimeoutBeforeItsDeadline) {
  v2::TelemetryCommand settings = ConsumerSettings(v2::SIMPLE_CONSUMER, "orders");
  settings.mutable_settings()->mutable_request_timeout()->set_seconds(20);
  const auto telemetry = client_.OpenTelemetry();
  telemetry->Write(settings);
  Answer(*telemetry);
  v2::ReceiveMessageRequest request = ReceiveRequest("orders");
  request.clear_long_polling_timeout();
  client_.headers["grpc-timeout"] = "18S";
  const std::int64_t began = stack_.clock().MonotonicMillis();
  const Received received = ReceiveWithin(1, request);
  const std::int64_t seconds = (stack_.clock().MonotonicMillis() - began) / 1'000;
  EXPECT_EQ(received.status.code(), v2::MESSAGE_NOT_FOUND);
  EXPECT_TRUE(received.end.ok()) << received.end;
  // 18 - 20 / 2. The default of 3 s for the request timeout would make it 16.5, the limit for polls 20.
  EXPECT_GE(seconds, 6);
  EXPECT_LE(seconds, 11);
}

TEST_F(ReceiveWireTest, C_078_AMessageWakesAWaitingPoll) {
  const auto poll = client_.StartReceive(ReceiveRequest("orders"));
  WaitForPolls(1);
  SendBodies("orders", {"a"});
  EXPECT_THAT(Bodies(WireClient::Finish(*poll)), ElementsAre("a"));
}

TEST_F(ReceiveWireTest, C_079_C_080_InvisibleTimesHaveLimitsWithoutAutoRenew) {
  for (const auto& [seconds, auto_renew, code] :
       std::vector<std::tuple<int, bool, v2::Code>>{{9, false, v2::ILLEGAL_INVISIBLE_TIME},
                                                    {10, false, v2::OK},
                                                    {43'200, false, v2::OK},
                                                    {43'201, false, v2::ILLEGAL_INVISIBLE_TIME},
                                                    {1, true, v2::OK},
                                                    {0, true, v2::OK}}) {
    SendBodies("orders", {"a"});
    v2::ReceiveMessageRequest request = ReceiveRequest("orders", absl::StrCat("group-", seconds, auto_renew));
    request.mutable_invisible_duration()->set_seconds(seconds);
    if (seconds == 0) request.clear_invisible_duration();
    request.set_auto_renew(auto_renew);
    EXPECT_EQ(Receive(request).status.code(), code) << seconds << " s, auto_renew " << auto_renew;
  }
}

TEST_F(ReceiveWireTest, C_081_AHundredWantedAreThirtyTwoAtMost) {
  for (int i = 0; i < 40; ++i) SendBodies("orders", {absl::StrCat("m", i)});
  v2::ReceiveMessageRequest request = ReceiveRequest("orders");
  request.set_batch_size(100);
  std::size_t all = 0;
  while (all < 40) {
    const Received received = Receive(request);
    ASSERT_EQ(received.status.code(), v2::OK);
    EXPECT_LE(received.messages.size(), 32u);
    all += received.messages.size();
  }
  EXPECT_EQ(all, 40u);
}

TEST_F(ReceiveWireTest, C_083_C_084_C_085_C_086_AMessageHasAllThatClientsRead) {
  v2::Message sent = MakeMessage("orders", "body");
  (*sent.mutable_user_properties())["colour"] = "red";
  sent.mutable_system_properties()->add_keys("k 1");
  sent.mutable_system_properties()->add_keys("k2");
  ASSERT_EQ(SendCode(sent), v2::OK);
  const Received received = Receive(ReceiveRequest("orders"));
  ASSERT_THAT(received.messages, SizeIs(1));
  const v2::Message& message = received.messages[0];
  const v2::SystemProperties& system = message.system_properties();
  EXPECT_EQ(message.topic().name(), "orders");
  EXPECT_EQ(message.body(), "body");
  EXPECT_EQ(message.user_properties().at("colour"), "red");
  EXPECT_EQ(system.message_id(), sent.system_properties().message_id());
  EXPECT_EQ(system.body_digest().type(), v2::MD5);
  const base::Md5Digest digest = base::Md5("body");
  EXPECT_EQ(system.body_digest().checksum(), base::HexUpper(absl::string_view(digest.data(), digest.size())));
  EXPECT_EQ(system.body_encoding(), v2::IDENTITY);
  EXPECT_EQ(system.message_type(), v2::NORMAL);
  EXPECT_EQ(system.born_timestamp().seconds(), 1'700'000'000);
  EXPECT_EQ(system.born_host(), "test-host");
  EXPECT_GT(system.store_timestamp().seconds(), 0);
  EXPECT_FALSE(system.store_host().empty());
  EXPECT_EQ(system.delivery_attempt(), 1);
  EXPECT_TRUE(system.has_queue_offset());
  EXPECT_FALSE(system.receipt_handle().empty());
  EXPECT_LT(system.receipt_handle().size(), 1'024u);
  EXPECT_THAT(system.keys(), ElementsAre("k 1", "k2"));
  EXPECT_FALSE(system.has_tag());
  EXPECT_FALSE(system.has_message_group());
  EXPECT_FALSE(system.has_priority());
  EXPECT_FALSE(system.has_lite_topic());
  EXPECT_FALSE(system.has_delivery_timestamp());
  EXPECT_FALSE(system.has_dead_letter_queue());
  EXPECT_FALSE(system.has_trace_context());
}

TEST_F(ReceiveWireTest, C_085_C_103_EachRedeliveryCountsAndShowsTheMessageAsItWas) {
  v2::Message sent = MakeMessage("orders", "a");
  sent.mutable_system_properties()->set_tag("red");
  sent.mutable_system_properties()->add_keys("key");
  ASSERT_EQ(SendCode(sent), v2::OK);
  v2::ReceiveMessageRequest request = ReceiveRequest("orders");
  request.mutable_invisible_duration()->set_seconds(10);
  for (int attempt = 1; attempt <= 3; ++attempt) {
    const Received received = ReceiveWithin(30, request);
    ASSERT_THAT(received.messages, SizeIs(1));
    const v2::SystemProperties& system = received.messages[0].system_properties();
    EXPECT_EQ(system.delivery_attempt(), attempt);
    EXPECT_EQ(received.messages[0].topic().name(), "orders");
    EXPECT_EQ(system.tag(), "red");
    EXPECT_THAT(system.keys(), ElementsAre("key"));
    EXPECT_EQ(system.message_id(), sent.system_properties().message_id());
  }
}

TEST_F(ReceiveWireTest, C_087_ALeasedMessageIsHiddenFromTheGroupUntilItsLeaseEnds) {
  SendBodies("orders", {"a"});
  v2::ReceiveMessageRequest request = ReceiveRequest("orders");
  request.mutable_invisible_duration()->set_seconds(10);
  ASSERT_THAT(Bodies(Receive(request)), ElementsAre("a"));
  WireClient other = Client("client-2");
  const std::int64_t began = stack_.clock().MonotonicMillis();
  EXPECT_THAT(Bodies(ReceiveWithin(other, 30, request)), ElementsAre("a"));
  EXPECT_GE(stack_.clock().MonotonicMillis() - began, 10'000);
  EXPECT_THAT(Bodies(Receive(ReceiveRequest("orders", "another-group"))), ElementsAre("a"));
}

// What the client's side of the transport had taken before it went counts as delivered; so it goes while it waits, and
// the message is on its way to nobody.
TEST_F(ReceiveWireTest, C_088_AMessageForAClientThatHasGoneComesBackWithinSeconds) {
  auto gone = client_.StartReceive(ReceiveRequest("orders"));
  WaitForPolls(1);
  gone->Cancel();
  SendBodies("orders", {"a"});
  WireClient other = Client("client-2");
  const std::int64_t began = stack_.clock().MonotonicMillis();
  const Received received = ReceiveWithin(other, 10, ReceiveRequest("orders"));
  ASSERT_THAT(Bodies(received), ElementsAre("a"));
  EXPECT_LE(stack_.clock().MonotonicMillis() - began, 4'000);
  EXPECT_EQ(received.messages[0].system_properties().delivery_attempt(), 1);
}

TEST_F(ReceiveWireTest, C_089_AClientWithoutSettingsReceivesAcknowledgesAndChanges) {
  SendBodies("orders", {"a"});
  const Received received = Receive(ReceiveRequest("orders"));
  ASSERT_THAT(Bodies(received), ElementsAre("a"));
  const auto changed = Change("orders", HandleOf(received), 60);
  EXPECT_EQ(changed.status().code(), v2::OK);
  EXPECT_EQ(AckCode("orders", changed.receipt_handle()), v2::OK);
}

TEST_F(ReceiveWireTest, C_116_TagListsSelectExactlyTheirTags) {
  for (const char* tag : {"A", "B", "C", "Aa", "BB", ""}) {
    v2::Message message = MakeMessage("orders", absl::StrCat("tag-", tag));
    if (*tag != '\0') message.mutable_system_properties()->set_tag(tag);
    ASSERT_EQ(SendCode(message), v2::OK);
  }
  const auto bodies_for = [&](const std::string& expression, std::size_t count) {
    v2::ReceiveMessageRequest request = ReceiveRequest("orders", absl::StrCat("group-", count, "-", expression.size()));
    request.mutable_filter_expression()->set_expression(expression);
    std::vector<std::string> all;
    while (all.size() < count) {
      const Received received = Receive(request);
      if (received.messages.empty()) break;
      for (const std::string& body : Bodies(received)) all.push_back(body);
    }
    return all;
  };
  EXPECT_THAT(bodies_for("A || B", 2), UnorderedElementsAre("tag-A", "tag-B"));
  EXPECT_THAT(bodies_for("Aa", 1), ElementsAre("tag-Aa"));  // the same hash as BB
  EXPECT_THAT(bodies_for("*", 6), SizeIs(6));
  EXPECT_THAT(bodies_for("", 6), SizeIs(6));
  v2::ReceiveMessageRequest request = ReceiveRequest("orders");
  request.mutable_filter_expression()->set_expression(" || ");
  EXPECT_EQ(Receive(request).status.code(), v2::ILLEGAL_FILTER_EXPRESSION);
}

TEST_F(ReceiveWireTest, AnUnknownTopicIsNotFound) {
  const Received received = Receive(ReceiveRequest("unknown"));
  EXPECT_EQ(received.status.code(), v2::TOPIC_NOT_FOUND);
  EXPECT_TRUE(received.end.ok());
}

}  // namespace
}  // namespace millrace
