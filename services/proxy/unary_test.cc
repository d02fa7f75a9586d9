// Unary methods of the service over a fake broker.
#include "apache/rocketmq/v2/service.pb.h"
#include "core/metadata.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/proxy/answers.h"
#include "services/proxy/request_context.h"
#include "services/proxy/testing/fakes.h"

namespace millrace::proxy {
namespace {

namespace v2 = apache::rocketmq::v2;
using testing::ElementsAre;
using testing::HasSubstr;

v2::SendMessageRequest SendTo(const std::string& topic, int messages = 1) {
  v2::SendMessageRequest request;
  for (int i = 0; i < messages; ++i) {
    v2::Message& message = *request.add_messages();
    message.mutable_topic()->set_name(topic);
    message.mutable_system_properties()->set_message_id(absl::StrCat("id-", i));
    message.set_body("body");
  }
  return request;
}

v2::AckMessageRequest AckOf(const std::vector<std::string>& handles) {
  v2::AckMessageRequest request;
  request.mutable_topic()->set_name("orders");
  request.mutable_group()->set_name("billing");
  for (const std::string& handle : handles) {
    v2::AckMessageEntry& entry = *request.add_entries();
    entry.set_message_id("id of " + handle);
    entry.set_receipt_handle(handle);
  }
  return request;
}

TEST(AddressTest, HostAndPortAreToldApart) {
  const auto split = [](absl::string_view text) {
    const HostPort parts = SplitHostPort(text);
    return absl::StrCat(parts.host, " ", parts.port);
  };
  EXPECT_EQ(split("127.0.0.1:8081"), "127.0.0.1 8081");
  EXPECT_EQ(split("proxy.example"), "proxy.example 0");
  EXPECT_EQ(split("[::1]:80"), "::1 80");
  EXPECT_EQ(split("[::1]"), "::1 0");
  EXPECT_EQ(split("fe80::1"), "fe80::1 0");
  EXPECT_EQ(split("host:70000"), "host 0");
  EXPECT_EQ(split(""), " 0");
}

TEST(CommonChecksTest, EveryUnaryMethodWantsAClientId) {
  FakeProxy proxy;
  for (std::size_t i = 0; i < kMethodCount; ++i) {
    const auto method = static_cast<Method>(i);
    if (KindOf(method) != rpc::CallKind::kUnary) continue;
    for (const char* id : {"", " \t"}) {
      const auto call = proxy.Start(NameOf(method), v2::HeartbeatRequest(),
                                    [id](FakeCall& each) { each.headers["x-mq-client-id"] = id; });
      EXPECT_EQ(proxy.AnswerOf<v2::HeartbeatResponse>(*call).status().code(), v2::CLIENT_ID_REQUIRED) << NameOf(method);
    }
  }
}

TEST(CommonChecksTest, WhatIsNotOfferedSaysSoInBand) {
  FakeProxy proxy;
  for (const char* method : {"EndTransaction", "RecallMessage", "UpdateOffset", "GetOffset", "QueryOffset",
                             "SyncLiteSubscription", "PullMessage"}) {
    const auto call = proxy.Start(method, v2::HeartbeatRequest());
    const auto answer = proxy.AnswerOf<v2::HeartbeatResponse>(*call);
    EXPECT_EQ(answer.status().code(), v2::NOT_IMPLEMENTED) << method;
    EXPECT_THAT(answer.status().message(), HasSubstr(method));
  }
}

TEST(CommonChecksTest, BytesThatDoNotDecodeAreABadRequest) {
  FakeProxy proxy;
  auto call = proxy.NewCall("AckMessage");
  proxy.service.OnRequest(call, "\x0a\xff");
  EXPECT_EQ(proxy.AnswerOf<v2::AckMessageResponse>(*call).status().code(), v2::BAD_REQUEST);
}

TEST(SendTest, EveryMessageGetsAnEntryWithItsIdAndOffset) {
  FakeProxy proxy;
  proxy.link.AddTopic("orders");
  const auto call = proxy.Start("SendMessage", SendTo("orders", 3));
  ASSERT_EQ(proxy.link.calls.size(), 1u);
  const auto record = link::Decode<link::SendRequest>(proxy.link.calls[0].payload);
  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->topic, "orders");
  EXPECT_EQ(record->messages.size(), 3u);
  EXPECT_FALSE(record->auto_create);
  EXPECT_FALSE(call->finished.has_value());

  proxy.link.ReplySent(0, 20000, 41);
  const auto answer = proxy.AnswerOf<v2::SendMessageResponse>(*call);
  EXPECT_EQ(answer.status().code(), v2::OK);
  ASSERT_EQ(answer.entries_size(), 3);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(answer.entries(i).status().code(), v2::OK);
    EXPECT_EQ(answer.entries(i).message_id(), absl::StrCat("id-", i));
    EXPECT_EQ(answer.entries(i).offset(), 41 + i);
    EXPECT_EQ(answer.entries(i).transaction_id(), "");
  }
  EXPECT_EQ(proxy.service.metrics().messages_in, 3u);
}

TEST(SendTest, ARefusalOfTheBrokerComesThrough) {
  FakeProxy proxy;
  proxy.link.AddTopic("orders");
  const auto call = proxy.Start("SendMessage", SendTo("orders"));
  proxy.link.ReplySent(0, 42900, 0, "log is full");
  const auto answer = proxy.AnswerOf<v2::SendMessageResponse>(*call);
  EXPECT_EQ(answer.status().code(), v2::TOO_MANY_REQUESTS);
  EXPECT_EQ(answer.status().message(), "log is full");
  EXPECT_EQ(answer.entries_size(), 0);
}

TEST(SendTest, AnUnknownOutcomeHasEntries) {
  FakeProxy proxy;
  proxy.link.AddTopic("orders");
  const auto call = proxy.Start("SendMessage", SendTo("orders", 2));
  proxy.link.Reply(0, 50400, "no answer in time");
  const auto answer = proxy.AnswerOf<v2::SendMessageResponse>(*call);
  EXPECT_EQ(answer.status().code(), v2::PROXY_TIMEOUT);
  ASSERT_EQ(answer.entries_size(), 2);
  EXPECT_EQ(answer.entries(1).status().code(), v2::PROXY_TIMEOUT);
  EXPECT_EQ(answer.entries(1).message_id(), "");
}

TEST(SendTest, C_071_WhatTheDiskOrReplicasDidNotConfirmIsNamedInEveryEntry) {
  for (const int code : {50401, 50402, 50002}) {
    FakeProxy proxy;
    proxy.link.AddTopic("orders");
    const auto call = proxy.Start("SendMessage", SendTo("orders", 2));
    proxy.link.ReplySent(0, static_cast<std::uint32_t>(code), 0, "not confirmed");
    const auto answer = proxy.AnswerOf<v2::SendMessageResponse>(*call);
    EXPECT_EQ(answer.status().code(), code);
    ASSERT_EQ(answer.entries_size(), 2);
    EXPECT_EQ(answer.entries(0).status().code(), code);
    EXPECT_EQ(answer.entries(1).status().code(), code);
  }
}

TEST(SendTest, TheBrokerGetsWhatTheClientLeaves) {
  FakeProxy proxy;
  proxy.link.AddTopic("orders");
  const auto timeout_with = [&](std::optional<std::int64_t> remaining) {
    proxy.Start("SendMessage", SendTo("orders"), [&](FakeCall& call) { call.remaining_millis = remaining; });
    return proxy.link.calls.back().timeout_millis;
  };
  EXPECT_EQ(timeout_with(std::nullopt), 2'500);
  EXPECT_EQ(timeout_with(10'000), 2'500);
  EXPECT_EQ(timeout_with(2'000), 1'500);
  EXPECT_EQ(timeout_with(400), 200);
  EXPECT_EQ(timeout_with(0), 1);
}

TEST(SendTest, TopicsAreCheckedBeforeTheBrokerIsAsked) {
  FakeProxy proxy;
  proxy.link.AddTopic("read-only", core::TopicType::kNormal, core::Access::kRead);
  proxy.link.AddTopic("ordered", core::TopicType::kFifo);
  const auto code_for = [&](const std::string& topic) {
    return proxy.AnswerOf<v2::SendMessageResponse>(*proxy.Start("SendMessage", SendTo(topic))).status().code();
  };
  EXPECT_EQ(code_for("unknown"), v2::TOPIC_NOT_FOUND);
  EXPECT_EQ(code_for("TBW102"), v2::ILLEGAL_TOPIC);
  EXPECT_EQ(code_for("read-only"), v2::FORBIDDEN);
  EXPECT_EQ(code_for("ordered"), v2::MESSAGE_PROPERTY_CONFLICT_WITH_TYPE);
  EXPECT_TRUE(proxy.link.calls.empty());
}

TEST(SendTest, AnUnknownTopicIsLeftToTheBrokerWithAutoCreation) {
  FakeProxy proxy(true);
  proxy.Start("SendMessage", SendTo("unknown"));
  ASSERT_EQ(proxy.link.calls.size(), 1u);
  EXPECT_TRUE(link::Decode<link::SendRequest>(proxy.link.calls[0].payload)->auto_create);
}

TEST(SendTest, TheNamespaceOfTheHeaderCountsWhenTheResourceHasNone) {
  FakeProxy proxy;
  proxy.link.AddTopic("ns%orders");
  proxy.Start("SendMessage", SendTo("orders"), [](FakeCall& call) { call.headers["x-mq-namespace"] = "ns"; });
  ASSERT_EQ(proxy.link.calls.size(), 1u);
  EXPECT_EQ(link::Decode<link::SendRequest>(proxy.link.calls[0].payload)->topic, "ns%orders");
}

v2::QueryRouteRequest RouteOf(const std::string& topic) {
  v2::QueryRouteRequest request;
  request.mutable_topic()->set_name(topic);
  return request;
}

TEST(RouteTest, EndpointsAreThoseTheClientDialled) {
  FakeProxy proxy;
  proxy.link.AddTopic("orders");
  v2::QueryRouteRequest request = RouteOf("orders");
  const auto endpoint = [&](const std::function<void(FakeCall&)>& set_up) {
    const auto answer = proxy.AnswerOf<v2::QueryRouteResponse>(*proxy.Start("QueryRoute", request, set_up));
    MR_CHECK(answer.message_queues_size() == 4);
    const v2::Endpoints& endpoints = answer.message_queues(3).broker().endpoints();
    return absl::StrCat(v2::AddressScheme_Name(endpoints.scheme()), " ", endpoints.addresses(0).host(), " ",
                        endpoints.addresses(0).port(), " of ", endpoints.addresses_size());
  };
  EXPECT_EQ(endpoint(nullptr), "DOMAIN_NAME proxy.example 8081 of 1");
  EXPECT_EQ(endpoint([](FakeCall& call) { call.authority_text = "[::1]:9"; }), "IPv6 ::1 9 of 1");
  EXPECT_EQ(endpoint([](FakeCall& call) { call.authority_text = "10.0.0.1:9"; }), "IPv4 10.0.0.1 9 of 1");
  EXPECT_EQ(endpoint([](FakeCall& call) { call.authority_text = "proxy"; }), "DOMAIN_NAME proxy 8081 of 1");
  EXPECT_EQ(endpoint([](FakeCall& call) { call.authority_text = ""; }), "IPv4 127.0.0.1 8081 of 1");

  request.mutable_endpoints()->set_scheme(v2::IPv4);
  for (int i = 1; i <= 2; ++i) {
    v2::Address& address = *request.mutable_endpoints()->add_addresses();
    address.set_host(absl::StrCat("10.1.1.", i));
    address.set_port(30081);
  }
  EXPECT_EQ(endpoint(nullptr), "IPv4 10.1.1.1 30081 of 2");
  request.mutable_endpoints()->mutable_addresses(1)->set_port(0);
  const auto refused = proxy.AnswerOf<v2::QueryRouteResponse>(*proxy.Start("QueryRoute", request));
  EXPECT_EQ(refused.status().code(), v2::ILLEGAL_ACCESS_POINT);
}

TEST(RouteTest, QueuesAreNumberedFromZeroWithTypesAndPermission) {
  FakeProxy proxy;
  proxy.link.AddTopic("mixed", core::TopicType::kMixed, core::Access::kReadWrite, 3);
  const auto answer = proxy.AnswerOf<v2::QueryRouteResponse>(*proxy.Start("QueryRoute", RouteOf("mixed")));
  ASSERT_EQ(answer.message_queues_size(), 3);
  for (int i = 0; i < 3; ++i) {
    const v2::MessageQueue& queue = answer.message_queues(i);
    EXPECT_EQ(queue.id(), i);
    EXPECT_EQ(queue.permission(), v2::READ_WRITE);
    EXPECT_EQ(queue.broker().name(), "broker-a");
    EXPECT_EQ(queue.broker().id(), 0);
    EXPECT_THAT(queue.accept_message_types(), ElementsAre(v2::NORMAL, v2::FIFO, v2::DELAY, v2::TRANSACTION));
  }
}

TEST(RouteTest, AVirtualRouteCreatesNothing) {
  FakeProxy proxy(true);
  const auto answer = proxy.AnswerOf<v2::QueryRouteResponse>(*proxy.Start("QueryRoute", RouteOf("new")));
  EXPECT_EQ(answer.status().code(), v2::OK);
  ASSERT_EQ(answer.message_queues_size(), 4);
  EXPECT_THAT(answer.message_queues(0).accept_message_types(),
              ElementsAre(v2::NORMAL, v2::FIFO, v2::DELAY, v2::TRANSACTION));
  EXPECT_TRUE(proxy.link.topics.empty());
  EXPECT_TRUE(proxy.link.calls.empty());
  const auto letters = proxy.AnswerOf<v2::QueryRouteResponse>(*proxy.Start("QueryRoute", RouteOf("%DLQ%nobody")));
  EXPECT_EQ(letters.status().code(), v2::TOPIC_NOT_FOUND);
}

v2::QueryAssignmentRequest AssignmentOf(const std::string& topic, const std::string& group) {
  v2::QueryAssignmentRequest request;
  request.mutable_topic()->set_name(topic);
  request.mutable_group()->set_name(group);
  return request;
}

TEST(AssignmentTest, AnOrderedGroupGetsEachQueueAnotherTheWholeBroker) {
  FakeProxy proxy;
  proxy.link.AddTopic("orders");
  proxy.link.groups["ordered"].fifo = true;
  const auto ids = [&](const std::string& group) {
    const auto call = proxy.Start("QueryAssignment", AssignmentOf("orders", group));
    const auto answer = proxy.AnswerOf<v2::QueryAssignmentResponse>(*call);
    std::vector<int> all;
    for (const auto& each : answer.assignments()) all.push_back(each.message_queue().id());
    return all;
  };
  EXPECT_THAT(ids("billing"), ElementsAre(-1));
  EXPECT_THAT(ids("ordered"), ElementsAre(0, 1, 2, 3));
}

TEST(AssignmentTest, NoReadableQueueIsForbidden) {
  FakeProxy proxy;
  proxy.link.AddTopic("orders", core::TopicType::kNormal, core::Access::kWrite);
  const auto call = proxy.Start("QueryAssignment", AssignmentOf("orders", "billing"));
  EXPECT_EQ(proxy.AnswerOf<v2::QueryAssignmentResponse>(*call).status().code(), v2::FORBIDDEN);
}

TEST(AckTest, EntriesAnswerInTheRequestsOrderWhateverTheBrokersOrder) {
  FakeProxy proxy;
  proxy.link.AddTopic("orders");
  const auto call = proxy.Start("AckMessage", AckOf({"h0", "", "h2"}));
  ASSERT_EQ(proxy.link.calls.size(), 2u);
  EXPECT_EQ(link::Decode<link::HandleRequest>(proxy.link.calls[1].payload)->handle, "h2");
  proxy.link.Reply(1, 20000);
  EXPECT_FALSE(call->finished.has_value());
  proxy.link.Reply(0, 20000);
  const auto answer = proxy.AnswerOf<v2::AckMessageResponse>(*call);
  EXPECT_EQ(answer.status().code(), v2::MULTIPLE_RESULTS);
  ASSERT_EQ(answer.entries_size(), 3);
  EXPECT_EQ(answer.entries(0).status().code(), v2::OK);
  EXPECT_EQ(answer.entries(1).status().code(), v2::INVALID_RECEIPT_HANDLE);
  EXPECT_EQ(answer.entries(2).receipt_handle(), "h2");
  EXPECT_EQ(answer.entries(2).message_id(), "id of h2");
}

TEST(AckTest, ARefusedRequestStillRepeatsTheHandles) {
  FakeProxy proxy;
  const auto answer = proxy.AnswerOf<v2::AckMessageResponse>(*proxy.Start("AckMessage", AckOf({"h0"})));
  EXPECT_EQ(answer.status().code(), v2::TOPIC_NOT_FOUND);
  ASSERT_EQ(answer.entries_size(), 1);
  EXPECT_EQ(answer.entries(0).receipt_handle(), "h0");
  const auto empty = proxy.AnswerOf<v2::AckMessageResponse>(*proxy.Start("AckMessage", AckOf({})));
  EXPECT_EQ(empty.status().code(), v2::BAD_REQUEST);
}

v2::ChangeInvisibleDurationRequest ChangeOf(std::int64_t seconds) {
  v2::ChangeInvisibleDurationRequest request;
  request.mutable_topic()->set_name("orders");
  request.mutable_group()->set_name("billing");
  request.set_receipt_handle("old");
  request.mutable_invisible_duration()->set_seconds(seconds);
  return request;
}

TEST(ChangeTest, TheNewHandleIsAnsweredAndTheOldOneOnFailure) {
  FakeProxy proxy;
  proxy.link.AddTopic("orders");
  const auto changed = proxy.Start("ChangeInvisibleDuration", ChangeOf(0));
  EXPECT_EQ(link::Decode<link::HandleRequest>(proxy.link.calls.at(0).payload)->duration_millis, 0);
  proxy.link.Reply(0, 20000, {}, "new");
  EXPECT_EQ(proxy.AnswerOf<v2::ChangeInvisibleDurationResponse>(*changed).receipt_handle(), "new");

  const auto refused = proxy.Start("ChangeInvisibleDuration", ChangeOf(60));
  proxy.link.Reply(1, 40013, "its lease has ended");
  const auto answer = proxy.AnswerOf<v2::ChangeInvisibleDurationResponse>(*refused);
  EXPECT_EQ(answer.status().code(), v2::INVALID_RECEIPT_HANDLE);
  EXPECT_EQ(answer.receipt_handle(), "old");

  for (const std::int64_t seconds : {std::int64_t{-1}, std::int64_t{43'201}}) {
    const auto call = proxy.Start("ChangeInvisibleDuration", ChangeOf(seconds));
    const auto illegal = proxy.AnswerOf<v2::ChangeInvisibleDurationResponse>(*call);
    EXPECT_EQ(illegal.status().code(), v2::ILLEGAL_INVISIBLE_TIME);
    EXPECT_EQ(illegal.receipt_handle(), "old");
  }
  proxy.Start("ChangeInvisibleDuration", ChangeOf(43'200));
  EXPECT_EQ(proxy.link.calls.size(), 3u);
}

TEST(HeartbeatTest, AClientWithoutSettingsIsRegisteredByWhatItSays) {
  FakeProxy proxy;
  const auto code_for = [&](const v2::HeartbeatRequest& request) {
    return proxy.AnswerOf<v2::HeartbeatResponse>(*proxy.Start("Heartbeat", request)).status().code();
  };
  v2::HeartbeatRequest request;
  EXPECT_EQ(code_for(request), v2::UNRECOGNIZED_CLIENT_TYPE);
  request.set_client_type(v2::SIMPLE_CONSUMER);
  EXPECT_EQ(code_for(request), v2::ILLEGAL_CONSUMER_GROUP);
  EXPECT_TRUE(proxy.link.liveness.empty());
  request.mutable_group()->set_name("billing");
  EXPECT_EQ(code_for(request), v2::OK);
  EXPECT_THAT(proxy.link.liveness, ElementsAre("register client-1 billing", "sign client-1 billing"));
}

TEST(HeartbeatTest, SignsOfLifeArePassedOnAtMostTwiceASecond) {
  FakeProxy proxy;
  v2::HeartbeatRequest request;
  request.set_client_type(v2::PRODUCER);
  for (int i = 0; i < 4; ++i) {
    proxy.Start("Heartbeat", request);
    proxy.clock.Advance(250);
  }
  EXPECT_THAT(proxy.link.liveness, ElementsAre("register client-1 ", "sign client-1 ", "sign client-1 "));
}

TEST(TerminationTest, TheBrokerIsToldAndTheClientForgotten) {
  FakeProxy proxy;
  v2::HeartbeatRequest beat;
  beat.set_client_type(v2::PUSH_CONSUMER);
  beat.mutable_group()->set_name("billing");
  proxy.Start("Heartbeat", beat);
  EXPECT_EQ(proxy.service.clients().clients(), 1u);

  v2::NotifyClientTerminationRequest request;
  request.mutable_group()->set_name("billing");
  const auto call = proxy.Start("NotifyClientTermination", request);
  EXPECT_EQ(proxy.service.clients().clients(), 0u);
  ASSERT_EQ(proxy.link.calls.size(), 1u);
  EXPECT_EQ(proxy.link.calls[0].op, link::Op::kClientTerminated);
  EXPECT_FALSE(call->finished.has_value());
  proxy.link.Reply(0, 50400);
  EXPECT_EQ(proxy.AnswerOf<v2::NotifyClientTerminationResponse>(*call).status().code(), v2::OK);
}

TEST(RegistryTest, ASilentClientIsForgottenAfterTwoMinutes) {
  FakeProxy proxy;
  v2::HeartbeatRequest beat;
  beat.set_client_type(v2::PRODUCER);
  proxy.Start("Heartbeat", beat);
  proxy.clock.Advance(119'999);
  proxy.service.Tick();
  EXPECT_EQ(proxy.service.clients().clients(), 1u);
  proxy.clock.Advance(1);
  proxy.service.Tick();
  EXPECT_EQ(proxy.service.clients().clients(), 0u);
}

}  // namespace
}  // namespace millrace::proxy
