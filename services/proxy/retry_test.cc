#include "services/proxy/retry.h"

#include <gtest/gtest.h>

namespace millrace::proxy {
namespace {

TEST(BackoffTest, DefaultScheduleGrowsAndItsLastEntryRepeats) {
  const RetryPolicy policy;
  EXPECT_EQ(BackoffMillis(policy, 1), 1'000);
  EXPECT_EQ(BackoffMillis(policy, 3), 10'000);
  EXPECT_EQ(BackoffMillis(policy, 18), 7'200'000);
  EXPECT_EQ(BackoffMillis(policy, 1'000), 7'200'000);
}

TEST(BackoffTest, AttemptsBelowOneCountAsTheFirst) {
  EXPECT_EQ(BackoffMillis({}, 0), 1'000);
  EXPECT_EQ(BackoffMillis({.exponential = true}, -5), 5'000);
}

TEST(BackoffTest, AGroupsOwnScheduleIsUsed) {
  const RetryPolicy policy{.backoff_millis = {7, 9}};
  EXPECT_EQ(BackoffMillis(policy, 1), 7);
  EXPECT_EQ(BackoffMillis(policy, 2), 9);
  EXPECT_EQ(BackoffMillis(policy, 3), 9);
}

TEST(BackoffTest, ExponentialDoublesUpToTwoHours) {
  const RetryPolicy policy{.exponential = true};
  EXPECT_EQ(BackoffMillis(policy, 1), 5'000);
  EXPECT_EQ(BackoffMillis(policy, 2), 10'000);
  EXPECT_EQ(BackoffMillis(policy, 11), 5'120'000);
  EXPECT_EQ(BackoffMillis(policy, 12), 7'200'000);
  EXPECT_EQ(BackoffMillis(policy, 2'000'000'000), 7'200'000);
}

}  // namespace
}  // namespace millrace::proxy
