// How long the directory of a single broker set believes what it was told.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/proxy/testing/fakes.h"

namespace millrace::proxy {
namespace {

class DirectoryTest : public testing::Test {
 protected:
  DirectoryTest() : directory_({.entries_max = 8}, link_, clock_) {}

  // Queues of the topic, or minus the code of the error; 0: no answer yet, and what comes later is not looked at.
  int Find(const std::string& topic) {
    const auto found = std::make_shared<int>(0);
    directory_.FindTopic(topic, [found](const model::Result<Directory::RoutePtr>& route) {
      *found = route.ok() ? static_cast<int>((*route)->config.queues) : -route.error().number();
    });
    return *found;
  }

  base::ManualClock clock_;
  FakeLink link_;
  SingleSetDirectory directory_;
};

TEST_F(DirectoryTest, AMissIsBelievedForOneSecond) {
  EXPECT_EQ(Find("orders"), -40402);
  link_.AddTopic("orders");
  clock_.Advance(999);
  EXPECT_EQ(Find("orders"), -40402);
  EXPECT_EQ(link_.queries, 1);
  clock_.Advance(1);
  EXPECT_EQ(Find("orders"), 4);
}

TEST_F(DirectoryTest, AHitIsUsedAndAskedForAgainAfterOneSecond) {
  link_.AddTopic("orders");
  EXPECT_EQ(Find("orders"), 4);
  link_.topics["orders"].queues = 8;
  clock_.Advance(999);
  EXPECT_EQ(Find("orders"), 4);
  EXPECT_EQ(link_.queries, 1);
  clock_.Advance(1);
  EXPECT_EQ(Find("orders"), 4);
  EXPECT_EQ(link_.queries, 2);
  EXPECT_EQ(Find("orders"), 8);
  EXPECT_EQ(directory_.CachedTopic("orders")->config.queues, 8u);
}

TEST_F(DirectoryTest, AnOldHitIsAskedForFirst) {
  link_.AddTopic("orders");
  EXPECT_EQ(Find("orders"), 4);
  link_.topics.clear();
  clock_.Advance(20'000);
  EXPECT_EQ(directory_.CachedTopic("orders"), nullptr);
  EXPECT_EQ(Find("orders"), -40402);
}

TEST_F(DirectoryTest, ABrokerThatDoesNotAnswerTakesNothingBack) {
  link_.AddTopic("orders");
  EXPECT_EQ(Find("orders"), 4);
  clock_.Advance(20'000);
  link_.answers_queries = false;
  EXPECT_EQ(Find("orders"), 0);
  EXPECT_EQ(Find("orders"), 0);
  ASSERT_EQ(link_.calls.size(), 1u) << "callers of one name wait for one question";
  link_.Reply(0, 50400, "no answer");
  EXPECT_EQ(Find("orders"), 4);

  EXPECT_EQ(Find("other"), 0);
  link_.Reply(1, 50400, "no answer");
  link_.answers_queries = true;
  link_.AddTopic("other");
  EXPECT_EQ(Find("other"), 4) << "no answer is no miss";
}

TEST_F(DirectoryTest, WhoWaitsGetsTheAnswer) {
  link_.answers_queries = false;
  std::vector<int> answers;
  for (int i = 0; i < 2; ++i) {
    directory_.FindTopic(
        "orders", [&](const model::Result<Directory::RoutePtr>& route) { answers.push_back(route.error().number()); });
  }
  ASSERT_EQ(link_.calls.size(), 1u);
  link_.Reply(0, 50400, "no answer");
  EXPECT_THAT(answers, testing::ElementsAre(50400, 50400));
}

TEST_F(DirectoryTest, ManyNamesDoNotGrowIt) {
  for (int i = 0; i < 100; ++i) {
    link_.AddTopic(absl::StrCat("topic-", i));
    EXPECT_EQ(Find(absl::StrCat("topic-", i)), 4);
  }
  EXPECT_EQ(directory_.CachedTopic("topic-0"), nullptr);
  EXPECT_NE(directory_.CachedTopic("topic-99"), nullptr);
}

}  // namespace
}  // namespace millrace::proxy
