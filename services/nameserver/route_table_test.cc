#include "services/nameserver/route_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace millrace::nameserver {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::int64_t kExpiry = 10'000;
const naming::SetKey kSet{"c", "a"};

class RouteTableTest : public testing::Test {
 protected:
  void Register(std::uint32_t replica, std::uint64_t epoch, std::uint64_t version, std::vector<std::uint64_t> topics,
                std::uint32_t expiry = 0) {
    naming::SetRoute route{
        .key = kSet, .replica = replica, .address = absl::StrCat("r", replica), .epoch = epoch, .version = version};
    for (const std::uint64_t id : topics) route.topics[id] = {.id = id, .name = absl::StrCat("t", id)};
    table_.Register(expiry, std::move(route), now_);
  }
  // "full", "gone" or "topics +changed -removed" of every change since the last look.
  std::vector<std::string> Changes() {
    std::vector<std::string> texts;
    for (const SetChange& change : table_.TakeChanges()) {
      std::string text = change.kind == SetChange::Kind::kFull   ? "full"
                         : change.kind == SetChange::Kind::kGone ? "gone"
                                                                 : "topics";
      for (const naming::TopicRoute& topic : change.topics.changed) absl::StrAppend(&text, " +", topic.id);
      for (const std::uint64_t id : change.topics.removed) absl::StrAppend(&text, " -", id);
      texts.push_back(text);
    }
    return texts;
  }
  std::string Address() { return table_.Find(kSet) == nullptr ? "" : table_.Find(kSet)->address; }

  RouteTable table_{kExpiry};
  std::int64_t now_ = 5'000;
};

TEST_F(RouteTableTest, ARegistrationIsARoute) {
  Register(0, 1, 1, {7, 8});
  EXPECT_EQ(Address(), "r0");
  EXPECT_EQ(table_.Find(kSet)->topics.size(), 2u);
  EXPECT_THAT(Changes(), ElementsAre("full"));
}

TEST_F(RouteTableTest, TheSameRegistrationAgainTellsNobody) {
  Register(0, 1, 1, {7});
  Changes();
  Register(0, 1, 1, {7});
  EXPECT_THAT(Changes(), IsEmpty());
}

TEST_F(RouteTableTest, ChangesTravelAsChanges) {
  Register(0, 1, 1, {7, 8});
  Changes();
  EXPECT_TRUE(table_.Change({kSet, 0}, 1, 2, {.changed = {{.id = 9}}, .removed = {7}}, now_));
  EXPECT_THAT(Changes(), ElementsAre("topics +9 -7"));
  EXPECT_EQ(table_.Find(kSet)->version, 2u);
  EXPECT_TRUE(table_.Find(kSet)->topics.contains(9));
  EXPECT_FALSE(table_.Find(kSet)->topics.contains(7));
}

TEST_F(RouteTableTest, WhoIsNotKnownInThatVersionHasToRegisterInFull) {
  EXPECT_FALSE(table_.Heartbeat({kSet, 0}, 1, 0, now_));
  EXPECT_FALSE(table_.Change({kSet, 0}, 1, 2, {}, now_));
  Register(0, 1, 5, {});
  EXPECT_TRUE(table_.Heartbeat({kSet, 0}, 5, 0, now_));
  EXPECT_FALSE(table_.Heartbeat({kSet, 0}, 6, 0, now_));
  EXPECT_FALSE(table_.Change({kSet, 0}, 4, 6, {}, now_));
}

TEST_F(RouteTableTest, SilenceEndsARegistrationAfterTheExpiry) {
  Register(0, 1, 1, {});
  now_ += kExpiry - 1;
  table_.Expire(now_);
  EXPECT_EQ(Address(), "r0");
  EXPECT_TRUE(table_.Heartbeat({kSet, 0}, 1, 0, now_));
  now_ += kExpiry - 1;
  table_.Expire(now_);
  EXPECT_EQ(Address(), "r0");
  Changes();
  now_ += 1;
  table_.Expire(now_);
  EXPECT_EQ(Address(), "");
  EXPECT_THAT(Changes(), ElementsAre("gone"));
}

TEST_F(RouteTableTest, ABrokerMaySayItsOwnExpiry) {
  Register(0, 1, 1, {}, 120'000);
  now_ += 119'999;
  table_.Expire(now_);
  EXPECT_EQ(Address(), "r0");
  EXPECT_TRUE(table_.Heartbeat({kSet, 0}, 1, 2'000, now_));
  now_ += 2'000;
  table_.Expire(now_);
  EXPECT_EQ(Address(), "");
}

TEST_F(RouteTableTest, AGoodbyeEndsItAtOnce) {
  Register(0, 1, 1, {});
  Changes();
  table_.Unregister({kSet, 0});
  EXPECT_EQ(Address(), "");
  EXPECT_THAT(Changes(), ElementsAre("gone"));
  table_.Unregister({kSet, 0});
  EXPECT_THAT(Changes(), IsEmpty());
}

TEST_F(RouteTableTest, TheHighestEpochSpeaksForTheSet) {
  Register(0, 1, 100, {7});
  Register(1, 2, 1, {7});
  EXPECT_EQ(Address(), "r1");
  // The old master comes back before it has noticed.
  Register(0, 1, 101, {7, 8});
  EXPECT_EQ(Address(), "r1");
  EXPECT_FALSE(table_.Find(kSet)->topics.contains(8));
  table_.Unregister({kSet, 1});
  EXPECT_EQ(Address(), "r0");
  EXPECT_EQ(table_.replicas(), 1u);
}

TEST_F(RouteTableTest, SetsOfTwoClustersDoNotMeet) {
  Register(0, 1, 1, {});
  table_.Register(0, {.key = {"other", "a"}, .address = "x", .epoch = 9}, now_);
  EXPECT_EQ(Address(), "r0");
  EXPECT_EQ(table_.routes().size(), 2u);
}

}  // namespace
}  // namespace millrace::nameserver
