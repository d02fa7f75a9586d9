// Checklist: headers, heartbeat and termination.
#include "tests/integration/wire_fixture.h"

namespace millrace {
namespace {

constexpr const char* kUnaryMethods[] = {"QueryRoute",
                                         "Heartbeat",
                                         "SendMessage",
                                         "QueryAssignment",
                                         "AckMessage",
                                         "UpdateOffset",
                                         "GetOffset",
                                         "QueryOffset",
                                         "EndTransaction",
                                         "NotifyClientTermination",
                                         "RecallMessage",
                                         "SyncLiteSubscription",
                                         "ChangeInvisibleDuration",
                                         "ForwardMessageToDeadLetterQueue"};

TEST_F(WireTest, C_005_FiveMiBReachTheServerAndTheBodyIsRefusedInBand) {
  CreateTopic("orders");
  EXPECT_EQ(SendCode(MakeMessage("orders", std::string(5 << 20, 'x'))), v2::MESSAGE_BODY_TOO_LARGE);
}

TEST_F(WireTest, C_006_C_007_UnaryCallsWithoutAClientIdAreRefusedInBand) {
  for (const bool blank : {false, true}) {
    client_.headers.erase("x-mq-client-id");
    if (blank) client_.headers["x-mq-client-id"] = "  ";
    for (const char* method : kUnaryMethods) {
      const auto answer = client_.Call<v2::HeartbeatResponse>(method, v2::HeartbeatRequest());
      EXPECT_EQ(answer.status().code(), v2::CLIENT_ID_REQUIRED) << method;
    }
    const Received received = Receive(ReceiveRequest("orders"));
    EXPECT_EQ(received.status.code(), v2::CLIENT_ID_REQUIRED);
    EXPECT_TRUE(received.end.ok());
  }
}

TEST_F(WireTest, C_008_TheClientIdIsTheOnlyHeaderThatIsNeeded) {
  CreateTopic("orders");
  client_.headers = {{"x-mq-client-id", "bare"}};
  SendBodies("orders", {"a"});
  EXPECT_THAT(Bodies(Receive(ReceiveRequest("orders"))), testing::ElementsAre("a"));
  const auto telemetry = client_.OpenTelemetry();
  telemetry->Write(ConsumerSettings(v2::SIMPLE_CONSUMER, "orders"));
  EXPECT_EQ(Answer(*telemetry).status().code(), v2::OK);
}

TEST_F(WireTest, C_009_AnyLanguageIsAccepted) {
  CreateTopic("orders");
  for (const char* language : {"HTTP", "RUST", "FOO", ""}) {
    client_.headers["x-mq-language"] = language;
    EXPECT_EQ(SendCode(MakeMessage("orders", "a")), v2::OK) << language;
    const auto telemetry = client_.OpenTelemetry();
    telemetry->Write(ProducerSettings("orders"));
    EXPECT_EQ(Answer(*telemetry).status().code(), v2::OK) << language;
  }
}

TEST_F(WireTest, C_014_WithAuthenticationOffTheAuthorizationHeaderIsNotLookedAt) {
  CreateTopic("orders");
  client_.headers["x-mq-date-time"] = "20240101T000000Z";
  client_.headers["authorization"] = "MQv2-HMAC-SHA1 Credential=, SignedHeaders=x-mq-date-time, Signature=";
  EXPECT_EQ(SendCode(MakeMessage("orders", "a")), v2::OK);
  client_.headers["authorization"] = "nonsense";
  EXPECT_EQ(SendCode(MakeMessage("orders", "b")), v2::OK);
}

v2::HeartbeatRequest Beat(v2::ClientType type, const std::string& group) {
  v2::HeartbeatRequest request;
  request.set_client_type(type);
  if (!group.empty()) request.mutable_group()->set_name(group);
  return request;
}

TEST_F(WireTest, C_043_HeartbeatsAfterSettingsAreOkOthersNeedAType) {
  const auto beat = [&](const v2::HeartbeatRequest& request) {
    return client_.Call<v2::HeartbeatResponse>("Heartbeat", request).status().code();
  };
  EXPECT_EQ(beat(v2::HeartbeatRequest()), v2::UNRECOGNIZED_CLIENT_TYPE);
  const auto telemetry = client_.OpenTelemetry();
  telemetry->Write(ProducerSettings("orders"));
  Answer(*telemetry);
  EXPECT_EQ(beat(v2::HeartbeatRequest()), v2::OK);
  EXPECT_EQ(beat(Beat(v2::PRODUCER, "")), v2::OK);
}

TEST_F(WireTest, C_044_AConsumersHeartbeatWithABadGroupIsRefused) {
  for (const char* group : {"", "CID_RMQ_SYS_x", "no blanks"}) {
    const auto answer = client_.Call<v2::HeartbeatResponse>("Heartbeat", Beat(v2::PUSH_CONSUMER, group));
    EXPECT_EQ(answer.status().code(), v2::ILLEGAL_CONSUMER_GROUP) << group;
  }
}

TEST_F(WireTest, C_045_AnEmptyHeartbeatIsAnsweredInBand) {
  const auto answer = client_.CallBytes("Heartbeat", "");
  EXPECT_TRUE(answer.ok()) << answer.status();
}

TEST_F(WireTest, C_046_C_047_AClientLivesByItsHeartbeatsAndGoesWithoutThem) {
  CreateGroup("billing", [](admin_v1::GroupSettings&) {});
  const auto beat = [&] { client_.Call<v2::HeartbeatResponse>("Heartbeat", Beat(v2::SIMPLE_CONSUMER, "billing")); };
  beat();
  for (int i = 0; i < 4; ++i) {
    AdvanceSeconds(30);
    EXPECT_EQ(ClientsOf("billing"), 1u) << "after beat " << i;
    beat();
  }
  AdvanceSeconds(120, [&] { return ClientsOf("billing") == 0; });
  EXPECT_EQ(ClientsOf("billing"), 0u);
}

TEST_F(WireTest, C_048_TerminationGivesTheClientsMessagesToOthersWithinTwoSeconds) {
  CreateTopic("orders");
  SendBodies("orders", {"a"});
  v2::ReceiveMessageRequest request = ReceiveRequest("orders");
  request.set_auto_renew(true);
  ASSERT_THAT(Bodies(Receive(request)), testing::ElementsAre("a"));
  v2::NotifyClientTerminationRequest end;
  end.mutable_group()->set_name("billing");
  EXPECT_EQ(client_.Call<v2::NotifyClientTerminationResponse>("NotifyClientTermination", end).status().code(), v2::OK);
  WireClient other = Client("client-2");
  const std::int64_t began = stack_.clock().MonotonicMillis();
  EXPECT_THAT(Bodies(ReceiveWithin(other, 4, ReceiveRequest("orders"))), testing::ElementsAre("a"));
  EXPECT_LE(stack_.clock().MonotonicMillis() - began, 2'500);
}

TEST_F(WireTest, C_049_AProducerEndsWithAnEmptyGroup) {
  v2::NotifyClientTerminationRequest request;
  request.mutable_group();
  for (int i = 0; i < 2; ++i) {
    const auto answer = client_.Call<v2::NotifyClientTerminationResponse>("NotifyClientTermination", request);
    EXPECT_EQ(answer.status().code(), v2::OK);
  }
}

TEST_F(WireTest, C_050_TerminationEndsTheClientsPolls) {
  CreateTopic("orders");
  const std::int64_t began = stack_.clock().MonotonicMillis();
  const auto poll = client_.StartReceive(ReceiveRequest("orders"));
  while (stack_.proxy().metrics().polls_waiting == 0) std::this_thread::yield();
  client_.Call<v2::NotifyClientTerminationResponse>("NotifyClientTermination", v2::NotifyClientTerminationRequest());
  const Received received = WireClient::Finish(*poll);
  EXPECT_EQ(received.status.code(), v2::MESSAGE_NOT_FOUND);
  EXPECT_TRUE(received.end.ok());
  EXPECT_LT(stack_.clock().MonotonicMillis() - began, 5'000) << "it ended by itself";
}

TEST_F(WireTest, C_130_WhatIsNotOfferedIsAnsweredInBand) {
  for (const char* method :
       {"EndTransaction", "RecallMessage", "UpdateOffset", "GetOffset", "QueryOffset", "SyncLiteSubscription"}) {
    const auto answer = client_.Call<v2::HeartbeatResponse>(method, v2::HeartbeatRequest());
    EXPECT_EQ(answer.status().code(), v2::NOT_IMPLEMENTED) << method;
  }
}

}  // namespace
}  // namespace millrace
