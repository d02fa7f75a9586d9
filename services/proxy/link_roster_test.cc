#include "services/proxy/link_roster.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace millrace::proxy {
namespace {

std::vector<std::string> Living(const LinkRoster& roster, std::int64_t now) {
  std::vector<std::string> living;
  roster.ForEachLiving(now, [&](const link::ClientRecord& record, bool streams_ended) {
    living.push_back(std::string(record.client) + (streams_ended ? " ended" : ""));
  });
  return living;
}

TEST(LinkRosterTest, AFirstSignRegistersAndLaterOnesAreAlive) {
  LinkRoster roster;
  EXPECT_TRUE(roster.Sign("c", "g", 0));
  EXPECT_FALSE(roster.Sign("c", "g", 10));
  EXPECT_TRUE(roster.Sign("c", "other", 10));
  EXPECT_EQ(roster.RecordOf("c", "g").number, 1u);
  EXPECT_EQ(roster.RecordOf("c", "other").number, 2u);
  EXPECT_EQ(roster.TakeAlive(1'000), (std::vector<std::uint32_t>{1, 2}));
  EXPECT_TRUE(roster.TakeAlive(2'000).empty());
}

TEST(LinkRosterTest, ASignBeforeTheEndOfStreamsIsNoSignAnyMore) {
  LinkRoster roster;
  roster.Sign("c", "g", 0);
  EXPECT_TRUE(roster.StreamsEnded("c", "g"));
  EXPECT_TRUE(roster.TakeAlive(1'000).empty());
  EXPECT_EQ(Living(roster, 1'000), std::vector<std::string>{"c ended"});
  EXPECT_TRUE(roster.Sign("c", "g", 2'000));  // the broker may have dropped it
  EXPECT_EQ(roster.RecordOf("c", "g").number, 1u);
  EXPECT_EQ(Living(roster, 2'000), std::vector<std::string>{"c"});
  EXPECT_FALSE(roster.StreamsEnded("unknown", "g"));
}

TEST(LinkRosterTest, WhoWasSilentForLongIsRegisteredAgainOrForgotten) {
  LinkRoster roster;
  roster.Sign("c", "g", 0);
  EXPECT_FALSE(roster.Sign("c", "g", 54'000));
  EXPECT_TRUE(Living(roster, 54'000 + 55'000).empty());
  EXPECT_TRUE(roster.Sign("c", "g", 54'000 + 55'000));
  EXPECT_EQ(roster.RecordOf("c", "g").number, 1u);
  roster.TakeAlive(400'000);
  EXPECT_FALSE(roster.StreamsEnded("c", "g"));
  roster.Sign("c", "g", 400'000);
  EXPECT_EQ(roster.RecordOf("c", "g").number, 2u);
}

}  // namespace
}  // namespace millrace::proxy
