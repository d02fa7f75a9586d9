#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/records.h"
#include "core/testing/world.h"

namespace millrace::core::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

void Fail(World& world, absl::string_view group) {
  const auto messages = world.Take("c", group, "T");
  ASSERT_THAT(messages, SizeIs(1));
  world.Change(messages[0].handle, group, "T", 0);
  world.Flush();
}

TEST(DeadLetter, HoldsTheMessageAfterTheLastAttempt) {
  World world;
  world.Make("T", "G", 1, 3);
  world.Deposit("T", {"bad"});
  for (int i = 0; i < 3; ++i) Fail(world, "G");
  EXPECT_THAT(world.Take("c", "G", "T"), IsEmpty());
  EXPECT_EQ(world.Progress("G", "T").dead_lettered, 1);
  EXPECT_THAT(world.topics_changed, Contains("%DLQ%G"));
  world.MakeGroup("reader");
  const auto letters = world.Take("c", "reader", "%DLQ%G");
  ASSERT_THAT(letters, SizeIs(1));
  EXPECT_EQ(letters[0].body, "bad");
  EXPECT_EQ(letters[0].attempt, 1u);
  EXPECT_THAT(world.slots, IsEmpty());
  world.Crash();
  EXPECT_EQ(world.Progress("G", "T").dead_lettered, 1);
  world.MakeGroup("reader2");
  EXPECT_THAT(world.Take("c", "reader2", "%DLQ%G"), SizeIs(1));
}

TEST(DeadLetter, TopicOfAGroupIsAnEmptyOneBeforeTheFirstLetter) {
  World world;
  world.Make("T", "G", 1, 1);
  world.Deposit("T", {"bad"});
  const auto config_of = [&](absl::string_view name) {
    const auto query = world.Query(QueryKind::kTopic, name);
    world.Settle();
    return world.replied[query];
  };
  const auto before = config_of("%DLQ%G");
  EXPECT_EQ(before.code, code::kOk);
  EXPECT_EQ(config_of("%DLQ%nobody").code, code::kTopicNotFound);
  EXPECT_THAT(world.topics_changed, Not(Contains("%DLQ%G")));  // asking creates nothing
  const auto progress = world.Query(QueryKind::kTopicProgress, "%DLQ%G");
  world.Settle();
  EXPECT_EQ(world.replied[progress].code, code::kOk);
  Fail(world, "G");
  const auto after = config_of("%DLQ%G");
  EXPECT_EQ(after.payload, before.payload);
}

TEST(DeadLetter, SaysWhereItComesFrom) {
  World world;
  world.Make("T", "G", 1, 2);
  world.Deposit("T", {"good", "bad"});
  world.Ack(world.Take("c", "G", "T", ReceiveOptions{.batch = 1})[0].handle, "G", "T");
  world.Flush();
  Fail(world, "G");
  const std::size_t before = world.log.size();
  Fail(world, "G");
  for (std::size_t i = before; i < world.log.size(); ++i) {
    for (const LoggedRecord& record : world.log[i].records) {
      if (record.type != store::RecordType::kDeadLetter) continue;
      std::uint32_t prefix = 0;
      const auto origin = DecodeDeadLetterOrigin(record.head + record.body, prefix);
      ASSERT_TRUE(origin.ok());
      EXPECT_EQ(prefix, record.head.size());
      EXPECT_EQ(origin->topic, "T");
      EXPECT_EQ(origin->queue_offset, 1);
      EXPECT_EQ(origin->attempts, 2u);
      return;
    }
  }
  FAIL() << "no dead letter record";
}

TEST(DeadLetter, ForwardedOnRequestIsThereOnce) {
  World world;
  world.Make("T", "G");
  world.Deposit("T", {"bad"});
  const auto messages = world.Take("c", "G", "T");
  world.hold_bodies = true;
  const auto first = world.Forward(messages[0].handle, "G", "T");
  world.Settle();
  const auto second = world.Forward(messages[0].handle, "G", "T"), ack = world.Ack(messages[0].handle, "G", "T");
  world.Settle();
  EXPECT_EQ(world.replied[ack].code, code::kInvalidReceiptHandle);
  world.hold_bodies = false;
  world.Settle();
  EXPECT_EQ(world.replied[first].code, 0u);  // not confirmed
  world.Flush();
  EXPECT_EQ(world.replied[first].code, code::kOk);
  EXPECT_EQ(world.replied[second].code, code::kOk);
  const auto third = world.Forward(messages[0].handle, "G", "T");
  world.Flush();
  EXPECT_EQ(world.replied[third].code, code::kOk);
  world.MakeGroup("reader");
  EXPECT_THAT(world.Take("c", "reader", "%DLQ%G"), SizeIs(1));
}

TEST(DeadLetter, OfABodyThatIsGoneCountsAsExpired) {
  World world;
  world.Make("T", "G", 1, 1);
  world.Deposit("T", {"bad"});
  const auto messages = world.Take("c", "G", "T");
  world.stored.clear();
  world.Change(messages[0].handle, "G", "T", 0);
  world.Flush();
  EXPECT_EQ(world.Progress("G", "T").expired, 1);
  EXPECT_EQ(world.Progress("G", "T").dead_lettered, 0);
}

TEST(DeadLetter, WhoseTopicIsDeletedMeanwhileReleasesItsBody) {
  World world;
  world.Make("T", "G", 1, 1);
  world.Deposit("T", {"bad"});
  const auto messages = world.Take("c", "G", "T");
  world.hold_bodies = true;
  const auto forward = world.Forward(messages[0].handle, "G", "T");
  world.Settle();
  world.DeleteTopic("T");
  world.Settle();
  world.hold_bodies = false;
  world.Flush();
  EXPECT_EQ(world.replied[forward].code, code::kOk);
  EXPECT_THAT(world.slots, IsEmpty());
}

TEST(DeadLetter, ManyAtOnceAreReadAFewAtATime) {
  World world;
  world.Make("T", "G", 1, 1);
  world.Send("T", std::vector<std::string>(20, "bad"));
  world.Flush();
  for (const Delivered& message : world.Take("c", "G", "T")) world.Change(message.handle, "G", "T", 0);
  world.Flush();
  EXPECT_EQ(world.Progress("G", "T").dead_lettered, 20);
  world.Crash();
  EXPECT_EQ(world.Progress("G", "T").dead_lettered, 20);
  EXPECT_EQ(world.Progress("G", "T").ready, 0);
  world.MakeGroup("reader");
  EXPECT_THAT(world.Take("c", "reader", "%DLQ%G"), SizeIs(20));
}

TEST(DeadLetter, WhatIsTooMuchForASegmentTakesSeveralTurns) {
  Options options;
  options.segment_bytes = 16'384;
  World world(options);
  world.Make("T", "G", 1, 1);
  std::vector<std::string> bodies;
  for (char c = 'a'; c < 'h'; ++c) bodies.emplace_back(4'000, c);
  world.Deposit("T", bodies);
  for (const Delivered& message : world.Take("c", "G", "T")) world.Change(message.handle, "G", "T", 0);
  world.Flush();
  EXPECT_EQ(world.Progress("G", "T").dead_lettered, 7);
  EXPECT_THAT(world.slots, IsEmpty());
  world.Crash();
  world.MakeGroup("reader");
  std::vector<std::string> letters;
  for (const Delivered& letter : world.Take("c", "reader", "%DLQ%G")) letters.push_back(letter.body);
  EXPECT_EQ(letters, bodies);
}

TEST(DeadLetter, QueueGoesWithItsGroup) {
  World world;
  world.Make("T", "G", 1, 1);
  world.Deposit("T", {"bad"});
  Fail(world, "G");
  world.DeleteGroup("G");
  world.Flush();
  EXPECT_THAT(world.topics_deleted, ElementsAre("%DLQ%G"));
  world.Crash();
  const auto query = world.Query(QueryKind::kTopic, "%DLQ%G");
  world.Settle();
  EXPECT_EQ(world.replied[query].code, code::kTopicNotFound);
}

}  // namespace
}  // namespace millrace::core::testing
