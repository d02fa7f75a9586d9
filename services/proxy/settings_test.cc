#include "services/proxy/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/util/message_differencer.h"
#include "services/proxy/client_quirks.h"

namespace millrace::proxy {
namespace {

namespace v2 = apache::rocketmq::v2;
using google::protobuf::util::MessageDifferencer;
using model::ErrorCode;
using ::testing::HasSubstr;

v2::Settings Parse(const std::string& text) {
  v2::Settings settings;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &settings)) << text;
  return settings;
}

const char kProducer[] = R"(
  client_type: PRODUCER
  access_point { scheme: IPv4 addresses { host: "10.0.0.1" port: 8081 } }
  request_timeout { seconds: 3 }
  user_agent { language: JAVA version: "5.2.0" platform: "p" hostname: "h" }
  client_properties { key: "app" value: "shop" }
  publishing { topics { resource_namespace: "ns" name: "t" } })";

const char kPush[] = R"(
  client_type: PUSH_CONSUMER
  access_point { scheme: IPv4 addresses { host: "10.0.0.1" port: 8081 } }
  subscription {
    group { resource_namespace: "ns" name: "g" }
    subscriptions { topic { resource_namespace: "ns" name: "t" } expression { type: TAG expression: "A || B" } }
  })";

std::optional<ErrorCode> CodeOf(const std::string& text, const SettingsContext& context = {}) {
  const auto error = ValidateSettings(Parse(text), context);
  return error ? std::optional(error->code) : std::nullopt;
}

v2::Settings Reply(const std::string& text, const GroupSettings& group = {}, const SettingsContext& context = {}) {
  const v2::TelemetryCommand command = MakeSettingsReply(Parse(text), group, context);
  EXPECT_EQ(command.status().code(), v2::OK);
  return command.settings();
}

// The whole reply, so that a field that should not be there shows.
TEST(SettingsReplyTest, ProducersGetExponentialBackoffBodySizeAndTypeCheck) {
  v2::Settings expected = Parse(kProducer);
  ASSERT_TRUE(google::protobuf::TextFormat::MergeFromString(R"(
      backoff_policy {
        max_attempts: 3
        exponential_backoff { initial { nanos: 10000000 } max { seconds: 1 } multiplier: 2 }
      }
      publishing { max_body_size: 4194304 validate_message_type: true }
      metric { on: false })",
                                                            &expected));
  EXPECT_TRUE(MessageDifferencer::Equals(Reply(kProducer), expected)) << Reply(kProducer).DebugString();
}

TEST(SettingsReplyTest, ConsumersGetFifoBatchSizePollingTimeAndTheDefaultSchedule) {
  const v2::Settings reply = Reply(kPush, {.fifo = true});
  v2::Settings expected = Parse(kPush);
  expected.mutable_subscription()->set_fifo(true);
  expected.mutable_subscription()->set_receive_batch_size(32);
  expected.mutable_subscription()->mutable_long_polling_timeout()->set_seconds(20);
  expected.mutable_metric()->set_on(false);
  expected.mutable_backoff_policy()->set_max_attempts(17);
  for (const int seconds : {1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200}) {
    expected.mutable_backoff_policy()->mutable_customized_backoff()->add_next()->set_seconds(seconds);
  }
  EXPECT_TRUE(MessageDifferencer::Equals(reply, expected)) << reply.DebugString();
}

TEST(SettingsReplyTest, AGroupsOwnPolicyIsSent) {
  const v2::Settings custom = Reply(kPush, {.retry = {.max_attempts = 4, .backoff_millis = {1'500}}});
  EXPECT_EQ(custom.backoff_policy().max_attempts(), 4);
  ASSERT_EQ(custom.backoff_policy().customized_backoff().next_size(), 1);
  EXPECT_EQ(custom.backoff_policy().customized_backoff().next(0).seconds(), 1);
  EXPECT_EQ(custom.backoff_policy().customized_backoff().next(0).nanos(), 500'000'000);
  const v2::Settings exponential = Reply(kPush, {.retry = {.exponential = true}});
  EXPECT_EQ(exponential.backoff_policy().exponential_backoff().initial().seconds(), 5);
  EXPECT_EQ(exponential.backoff_policy().exponential_backoff().max().seconds(), 7'200);
  EXPECT_EQ(exponential.backoff_policy().exponential_backoff().multiplier(), 2);
}

TEST(SettingsReplyTest, LiteConsumersGetQuotaAndNameSize) {
  for (const char* type : {"LITE_PUSH_CONSUMER", "LITE_SIMPLE_CONSUMER"}) {
    const v2::Settings reply = Reply(absl::StrCat("client_type: ", type, " subscription { group { name: 'g' } }"));
    EXPECT_EQ(reply.subscription().lite_subscription_quota(), 2'000);
    EXPECT_EQ(reply.subscription().max_lite_topic_size(), 64);
  }
  EXPECT_FALSE(Reply(kPush).subscription().has_lite_subscription_quota());
}

TEST(SettingsReplyTest, WhatAClientClaimsInPlaceOfTheServerIsReplaced) {
  const v2::Settings reply = Reply(R"(
      backoff_policy { max_attempts: 99 customized_backoff { next { seconds: 9 } } }
      metric { on: true endpoints { scheme: IPv4 } }
      publishing { max_body_size: 1 })");
  EXPECT_EQ(reply.backoff_policy().max_attempts(), 3);
  EXPECT_TRUE(reply.backoff_policy().has_exponential_backoff());
  EXPECT_EQ(reply.publishing().max_body_size(), 4 << 20);
  EXPECT_TRUE(reply.has_metric());
  EXPECT_FALSE(reply.metric().on());
  EXPECT_FALSE(reply.metric().has_endpoints());
}

TEST(ClientQuirksTest, NodeJsGetsExponentialBackoffOnly) {
  const v2::Settings reply = Reply(kPush, {}, {.language = "HTTP", .version = "1.0.8"});
  EXPECT_TRUE(reply.backoff_policy().has_exponential_backoff());
  EXPECT_EQ(reply.backoff_policy().max_attempts(), 17);
}

TEST(ClientQuirksTest, OldPythonPushConsumersGetMetricsWithTheirAccessPoint) {
  const v2::Settings reply = Reply(kPush, {}, {.language = "PYTHON", .version = "5.0.9"});
  EXPECT_TRUE(reply.metric().on());
  EXPECT_TRUE(MessageDifferencer::Equals(reply.metric().endpoints(), Parse(kPush).access_point()));
  EXPECT_FALSE(Reply(kProducer, {}, {.language = "PYTHON", .version = "5.0.9"}).metric().on());
  EXPECT_FALSE(Reply(kPush, {}, {.language = "PYTHON", .version = "5.1.3"}).metric().on());
  EXPECT_FALSE(Reply(kPush, {}, {.language = "JAVA", .version = "5.0.9"}).metric().on());
}

TEST(ClientQuirksTest, VersionsAreReadAsFarAsTheyGo) {
  EXPECT_EQ(ParseClientVersion("5.1.2-SNAPSHOT"), (ClientVersion{5, 1, 2}));
  EXPECT_EQ(ParseClientVersion("v5.1"), (ClientVersion{5, 1, 0}));
  EXPECT_EQ(ParseClientVersion(""), (ClientVersion{}));
  EXPECT_EQ(ParseClientVersion("abc"), (ClientVersion{}));
  EXPECT_EQ(ParseClientVersion("5.x.9"), (ClientVersion{5, 0, 0}));
  EXPECT_LT(ParseClientVersion("5.1.2"), ParseClientVersion("5.1.10"));
}

TEST(ValidateSettingsTest, UsualSettingsPass) {
  EXPECT_EQ(CodeOf(kProducer), std::nullopt);
  EXPECT_EQ(CodeOf(kPush), std::nullopt);
  EXPECT_EQ(CodeOf("publishing {}"), std::nullopt);
  EXPECT_EQ(CodeOf("subscription { group { name: 'g' } }"), std::nullopt);
}

TEST(ValidateSettingsTest, IllegalNamesAndFiltersAreNamed) {
  EXPECT_EQ(CodeOf("publishing { topics { name: 'a.b' } }"), ErrorCode::kIllegalTopic);
  EXPECT_EQ(CodeOf("publishing { topics { name: 'TBW102' } }"), ErrorCode::kIllegalTopic);
  EXPECT_EQ(CodeOf("subscription {}"), ErrorCode::kIllegalConsumerGroup);
  EXPECT_EQ(CodeOf("subscription { group { name: 'CID_RMQ_SYS_x' } }"), ErrorCode::kIllegalConsumerGroup);
  const auto with = [](const std::string& entry) {
    return CodeOf(absl::StrCat("subscription { group { name: 'g' } subscriptions { ", entry, " } }"));
  };
  EXPECT_EQ(with("topic { name: '' }"), ErrorCode::kIllegalTopic);
  EXPECT_EQ(with("topic { name: 't' }"), std::nullopt);
  EXPECT_EQ(with("topic { name: 't' } expression { expression: '||' }"), ErrorCode::kIllegalFilterExpression);
  EXPECT_EQ(with("topic { name: 't' } expression { type: SQL expression: ' ' }"), ErrorCode::kIllegalFilterExpression);
  EXPECT_EQ(with("topic { name: 't' } expression { type: SQL expression: 'a = 1' }"), std::nullopt);
}

TEST(ValidateSettingsTest, NeitherPublishingNorSubscriptionIsABadRequest) {
  EXPECT_EQ(CodeOf("client_type: PRODUCER"), ErrorCode::kBadRequest);
}

TEST(ValidateSettingsTest, TheHeadersNamespaceIsUsedWhenTheResourceHasNone) {
  EXPECT_EQ(CodeOf("publishing { topics { name: 't' } }", {.default_namespace = "a b"}), ErrorCode::kIllegalTopic);
  EXPECT_EQ(GroupOf(Parse("subscription { group { name: 'g' } }"), {.default_namespace = "ns"}), "ns%g");
  EXPECT_EQ(GroupOf(Parse(kPush), {.default_namespace = "other"}), "ns%g");
  EXPECT_EQ(GroupOf(Parse(kProducer), {}), "");
}

TEST(ValidateSettingsTest, ClientPropertiesHaveLimits) {
  const auto code = [](const std::vector<std::pair<std::string, std::string>>& properties) {
    v2::Settings settings = Parse("publishing {}");
    for (const auto& [key, value] : properties) (*settings.mutable_client_properties())[key] = value;
    const auto error = ValidateSettings(settings, {});
    return error ? std::optional(error->code) : std::nullopt;
  };
  std::vector<std::pair<std::string, std::string>> many;
  for (int i = 0; i < 32; ++i) many.emplace_back(absl::StrCat("k", i), "v");
  EXPECT_EQ(code(many), std::nullopt);
  many.emplace_back("k32", "v");
  EXPECT_EQ(code(many), ErrorCode::kInvalidClientProperties);

  EXPECT_EQ(code({{std::string(64, 'k'), std::string(256, 'v')}, {"a_b.c-9", ""}}), std::nullopt);
  for (const std::string& key :
       {std::string(65, 'k'), std::string(), std::string("9a"), std::string("a b"), std::string("rocketmq.x")}) {
    EXPECT_EQ(code({{key, "v"}}), ErrorCode::kInvalidClientProperties) << key;
  }
  EXPECT_EQ(code({{"k", std::string(257, 'v')}}), ErrorCode::kInvalidClientProperties);
  std::vector<std::pair<std::string, std::string>> large;
  for (int i = 0; i < 16; ++i) large.emplace_back(std::string(1, 'a' + i), std::string(255, 'v'));
  EXPECT_EQ(code(large), std::nullopt);  // 4096 bytes
  large[0].second += "v";
  EXPECT_EQ(code(large), ErrorCode::kInvalidClientProperties);
}

TEST(SettingsRefusalTest, CarriesOnlyTheStatus) {
  const v2::TelemetryCommand command = SettingsRefusal({ErrorCode::kIllegalTopic, "why"});
  EXPECT_EQ(command.status().code(), v2::ILLEGAL_TOPIC);
  EXPECT_EQ(command.status().message(), "why");
  EXPECT_EQ(command.command_case(), v2::TelemetryCommand::COMMAND_NOT_SET);
}

}  // namespace
}  // namespace millrace::proxy
