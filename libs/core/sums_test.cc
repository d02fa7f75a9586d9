#include "core/sums.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/testing/shown_sums.h"
#include "core/testing/world.h"

// What a scrape is told of topics, groups and pairs.
namespace millrace::core::testing {
namespace {

std::uint64_t CountOf(const base::HistogramCounts& histogram) {
  std::uint64_t count = 0;
  for (const std::uint64_t bucket : histogram.buckets) count += bucket;
  return count;
}

std::int64_t LagOf(const PairSums& pair) { return pair.ready + pair.in_flight + pair.waiting; }

class SumsTest : public ::testing::Test {
 protected:
  SumsTest() {
    world_.Make("T", "G");
    world_.Take("c0", "G", "T", {.wait = 0});  // the group is there, and has found nothing
  }
  std::int64_t now() { return world_.core().log_time_millis(); }

  World world_;
  ShownSums shown_{world_};
};

TEST_F(SumsTest, LagIsWhatWasSentAndNotReadWithAndWithoutClients) {
  for (int i = 0; i < 10; ++i) world_.Deposit("T", std::vector<std::string>(100, "m"));
  shown_.Update();
  EXPECT_EQ(shown_.At("G", "T").ready, 1'000);
  EXPECT_EQ(LagOf(shown_.At("G", "T")), 1'000);
  EXPECT_EQ(shown_.topics.at("T").messages_in, 1'000u);
  EXPECT_EQ(shown_.topics.at("T").bytes_in, 1'000u);

  const auto taken = world_.Take("c1", "G", "T");
  ASSERT_EQ(taken.size(), 32u);
  shown_.Update();
  EXPECT_EQ(shown_.At("G", "T").in_flight, 32);
  EXPECT_EQ(shown_.At("G", "T").ready, 968);
  EXPECT_EQ(shown_.At("G", "T").counters.messages_out, 32u);
  EXPECT_EQ(shown_.At("G", "T").counters.bytes_out, 32u);

  for (const Delivered& message : taken) world_.Ack(message.handle, "G", "T");
  world_.Flush();
  world_.LinkDown(1);
  world_.Flush();
  shown_.Update();
  EXPECT_EQ(shown_.At("G", "T").in_flight, 0);
  EXPECT_EQ(LagOf(shown_.At("G", "T")), 968);
  EXPECT_EQ(shown_.At("G", "T").counters.acknowledged, 32u);
}

TEST_F(SumsTest, LagIsTheSameAfterARestart) {
  world_.Deposit("T", std::vector<std::string>(10, "m"));
  const auto taken = world_.Take("c1", "G", "T", {.batch = 4, .invisible = 60'000});
  world_.Ack(taken[0].handle, "G", "T");
  world_.Advance(2'000);  // the leases are written
  shown_.Update();
  EXPECT_EQ(shown_.At("G", "T").in_flight, 3);
  world_.Crash();
  ShownSums after(world_);
  after.Update();
  EXPECT_EQ(after.At("G", "T").ready, 6);
  EXPECT_EQ(after.At("G", "T").in_flight, 3);
  EXPECT_EQ(after.At("G", "T").counters.acknowledged, 0u) << "counters begin anew";
}

TEST_F(SumsTest, AGroupThatNeverFoundAnythingHasALag) {
  World world;
  world.Make("T", "other");
  world.Take("c", "late", "T", {.wait = 0});
  world.Flush();
  ShownSums shown(world);
  shown.Update();
  EXPECT_EQ(LagOf(shown.At("late", "T")), 0);
  world.Deposit("T", {"a", "b"});
  shown.Update();
  EXPECT_EQ(LagOf(shown.At("late", "T")), 2);
}

TEST_F(SumsTest, AgesAreThoseOfTheOldestReadyAndTheOldestUnfinished) {
  EXPECT_EQ(now(), world_.time);
  shown_.Update();
  EXPECT_EQ(shown_.At("G", "T").ready_since, kSinceNothing);
  EXPECT_EQ(shown_.At("G", "T").unfinished_since, kSinceNothing);

  const std::int64_t first = now();
  world_.Deposit("T", {"a"});
  world_.Advance(10'000);
  const std::int64_t second = now();
  world_.Deposit("T", {"b", "c"});
  world_.Advance(10'000);
  shown_.Update();
  EXPECT_EQ(shown_.At("G", "T").ready_since, first);
  EXPECT_EQ(shown_.At("G", "T").unfinished_since, first);

  // The first is in flight; the head of what is not read has a time that only a reader knows.
  const auto taken = world_.Take("c1", "G", "T", {.batch = 1, .invisible = 60'000});
  ASSERT_EQ(taken.size(), 1u);
  shown_.Update(false);
  EXPECT_EQ(shown_.At("G", "T").ready_since, first) << "stands in until the reader has answered";
  shown_.Update();
  EXPECT_EQ(shown_.At("G", "T").ready_since, second);
  EXPECT_EQ(shown_.At("G", "T").unfinished_since, first);

  // A retry is ready since it fell due, and is as old as it is.
  world_.Change(taken[0].handle, "G", "T", 0);
  world_.Flush();
  const std::int64_t due = now();
  const auto rest = world_.Take("c1", "G", "T", {.batch = 32, .invisible = 60'000});
  EXPECT_EQ(rest.size(), 3u);
  for (const Delivered& message : rest) {
    if (message.body != "a") world_.Ack(message.handle, "G", "T");
  }
  world_.Flush();
  world_.Advance(5'000);
  for (const Delivered& message : rest) {
    if (message.body == "a") world_.Change(message.handle, "G", "T", 0);
  }
  world_.Flush();
  shown_.Update();
  EXPECT_GT(shown_.At("G", "T").ready_since, due);
  EXPECT_EQ(shown_.At("G", "T").unfinished_since, first);
}

TEST_F(SumsTest, AgesAreKnownAgainAfterARestart) {
  const std::int64_t first = now();
  world_.Deposit("T", {"a"});
  world_.Advance(10'000);
  const std::int64_t second = now();
  world_.Deposit("T", {"b"});
  const auto taken = world_.Take("c1", "G", "T", {.batch = 1, .invisible = 600'000});
  world_.Advance(3'000);
  world_.Crash();
  ShownSums after(world_);
  after.Update(false);
  EXPECT_EQ(after.At("G", "T").unfinished_since, kSinceUnknown);
  EXPECT_FALSE(after.asked.empty());
  after.Update();
  EXPECT_EQ(after.At("G", "T").unfinished_since, first);
  EXPECT_EQ(after.At("G", "T").ready_since, second);
}

TEST_F(SumsTest, EveryPartOfALifeIsCounted) {
  World world;
  world.Make("T", "G", 1, 2);
  ShownSums shown(world);
  world.Deposit("T", {"a"});
  world.Advance(2'000);
  auto taken = world.Take("c1", "G", "T", {.invisible = 10'000});
  ASSERT_EQ(taken.size(), 1u);
  world.Advance(11'000);  // expired: it is ready again
  shown.Update();
  EXPECT_EQ(shown.At("G", "T").counters.expired, 1u);
  EXPECT_EQ(shown.At("G", "T").ready, 1);
  const Received offer = world.Offer("c1", "G", "T", {.invisible = 10'000});
  world.AnswerEnded(offer.answer, false);
  world.Flush();
  shown.Update();
  EXPECT_EQ(shown.At("G", "T").counters.returned, 1u);
  EXPECT_EQ(shown.At("G", "T").waiting, 1);
  EXPECT_EQ(shown.At("G", "T").counters.redelivered, 1u);
  world.Advance(1'100);
  taken = world.Take("c1", "G", "T", {.invisible = 10'000});
  ASSERT_EQ(taken.size(), 1u);
  world.Advance(11'000);  // the second attempt of two
  world.Flush();
  shown.Update();
  EXPECT_EQ(LagOf(shown.At("G", "T")), 0);
  EXPECT_EQ(shown.At("G", "T").counters.dead_lettered, 1u);
  EXPECT_EQ(shown.At("G", "T").dead_lettered_ever, 1);
  EXPECT_EQ(shown.topics.at("%DLQ%G").messages_in, 0u) << "a dead letter is no message in";
  world.Crash();
  ShownSums after(world);
  after.Update();
  EXPECT_EQ(after.At("G", "T").counters.dead_lettered, 0u);
  EXPECT_EQ(after.At("G", "T").dead_lettered_ever, 1);
}

TEST_F(SumsTest, LatenciesAreCountedInTheirBuckets) {
  world_.Deposit("T", {"a"});
  world_.Advance(2'000);
  const auto taken = world_.Take("c1", "G", "T", {.invisible = 60'000});
  world_.Advance(7'000);
  world_.Ack(taken.at(0).handle, "G", "T");
  world_.Flush();
  shown_.Update();
  const PairHistograms& seen = shown_.histograms.at({"G", "T"});
  EXPECT_EQ(CountOf(seen.delivery_age), 1u);
  EXPECT_EQ(seen.delivery_age.buckets[kAgeMillis.BucketOf(2'000)], 1u);
  EXPECT_EQ(seen.delivery_age.sum, 2'000u);
  EXPECT_EQ(seen.ack_latency.sum, 7'000u);
  EXPECT_EQ(seen.end_to_end.sum, 9'000u);
}

TEST_F(SumsTest, RetentionThatOvertakesAGroupIsCountedAsExpired) {
  world_.Deposit("T", {"a", "b", "c"});
  world_.Take("c1", "G", "T", {.batch = 1, .invisible = 60'000});
  shown_.Update();
  world_.Minimum(shown_.At("G", "T").topic_id, 0, 2);
  world_.Flush();
  shown_.Update();
  EXPECT_EQ(shown_.At("G", "T").expired_ever, 2);
  EXPECT_EQ(LagOf(shown_.At("G", "T")), 1);
}

TEST_F(SumsTest, WhatIsDeletedIsShownNoMore) {
  world_.Make("T2", "G2");
  world_.Deposit("T", {"a"});
  world_.Take("c1", "G", "T", {.batch = 1});
  world_.Take("c1", "G2", "T", {.batch = 1});
  shown_.Update();
  EXPECT_TRUE(shown_.pairs.contains({"G2", "T"}));
  world_.DeleteGroup("G2");
  world_.Flush();
  shown_.Update();
  EXPECT_FALSE(shown_.pairs.contains({"G2", "T"}));
  EXPECT_FALSE(shown_.groups.contains("G2"));
  EXPECT_TRUE(shown_.pairs.contains({"G", "T"}));
  world_.DeleteTopic("T");
  world_.Flush();
  shown_.Update();
  EXPECT_FALSE(shown_.pairs.contains({"G", "T"}));
  EXPECT_FALSE(shown_.topics.contains("T"));
  EXPECT_TRUE(shown_.groups.contains("G"));
}

TEST_F(SumsTest, AClientOfTwoProxiesIsOneMember) {
  world_.Register("c1", "G", 1, 1);
  world_.Register("c1", "G", 7, 2);
  world_.Register("c2", "G", 2, 1);
  world_.Register("producer", "", 3, 1);
  world_.Register("c3", "to come", 4, 1);
  world_.Turn();
  shown_.Update();
  EXPECT_EQ(shown_.groups.at("G"), 2u);
  world_.MakeGroup("to come");
  world_.LinkDown(1);
  world_.Turn();
  shown_.Update();
  EXPECT_EQ(shown_.groups.at("G"), 1u) << "the second proxy still speaks for it";
  EXPECT_EQ(shown_.groups.at("to come"), 0u);
  world_.LinkDown(2);
  world_.Turn();
  shown_.Update();
  EXPECT_EQ(shown_.groups.at("G"), 0u);
}

TEST_F(SumsTest, OnlyWhatHasChangedIsHandedOver) {
  for (int i = 0; i < 20; ++i) world_.Make("T" + std::to_string(i), "G" + std::to_string(i));
  for (int i = 0; i < 20; ++i) {
    world_.Take("c", "G" + std::to_string(i), "T" + std::to_string(i), {.wait = 0});
  }
  shown_.Update();
  shown_.handed_over = 0;
  shown_.Update();
  EXPECT_EQ(shown_.handed_over, 0u);
  world_.Deposit("T3", {"a"});
  shown_.Update();
  EXPECT_EQ(shown_.handed_over, 1u);
  EXPECT_EQ(LagOf(shown_.At("G3", "T3")), 1);
}

TEST_F(SumsTest, APairWithManyQueuesIsLookedAtInSlices) {
  World world;
  world.Make("wide", "G", 500);
  world.Take("c", "G", "wide", {.wait = 0});
  for (int i = 0; i < 500; ++i) world.Send("wide", {"m"});
  world.Flush();
  ShownSums shown(world);
  shown.Update(false, 64);
  EXPECT_GE(shown.slices, 7u);
  EXPECT_EQ(LagOf(shown.At("G", "wide")), 500);
  EXPECT_GT(shown.At("G", "wide").ready_since, 0);
}

TEST_F(SumsTest, FewStoreTimesAreAskedForAtATimeAndAllInTheEnd) {
  World world;
  world.Make("wide", "G", 500);
  world.Take("c", "G", "wide", {.wait = 0});
  const std::int64_t first = world.core().log_time_millis();
  for (int i = 0; i < 500; ++i) world.Send("wide", {"m"});
  world.Flush();
  world.Crash();
  ShownSums shown(world);
  shown.Update(false);
  EXPECT_EQ(shown.asked.size(), 64u);
  EXPECT_EQ(shown.At("G", "wide").ready_since, kSinceUnknown);
  shown.Update();
  EXPECT_EQ(shown.At("G", "wide").ready_since, first);
}

}  // namespace
}  // namespace millrace::core::testing
