#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/testing/world.h"

namespace millrace::core::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> Bodies(const std::vector<Delivered>& messages) {
  std::vector<std::string> bodies;
  for (const Delivered& message : messages) bodies.push_back(message.body);
  return bodies;
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
