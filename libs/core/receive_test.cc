#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/testing/world.h"

namespace millrace::core::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::vector<std::string> Bodies(const std::vector<Delivered>& messages) {
  std::vector<std::string> bodies;
  for (const Delivered& message : messages) bodies.push_back(message.body);
  return bodies;
}

ReceiveOptions One() {
  ReceiveOptions options;
  options.batch = 1;
  return options;
}

TEST(Receive, OfUnknownNamesIsRefusedWithoutAutoCreate) {
  World world;
  world.Make("T", "G");
  ReceiveOptions options;
  options.create = false;
  const auto topic = world.Receive("c", "G", "nothing", options), group = world.Receive("c", "nobody", "T", options);
  world.Settle();
  EXPECT_EQ(world.received[topic].code, code::kTopicNotFound);
  EXPECT_EQ(world.received[group].code, code::kConsumerGroupNotFound);
}

TEST(Receive, OfAnOrderedGroupIsNotBuilt) {
  World world;
  world.Make("T", "G");
  GroupConfig fifo;
  fifo.name = "F";
  fifo.fifo = true;
  world.PutGroup(fifo);
  world.Flush();
  const auto receive = world.Receive("c", "F", "T");
  world.Settle();
  EXPECT_EQ(world.received[receive].code, code::kNotImplemented);
}

TEST(Receive, WaitsAndEndsEmptyAtItsDeadline) {
  World world;
  world.Make("T", "G");
  ReceiveOptions options;
  options.wait = 5'000;
  const auto receive = world.Receive("c", "G", "T", options);
  world.Advance(4'999);
  EXPECT_EQ(world.received[receive].code, 0u);
  world.Advance(1);
  EXPECT_EQ(world.received[receive].code, code::kMessageNotFound);
}

TEST(Receive, OneAppendWakesOneOfThem) {
  World world;
  world.Make("T", "G");
  const auto first = world.Receive("c1", "G", "T"), second = world.Receive("c2", "G", "T");
  world.Settle();
  world.Send("T", {"a"});
  world.Flush();
  EXPECT_EQ(world.claims, 1u);
  EXPECT_EQ(world.received[first].code, code::kOk);
  EXPECT_EQ(world.received[second].code, 0u);
}

TEST(Receive, OfANewGroupStartsAtTheEarliestMessage) {
  World world;
  world.Make("T", "G");
  world.Deposit("T", {"a", "b", "c"});
  world.Minimum(1, 0, 1);
  world.Settle();
  EXPECT_THAT(Bodies(world.Take("c", "G", "T")), ElementsAre("b", "c"));
  EXPECT_EQ(world.Progress("G", "T").start, 1);
  EXPECT_EQ(world.Progress("G", "T").expired, 0);
}

TEST(Receive, WhereANewGroupStartedSurvives) {
  World world;
  world.Make("T", "G");
  world.Deposit("T", {"a", "b"});
  world.Take("c", "G", "T", One());
  world.Flush();
  world.Crash();
  EXPECT_EQ(world.Progress("G", "T").ready, 2);
  world.Minimum(1, 0, 1);
  world.Settle();
  EXPECT_EQ(world.Progress("G", "T").expired, 1);
}

TEST(Receive, GoesOnBehindRejectedMessages) {
  World world;
  world.judge = [](const std::string& filter, const std::string& body) {
    return body[0] == filter[0] ? VerdictResult::kMatch : VerdictResult::kReject;
  };
  world.Make("T", "G");
  world.Deposit("T", {"a1", "a2", "a3", "b1"});
  ReceiveOptions options;
  options.batch = 2;
  options.filter = "b";
  EXPECT_THAT(Bodies(world.Take("c", "G", "T", options)), ElementsAre("b1"));
  EXPECT_EQ(world.Progress("G", "T").rejected, 3);
  EXPECT_EQ(world.claims, 2u);
}

TEST(Receive, ReadsNoMoreThanTheCreditCovers) {
  World world;
  world.Make("T", "G");
  world.Deposit("T", {std::string(100, 'a'), std::string(100, 'b'), std::string(100, 'c')});
  ReceiveOptions options;
  options.bytes = 250;
  EXPECT_THAT(world.Take("c", "G", "T", options), SizeIs(2));
  EXPECT_EQ(world.Progress("G", "T").ready, 1);
  options.bytes = 10;  // one always goes
  EXPECT_THAT(world.Take("c", "G", "T", options), SizeIs(1));
}

TEST(Receive, AtMostHalfAreRetriesWhileNewOnesWait) {
  World world;
  world.Make("T", "G");
  world.Deposit("T", {"1", "2", "3", "4", "5", "6"});
  ReceiveOptions four;
  four.batch = 4;
  for (const Delivered& message : world.Take("c", "G", "T", four)) world.Change(message.handle, "G", "T", 0);
  world.Flush();
  EXPECT_THAT(Bodies(world.Take("c", "G", "T", four)), ElementsAre("1", "2", "5", "6"));
  EXPECT_THAT(Bodies(world.Take("c", "G", "T", four)), ElementsAre("3", "4"));
}

TEST(Receive, CancelledWhileReadingLeavesEverythingReady) {
  World world;
  world.Make("T", "G");
  world.Deposit("T", {"a", "b"});
  world.hold_claims = true;
  const auto receive = world.Receive("c", "G", "T");
  world.Settle();
  EXPECT_EQ(world.Progress("G", "T").claimed, 2);
  world.Cancel(receive);
  world.Settle();
  EXPECT_EQ(world.Progress("G", "T").claimed, 0);
  world.hold_claims = false;
  world.Settle();
  EXPECT_THAT(Bodies(world.Take("c", "G", "T")), ElementsAre("a", "b"));
}

TEST(Receive, StopsAtTheInFlightLimit) {
  Options options;
  options.in_flight_max = 3;
  World world(options);
  world.Make("T", "G");
  world.Deposit("T", {"a", "b", "c", "d"});
  const auto messages = world.Take("c", "G", "T");
  EXPECT_THAT(messages, SizeIs(3));
  EXPECT_THAT(world.Take("c", "G", "T"), IsEmpty());
  world.Ack(messages[0].handle, "G", "T");
  world.Flush();
  EXPECT_THAT(Bodies(world.Take("c", "G", "T")), ElementsAre("d"));
}

TEST(Receive, AnAcknowledgementBelowTheLimitWakesWhoWaits) {
  Options options;
  options.in_flight_max = 1;
  World world(options);
  world.Make("T", "G");
  world.Deposit("T", {"a", "b"});
  const auto messages = world.Take("c", "G", "T");
  const auto receive = world.Receive("c", "G", "T");
  world.Settle();
  world.Ack(messages[0].handle, "G", "T");
  world.Flush();
  EXPECT_EQ(world.received[receive].code, code::kOk);
}

TEST(Receive, WithTheSameAttemptIdGetsTheSameLeases) {
  World world;
  world.Make("T", "G");
  world.Deposit("T", {"a", "b"});
  ReceiveOptions options;
  options.attempt_id = "x";
  options.batch = 1;
  const Received first = world.Offer("c", "G", "T", options);
  const Received again = world.Offer("c", "G", "T", options);
  ASSERT_THAT(again.messages, SizeIs(1));
  EXPECT_EQ(again.messages[0].body, "a");
  EXPECT_EQ(again.messages[0].attempt, 1u);
  EXPECT_EQ(again.messages[0].handle.delivery, first.messages[0].handle.delivery);
  EXPECT_NE(again.answer, first.answer);
  options.attempt_id = "y";
  EXPECT_EQ(world.Offer("c", "G", "T", options).messages[0].body, "b");
}

TEST(Retention, CountsWhatItTookUnread) {
  World world;
  world.Make("T", "G");
  world.Deposit("T", {"a", "b", "c", "d"});
  const auto messages = world.Take("c", "G", "T", One());
  world.Minimum(1, 0, 3);
  world.Settle();
  EXPECT_EQ(world.Progress("G", "T").expired, 3);
  const auto ack = world.Ack(messages[0].handle, "G", "T");
  world.Flush();
  EXPECT_EQ(world.replied[ack].code, code::kOk);
  EXPECT_EQ(world.Progress("G", "T").acknowledged, 0);
  EXPECT_THAT(Bodies(world.Take("c", "G", "T")), ElementsAre("d"));
}

}  // namespace
}  // namespace millrace::core::testing
