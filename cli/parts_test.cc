#include <gtest/gtest.h>

#include "cli/duration.h"
#include "cli/message_id.h"
#include "cli/output.h"

namespace millrace::cli {
namespace {

TEST(MessageIdsTest, HaveTheLayoutOfTheContract) {
  MessageIds ids(std::string("\x56\xf7\xe7\x1c\x36\x1b", 6), 0x1234'21bc, 0x00cc'dbe7);
  // 2021-01-01 plus 0x024cc4e6 seconds.
  EXPECT_EQ(ids.Next((1'609'459'200ll + 0x024cc4e6) * 1'000 + 999), "0156F7E71C361B21BC024CC4E600CCDBE7");
  EXPECT_EQ(ids.Next((1'609'459'200ll + 0x024cc4e6) * 1'000), "0156F7E71C361B21BC024CC4E600CCDBE8");
}

TEST(MessageIdsTest, OfThisMachineDiffer) {
  MessageIds ids = MakeMessageIds();
  const std::string first = ids.Next(1'700'000'000'000);
  EXPECT_EQ(first.size(), 34u);
  EXPECT_NE(first, ids.Next(1'700'000'000'000));
}

TEST(DurationTest, NeedsAUnit) {
  EXPECT_EQ(ParseMillis("500ms"), 500);
  EXPECT_EQ(ParseMillis("1m30s"), 90'000);
  EXPECT_EQ(ParseMillis("0"), 0);
  for (const char* wrong : {"5", "-1s", "inf", "", "soon"}) EXPECT_EQ(ParseMillis(wrong), std::nullopt) << wrong;
}

TEST(AgeTextTest, HasTwoUnitsAtMost) {
  EXPECT_EQ(AgeText(850), "850ms");
  EXPECT_EQ(AgeText(12'999), "12s");
  EXPECT_EQ(AgeText(185'000), "3m05s");
  EXPECT_EQ(AgeText(7'800'000), "2h10m");
  EXPECT_EQ(AgeText(4ll * 86'400'000 + 7'200'000), "4d02h");
}

TEST(OneLineTest, KeepsTextAndEscapesTheRest) {
  EXPECT_EQ(OneLine("\"M\xc3\xbchle\""), "\"M\xc3\xbchle\"");
  EXPECT_EQ(OneLine("a\tb\n"), "a\\tb\\n");
  EXPECT_EQ(OneLine(absl::string_view("a\x00", 2)), "a\\x00");
}

}  // namespace
}  // namespace millrace::cli
