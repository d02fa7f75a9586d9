#include "store/retention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::store {
namespace {

constexpr std::int64_t kHour = 3600LL * 1000;
constexpr std::int64_t kMidnight = 1'700'006'400'000;  // 2023-11-15T00:00:00Z

// Ten segments of 100 bytes; the last batch of segment i is 9 - i days old at midnight.
struct RetentionTest : testing::Test {
  RetentionTest() {
    for (std::uint64_t i = 0; i < 10; ++i) {
      input.segments.push_back({.first = i * 100,
                                .end = i * 100 + 100,
                                .last_log_time_millis = kMidnight - static_cast<std::int64_t>(9 - i) * 24 * kHour});
    }
    input.image_offset = 1000;
    input.space = {.total_bytes = 100'000, .free_bytes = 90'000};
    AtHour(4);
  }
  void AtHour(int hour) { input.log_time_millis = kMidnight + hour * kHour; }
  void UsedPercent(int percent) { input.space = {.total_bytes = 2000, .free_bytes = 2000u - 20u * percent}; }

  RetentionPolicy policy;
  RetentionInput input;
};

TEST_F(RetentionTest, RemovesWhatIsPastItsAgeAtTheSetHour) {
  const RetentionPlan plan = PlanRetention(policy, input);
  EXPECT_EQ(plan.remove_below, 700u);  // segment 6 is 3 days and 4 hours old, segment 7 is 2 days and 4 hours old
  EXPECT_EQ(plan.remove_bytes, 700u);
  EXPECT_EQ(plan.reason, RetentionReason::kAge);
  EXPECT_FALSE(plan.refuse_writes);
}

TEST_F(RetentionTest, ASegmentGoesOneHourAfterItsAge) {
  input.segments[6].last_log_time_millis = input.log_time_millis - 73 * kHour;
  EXPECT_EQ(PlanRetention(policy, input).remove_below, 600u);
  input.segments[6].last_log_time_millis -= 1;
  EXPECT_EQ(PlanRetention(policy, input).remove_below, 700u);
}

TEST_F(RetentionTest, OutsideTheSetHourNothingGoesByAge) {
  AtHour(3);
  EXPECT_EQ(PlanRetention(policy, input).remove_below, 0u);
  AtHour(5);
  EXPECT_EQ(PlanRetention(policy, input).remove_below, 0u);
}

TEST_F(RetentionTest, TheHourIsOneOfTheGivenTimeZone) {
  AtHour(3);
  policy.utc_offset_minutes = 60;
  EXPECT_EQ(PlanRetention(policy, input).remove_below, 700u);
}

TEST_F(RetentionTest, WithoutASetHourAgeCountsAlways) {
  AtHour(13);
  policy.hour = -1;
  EXPECT_EQ(PlanRetention(policy, input).remove_below, 700u);
}

TEST_F(RetentionTest, FromTheFirstWatermarkOnTheHourDoesNotMatter) {
  AtHour(12);
  UsedPercent(74);
  EXPECT_EQ(PlanRetention(policy, input).remove_below, 0u);
  UsedPercent(75);
  EXPECT_EQ(PlanRetention(policy, input).remove_below, 700u);
}

TEST_F(RetentionTest, FromTheSecondWatermarkOnTheOldestGoUntilBelowIt) {
  AtHour(12);
  policy.age_millis = 365 * 24 * kHour;
  UsedPercent(84);
  EXPECT_EQ(PlanRetention(policy, input).remove_below, 0u);
  UsedPercent(85);  // 1700 of 2000 bytes: one segment of 100 is enough
  const RetentionPlan plan = PlanRetention(policy, input);
  EXPECT_EQ(plan.remove_below, 100u);
  EXPECT_EQ(plan.reason, RetentionReason::kWatermark);
  EXPECT_FALSE(plan.refuse_writes);
}

TEST_F(RetentionTest, FromTheThirdWatermarkOnWritesAreRefusedWithTheNumbers) {
  policy.age_millis = 365 * 24 * kHour;
  UsedPercent(89);
  EXPECT_FALSE(PlanRetention(policy, input).refuse_writes);
  UsedPercent(90);
  const RetentionPlan plan = PlanRetention(policy, input);
  EXPECT_TRUE(plan.refuse_writes);
  EXPECT_THAT(plan.refusal, testing::HasSubstr("90 % full (1800 of 2000 bytes)"));
  EXPECT_EQ(plan.remove_below, 200u);
}

TEST_F(RetentionTest, TheTotalSizeIsKept) {
  AtHour(12);
  policy.size_bytes_max = 750;
  const RetentionPlan plan = PlanRetention(policy, input);
  EXPECT_EQ(plan.remove_below, 300u);
  EXPECT_EQ(plan.reason, RetentionReason::kSize);
  policy.size_bytes_max = 0;
  input.space = {.total_bytes = 1000, .free_bytes = 400};  // 80 % = 800 bytes; other files do not count
  EXPECT_EQ(PlanRetention(policy, input).remove_below, 200u);
}

TEST_F(RetentionTest, NothingBehindTheFlushedImageGoes) {
  input.image_offset = 350;
  const RetentionPlan plan = PlanRetention(policy, input);
  EXPECT_EQ(plan.remove_below, 300u);
  EXPECT_TRUE(plan.waits_for_image);
}

TEST_F(RetentionTest, TheLastSegmentStays) {
  policy.hour = -1;
  policy.age_millis = 0;
  policy.late_visible_millis = -1;
  AtHour(24);
  EXPECT_EQ(PlanRetention(policy, input).remove_below, 900u);
}

TEST_F(RetentionTest, AVolumeOfUnknownSizeReachesNoWatermark) {
  AtHour(12);
  input.space = {};
  const RetentionPlan plan = PlanRetention(policy, input);
  EXPECT_EQ(plan.remove_below, 0u);
  EXPECT_FALSE(plan.refuse_writes);
}

}  // namespace
}  // namespace millrace::store
