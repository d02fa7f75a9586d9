#include "config/value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/nearest.h"

namespace millrace::config {
namespace {

template <typename T>
T Parsed(absl::string_view text) {
  T value{};
  const absl::Status status = ParseValue(text, value);
  EXPECT_TRUE(status.ok()) << text << ": " << status;
  return value;
}

template <typename T>
bool Refused(absl::string_view text) {
  T value{};
  return absl::IsInvalidArgument(ParseValue(text, value));
}

TEST(ValueTest, TimeSpansHaveUnits) {
  EXPECT_EQ(Parsed<absl::Duration>("500ms"), absl::Milliseconds(500));
  EXPECT_EQ(Parsed<absl::Duration>("1h30m"), absl::Minutes(90));
  EXPECT_EQ(Parsed<absl::Duration>("3d"), absl::Hours(72));
  EXPECT_EQ(Parsed<absl::Duration>("0"), absl::ZeroDuration());
  for (const char* text : {"", "10", "ten", "10 s", "d", "1e400d", "infd", "inf"}) {
    EXPECT_TRUE(Refused<absl::Duration>("-inf"));
    EXPECT_TRUE(Refused<absl::Duration>("9223372036854775807d"));
    EXPECT_TRUE(Refused<absl::Duration>(text)) << text;
  }
}

TEST(ValueTest, SizesHaveUnits) {
  EXPECT_EQ(Parsed<ByteSize>("4096").bytes, 4096);
  EXPECT_EQ(Parsed<ByteSize>("64KiB").bytes, 65536);
  EXPECT_EQ(Parsed<ByteSize>("1GiB").bytes, 1 << 30);
  EXPECT_EQ(Parsed<ByteSize>("2 MB").bytes, 2'000'000);
  EXPECT_EQ(Parsed<ByteSize>("7B").bytes, 7);
  for (const char* text : {"", "-1", "1.5GiB", "9999999999TiB", "MiB", "1 G", "1gib"}) {
    EXPECT_TRUE(Refused<ByteSize>(text)) << text;
  }
}

TEST(ValueTest, SwitchesNumbersAndLists) {
  EXPECT_TRUE(Parsed<bool>("True"));
  EXPECT_FALSE(Parsed<bool>("off"));
  EXPECT_TRUE(Refused<bool>("1"));
  EXPECT_EQ(Parsed<std::int64_t>("-5"), -5);
  EXPECT_TRUE(Refused<std::int64_t>("99999999999999999999"));
  EXPECT_TRUE(Refused<int>("3000000000"));
  EXPECT_EQ(Parsed<double>("0.25"), 0.25);
  EXPECT_TRUE(Refused<double>("nan"));
  EXPECT_EQ(FormatValue(9'999'999.0), "9999999");
  EXPECT_EQ(FormatValue(0.1), "0.1");
  EXPECT_THAT(Parsed<std::vector<std::string>>("a:1, b:2;c:3,"), testing::ElementsAre("a:1", "b:2", "c:3"));
  EXPECT_THAT(Parsed<std::vector<std::string>>(""), testing::IsEmpty());
}

TEST(ValueTest, WhatIsPrintedIsReadBack) {
  for (const absl::Duration value : {absl::ZeroDuration(), absl::Milliseconds(1), absl::Milliseconds(1500),
                                     absl::Seconds(90), absl::Hours(72), absl::Microseconds(5), -absl::Seconds(3)}) {
    EXPECT_EQ(Parsed<absl::Duration>(FormatValue(value)), value) << FormatValue(value);
  }
  EXPECT_EQ(FormatValue(absl::Hours(72)), "72h");
  EXPECT_EQ(FormatValue(absl::Seconds(90)), "90s");
  for (const std::int64_t bytes : {0ll, 1ll, 1500ll, 65536ll, 3ll << 40}) {
    EXPECT_EQ(Parsed<ByteSize>(FormatValue(ByteSize{bytes})).bytes, bytes);
  }
  EXPECT_EQ(FormatValue(ByteSize{64 << 20}), "64MiB");
}

TEST(NearestTest, CountsEdits) {
  EXPECT_EQ(EditDistance("", "abc"), 3);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3);
  EXPECT_EQ(EditDistance("same", "same"), 0);
}

TEST(NearestTest, NamesOnlyWhatIsNear) {
  const std::vector<std::string> names = {"broker.listen", "broker.threads", "flushDiskType"};
  EXPECT_EQ(NearestName("broker.liste", names), "broker.listen");
  EXPECT_EQ(NearestName("flushdisktype", names), "flushDiskType");
  EXPECT_EQ(NearestName("zzz", names), "");
}

}  // namespace
}  // namespace millrace::config
