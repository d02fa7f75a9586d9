// Telemetry streams over a fake broker.
#include "apache/rocketmq/v2/service.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/proxy/testing/fakes.h"

namespace millrace::proxy {
namespace {

namespace v2 = apache::rocketmq::v2;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

v2::TelemetryCommand ConsumerSettings(const std::vector<std::string>& topics) {
  v2::TelemetryCommand command;
  v2::Settings& settings = *command.mutable_settings();
  settings.set_client_type(v2::PUSH_CONSUMER);
  settings.mutable_subscription()->mutable_group()->set_name("billing");
  for (const std::string& topic : topics) {
    settings.mutable_subscription()->add_subscriptions()->mutable_topic()->set_name(topic);
  }
  return command;
}

class TelemetryTest : public testing::Test {
 protected:
  TelemetryTest() { Open(); }

  void Open() {
    call_ = proxy_.NewCall("Telemetry");
    handler_ = proxy_.service.OnStream(call_);
  }
  void Say(const v2::TelemetryCommand& command) { handler_->OnMessage(command.SerializeAsString()); }
  v2::TelemetryCommand Heard(std::size_t index) const {
    v2::TelemetryCommand command;
    MR_CHECK(command.ParseFromString(call_->written.at(index)));
    return command;
  }

  FakeProxy proxy_;
  std::shared_ptr<FakeCall> call_;
  std::unique_ptr<rpc::StreamHandler> handler_;
};

TEST_F(TelemetryTest, HeadersComeBeforeTheFirstCommand) {
  EXPECT_TRUE(call_->metadata_sent);
  EXPECT_THAT(call_->written, IsEmpty());
}

TEST_F(TelemetryTest, WithoutAClientIdTheStreamSaysSoAndEndsWell) {
  call_ = proxy_.NewCall("Telemetry");
  call_->headers.clear();
  handler_ = proxy_.service.OnStream(call_);
  EXPECT_EQ(Heard(0).status().code(), v2::CLIENT_ID_REQUIRED);
  EXPECT_EQ(call_->finished, absl::OkStatus());
  Say(ConsumerSettings({}));
  EXPECT_THAT(proxy_.link.liveness, IsEmpty());
}

TEST_F(TelemetryTest, EverySettingsCommandIsAnsweredFromTheGroup) {
  proxy_.link.groups["billing"].fifo = true;
  proxy_.link.groups["billing"].max_attempts = 5;
  Say(ConsumerSettings({"orders"}));
  Say(ConsumerSettings({}));
  ASSERT_EQ(call_->written.size(), 2u);
  for (const std::size_t i : {0, 1}) {
    EXPECT_EQ(Heard(i).status().code(), v2::OK);
    EXPECT_TRUE(Heard(i).settings().subscription().fifo());
    EXPECT_EQ(Heard(i).settings().backoff_policy().max_attempts(), 5);
    EXPECT_EQ(Heard(i).settings().subscription().receive_batch_size(), 32);
  }
  EXPECT_FALSE(call_->finished.has_value());
}

TEST_F(TelemetryTest, ANewGroupIsOrderedWhenAllOfItsTopicsAre) {
  proxy_.link.AddTopic("ordered", core::TopicType::kFifo);
  proxy_.link.AddTopic("orders");
  Say(ConsumerSettings({"ordered"}));
  EXPECT_TRUE(Heard(0).settings().subscription().fifo());
  EXPECT_TRUE(proxy_.link.groups.at("billing").fifo);

  v2::TelemetryCommand mixed = ConsumerSettings({"ordered", "orders"});
  mixed.mutable_settings()->mutable_subscription()->mutable_group()->set_name("mixed");
  Say(mixed);
  EXPECT_FALSE(Heard(1).settings().subscription().fifo());
}

TEST_F(TelemetryTest, WhenTheBrokerIsAwayDefaultsGoOutAndTheGroupFollows) {
  proxy_.link.answers_queries = false;
  Say(ConsumerSettings({}));
  EXPECT_THAT(call_->written, IsEmpty());
  ASSERT_EQ(proxy_.link.calls.size(), 1u);
  EXPECT_LE(proxy_.link.calls[0].timeout_millis, 1'000);
  proxy_.link.Reply(0, 50400, "no answer");
  ASSERT_EQ(call_->written.size(), 1u);
  EXPECT_FALSE(Heard(0).settings().subscription().fifo());
  EXPECT_EQ(Heard(0).settings().backoff_policy().max_attempts(), 17);

  proxy_.link.answers_queries = true;
  proxy_.link.groups["billing"].fifo = true;
  proxy_.service.Tick();
  ASSERT_EQ(call_->written.size(), 2u);
  EXPECT_TRUE(Heard(1).settings().subscription().fifo());
  proxy_.service.Tick();
  EXPECT_EQ(call_->written.size(), 2u);
}

TEST_F(TelemetryTest, AChangedGroupIsToldWithinTwentySeconds) {
  Say(ConsumerSettings({}));
  proxy_.link.groups["billing"].max_attempts = 3;
  proxy_.clock.Advance(20'000);
  proxy_.service.Tick();
  ASSERT_EQ(call_->written.size(), 2u);
  EXPECT_EQ(Heard(1).settings().backoff_policy().max_attempts(), 3);
}

TEST_F(TelemetryTest, RefusedSettingsAreACommandAndThenTheEnd) {
  v2::TelemetryCommand command = ConsumerSettings({"TBW102"});
  Say(command);
  EXPECT_EQ(Heard(0).status().code(), v2::ILLEGAL_TOPIC);
  EXPECT_FALSE(Heard(0).has_settings());
  ASSERT_TRUE(call_->finished.has_value());
  EXPECT_EQ(call_->finished->code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(call_->finished->message()), HasSubstr("ILLEGAL_TOPIC"));
}

TEST_F(TelemetryTest, SettingsOfNoKindEndTheStream) {
  v2::TelemetryCommand command;
  command.mutable_settings();
  Say(command);
  EXPECT_EQ(call_->finished->code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(TelemetryTest, AnswersThatNobodyAskedForAreIgnored) {
  v2::TelemetryCommand stack;
  stack.mutable_thread_stack_trace()->set_nonce("unknown");
  v2::TelemetryCommand verify;
  verify.mutable_verify_message_command()->set_nonce("from a client");
  for (const v2::TelemetryCommand& command : {stack, verify, v2::TelemetryCommand()}) Say(command);
  EXPECT_THAT(call_->written, IsEmpty());
  EXPECT_FALSE(call_->finished.has_value());
}

TEST_F(TelemetryTest, HalfCloseEndsWellAfterTheLastAnswer) {
  proxy_.link.answers_queries = false;
  Say(ConsumerSettings({}));
  handler_->OnHalfClose();
  EXPECT_FALSE(call_->finished.has_value());
  proxy_.link.Reply(0, 50400);
  EXPECT_EQ(call_->written.size(), 1u);
  EXPECT_EQ(call_->finished, absl::OkStatus());
}

TEST_F(TelemetryTest, TheBrokerHearsWhenTheLastStreamHasEnded) {
  Say(ConsumerSettings({}));
  EXPECT_THAT(proxy_.link.liveness, Contains("register client-1 billing"));
  const auto first_call = call_;
  Open();
  Say(ConsumerSettings({}));
  first_call->Cancel();
  EXPECT_THAT(proxy_.link.liveness, Not(Contains(HasSubstr("streams ended"))));
  call_->Cancel();
  EXPECT_THAT(proxy_.link.liveness, Contains("streams ended client-1 billing"));
  EXPECT_EQ(proxy_.service.metrics().telemetry_streams, 0);
}

TEST_F(TelemetryTest, AProducerIsRegisteredWithoutAGroup) {
  v2::TelemetryCommand command;
  command.mutable_settings()->set_client_type(v2::PRODUCER);
  command.mutable_settings()->mutable_publishing();
  Say(command);
  EXPECT_THAT(proxy_.link.liveness, ElementsAre("register client-1 ", "sign client-1 "));
  EXPECT_TRUE(Heard(0).settings().has_publishing());
}

TEST_F(TelemetryTest, StreamsEndWithUnavailableAfterADrain) {
  Say(ConsumerSettings({}));
  proxy_.service.BeginDrain();
  EXPECT_FALSE(call_->finished.has_value());
  proxy_.service.EndStreams();
  EXPECT_EQ(call_->finished->code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace millrace::proxy
