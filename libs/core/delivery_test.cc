#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/testing/world.h"

namespace millrace::core::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
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

ReceiveOptions Renewed() {
  ReceiveOptions options;
  options.renew = true;
  return options;
}

TEST(Send, IsAnsweredWhenItsBatchIsFlushed) {
  World world;
  world.Make("T", "G");
  const auto send = world.Send("T", {"a", "b"});
  world.Settle();
  EXPECT_EQ(world.sent[send].code, 0u);
  world.Flush();
  EXPECT_EQ(world.sent[send].code, code::kOk);
  EXPECT_EQ(world.sent[send].offset, 0);
  const auto next = world.Send("T", {"c"});
  world.Flush();
  EXPECT_EQ(world.sent[next].offset, 2);
  EXPECT_THAT(world.slots, IsEmpty());
}

TEST(Send, IsInvisibleUntilItsBatchIsFlushed) {
  World world;
  world.Make("T", "G");
  world.Send("T", {"a"});
  world.Settle();
  EXPECT_THAT(world.Take("c", "G", "T"), IsEmpty());
  world.Flush();
  EXPECT_THAT(Bodies(world.Take("c", "G", "T")), ElementsAre("a"));
}

TEST(Send, NotFlushedInTimeHasAnUnknownOutcome) {
  World world;
  world.Make("T", "G");
  const auto send = world.Send("T", {"a"});
  world.AdvanceUnflushed(1'999);
  EXPECT_EQ(world.sent[send].code, 0u);
  world.AdvanceUnflushed(1);
  EXPECT_EQ(world.sent[send].code, code::kMasterPersistenceTimeout);
  world.Flush();  // answered once only
  EXPECT_THAT(Bodies(world.Take("c", "G", "T")), ElementsAre("a"));
}

TEST(Send, ToTheWrongTypeIsRefused) {
  World world;
  world.Make("T", "G");
  TopicConfig fifo;
  fifo.name = "F";
  fifo.type = TopicType::kFifo;
  world.PutTopic(fifo);
  world.Flush();
  const auto mismatch = world.Send("T", {"a"}, true, 2), unbuilt = world.Send("F", {"a"}, true, 2),
             other = world.Send("F", {"a"}, true, 1), created = world.Send("new", {"a"}, true, 3),
             unknown = world.Send("unknown", {"a"}, false);
  world.Flush();
  EXPECT_EQ(world.sent[mismatch].code, code::kMessagePropertyConflictWithType);
  EXPECT_EQ(world.sent[other].code, code::kMessagePropertyConflictWithType);
  EXPECT_EQ(world.sent[unbuilt].code, code::kNotImplemented);
  EXPECT_EQ(world.sent[created].code, code::kNotImplemented);
  EXPECT_EQ(world.sent[unknown].code, code::kTopicNotFound);
  EXPECT_THAT(world.slots, IsEmpty());
  EXPECT_THAT(world.topics_changed, ElementsAre("T", "F"));
}

TEST(Send, BeyondTheUnconfirmedLimitIsRefusedAtOnce) {
  Options options;
  options.unconfirmed_bytes_max = 1'000;
  World world(options);
  world.Make("T", "G");
  const auto first = world.Send("T", {std::string(600, 'a')});
  world.Settle();
  const auto second = world.Send("T", {std::string(600, 'b')});
  world.Settle();
  EXPECT_EQ(world.sent[second].code, code::kTooManyRequests);
  EXPECT_THAT(world.sent[second].text, HasSubstr("1000"));
  world.Flush();
  EXPECT_EQ(world.sent[first].code, code::kOk);
  EXPECT_THAT(world.slots, IsEmpty());
}

TEST(Send, MoreThanOneTurnTakesWaitInOrder) {
  Options options;
  options.segment_bytes = 16'384;
  World world(options);
  world.Make("T", "G");
  std::vector<std::uint64_t> sends;
  for (int i = 0; i < 20; ++i) sends.push_back(world.Send("T", {std::string(1'000, static_cast<char>('a' + i))}));
  world.Flush();
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(world.sent[sends[i]].code, code::kOk);
    EXPECT_EQ(world.sent[sends[i]].offset, i);
  }
  EXPECT_GT(world.log.back().offset, options.segment_bytes);
}

TEST(Send, CreatesItsTopicAndWakesThoseWhoWaitForIt) {
  World world;
  const auto receive = world.Receive("c", "G", "later");
  world.Flush();
  EXPECT_EQ(world.received[receive].code, 0u);
  const auto send = world.Send("later", {"a"});
  world.Settle();
  EXPECT_THAT(world.topics_changed, IsEmpty());
  EXPECT_TRUE(world.log.back().flush_first);
  world.Flush();
  EXPECT_EQ(world.sent[send].code, code::kOk);
  EXPECT_THAT(world.topics_changed, ElementsAre("later"));
  EXPECT_THAT(Bodies(world.received[receive].messages), ElementsAre("a"));
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

TEST(Log, FailedAcknowledgesNothingMore) {
  World world;
  world.Make("T", "G");
  world.Deposit("T", {"a"});
  const auto messages = world.Take("c", "G", "T");
  const auto before = world.Send("T", {"b"});
  world.Settle();
  world.events.Add(EventType::kLogFailed, LogFailed{0});
  const auto after = world.Send("T", {"c"}), ack = world.Ack(messages[0].handle, "G", "T");
  world.Flush();
  EXPECT_EQ(world.sent[after].code, code::kInternalServerError);
  EXPECT_EQ(world.replied[ack].code, code::kInternalServerError);
  EXPECT_EQ(world.sent[before].code, 0u);
  world.AdvanceUnflushed(2'000);
  EXPECT_EQ(world.sent[before].code, code::kMasterPersistenceTimeout);
}

TEST(Log, FallenIdleGetsOneSeal) {
  World world;
  world.Make("T", "G");
  world.Deposit("T", {"a"});
  const std::size_t batches = world.log.size();
  world.Advance(10'000);
  EXPECT_EQ(world.log.size(), batches + 1);
  EXPECT_EQ(world.log.back().records[0].type, store::RecordType::kSeal);
}

TEST(Log, TimeNeverGoesBackOverARestart) {
  World world;
  world.Make("T", "G");
  world.Advance(5'000);
  world.Deposit("T", {"a"});
  const std::int64_t before = world.core().log_time_millis();
  world.time -= 500'000;
  world.Crash();
  EXPECT_EQ(world.core().log_time_millis(), before);
}

}  // namespace
}  // namespace millrace::core::testing
