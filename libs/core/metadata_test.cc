#include "core/metadata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "core/testing/world.h"

namespace millrace::core::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TopicConfig Topic(std::string name, std::uint32_t queues = 2) {
  TopicConfig topic;
  topic.name = std::move(name);
  topic.queues = queues;
  return topic;
}

std::vector<std::string> Items(const std::string& list) {
  std::vector<std::string> items;
  base::ByteReader reader(list);
  while (!reader.rest().empty()) {
    const absl::string_view item = reader.ReadBytes(reader.Read<std::uint32_t>());
    items.emplace_back(item.data(), item.size());
  }
  EXPECT_TRUE(reader.ok());
  return items;
}

TEST(Metadata, FirstStartMakesTheClusterOnce) {
  World world;
  EXPECT_EQ(world.core().cluster(), "c");
  EXPECT_EQ(world.core().home(), "home");
  EXPECT_EQ(world.core().mac_key().size(), 16u);
  const std::string key = world.core().mac_key();
  EXPECT_EQ(world.core().start_number(), 1u);
  world.Crash();
  EXPECT_FALSE(world.core().NeedsInitialise());
  EXPECT_EQ(world.core().mac_key(), key);
  EXPECT_EQ(world.core().start_number(), 2u);
}

TEST(Metadata, TopicIsAnsweredAndToldWhenItsRecordIsFlushed) {
  World world;
  const auto put = world.PutTopic(Topic("T"));
  world.Settle();
  EXPECT_EQ(world.replied[put].code, 0u);
  EXPECT_THAT(world.topics_changed, IsEmpty());
  EXPECT_TRUE(world.log.back().flush_first);
  world.Flush();
  EXPECT_EQ(world.replied[put].code, code::kOk);
  EXPECT_EQ(DecodeTopic(world.replied[put].payload)->queues, 2u);
  EXPECT_THAT(world.topics_changed, ElementsAre("T"));
}

TEST(Metadata, TopicsAreCreatedOnceAndOnlyGrow) {
  World world;
  world.PutTopic(Topic("T"));
  world.Flush();
  const auto twice = world.PutTopic(Topic("T")), shrunk = world.PutTopic(Topic("T", 1), true),
             unknown = world.PutTopic(Topic("U"), true), letter = world.PutTopic(Topic("%DLQ%G")),
             none = world.PutTopic(Topic("N", 0)), grown = world.PutTopic(Topic("T", 4), true);
  world.Flush();
  EXPECT_EQ(world.replied[twice].code, code::kPreconditionFailed);
  EXPECT_EQ(world.replied[shrunk].code, code::kBadRequest);
  EXPECT_EQ(world.replied[unknown].code, code::kTopicNotFound);
  EXPECT_EQ(world.replied[letter].code, code::kIllegalTopic);
  EXPECT_EQ(world.replied[none].code, code::kBadRequest);
  EXPECT_EQ(DecodeTopic(world.replied[grown].payload)->queues, 4u);
  world.Crash();
  const auto query = world.Query(QueryKind::kTopic, "T");
  world.Settle();
  EXPECT_EQ(DecodeTopic(world.replied[query].payload)->queues, 4u);
}

TEST(Metadata, AQueueThatIsAddedIsReadByKnownGroups) {
  World world;
  world.Make("T", "G", 1);
  EXPECT_THAT(world.Take("c", "G", "T"), IsEmpty());
  world.PutTopic(Topic("T", 2), true);
  world.Flush();
  world.Deposit("T", {"a", "b"});
  EXPECT_THAT(world.Take("c", "G", "T"), SizeIs(2));
}

TEST(Metadata, IdsAreNeverUsedAgain) {
  World world;
  world.PutTopic(Topic("A"));
  world.Flush();
  world.DeleteTopic("A");
  world.Flush();
  world.Crash();
  const auto put = world.PutTopic(Topic("B"));
  world.Flush();
  EXPECT_EQ(DecodeTopic(world.replied[put].payload)->id, 2u);
}

TEST(Metadata, DeletedTopicLeavesNothingInTheImage) {
  World world;
  world.Make("T", "G");
  world.Make("keep", "H");
  world.Deposit("T", {"a", "b"});
  world.Ack(world.Take("c", "G", "T", ReceiveOptions{.batch = 1})[0].handle, "G", "T");
  world.Flush();
  const auto waiting = world.Receive("c", "H", "T", ReceiveOptions{.queue = 0});
  world.Settle();
  world.DeleteTopic("T");
  world.Flush();
  EXPECT_EQ(world.received[waiting].code, code::kOk);  // it had its messages before
  world.Crash();
  for (const auto& [key, value] : world.image.pairs) {
    const bool of_topic = key.size() >= 9 && key[8] == 1 && std::string("tqecb").find(key[0]) != std::string::npos;
    EXPECT_FALSE(of_topic) << key[0];
  }
  EXPECT_EQ(world.core().totals().topics, 1u);
}

TEST(Metadata, DeletingATopicEndsItsWaitingReceives) {
  World world;
  world.Make("T", "G");
  const auto waiting = world.Receive("c", "G", "T");
  world.Settle();
  world.DeleteTopic("T");
  world.Settle();
  EXPECT_EQ(world.received[waiting].code, code::kTopicNotFound);
}

TEST(Metadata, DeletingAGroupRemovesItsCursorsAndEndsItsReceives) {
  World world;
  world.Make("T", "G");
  world.Deposit("T", {"a"});
  const auto messages = world.Take("c", "G", "T");
  world.Ack(messages[0].handle, "G", "T");
  world.Flush();
  const auto waiting = world.Receive("c", "G", "T");
  world.Settle();
  world.DeleteGroup("G");
  world.Flush();
  EXPECT_EQ(world.received[waiting].code, code::kConsumerGroupNotFound);
  world.Crash();
  for (const auto& [key, value] : world.image.pairs) EXPECT_TRUE(key[0] != 'c' && key[0] != 'b' && key[0] != 'g');
  world.MakeGroup("G");
  EXPECT_THAT(world.Take("c", "G", "T"), SizeIs(1));  // a new group of this name starts anew
}

TEST(Metadata, ANewGroupReceivesNothingBeforeItsRecordIsFlushed) {
  World world;
  world.PutTopic(Topic("T"));
  world.Flush();
  world.Deposit("T", {"a"});
  const auto receive = world.Receive("c", "new", "T");
  world.Settle();
  EXPECT_EQ(world.received[receive].code, 0u);
  world.Flush();
  EXPECT_EQ(world.received[receive].code, code::kOk);
}

TEST(Metadata, QueriesAnswerListsAndProgress) {
  World world;
  world.Make("A", "G", 2);
  world.Make("B", "H");
  world.Deposit("A", {"1", "2", "3"});
  world.Take("c", "G", "A", ReceiveOptions{.batch = 1});
  world.Register("c", "G", 1, 1);
  world.Register("c", "G", 1, 2);
  world.Register("d", "G", 2, 1);
  const auto topics = world.Query(QueryKind::kTopics, ""), groups = world.Query(QueryKind::kGroups, ""),
             group = world.Query(QueryKind::kGroup, "G"), ensured = world.Query(QueryKind::kEnsureGroup, "new"),
             progress = world.Query(QueryKind::kGroupProgress, "G"),
             queues = world.Query(QueryKind::kTopicProgress, "A");
  world.Settle();
  EXPECT_EQ(world.replied[ensured].code, 0u);
  world.Flush();
  EXPECT_EQ(DecodeGroup(world.replied[ensured].payload)->name, "new");
  ASSERT_THAT(Items(world.replied[topics].payload), SizeIs(2));
  EXPECT_EQ(DecodeTopic(Items(world.replied[topics].payload)[1])->name, "B");
  EXPECT_THAT(Items(world.replied[groups].payload), SizeIs(2));
  EXPECT_EQ(DecodeGroup(world.replied[group].payload)->name, "G");
  const auto decoded = DecodeProgress(world.replied[progress].payload);
  EXPECT_EQ(decoded->clients, 2u);
  ASSERT_THAT(decoded->queues, SizeIs(2));
  EXPECT_EQ(decoded->queues[0].in_flight + decoded->queues[1].in_flight, 1);
  EXPECT_EQ(decoded->queues[0].ready + decoded->queues[1].ready, 2);
  const auto ends = DecodeProgress(world.replied[queues].payload);
  ASSERT_THAT(ends->queues, SizeIs(2));
  EXPECT_EQ(ends->queues[0].maximum + ends->queues[1].maximum, 3);
  EXPECT_EQ(world.core().totals().ready, 2);
  EXPECT_EQ(world.core().totals().clients, 2u);
}

TEST(Metadata, GroupSettingsTakeEffectAndSurvive) {
  World world;
  world.Make("T", "G");
  GroupConfig group;
  group.name = "G";
  group.max_attempts = 2;
  group.backoff_millis = {100, 200, 300};
  group.renew_limit_millis = 5'000;
  world.PutGroup(group, true);
  world.Flush();
  world.Crash();
  world.Deposit("T", {"a"});
  world.Register("c", "G", 1);
  world.Take("c", "G", "T", ReceiveOptions{.renew = true});
  world.Advance(5'000);
  EXPECT_EQ(world.Progress("G", "T").waiting, 1);
  world.Advance(500);  // the third step, 300 ms
  EXPECT_EQ(world.Take("c", "G", "T")[0].attempt, 2u);
}

// Whatever the flush mode is now: the run before may have been one with async flush.
TEST(Start, AfterAPowerCutBeginsAnEpochInEachFlushMode) {
  for (const bool async_flush : {false, true}) {
    Options options;
    options.async_flush = async_flush;
    World world(options);
    world.Make("T", "G");
    world.Deposit("T", {"a"});
    const std::uint64_t before = world.core().epoch();
    world.Crash(1'000'000, false);
    EXPECT_EQ(world.core().epoch(), before);
    world.Crash(1'000'000, true);
    EXPECT_EQ(world.core().epoch(), before + 1);
  }
}

TEST(Turn, WhoseRecordsASegmentDoesNotHoldTakesSeveralBatches) {
  Options options;
  options.segment_bytes = 4'096;
  World world(options);
  world.Make("T", "G", 100);
  for (int i = 0; i < 100; ++i) world.Send("T", {"a"});
  world.Flush();
  std::vector<Delivered> all;
  while (all.size() < 100) {
    const auto some = world.Take("c", "G", "T");
    ASSERT_FALSE(some.empty());
    all.insert(all.end(), some.begin(), some.end());
  }
  // One turn with a progress record for each of the hundred queues.
  const std::size_t before = world.log.size();
  for (const Delivered& message : all) world.Ack(message.handle, "G", "T");
  world.Flush();
  EXPECT_GT(world.log.size(), before + 1);
  const auto acknowledged = [&] {
    std::int64_t sum = 0;
    for (std::uint32_t queue = 0; queue < 100; ++queue) sum += world.Progress("G", "T", queue).acknowledged;
    return sum;
  };
  EXPECT_EQ(acknowledged(), 100);
  world.Crash();
  EXPECT_EQ(acknowledged(), 100);
}

}  // namespace
}  // namespace millrace::core::testing
