#include <string>

#include "gtest/gtest.h"
#include "services/broker/inbox.h"
#include "services/broker/log_clock.h"
#include "services/broker/receipt_handle.h"

namespace millrace::broker {
namespace {

std::string Key(char first = 0) {
  std::string key;
  for (char i = 0; i < 16; ++i) key.push_back(static_cast<char>(first + i));
  return key;
}

constexpr core::Handle kHandle{
    .topic_id = 1, .group_id = 2, .queue_offset = 300, .queue = 4, .delivery = 5, .start = 6, .epoch = 7};
// docs/formats/receipt_handle.md
constexpr char kGolden[] = "AQVzZXQtMAEAAAAAAAAAAgAAAAAAAAAsAQAAAAAAAAQAAAAFAAAABgAAAAcAAADppTwNUMt07Q";

TEST(ReceiptHandleTest, GoldenText) {
  EXPECT_EQ(EncodeHandle(kHandle, "set-0", Key()), kGolden);
  const auto handle = DecodeHandle(kGolden, "set-0", Key());
  ASSERT_TRUE(handle.has_value());
  EXPECT_EQ(handle->queue_offset, 300);
  EXPECT_EQ(handle->epoch, 7u);
}

TEST(ReceiptHandleTest, NothingThatWasMadeUpIsAccepted) {
  EXPECT_FALSE(DecodeHandle(kGolden, "set-1", Key()).has_value());
  EXPECT_FALSE(DecodeHandle(kGolden, "set-0", Key(1)).has_value());
  EXPECT_FALSE(DecodeHandle("", "set-0", Key()).has_value());
  EXPECT_FALSE(DecodeHandle("not base64 at all!", "set-0", Key()).has_value());
  const std::string golden = kGolden;
  for (std::size_t at = 0; at < golden.size(); ++at) {
    std::string changed = golden;
    changed[at] = changed[at] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(DecodeHandle(changed, "set-0", Key()).has_value()) << at;
    EXPECT_FALSE(DecodeHandle(golden.substr(0, at), "set-0", Key()).has_value()) << at;
  }
}

TEST(LogClockTest, StartsAtTheLaterOfLogAndWall) {
  EXPECT_EQ(LogClock(5'000, 7'000, 0).Advance(7'000, 0), 7'000);
  EXPECT_EQ(LogClock(9'000, 7'000, 0).Advance(7'000, 0), 9'000);
}

TEST(LogClockTest, RunsAtDoubleSpeedUntilItHasMetTheWallClock) {
  LogClock clock(0, 1'000, 0);
  EXPECT_EQ(clock.Advance(4'000, 1'000), 3'000);  // the wall jumped by 2 s: one second passed, two are counted
  EXPECT_EQ(clock.Advance(5'000, 2'000), 5'000);
  EXPECT_EQ(clock.Advance(6'000, 3'000), 6'000);
}

TEST(LogClockTest, RunsAtHalfSpeedAndNeverBackWhenTheWallClockIsSetBack) {
  LogClock clock(0, 10'000, 0);
  EXPECT_EQ(clock.Advance(1'000, 1'000), 10'500);
  EXPECT_EQ(clock.Advance(1'000, 1'000), 10'500);
  EXPECT_EQ(clock.Advance(2'000, 2'000), 11'000);
}

TEST(BodySlotsTest, ASlotIsUsedAgainOnceItsBodyWasTaken) {
  BodySlots slots;
  const core::BodyRef first = slots.Put("one"), second = slots.Put("two");
  EXPECT_NE(first.slot, second.slot);
  EXPECT_EQ(*slots.Take(first.slot), "one");
  EXPECT_EQ(slots.Put("three").slot, first.slot);
  EXPECT_EQ(*slots.Take(second.slot), "two");
}

}  // namespace
}  // namespace millrace::broker
