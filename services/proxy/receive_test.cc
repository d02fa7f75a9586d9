// ReceiveMessage over a fake broker: what the client sees, and what the broker is told about it.
#include "apache/rocketmq/v2/service.pb.h"
#include "base/digest.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/stored_message.h"
#include "services/proxy/testing/fakes.h"

namespace millrace::proxy {
namespace {

namespace v2 = apache::rocketmq::v2;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using testing::Pair;

v2::ReceiveMessageRequest ReceiveFrom(const std::string& topic) {
  v2::ReceiveMessageRequest request;
  request.mutable_group()->set_name("billing");
  request.mutable_message_queue()->mutable_topic()->set_name(topic);
  request.mutable_message_queue()->set_id(2);
  request.set_batch_size(32);
  request.mutable_invisible_duration()->set_seconds(30);
  return request;
}

class ReceiveTest : public testing::Test {
 protected:
  ReceiveTest() { proxy_.link.AddTopic("orders"); }

  std::shared_ptr<FakeCall> Receive(const v2::ReceiveMessageRequest& request) {
    return proxy_.Start("ReceiveMessage", request);
  }
  link::ReceiveRequest Asked() const { return *link::Decode<link::ReceiveRequest>(proxy_.link.polls.back().payload); }

  void Deliver(std::uint64_t answer, const std::string& body) {
    v2::SystemProperties system;
    const std::string name = body.substr(0, 20);
    system.set_message_id("id-" + name);
    const std::string slice = system.SerializeAsString();
    const std::string stored = model::EncodeStoredMessage({.message_type = 1,
                                                           .id = {2, static_cast<std::uint16_t>(name.size() + 3)},
                                                           .md5 = base::Md5(body),
                                                           .system = slice,
                                                           .body = body});
    delivered_bytes_ += stored.size();
    proxy_.link.polls.back().receiver->OnDelivery(
        {.answer = answer, .handle = "handle-" + name, .queue = 1, .queue_offset = 7, .attempt = 1, .stored = stored});
  }
  void End(std::uint32_t code, std::uint64_t answer = 0) {
    proxy_.link.polls.back().receiver->OnEnd({.code = code, .answer = answer});
  }

  static std::size_t BytesOf(const FakeCall& call) {
    std::size_t bytes = 0;
    for (const std::string& element : call.written) bytes += element.size();
    return bytes;
  }
  void Second() {
    proxy_.clock.Advance(1000);
    proxy_.service.Tick();
  }

  // "status 20000", "message body", "time" of each element.
  static std::vector<std::string> Elements(const FakeCall& call) {
    std::vector<std::string> all;
    for (const std::string& bytes : call.written) {
      v2::ReceiveMessageResponse element;
      MR_CHECK(element.ParseFromString(bytes));
      if (element.has_status()) all.push_back(absl::StrCat("status ", element.status().code()));
      if (element.has_message()) all.push_back("message " + element.message().body());
      if (element.has_delivery_timestamp()) all.push_back("time");
    }
    return all;
  }

  FakeProxy proxy_;
  std::size_t delivered_bytes_ = 0;
};

TEST(PollMillisTest, FollowsTheTableOfTheContract) {
  EXPECT_EQ(PollMillis(15'000, 20'000, 3'000), 15'000);
  EXPECT_EQ(PollMillis(1'000, 20'000, 3'000), 5'000);
  EXPECT_EQ(PollMillis(60'000, std::nullopt, 3'000), 20'000);
  EXPECT_EQ(PollMillis(40'000, 40'000, 3'000), 20'000);
  EXPECT_EQ(PollMillis(20'000, 10'000, 3'000), 9'500);
  EXPECT_EQ(PollMillis(20'000, 3'000, 3'000), 2'500);
  EXPECT_EQ(PollMillis(20'000, 400, 3'000), 0);
  EXPECT_EQ(PollMillis(std::nullopt, 13'000, 3'000), 11'500);
  EXPECT_EQ(PollMillis(std::nullopt, 23'000, 3'000), 20'000);
  EXPECT_EQ(PollMillis(std::nullopt, 3'000, 3'000), 2'500);
  EXPECT_EQ(PollMillis(std::nullopt, std::nullopt, 3'000), 20'000);
}

TEST_F(ReceiveTest, StatusComesWithTheFirstMessageThenTheTime) {
  const auto call = Receive(ReceiveFrom("orders"));
  EXPECT_THAT(call->written, IsEmpty());
  Deliver(9, "a");
  EXPECT_THAT(Elements(*call), ElementsAre("status 20000", "message a"));
  Deliver(9, "b");
  End(20000, 9);
  EXPECT_THAT(Elements(*call), ElementsAre("status 20000", "message a", "message b", "time"));
  EXPECT_EQ(call->finished, absl::OkStatus());
  EXPECT_THAT(proxy_.link.reports, IsEmpty());
  call->End(rpc::CallEnd::kFinished);
  EXPECT_THAT(proxy_.link.reports, ElementsAre(Pair(9, true)));
  EXPECT_EQ(proxy_.service.metrics().messages_out, 2u);
  EXPECT_EQ(proxy_.service.metrics().polls_waiting, 0);
}

TEST_F(ReceiveTest, AnEmptyPollSaysThatThereIsNoMessage) {
  const auto call = Receive(ReceiveFrom("orders"));
  End(40401);
  EXPECT_THAT(Elements(*call), ElementsAre("status 40401", "time"));
  call->End(rpc::CallEnd::kFinished);
  EXPECT_THAT(proxy_.link.reports, IsEmpty());
}

TEST_F(ReceiveTest, AnErrorOfTheBrokerIsTheStatus) {
  const auto call = Receive(ReceiveFrom("orders"));
  End(42900);
  EXPECT_THAT(Elements(*call), ElementsAre("status 42900", "time"));
  EXPECT_EQ(call->finished, absl::OkStatus());
}

TEST_F(ReceiveTest, AClientThatGoesWhileItWaitsCancelsTheReceive) {
  const auto call = Receive(ReceiveFrom("orders"));
  call->Cancel();
  EXPECT_THAT(proxy_.link.cancelled, ElementsAre(1));
  Deliver(9, "late");
  EXPECT_THAT(call->written, IsEmpty());
  EXPECT_THAT(proxy_.link.reports, ElementsAre(Pair(9, false)));
  EXPECT_EQ(proxy_.link.credit, delivered_bytes_);
  EXPECT_THAT(proxy_.link.liveness, Contains("streams ended client-1 billing"));
}

TEST_F(ReceiveTest, AClientThatGoesInTheMiddleGivesItsMessagesBack) {
  const auto call = Receive(ReceiveFrom("orders"));
  Deliver(9, "a");
  call->Cancel();
  EXPECT_THAT(proxy_.link.cancelled, ElementsAre(1));
  EXPECT_THAT(proxy_.link.reports, ElementsAre(Pair(9, false)));
  EXPECT_EQ(proxy_.service.metrics().messages_out, 0u);
}

TEST_F(ReceiveTest, AStreamThatBreaksAfterItsLastElementGivesItsMessagesBack) {
  const auto call = Receive(ReceiveFrom("orders"));
  Deliver(9, "a");
  End(20000, 9);
  call->Cancel();
  EXPECT_THAT(proxy_.link.cancelled, IsEmpty());
  EXPECT_THAT(proxy_.link.reports, ElementsAre(Pair(9, false)));
}

TEST_F(ReceiveTest, AnAnswerThatBrokeOffKeepsWhatHasArrived) {
  const auto call = Receive(ReceiveFrom("orders"));
  Deliver(9, "a");
  End(50001);
  EXPECT_THAT(Elements(*call), ElementsAre("status 20000", "message a", "time"));
}

TEST_F(ReceiveTest, CreditComesBackAsTheClientTakesTheMessages) {
  const auto call = Receive(ReceiveFrom("orders"));
  call->unsent_bytes = 100;
  Deliver(9, "a");
  EXPECT_EQ(proxy_.link.credit, 0u);
  call->unsent_bytes = 0;
  Deliver(9, "b");
  EXPECT_EQ(proxy_.link.credit, delivered_bytes_);
  call->unsent_bytes = 100;
  Deliver(9, "c");
  End(20000, 9);
  call->End(rpc::CallEnd::kFinished);
  EXPECT_EQ(proxy_.link.credit, delivered_bytes_);
}

TEST_F(ReceiveTest, AClientThatTakesMessageByMessageKeepsItsOffers) {
  const auto call = Receive(ReceiveFrom("orders"));
  Deliver(9, std::string(1000, 'a'));
  const std::size_t first = BytesOf(*call);
  call->unsent_bytes = first;
  Second();
  EXPECT_THAT(proxy_.link.written, IsEmpty());
  Deliver(9, std::string(2000, 'b'));
  call->unsent_bytes = BytesOf(*call) - first;  // more than before, and yet it has taken something
  Second();
  EXPECT_THAT(proxy_.link.written, ElementsAre(9));
  Second();
  EXPECT_THAT(proxy_.link.written, ElementsAre(9));
}

TEST_F(ReceiveTest, AClientThatIsSlowInsideOneLongMessageKeepsItsOfferForTheTimeOfItsPieces) {
  const auto call = Receive(ReceiveFrom("orders"));
  Deliver(9, std::string(4 << 20, 'a'));
  call->unsent_bytes = BytesOf(*call);
  // The broker takes the offer back 15 s after the last report.
  int silent = 0;
  for (int second = 1; second <= 59; ++second) {
    const std::size_t before = proxy_.link.written.size();
    Second();
    silent = proxy_.link.written.size() > before ? 0 : silent + 1;
    ASSERT_LT(silent, 15) << second;
  }
}

TEST_F(ReceiveTest, AClientThatTakesNothingOfShortMessagesIsNotReported) {
  const auto call = Receive(ReceiveFrom("orders"));
  for (int i = 0; i < 6; ++i) Deliver(9, std::string(900'000, 'a'));
  call->unsent_bytes = BytesOf(*call);
  for (int second = 0; second < 20; ++second) Second();
  EXPECT_THAT(proxy_.link.written, IsEmpty());
}

TEST_F(ReceiveTest, AMessageThatDoesNotDecodeIsLeftOut) {
  const auto call = Receive(ReceiveFrom("orders"));
  proxy_.link.polls.back().receiver->OnDelivery({.answer = 9, .stored = "no message"});
  End(20000, 9);
  EXPECT_THAT(Elements(*call), ElementsAre("status 40401", "time"));
  EXPECT_THAT(proxy_.link.reports, ElementsAre(Pair(9, false)));
}

TEST_F(ReceiveTest, TheBrokerGetsTheRequestInItsOwnTerms) {
  v2::ReceiveMessageRequest request = ReceiveFrom("orders");
  request.set_batch_size(100);
  request.set_attempt_id("attempt");
  request.mutable_filter_expression()->set_expression(" b || a ");
  request.mutable_long_polling_timeout()->set_seconds(15);
  Receive(request);
  EXPECT_EQ(Asked().topic, "orders");
  EXPECT_EQ(Asked().group, "billing");
  EXPECT_EQ(Asked().client, "client-1");
  EXPECT_EQ(Asked().attempt_id, "attempt");
  EXPECT_EQ(Asked().filter, "a||b");
  EXPECT_EQ(Asked().batch, 32u);
  EXPECT_EQ(Asked().invisible_millis, 30'000);
  EXPECT_EQ(Asked().wait_millis, 15'000);
  EXPECT_FALSE(Asked().auto_renew);
  EXPECT_EQ(proxy_.link.polls.back().timeout_millis, 17'000);

  request.set_batch_size(0);
  request.clear_filter_expression();
  Receive(request);
  EXPECT_EQ(Asked().batch, 1u);
  EXPECT_EQ(Asked().filter, "*");
}

TEST_F(ReceiveTest, TheLinkEndsAReceiveBeforeTheClientsDeadline) {
  proxy_.Start("ReceiveMessage", ReceiveFrom("orders"), [](FakeCall& call) { call.remaining_millis = 3'000; });
  EXPECT_EQ(Asked().wait_millis, 2'500);
  EXPECT_EQ(proxy_.link.polls.back().timeout_millis, 2'750);
}

// A simple consumer goes round the queues of its route: what is ready in another queue must not wait for its turn.
TEST_F(ReceiveTest, OnlyPushConsumersPollASingleQueue) {
  v2::ReceiveMessageRequest request = ReceiveFrom("orders");
  Receive(request);
  EXPECT_EQ(Asked().queue, -1);
  request.set_auto_renew(true);
  Receive(request);
  EXPECT_EQ(Asked().queue, 2);
  request.mutable_message_queue()->set_id(-1);
  Receive(request);
  EXPECT_EQ(Asked().queue, -1);
  request.mutable_message_queue()->set_id(4);  // the topic has four
  Receive(request);
  EXPECT_EQ(Asked().queue, -1);
}

TEST_F(ReceiveTest, InvisibleTimesHaveLimitsWithoutAutoRenew) {
  const auto status_for = [&](std::int64_t seconds, bool auto_renew) {
    v2::ReceiveMessageRequest request = ReceiveFrom("orders");
    request.mutable_invisible_duration()->set_seconds(seconds);
    request.set_auto_renew(auto_renew);
    const auto call = Receive(request);
    return call->written.empty() ? "waits" : Elements(*call).front();
  };
  EXPECT_EQ(status_for(9, false), "status 40011");
  EXPECT_EQ(status_for(10, false), "waits");
  EXPECT_EQ(status_for(43'200, false), "waits");
  EXPECT_EQ(status_for(43'201, false), "status 40011");
  EXPECT_EQ(status_for(1, true), "waits");
}

TEST_F(ReceiveTest, WhatCannotBeReceivedIsRefusedInTheStream) {
  proxy_.link.AddTopic("write-only", core::TopicType::kNormal, core::Access::kWrite);
  const auto elements_for = [&](const v2::ReceiveMessageRequest& request) { return Elements(*Receive(request)); };
  EXPECT_THAT(elements_for(ReceiveFrom("unknown")), ElementsAre("status 40402", "time"));
  EXPECT_THAT(elements_for(ReceiveFrom("write-only")), ElementsAre("status 40300", "time"));
  v2::ReceiveMessageRequest request = ReceiveFrom("orders");
  request.mutable_filter_expression()->set_type(v2::SQL);
  EXPECT_THAT(elements_for(request), ElementsAre("status 40010", "time"));
  request.mutable_filter_expression()->set_expression("a = 1");
  EXPECT_THAT(elements_for(request), ElementsAre("status 50100", "time"));
  request.mutable_group()->set_name(" ");
  EXPECT_THAT(elements_for(request), ElementsAre("status 40003", "time"));
  EXPECT_THAT(proxy_.link.polls, IsEmpty());
}

TEST_F(ReceiveTest, TheDeliveredTopicIsInTheClientsTerms) {
  proxy_.link.AddTopic("ns%orders");
  v2::ReceiveMessageRequest request = ReceiveFrom("orders");
  request.mutable_message_queue()->mutable_topic()->set_resource_namespace("ns");
  request.mutable_group()->set_resource_namespace("ns");
  const auto call = Receive(request);
  EXPECT_EQ(Asked().topic, "ns%orders");
  EXPECT_EQ(Asked().group, "ns%billing");
  Deliver(9, "a");
  v2::ReceiveMessageResponse element;
  ASSERT_TRUE(element.ParseFromString(call->written.back()));
  EXPECT_EQ(element.message().topic().resource_namespace(), "ns");
  EXPECT_EQ(element.message().topic().name(), "orders");
}

TEST_F(ReceiveTest, TerminationEndsTheClientsPolls) {
  const auto call = Receive(ReceiveFrom("orders"));
  const auto other = proxy_.Start("ReceiveMessage", ReceiveFrom("orders"),
                                  [](FakeCall& each) { each.headers["x-mq-client-id"] = "client-2"; });
  proxy_.Start("NotifyClientTermination", v2::NotifyClientTerminationRequest());
  EXPECT_THAT(Elements(*call), ElementsAre("status 40401", "time"));
  EXPECT_THAT(other->written, IsEmpty());
  EXPECT_THAT(proxy_.link.cancelled, ElementsAre(1));
}

TEST_F(ReceiveTest, DrainingEndsPollsThatWaitAndLetsDeliveriesFinish) {
  const auto delivering = Receive(ReceiveFrom("orders"));
  Deliver(9, "a");
  const auto receiver = proxy_.link.polls.back().receiver;
  const auto waiting = Receive(ReceiveFrom("orders"));
  proxy_.service.BeginDrain();
  EXPECT_THAT(Elements(*waiting), ElementsAre("status 40401", "time"));
  EXPECT_FALSE(delivering->finished.has_value());
  receiver->OnEnd({.code = 20000, .answer = 9});
  EXPECT_THAT(Elements(*delivering), ElementsAre("status 20000", "message a", "time"));
  Receive(ReceiveFrom("orders"));
  EXPECT_EQ(Asked().wait_millis, 0);
}

TEST_F(ReceiveTest, AStreamThatEndsWellIsNoSignOfDeath) {
  const auto call = Receive(ReceiveFrom("orders"));
  End(40401);
  call->End(rpc::CallEnd::kFinished);
  EXPECT_THAT(proxy_.link.liveness, Not(Contains("streams ended client-1 billing")));
}

}  // namespace
}  // namespace millrace::proxy
