// Checklist: acknowledgements, leases, dead letters.
#include "tests/integration/wire_fixture.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class AckWireTest : public WireTest {
 protected:
  AckWireTest() { CreateTopic("orders"); }

  // One message, delivered once.
  Received SendAndReceive(const v2::ReceiveMessageRequest& request) {
    SendBodies("orders", {"a"});
    Received received = Receive(request);
    MR_CHECK(received.messages.size() == 1);
    return received;
  }
  Received SendAndReceive() { return SendAndReceive(ReceiveRequest("orders")); }
};

TEST_F(AckWireTest, C_090_C_091_AnswersRepeatIdAndHandleAndASecondAckIsOk) {
  const std::string handle = HandleOf(SendAndReceive());
  for (int i = 0; i < 2; ++i) {
    const auto answer = client_.Call<v2::AckMessageResponse>("AckMessage", AckRequest("orders", {handle}));
    EXPECT_EQ(answer.status().code(), v2::OK);
    ASSERT_EQ(answer.entries_size(), 1);
    EXPECT_EQ(answer.entries(0).status().code(), v2::OK);
    EXPECT_EQ(answer.entries(0).message_id(), "id");
    EXPECT_EQ(answer.entries(0).receipt_handle(), handle);
  }
}

TEST_F(AckWireTest, C_068_C_092_GarbageIsRefusedInItsEntry) {
  const std::string handle = HandleOf(SendAndReceive());
  const auto answer =
      client_.Call<v2::AckMessageResponse>("AckMessage", AckRequest("orders", {"garbage", handle, "", "\xc3\xa9"}));
  EXPECT_EQ(answer.status().code(), v2::MULTIPLE_RESULTS);
  ASSERT_EQ(answer.entries_size(), 4);
  EXPECT_EQ(answer.entries(0).status().code(), v2::INVALID_RECEIPT_HANDLE);
  EXPECT_EQ(answer.entries(0).receipt_handle(), "garbage");
  EXPECT_EQ(answer.entries(1).status().code(), v2::OK);
  EXPECT_EQ(answer.entries(2).status().code(), v2::INVALID_RECEIPT_HANDLE);
  EXPECT_EQ(answer.entries(3).status().code(), v2::INVALID_RECEIPT_HANDLE);
}

TEST_F(AckWireTest, C_093_AHandleEndsWithItsLease) {
  v2::ReceiveMessageRequest request = ReceiveRequest("orders");
  request.mutable_invisible_duration()->set_seconds(10);
  const std::string handle = HandleOf(SendAndReceive(request));
  AdvanceSeconds(12);
  EXPECT_EQ(AckCode("orders", handle), v2::INVALID_RECEIPT_HANDLE);
}

TEST_F(AckWireTest, C_094_APushConsumerMayWorkForFiveMinutes) {
  const auto telemetry = client_.OpenTelemetry();
  telemetry->Write(ConsumerSettings(v2::PUSH_CONSUMER, "orders"));
  Answer(*telemetry);
  v2::ReceiveMessageRequest request = ReceiveRequest("orders");
  request.set_auto_renew(true);
  const std::string handle = HandleOf(SendAndReceive(request));
  v2::HeartbeatRequest beat;
  beat.set_client_type(v2::PUSH_CONSUMER);
  beat.mutable_group()->set_name("billing");
  WireClient other = Client("client-2");
  for (int i = 0; i < 10; ++i) {
    client_.Call<v2::HeartbeatResponse>("Heartbeat", beat);
    EXPECT_THAT(Bodies(ReceiveWithin(other, 1, ReceiveRequest("orders"))), IsEmpty());
    AdvanceSeconds(24);
  }
  EXPECT_EQ(AckCode("orders", handle), v2::OK);
}

TEST_F(AckWireTest, C_095_TheMessagesOfAKilledPushConsumerComeBackWithinTwoMinutes) {
  auto telemetry = client_.OpenTelemetry();
  telemetry->Write(ConsumerSettings(v2::PUSH_CONSUMER, "orders"));
  Answer(*telemetry);
  v2::ReceiveMessageRequest request = ReceiveRequest("orders");
  request.set_auto_renew(true);
  SendAndReceive(request);
  telemetry->Cancel();
  WireClient other = Client("client-2");
  const std::int64_t began = stack_.clock().MonotonicMillis();
  const Received again = ReceiveWithin(other, 130, ReceiveRequest("orders"));
  ASSERT_THAT(Bodies(again), ElementsAre("a"));
  EXPECT_LT(stack_.clock().MonotonicMillis() - began, 120'000);
  EXPECT_EQ(again.messages[0].system_properties().delivery_attempt(), 2);
}

TEST_F(AckWireTest, C_096_C_099_EveryHandleOfADeliveryIsAcceptedAfterAChange) {
  const std::string first = HandleOf(SendAndReceive());
  const auto changed = Change("orders", first, 60);
  ASSERT_EQ(changed.status().code(), v2::OK);
  ASSERT_FALSE(changed.receipt_handle().empty());
  const auto again = Change("orders", changed.receipt_handle(), 90);
  ASSERT_EQ(again.status().code(), v2::OK);
  EXPECT_EQ(AckCode("orders", first), v2::OK);
  EXPECT_THAT(Bodies(ReceiveWithin(100, ReceiveRequest("orders"))), IsEmpty());
}

TEST_F(AckWireTest, C_097_AChangeToZeroMakesTheMessageVisible) {
  const Received received = SendAndReceive();
  EXPECT_EQ(Change("orders", HandleOf(received), 0).status().code(), v2::OK);
  const std::int64_t began = stack_.clock().MonotonicMillis();
  const Received again = ReceiveWithin(10, ReceiveRequest("orders"));
  ASSERT_THAT(Bodies(again), ElementsAre("a"));
  EXPECT_LE(stack_.clock().MonotonicMillis() - began, 2'500);
  EXPECT_EQ(again.messages[0].system_properties().delivery_attempt(), 2);
}

TEST_F(AckWireTest, C_098_AChangeAboveTwelveHoursIsRefusedWithTheOldHandle) {
  const std::string handle = HandleOf(SendAndReceive());
  const auto answer = Change("orders", handle, 43'201);
  EXPECT_EQ(answer.status().code(), v2::ILLEGAL_INVISIBLE_TIME);
  EXPECT_EQ(answer.receipt_handle(), handle);
  EXPECT_EQ(Change("orders", handle, 43'200).status().code(), v2::OK);
}

TEST_F(AckWireTest, C_098_EveryRefusedChangeRepeatsTheHandle) {
  const auto garbage = Change("orders", "garbage", 30);
  EXPECT_EQ(garbage.status().code(), v2::INVALID_RECEIPT_HANDLE);
  EXPECT_EQ(garbage.receipt_handle(), "garbage");
}

TEST_F(AckWireTest, C_100_ASuspendedDeliveryDoesNotCount) {
  v2::ReceiveMessageRequest request = ReceiveRequest("orders");
  Received received = SendAndReceive();
  EXPECT_EQ(Change("orders", HandleOf(received), 0, true).status().code(), v2::OK);
  received = ReceiveWithin(10, request);
  ASSERT_THAT(received.messages, SizeIs(1));
  EXPECT_EQ(received.messages[0].system_properties().delivery_attempt(), 1);
}

TEST_F(AckWireTest, C_101_AfterItsLastAttemptAMessageIsADeadLetter) {
  CreateGroup("billing", [](admin_v1::GroupSettings& settings) { settings.set_max_attempts(2); });
  Received received = SendAndReceive();
  const std::string id = received.messages[0].system_properties().message_id();
  EXPECT_EQ(Change("orders", HandleOf(received), 0).status().code(), v2::OK);
  received = ReceiveWithin(10, ReceiveRequest("orders"));
  ASSERT_THAT(received.messages, SizeIs(1));
  EXPECT_EQ(Change("orders", HandleOf(received), 0).status().code(), v2::OK);
  EXPECT_THAT(Bodies(ReceiveWithin(10, ReceiveRequest("orders"))), IsEmpty());

  const Received letter = ReceiveWithin(10, ReceiveRequest("%DLQ%billing", "undertaker"));
  ASSERT_THAT(Bodies(letter), ElementsAre("a"));
  EXPECT_EQ(letter.messages[0].topic().name(), "%DLQ%billing");
  const v2::SystemProperties& system = letter.messages[0].system_properties();
  EXPECT_EQ(system.message_id(), id);
  EXPECT_EQ(system.delivery_attempt(), 1);
  ASSERT_TRUE(system.has_dead_letter_queue());
  EXPECT_EQ(system.dead_letter_queue().topic(), "orders");
  EXPECT_EQ(system.dead_letter_queue().message_id(), id);
}

TEST_F(AckWireTest, C_101_ADeadLetterTopicIsReadLikeAnyOtherBeforeItsFirstLetter) {
  CreateGroup("billing", [](admin_v1::GroupSettings& settings) { settings.set_max_attempts(1); });
  v2::QueryRouteRequest route;
  route.mutable_topic()->set_name("%DLQ%billing");
  const auto answer = client_.Call<v2::QueryRouteResponse>("QueryRoute", route);
  EXPECT_EQ(answer.status().code(), v2::OK);
  EXPECT_EQ(answer.message_queues_size(), 1);
  route.mutable_topic()->set_name("%DLQ%nobody");
  EXPECT_EQ(client_.Call<v2::QueryRouteResponse>("QueryRoute", route).status().code(), v2::TOPIC_NOT_FOUND);

  WireClient undertaker = Client("undertaker-1");
  const auto poll = undertaker.StartReceive(ReceiveRequest("%DLQ%billing", "undertaker"));
  while (stack_.proxy().metrics().polls_waiting < 1) std::this_thread::yield();
  EXPECT_EQ(Change("orders", HandleOf(SendAndReceive()), 0).status().code(), v2::OK);
  EXPECT_THAT(Bodies(WireClient::Finish(*poll)), ElementsAre("a"));
}

TEST_F(AckWireTest, C_102_AForwardedMessageIsADeadLetterOnce) {
  const std::string handle = HandleOf(SendAndReceive());
  v2::ForwardMessageToDeadLetterQueueRequest request;
  request.mutable_group()->set_name("billing");
  request.mutable_topic()->set_name("orders");
  request.set_receipt_handle(handle);
  request.set_message_id("01a");
  const auto code = [&] {
    return client_.Call<v2::ForwardMessageToDeadLetterQueueResponse>("ForwardMessageToDeadLetterQueue", request)
        .status()
        .code();
  };
  EXPECT_EQ(code(), v2::OK);
  EXPECT_EQ(code(), v2::OK);
  request.clear_receipt_handle();
  EXPECT_EQ(code(), v2::INVALID_RECEIPT_HANDLE);
  EXPECT_THAT(Bodies(ReceiveWithin(10, ReceiveRequest("%DLQ%billing", "undertaker"))), ElementsAre("a"));
  EXPECT_THAT(Bodies(ReceiveWithin(1, ReceiveRequest("%DLQ%billing", "undertaker"))), IsEmpty());
}

}  // namespace
}  // namespace millrace
