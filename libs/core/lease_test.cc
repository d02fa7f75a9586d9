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

ReceiveOptions Renewed() {
  ReceiveOptions options;
  options.renew = true;
  return options;
}

TEST(Ack, IsAnsweredWhenItsRecordIsFlushed) {
  World world;
  world.Make("T", "G");
  world.Deposit("T", {"a"});
  const auto messages = world.Take("c", "G", "T");
  const auto ack = world.Ack(messages[0].handle, "G", "T");
  world.Settle();
  EXPECT_EQ(world.replied[ack].code, 0u);
  world.Flush();
  EXPECT_EQ(world.replied[ack].code, code::kOk);
  EXPECT_EQ(world.Progress("G", "T").acknowledged, 1);
  world.Crash();
  EXPECT_EQ(world.Progress("G", "T").acknowledged, 1);
  EXPECT_THAT(world.Take("c", "G", "T"), IsEmpty());
}

TEST(Ack, TwiceIsOk) {
  World world;
  world.Make("T", "G");
  world.Deposit("T", {"a"});
  const auto messages = world.Take("c", "G", "T");
  const auto first = world.Ack(messages[0].handle, "G", "T");
  world.Flush();
  const auto second = world.Ack(messages[0].handle, "G", "T");
  world.Flush();
  EXPECT_EQ(world.replied[first].code, code::kOk);
  EXPECT_EQ(world.replied[second].code, code::kOk);
  EXPECT_EQ(world.Progress("G", "T").acknowledged, 1);
}

TEST(Ack, AfterTheLeaseIsRefused) {
  World world;
  world.Make("T", "G");
  world.Deposit("T", {"a"});
  const auto messages = world.Take("c", "G", "T");
  world.Advance(30'000);
  const auto ack = world.Ack(messages[0].handle, "G", "T");
  world.Flush();
  EXPECT_EQ(world.replied[ack].code, code::kInvalidReceiptHandle);
}

TEST(Ack, OfAnotherGroupOrTopicIsRefused) {
  World world;
  world.Make("T", "G");
  world.Make("T2", "G2");
  world.Deposit("T", {"a"});
  const auto messages = world.Take("c", "G", "T");
  const auto group = world.Ack(messages[0].handle, "G2", "T"), topic = world.Ack(messages[0].handle, "G", "T2");
  world.Flush();
  EXPECT_EQ(world.replied[group].code, code::kInvalidReceiptHandle);
  EXPECT_EQ(world.replied[topic].code, code::kInvalidReceiptHandle);
}

TEST(Ack, OfADeletedTopicsHandleIsRefusedByItsNewNamesake) {
  World world;
  world.Make("T", "G");
  world.Deposit("T", {"a"});
  const auto messages = world.Take("c", "G", "T");
  world.DeleteTopic("T");
  world.Flush();
  EXPECT_THAT(world.topics_deleted, ElementsAre("T"));
  TopicConfig topic;
  topic.name = "T";
  world.PutTopic(topic);
  world.Deposit("T", {"new"});
  const auto ack = world.Ack(messages[0].handle, "G", "T");
  world.Flush();
  EXPECT_EQ(world.replied[ack].code, code::kInvalidReceiptHandle);
  world.Crash();
  const auto again = world.Ack(messages[0].handle, "G", "T");
  world.Flush();
  EXPECT_EQ(world.replied[again].code, code::kInvalidReceiptHandle);
}

TEST(Ack, AfterARestartAcceptsAnUnwrittenDelivery) {
  World world;
  world.Make("T", "G");
  world.Deposit("T", {"a", "b", "c"});
  const auto messages = world.Take("c", "G", "T");
  world.Crash();
  const auto ack = world.Ack(messages[2].handle, "G", "T");
  world.Flush();
  EXPECT_EQ(world.replied[ack].code, code::kOk);
  EXPECT_THAT(Bodies(world.Take("c", "G", "T")), ElementsAre("a", "b"));  // the gap became ready
}

TEST(Lease, EndsAndTheMessageComesAgainWithTheNextAttempt) {
  World world;
  world.Make("T", "G");
  world.Deposit("T", {"a"});
  EXPECT_EQ(world.Take("c", "G", "T")[0].attempt, 1u);
  world.Advance(29'500);
  EXPECT_THAT(world.Take("c2", "G", "T"), IsEmpty());
  world.Advance(500);
  const auto again = world.Take("c2", "G", "T");
  ASSERT_THAT(again, SizeIs(1));
  EXPECT_EQ(again[0].attempt, 2u);
  EXPECT_EQ(again[0].handle.delivery, 2u);
}

TEST(Lease, OpenForASecondIsWrittenAndSurvives) {
  World world;
  world.Make("T", "G");
  world.Deposit("T", {"a"});
  const auto messages = world.Take("c", "G", "T");
  world.Advance(1'000);
  world.Crash();
  EXPECT_EQ(world.Progress("G", "T").in_flight, 1);
  EXPECT_THAT(world.Take("c2", "G", "T"), IsEmpty());
  const auto ack = world.Ack(messages[0].handle, "G", "T");
  world.Flush();
  EXPECT_EQ(world.replied[ack].code, code::kOk);
}

TEST(Lease, ShorterThanASecondIsNotWritten) {
  World world;
  world.Make("T", "G");
  world.Take("c", "G", "T");  // subscribes
  world.Deposit("T", {"a"});
  const std::size_t batches = world.log.size();
  world.Take("c", "G", "T");
  world.Advance(999);
  EXPECT_EQ(world.log.size(), batches);
}

TEST(Lease, RenewedLivesWithItsClient) {
  World world;
  world.Make("T", "G");
  world.Deposit("T", {"a"});
  world.Register("c", "G", 7);
  world.Take("c", "G", "T", Renewed());
  for (int i = 0; i < 120; ++i) {
    world.Alive({7});
    world.Advance(1'000);
  }
  EXPECT_THAT(world.Take("c2", "G", "T"), IsEmpty());
  world.Advance(59'000);
  EXPECT_THAT(world.Take("c2", "G", "T"), IsEmpty());
  world.Advance(3'000);
  const auto again = world.Take("c2", "G", "T");
  ASSERT_THAT(again, SizeIs(1));
  EXPECT_EQ(again[0].attempt, 2u);
}

TEST(Lease, RenewedEndsAtTheLimitWithTheGroupsBackoff) {
  World world;
  world.Make("T", "G");
  world.Deposit("T", {"a"});
  world.Register("c", "G", 7);
  world.Take("c", "G", "T", Renewed());
  for (int i = 0; i < 900; ++i) {
    world.Alive({7});
    world.Advance(1'000);
  }
  EXPECT_EQ(world.Progress("G", "T").waiting, 1);
  world.Advance(9'500);
  EXPECT_EQ(world.Progress("G", "T").waiting, 1);
  world.Advance(500);
  EXPECT_EQ(world.Take("c2", "G", "T")[0].attempt, 2u);
}

TEST(Lease, StreamsEndedAreForgivenBySignsOfLife) {
  World world;
  world.Make("T", "G");
  world.Deposit("T", {"a"});
  world.Register("c", "G", 7);
  world.Take("c", "G", "T", Renewed());
  world.StreamsEnded(7);
  world.Advance(10'000);
  world.Alive({7});
  world.Advance(10'000);
  EXPECT_THAT(world.Take("c2", "G", "T"), IsEmpty());
  world.StreamsEnded(7);
  world.Advance(17'000);
  EXPECT_THAT(world.Take("c2", "G", "T"), SizeIs(1));
}

TEST(Lease, ComesBackASecondAfterTermination) {
  World world;
  world.Make("T", "G");
  world.Deposit("T", {"a"});
  world.Take("c", "G", "T", Renewed());
  const auto waiting = world.Receive("c", "G", "T");
  const auto reply = world.Terminate("c", "G");
  world.Flush();
  EXPECT_EQ(world.replied[reply].code, code::kOk);
  EXPECT_EQ(world.received[waiting].code, code::kMessageNotFound);
  EXPECT_THAT(world.Take("c2", "G", "T"), IsEmpty());
  world.Advance(1'000);
  EXPECT_EQ(world.Take("c2", "G", "T")[0].attempt, 2u);
}

TEST(Change, MovesALeaseAndEveryHandleOfTheDeliveryStaysGood) {
  World world;
  world.Make("T", "G");
  world.Deposit("T", {"a"});
  const auto messages = world.Take("c", "G", "T");
  const auto change = world.Change(messages[0].handle, "G", "T", 60'000);
  world.Settle();
  EXPECT_EQ(world.replied[change].code, code::kOk);
  EXPECT_EQ(world.replied[change].payload.size(), sizeof(Handle));
  world.Advance(59'000);
  EXPECT_EQ(world.Progress("G", "T").in_flight, 1);
  const auto ack = world.Ack(messages[0].handle, "G", "T");
  world.Flush();
  EXPECT_EQ(world.replied[ack].code, code::kOk);
}

TEST(Change, OfARenewedDeliveryIsANack) {
  World world;
  world.Make("T", "G");
  world.Deposit("T", {"a"});
  const auto messages = world.Take("c", "G", "T", Renewed());
  world.Change(messages[0].handle, "G", "T", 5'000);
  world.Settle();
  EXPECT_EQ(world.Progress("G", "T").in_flight, 0);
  EXPECT_EQ(world.Progress("G", "T").waiting, 1);
  world.Advance(2'000);
  world.Crash();  // the wait was written
  EXPECT_EQ(world.Progress("G", "T").waiting, 1);
  world.Advance(3'000);
  EXPECT_EQ(world.Take("c", "G", "T")[0].attempt, 2u);
}

TEST(Change, OfARenewedDeliveryStillTakesAnAck) {
  World world;
  world.Make("T", "G");
  world.Deposit("T", {"a"});
  const auto messages = world.Take("c", "G", "T", Renewed());
  world.Change(messages[0].handle, "G", "T", 5'000);
  const auto ack = world.Ack(messages[0].handle, "G", "T");
  world.Flush();
  EXPECT_EQ(world.replied[ack].code, code::kOk);
}

TEST(Change, WithSuspendDoesNotCount) {
  World world;
  world.Make("T", "G");
  world.Deposit("T", {"a"});
  for (const std::int64_t millis : {0, 2'000}) {
    const auto messages = world.Take("c", "G", "T", Renewed());
    ASSERT_THAT(messages, SizeIs(1));
    EXPECT_EQ(messages[0].attempt, 1u);
    world.Change(messages[0].handle, "G", "T", millis, true);
    world.Advance(millis + 1);
  }
  EXPECT_EQ(world.Take("c", "G", "T")[0].attempt, 1u);
}

TEST(Change, OfAnAcknowledgedMessageDoesNotBringItBack) {
  World world;
  world.Make("T", "G");
  world.Deposit("T", {"a"});
  const auto messages = world.Take("c", "G", "T");
  world.Ack(messages[0].handle, "G", "T");
  const auto change = world.Change(messages[0].handle, "G", "T", 0);
  world.Flush();
  EXPECT_EQ(world.replied[change].code, code::kOk);
  EXPECT_THAT(world.Take("c", "G", "T"), IsEmpty());
}

TEST(Offer, OfABrokenStreamComesBackAfterASecondUncounted) {
  World world;
  world.Make("T", "G");
  world.Deposit("T", {"a"});
  const Received offer = world.Offer("c", "G", "T");
  world.AnswerEnded(offer.answer, false);
  world.Settle();
  EXPECT_THAT(world.Take("c", "G", "T"), IsEmpty());
  world.Advance(1'000);
  EXPECT_EQ(world.Take("c", "G", "T")[0].attempt, 1u);
}

TEST(Offer, OfABrokenLinkComesBack) {
  World world;
  world.Make("T", "G");
  world.Deposit("T", {"a"});
  world.Offer("c", "G", "T");
  world.LinkDown(2);
  world.Settle();
  EXPECT_EQ(world.Progress("G", "T").in_flight, 1);
  world.LinkDown(1);
  world.Settle();
  EXPECT_EQ(world.Progress("G", "T").in_flight, 0);
}

TEST(Offer, LivesOnWithEveryWrittenPieceForAMinute) {
  World world;
  world.Make("T", "G");
  world.Deposit("T", {"a"});
  const Received offer = world.Offer("c", "G", "T", Renewed());
  for (int i = 0; i < 5; ++i) {
    world.Advance(11'000);
    world.AnswerWritten(offer.answer);
    world.Settle();
    EXPECT_EQ(world.Progress("G", "T").in_flight, 1) << i;
  }
  world.Advance(5'000);
  EXPECT_EQ(world.Progress("G", "T").in_flight, 0);
}

TEST(Offer, ReturnedTwiceGoesOutAloneAndThenCounts) {
  World world;
  world.Make("T", "G", 1, 3);
  world.Deposit("T", {"bad", "good"});
  std::int64_t delay = 1'000;
  for (int i = 0; i < 2; ++i) {
    const Received offer = world.Offer("c", "G", "T");
    EXPECT_THAT(offer.messages, SizeIs(2)) << i;
    EXPECT_EQ(offer.messages[0].attempt, 1u);
    world.AnswerEnded(offer.answer, false);
    world.Advance(delay);
    delay *= 2;
  }
  const Received first = world.Offer("c", "G", "T");
  EXPECT_THAT(Bodies(first.messages), ElementsAre("bad"));
  world.AnswerEnded(first.answer, false);
  const auto good = world.Take("c", "G", "T");
  EXPECT_THAT(Bodies(good), ElementsAre("good"));
  EXPECT_EQ(good[0].attempt, 1u);
  world.Ack(good[0].handle, "G", "T");
  world.Advance(4'000);
  const Received second = world.Offer("c", "G", "T");
  ASSERT_THAT(Bodies(second.messages), ElementsAre("bad"));
  EXPECT_EQ(second.messages[0].attempt, 2u);
}

}  // namespace
}  // namespace millrace::core::testing
