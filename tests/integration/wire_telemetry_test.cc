// Checklist: Telemetry and settings.
#include "tests/integration/wire_fixture.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST_F(WireTest, C_016_C_017_C_018_AProducersSettingsAreAnsweredWithWhatItNeeds) {
  const auto telemetry = client_.OpenTelemetry();
  telemetry->Write(ProducerSettings("orders"));
  const v2::TelemetryCommand answer = Answer(*telemetry);
  EXPECT_EQ(answer.status().code(), v2::OK);
  const v2::Settings& settings = answer.settings();
  ASSERT_TRUE(settings.has_publishing());
  EXPECT_EQ(settings.publishing().topics(0).name(), "orders");
  EXPECT_EQ(settings.publishing().max_body_size(), 4'194'304);
  EXPECT_TRUE(settings.publishing().validate_message_type());
  ASSERT_TRUE(settings.backoff_policy().has_exponential_backoff());
  EXPECT_EQ(settings.backoff_policy().max_attempts(), 3);
}

TEST_F(WireTest, C_017_C_019_AConsumersSettingsAreAnsweredWithWhatItNeeds) {
  for (const auto type : {v2::PUSH_CONSUMER, v2::SIMPLE_CONSUMER}) {
    const auto telemetry = client_.OpenTelemetry();
    telemetry->Write(ConsumerSettings(type, "orders"));
    const v2::TelemetryCommand answer = Answer(*telemetry);
    EXPECT_EQ(answer.status().code(), v2::OK);
    const v2::Settings& settings = answer.settings();
    ASSERT_TRUE(settings.has_subscription());
    EXPECT_TRUE(settings.subscription().has_fifo());
    EXPECT_FALSE(settings.subscription().fifo());
    EXPECT_EQ(settings.subscription().receive_batch_size(), 32);
    EXPECT_EQ(settings.subscription().long_polling_timeout().seconds(), 20);
    EXPECT_EQ(settings.backoff_policy().max_attempts(), 17);
    EXPECT_EQ(settings.backoff_policy().customized_backoff().next_size(), 18);
  }
}

TEST_F(WireTest, C_019_AnOrderedGroupIsToldSo) {
  CreateGroup("ordered", [](admin_v1::GroupSettings& settings) { settings.set_fifo(true); });
  const auto telemetry = client_.OpenTelemetry();
  telemetry->Write(ConsumerSettings(v2::PUSH_CONSUMER, "orders", "ordered"));
  EXPECT_TRUE(Answer(*telemetry).settings().subscription().fifo());
}

TEST_F(WireTest, C_021_MetricsAreOff) {
  const auto telemetry = client_.OpenTelemetry();
  telemetry->Write(ProducerSettings("orders"));
  const v2::TelemetryCommand answer = Answer(*telemetry);
  EXPECT_TRUE(answer.settings().has_metric());
  EXPECT_FALSE(answer.settings().metric().on());
}

TEST_F(WireTest, C_022_GroupAndSubscriptionsAreRepeatedWithTheirNamespace) {
  v2::TelemetryCommand command = ConsumerSettings(v2::SIMPLE_CONSUMER, "orders");
  v2::Subscription& subscription = *command.mutable_settings()->mutable_subscription();
  subscription.mutable_group()->set_resource_namespace("ns");
  subscription.mutable_subscriptions(0)->mutable_topic()->set_resource_namespace("ns");
  const auto telemetry = client_.OpenTelemetry();
  telemetry->Write(command);
  const v2::Settings settings = Answer(*telemetry).settings();
  EXPECT_EQ(settings.subscription().group().SerializeAsString(), subscription.group().SerializeAsString());
  ASSERT_EQ(settings.subscription().subscriptions_size(), 1);
  EXPECT_EQ(settings.subscription().subscriptions(0).SerializeAsString(),
            subscription.subscriptions(0).SerializeAsString());
}

// In bigger steps than links live through: they break and come back, the client's stream does not.
TEST_F(WireTest, C_030_AnIdleStreamIsOpenAfterAnHour) {
  const auto telemetry = client_.OpenTelemetry();
  telemetry->Write(ConsumerSettings(v2::PUSH_CONSUMER, "orders"));
  ASSERT_EQ(Answer(*telemetry).status().code(), v2::OK);
  for (int minutes = 0; minutes < 60; minutes += 5) {
    stack_.Advance(5 * 60'000);
    WaitForLinkTick();
  }
  telemetry->Write(ConsumerSettings(v2::PUSH_CONSUMER, "invoices"));
  EXPECT_EQ(Answer(*telemetry, 2).settings().subscription().subscriptions(0).topic().name(), "invoices");
}

TEST_F(WireTest, C_023_SettingsThatComeAgainAreAnsweredAgain) {
  const auto telemetry = client_.OpenTelemetry();
  for (std::size_t i = 1; i <= 3; ++i) {
    telemetry->Write(ConsumerSettings(v2::PUSH_CONSUMER, absl::StrCat("orders-", i)));
    const v2::Settings settings = Answer(*telemetry, i).settings();
    EXPECT_EQ(settings.subscription().subscriptions(0).topic().name(), absl::StrCat("orders-", i));
  }
  EXPECT_EQ(ClientsOf("billing"), 1u);
  EXPECT_FALSE(telemetry->heard().ended());
}

TEST_F(WireTest, C_024_IllegalSettingsAreNamedAndThenEndTheStream) {
  const auto refused = [&](const v2::TelemetryCommand& command, v2::Code code, const char* name) {
    const auto telemetry = client_.OpenTelemetry();
    telemetry->Write(command);
    const v2::TelemetryCommand answer = Answer(*telemetry);
    EXPECT_EQ(answer.status().code(), code);
    EXPECT_FALSE(answer.has_settings());
    const absl::Status end = telemetry->heard().WaitForEnd();
    EXPECT_EQ(end.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(end.message()), HasSubstr(name));
  };
  refused(ProducerSettings("TBW102"), v2::ILLEGAL_TOPIC, "ILLEGAL_TOPIC");
  refused(ConsumerSettings(v2::PUSH_CONSUMER, "no blanks"), v2::ILLEGAL_TOPIC, "ILLEGAL_TOPIC");
  refused(ConsumerSettings(v2::PUSH_CONSUMER, "orders", "CID_RMQ_SYS_x"), v2::ILLEGAL_CONSUMER_GROUP,
          "ILLEGAL_CONSUMER_GROUP");
}

TEST_F(WireTest, C_025_SettingsOfNoKindEndTheStream) {
  v2::TelemetryCommand command;
  command.mutable_settings()->set_client_type(v2::PRODUCER);
  const auto telemetry = client_.OpenTelemetry();
  telemetry->Write(command);
  EXPECT_EQ(telemetry->heard().WaitForEnd().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(WireTest, C_026_AConsumerMaySubscribeToNothing) {
  v2::TelemetryCommand command = ConsumerSettings(v2::SIMPLE_CONSUMER, "orders");
  command.mutable_settings()->mutable_subscription()->clear_subscriptions();
  const auto telemetry = client_.OpenTelemetry();
  telemetry->Write(command);
  EXPECT_EQ(Answer(*telemetry).status().code(), v2::OK);
}

TEST_F(WireTest, C_027_AHalfCloseEndsTheStreamWell) {
  const auto telemetry = client_.OpenTelemetry();
  telemetry->Write(ConsumerSettings(v2::SIMPLE_CONSUMER, "orders"));
  telemetry->WritesDone();
  EXPECT_TRUE(telemetry->heard().WaitForEnd().ok());
  EXPECT_EQ(telemetry->heard().messages().size(), 1u);
}

TEST_F(WireTest, C_028_ClientPropertiesHaveLimits) {
  v2::TelemetryCommand command = ProducerSettings("orders");
  (*command.mutable_settings()->mutable_client_properties())["rocketmq.zone"] = "a";
  const auto telemetry = client_.OpenTelemetry();
  telemetry->Write(command);
  EXPECT_EQ(Answer(*telemetry).status().code(), v2::INVALID_CLIENT_PROPERTIES);
}

TEST_F(WireTest, C_029_AnswersThatNobodyAskedForAreIgnored) {
  const auto telemetry = client_.OpenTelemetry();
  v2::TelemetryCommand command;
  command.mutable_thread_stack_trace()->set_nonce("unknown");
  telemetry->Write(command);
  command.mutable_verify_message_result()->set_nonce("unknown");
  telemetry->Write(command);
  command.mutable_verify_message_command()->set_nonce("from a client");
  telemetry->Write(command);
  telemetry->Write(ProducerSettings("orders"));
  EXPECT_TRUE(Answer(*telemetry).has_settings());
  EXPECT_FALSE(telemetry->heard().ended());
}

TEST_F(WireTest, C_006_TelemetryWithoutAClientIdSaysSoAndEndsWell) {
  client_.headers.erase("x-mq-client-id");
  const auto telemetry = client_.OpenTelemetry();
  EXPECT_TRUE(telemetry->heard().WaitForEnd().ok());
  ASSERT_EQ(telemetry->heard().messages().size(), 1u);
  EXPECT_EQ(Parsed(telemetry->heard().messages()[0]).status().code(), v2::CLIENT_ID_REQUIRED);
}

}  // namespace
}  // namespace millrace
