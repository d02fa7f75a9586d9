#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "naming/registration.h"
#include "naming/route_proto.h"
#include "naming/route_union.h"

namespace millrace::naming {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::int64_t kExpiry = 10'000;
const SetKey kA{"c", "a"};
const SetKey kB{"c", "b"};

SetRoute Route(const SetKey& key, std::uint64_t epoch, std::uint64_t version, std::vector<std::uint64_t> topics = {}) {
  SetRoute route{
      .key = key, .address = absl::StrCat(key.name, "@", epoch, ".", version), .epoch = epoch, .version = version};
  for (const std::uint64_t id : topics) route.topics[id] = {.id = id, .name = absl::StrCat("t", id)};
  return route;
}

class RouteUnionTest : public testing::Test {
 protected:
  std::vector<std::string> Addresses() {
    std::vector<std::string> addresses;
    for (const auto& [key, route] : union_.sets()) addresses.push_back(route->address);
    return addresses;
  }
  RouteUnion union_{2, kExpiry};
  std::int64_t now_ = 1'000;
};

TEST_F(RouteUnionTest, SetsOfAllNameserversAreThere) {
  EXPECT_TRUE(union_.Said(0, Route(kA, 1, 1), now_));
  EXPECT_TRUE(union_.Said(1, Route(kB, 1, 1), now_));
  EXPECT_THAT(Addresses(), ElementsAre("a@1.1", "b@1.1"));
}

TEST_F(RouteUnionTest, TheNewestStatementCounts) {
  union_.Said(0, Route(kA, 1, 5), now_);
  EXPECT_FALSE(union_.Said(1, Route(kA, 1, 4), now_));
  EXPECT_FALSE(union_.Said(1, Route(kA, 1, 5), now_));
  EXPECT_THAT(Addresses(), ElementsAre("a@1.5"));
  EXPECT_TRUE(union_.Said(1, Route(kA, 2, 1), now_));
  EXPECT_THAT(Addresses(), ElementsAre("a@2.1"));
}

TEST_F(RouteUnionTest, ANameserverThatHasJustRestartedRemovesNothing) {
  union_.Said(0, Route(kA, 1, 1), now_);
  union_.LinkIs(kA, true, now_);
  EXPECT_FALSE(union_.Lost(0, now_));
  now_ += 100 * kExpiry;
  EXPECT_FALSE(union_.Tick(now_));
  EXPECT_THAT(Addresses(), ElementsAre("a@1.1"));
}

TEST_F(RouteUnionTest, ASetGoesWhenItsLinkIsDownAndNobodyNamesItForTheExpiry) {
  union_.Said(0, Route(kA, 1, 1), now_);
  union_.LinkIs(kA, true, now_);
  union_.Withdrawn(0, kA, now_);
  now_ += kExpiry - 1;
  EXPECT_FALSE(union_.LinkIs(kA, false, now_));
  now_ += 1;
  EXPECT_TRUE(union_.Tick(now_));
  EXPECT_THAT(Addresses(), IsEmpty());
}

TEST_F(RouteUnionTest, TheExpiryBeginsWhenTheLastNameserverFallsSilent) {
  union_.Said(0, Route(kA, 1, 1), now_);
  union_.Said(1, Route(kA, 1, 1), now_);
  union_.Withdrawn(0, kA, now_);
  now_ += 5 * kExpiry;
  EXPECT_FALSE(union_.Tick(now_));  // the second still names it, with a link that is down
  EXPECT_FALSE(union_.Lost(1, now_));
  now_ += kExpiry - 1;
  EXPECT_FALSE(union_.Tick(now_));
  now_ += 1;
  EXPECT_TRUE(union_.Tick(now_));
}

TEST_F(RouteUnionTest, ASetThatIsGoneComesBackInAnyVersion) {
  union_.Said(0, Route(kA, 3, 3), now_);
  union_.Withdrawn(0, kA, now_);
  now_ += kExpiry;
  EXPECT_TRUE(union_.Tick(now_));
  EXPECT_TRUE(union_.Said(0, Route(kA, 1, 1), now_));
}

// What one broker says, in short.
std::string Kinds(const std::vector<wire::RegisterRequest>& requests) {
  std::string text;
  for (const wire::RegisterRequest& request : requests) {
    if (request.has_full()) {
      absl::StrAppend(&text, "full", request.full().topics_size(), "@", request.full().version(), " ");
    }
    if (request.has_changes()) {
      absl::StrAppend(&text, "changes", request.changes().from_version(), "-", request.changes().version(), "+",
                      request.changes().changed_size(), "-", request.changes().removed_size(), " ");
    }
    if (request.has_heartbeat()) absl::StrAppend(&text, "beat@", request.heartbeat().version(), " ");
  }
  return text;
}

class RegistrationTest : public testing::Test {
 protected:
  std::string Next(std::size_t peer, bool heartbeat = false) { return Kinds(registration_.NextFor(peer, heartbeat)); }
  Registration registration_{2, Route(kA, 1, 100), 10'000};
};

TEST_F(RegistrationTest, BeginsInFullAndGoesOnWithChanges) {
  registration_.SetTopics({{.id = 1}, {.id = 2}});
  registration_.Opened(0);
  EXPECT_EQ(Next(0), "full2@101 ");
  EXPECT_EQ(Next(0), "");
  EXPECT_EQ(Next(0, true), "beat@101 ");
  registration_.TopicChanged({.id = 3});
  registration_.TopicChanged({.id = 3, .queues = 8});
  registration_.TopicRemoved(1);
  EXPECT_EQ(Next(0, true), "changes101-104+1-1 ");
  EXPECT_EQ(Next(0, true), "beat@104 ");
  // The other nameserver could not be reached until now.
  registration_.Opened(1);
  EXPECT_EQ(Next(1), "full2@104 ");
}

TEST_F(RegistrationTest, AnswersAndNewStreamsAskForEverything) {
  registration_.SetTopics({{.id = 1}});
  Next(0);
  wire::RegisterResponse response;
  registration_.Answered(0, response);
  EXPECT_EQ(Next(0), "");
  response.set_send_full(true);
  registration_.Answered(0, response);
  EXPECT_EQ(Next(0), "full1@101 ");
  registration_.Opened(0);
  EXPECT_EQ(Next(0), "full1@101 ");
}

TEST_F(RegistrationTest, ManyTopicsGoInPieces) {
  std::vector<TopicRoute> topics;
  for (std::uint64_t id = 1; id <= 2 * kTopicsPerMessage + 1; ++id) topics.push_back({.id = id});
  registration_.SetTopics(std::move(topics));
  const std::vector<wire::RegisterRequest> requests = registration_.NextFor(0, false);
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_TRUE(requests[0].full().more());
  EXPECT_TRUE(requests[1].full().more());
  EXPECT_FALSE(requests[2].full().more());
  EXPECT_EQ(requests[2].full().topics_size(), 1);
}

TEST(UpdateReaderTest, PutsPiecesAndChangesTogether) {
  UpdateReader reader;
  bool mistake = false;
  wire::SetUpdate update;
  update.set_broker_set("a");
  update.set_full(true);
  update.set_more(true);
  update.add_topics()->set_id(1);
  EXPECT_FALSE(reader.Read(update, mistake).has_value());
  update.set_more(false);
  update.mutable_topics(0)->set_id(2);
  std::optional<SetRoute> route = reader.Read(update, mistake);
  ASSERT_TRUE(route.has_value());
  EXPECT_EQ(route->topics.size(), 2u);

  wire::SetUpdate changes;
  changes.set_broker_set("a");
  changes.set_version(9);
  changes.add_removed_topics(1);
  route = reader.Read(changes, mistake);
  ASSERT_TRUE(route.has_value());
  EXPECT_EQ(route->topics.size(), 1u);
  EXPECT_EQ(route->version, 9u);

  route = reader.Read(update, mistake);  // in full again: nothing of before stays
  EXPECT_EQ(route->topics.size(), 1u);
  EXPECT_FALSE(mistake);
}

TEST(UpdateReaderTest, ChangesOfAnUnknownSetAreAMistake) {
  UpdateReader reader;
  bool mistake = false;
  wire::SetUpdate changes;
  changes.set_broker_set("a");
  EXPECT_FALSE(reader.Read(changes, mistake).has_value());
  EXPECT_TRUE(mistake);
}

TEST(RouteProtoTest, AFullUpdateKeepsEverything) {
  SetRoute route = Route(kA, 3, 4, {7});
  route.replica = 2;
  route.topics[7] = {.id = 7, .name = "orders", .type = 2, .queues = 16, .access = 4, .version = 44};
  const std::vector<wire::SetUpdate> updates = FullUpdate(route);
  ASSERT_EQ(updates.size(), 1u);
  UpdateReader reader;
  bool mistake = false;
  EXPECT_EQ(reader.Read(updates[0], mistake), route);
}

}  // namespace
}  // namespace millrace::naming
