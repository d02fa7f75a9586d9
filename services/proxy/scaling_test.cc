#include "services/proxy/scaling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::proxy {
namespace {

using testing::DoubleEq;
using testing::HasSubstr;
using testing::Optional;

absl::StatusOr<ScalingTarget> Parse(std::map<std::string, std::string> more) {
  more.emplace("consumerGroup", "billing");
  return ParseScalingTarget(more);
}

TEST(ScalingTargetTest, TakesWhatATriggerSays) {
  const auto target = Parse({{"scalerAddress", "millrace:8083"},
                             {"topic", "shop%orders"},
                             {"targetLag", "500"},
                             {"targetDrainSeconds", "60"},
                             {"ratePerConsumer", "12.5"},
                             {"activationLag", "3"}});
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_EQ(target->group, "billing");
  EXPECT_EQ(target->topic, "shop%orders");
  EXPECT_EQ(target->lag_per_consumer, 500);
  EXPECT_EQ(target->drain_seconds, 60);
  EXPECT_EQ(target->rate_per_consumer, 12.5);
  EXPECT_EQ(target->activation_lag, 3);
}

TEST(ScalingTargetTest, WhatIsMissingOrWrongIsNamed) {
  const auto text = [](const absl::StatusOr<ScalingTarget>& target) {
    EXPECT_EQ(target.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(target.status().message());
  };
  EXPECT_THAT(text(ParseScalingTarget({{"targetLag", "5"}})), HasSubstr("consumerGroup"));
  EXPECT_THAT(text(Parse({})), HasSubstr("give targetLag"));
  EXPECT_THAT(text(Parse({{"targetLag", "many"}})), HasSubstr("targetLag: \"many\"; write a number from 1"));
  EXPECT_THAT(text(Parse({{"targetLag", "0"}})), HasSubstr("targetLag: \"0\""));
  EXPECT_THAT(text(Parse({{"targetLag", "nan"}})), HasSubstr("targetLag"));
  EXPECT_THAT(text(Parse({{"targetDrainSeconds", "0.5"}})), HasSubstr("targetDrainSeconds"));
  EXPECT_THAT(text(Parse({{"targetLag", "5"}, {"activationLag", "-1"}})), HasSubstr("activationLag"));
  EXPECT_THAT(text(Parse({{"targetLag", "5"}, {"ratePerConsumer", "0"}})), HasSubstr("ratePerConsumer"));
  EXPECT_THAT(text(Parse({{"targetLag", "5"}, {"topic", "no blanks"}})), HasSubstr("no blanks"));
  EXPECT_THAT(text(ParseScalingTarget({{"consumerGroup", "CID_RMQ_SYS_x"}, {"targetLag", "5"}})),
              HasSubstr("CID_RMQ_SYS_"));
}

class WorkRatesTest : public testing::Test {
 protected:
  void Look(std::int64_t seconds, const Backlog& backlog) { rates_.Note("g", backlog, seconds * 1'000); }
  std::optional<double> RateAt(std::int64_t seconds) const { return rates_.PerConsumer("g", seconds * 1'000); }

  WorkRates rates_;
};

TEST_F(WorkRatesTest, CountsWhatConsumersDidWhileThereWasWork) {
  EXPECT_EQ(RateAt(0), std::nullopt);
  Look(0, {.ready = 5'000, .acknowledged = 100, .clients = 2});
  EXPECT_EQ(RateAt(0), std::nullopt);
  Look(10, {.ready = 4'000, .acknowledged = 300, .clients = 2});
  EXPECT_THAT(RateAt(10), Optional(DoubleEq(10)));  // 200 by 2 in 10 s
  Look(20, {.ready = 3'000, .acknowledged = 600, .clients = 4});
  EXPECT_THAT(RateAt(20), Optional(DoubleEq(10)));  // and 300 by 3
}

TEST_F(WorkRatesTest, IdleTimeAndAbsentConsumersDoNotLowerIt) {
  Look(0, {.ready = 5'000, .acknowledged = 0, .clients = 1});
  Look(10, {.ready = 4'000, .acknowledged = 100, .clients = 1});
  Look(20, {.ready = 0, .acknowledged = 110, .clients = 1});
  Look(30, {.ready = 0, .acknowledged = 111, .clients = 1});
  Look(40, {.ready = 700, .acknowledged = 112, .clients = 1});
  Look(50, {.ready = 800, .acknowledged = 112, .clients = 0});
  EXPECT_THAT(RateAt(50), Optional(DoubleEq(10)));
}

TEST_F(WorkRatesTest, ConsumersThatDoNothingHaveNoRate) {
  Look(0, {.ready = 10, .acknowledged = 5, .clients = 1});
  Look(10, {.ready = 20, .acknowledged = 5, .clients = 1});
  EXPECT_EQ(RateAt(10), std::nullopt);
}

TEST_F(WorkRatesTest, LooksInQuickSuccessionAreOne) {
  Look(0, {.ready = 100, .acknowledged = 0, .clients = 1});
  rates_.Note("g", {.ready = 90, .acknowledged = 10, .clients = 1}, 1);
  EXPECT_EQ(RateAt(0), std::nullopt);
  Look(10, {.ready = 10, .acknowledged = 40, .clients = 1});
  EXPECT_THAT(RateAt(10), Optional(DoubleEq(4)));
}

TEST_F(WorkRatesTest, ForgetsWhatIsOld) {
  Look(0, {.ready = 100, .acknowledged = 0, .clients = 1});
  Look(10, {.ready = 100, .acknowledged = 40, .clients = 1});
  EXPECT_NE(RateAt(610), std::nullopt);
  EXPECT_EQ(RateAt(611), std::nullopt);
  // What lies between two looks hours apart says nothing about a busy consumer.
  Look(7'000, {.ready = 100, .acknowledged = 50, .clients = 1});
  EXPECT_EQ(RateAt(7'000), std::nullopt);
}

TEST_F(WorkRatesTest, AGroupThatWasMadeAgainStartsAnew) {
  Look(0, {.ready = 100, .acknowledged = 0, .clients = 1});
  Look(10, {.ready = 100, .acknowledged = 40, .clients = 1});
  Look(20, {.ready = 100, .acknowledged = 3, .clients = 1});
  EXPECT_EQ(RateAt(20), std::nullopt);
}

TEST_F(WorkRatesTest, ManyNamesMakeRoomOnlyForThoseInUse) {
  for (int i = 0; i < 1'000; ++i) rates_.Note("n" + std::to_string(i), {}, 0);
  const auto measured = [&](std::int64_t seconds) {
    Look(seconds, {.ready = 9, .acknowledged = 0, .clients = 1});
    Look(seconds + 10, {.ready = 9, .acknowledged = 10, .clients = 1});
    return RateAt(seconds + 10).has_value();
  };
  EXPECT_FALSE(measured(100));
  EXPECT_TRUE(measured(700));
}

TEST(ConsumersNeededTest, EmptyTheBacklogInTheTimeThatIsWanted) {
  const ScalingTarget target{.drain_seconds = 60};
  EXPECT_EQ(ConsumersNeeded(target, {.ready = 6'000}, 10.0), 10);
  EXPECT_EQ(ConsumersNeeded(target, {.ready = 6'001}, 10.0), 11);
  EXPECT_EQ(ConsumersNeeded(target, {.ready = 1}, 10.0), 1);
  EXPECT_EQ(ConsumersNeeded(target, {.ready = 0, .in_flight = 5}, 10.0), 0);
  EXPECT_EQ(ConsumersNeeded(target, {.ready = 3}, 0.0001), 3) << "more consumers than messages are of no use";
}

TEST(ConsumersNeededTest, ATriggerMayKnowTheRateBetter) {
  EXPECT_EQ(ConsumersNeeded({.drain_seconds = 60, .rate_per_consumer = 100}, {.ready = 6'000}, 10.0), 1);
}

TEST(ConsumersNeededTest, WithoutARateThereStayAsManyAsThereAre) {
  const ScalingTarget target{.drain_seconds = 60};
  EXPECT_EQ(ConsumersNeeded(target, {.ready = 6'000, .clients = 4}, std::nullopt), 4);
  EXPECT_EQ(ConsumersNeeded(target, {.ready = 6'000}, std::nullopt), 1);
  EXPECT_EQ(ConsumersNeeded(target, {}, std::nullopt), 0);
}

}  // namespace
}  // namespace millrace::proxy
