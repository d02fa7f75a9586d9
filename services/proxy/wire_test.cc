#include "services/proxy/wire.h"

#include <gtest/gtest.h>

#include "apache/rocketmq/v2/definition.pb.h"
#include "google/protobuf/unknown_field_set.h"
#include "model/testing/random.h"

namespace millrace::proxy {
namespace {

bool WalksOver(absl::string_view bytes) {
  WireReader reader(bytes);
  for (WireField field; reader.Next(field);) {
  }
  return reader.ok();
}

TEST(WireReaderTest, FieldsComeWithNumberTypeContentAndRawBytes) {
  std::string bytes;
  AppendVarintField(bytes, 5, 300);
  AppendBytesField(bytes, 100, "text");
  WireReader reader(bytes);
  WireField field;
  ASSERT_TRUE(reader.Next(field));
  EXPECT_TRUE(field.Is(5, WireType::kVarint));
  EXPECT_EQ(field.varint, 300u);
  EXPECT_EQ(field.raw, absl::string_view("\x28\xac\x02"));
  ASSERT_TRUE(reader.Next(field));
  EXPECT_TRUE(field.Is(100, WireType::kBytes));
  EXPECT_EQ(field.bytes, "text");
  EXPECT_FALSE(reader.Next(field));
  EXPECT_TRUE(reader.ok());
}

TEST(WireReaderTest, CutOffAndImpossibleFieldsAreMalformed) {
  for (const absl::string_view bytes : {absl::string_view("\x08", 1),          // no value
                                        absl::string_view("\x0a\x02x", 3),     // one byte short
                                        absl::string_view("\x00\x00", 2),      // field number 0
                                        absl::string_view("\x0e", 1),          // wire type 6
                                        absl::string_view("\x0c", 1),          // an end without a group
                                        absl::string_view("\x0b\x14", 2),      // the end of another group
                                        absl::string_view("\x09\x01\x02", 3),  // seven bytes short
                                        absl::string_view("\x0a\xff\xff\xff\xff\xff\x01", 7),
                                        absl::string_view("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12)}) {
    EXPECT_FALSE(WalksOver(bytes));
  }
}

TEST(WireReaderTest, GroupsOfOldMessagesAreSkipped) {
  EXPECT_TRUE(WalksOver(absl::string_view("\x0b\x10\x01\x13\x14\x0c\x08\x01", 8)));
  EXPECT_FALSE(WalksOver(std::string(1'000, '\x0b')));
}

TEST(WireReaderTest, AcceptsWhatTheProtobufParserAccepts) {
  model::TestRandom random(2'024);
  int accepted = 0;
  for (int round = 0; round < 200'000; ++round) {
    std::string bytes(random.Below(12), '\0');
    // Small bytes make fields that fit more often than not.
    for (char& byte : bytes) byte = static_cast<char>(random.OneIn(4) ? random.Next() : random.Below(32));
    google::protobuf::UnknownFieldSet fields;
    const bool parsed = fields.ParseFromString(bytes);
    accepted += parsed;
    ASSERT_EQ(WalksOver(bytes), parsed) << round;
  }
  EXPECT_GT(accepted, 1'000);
}

TEST(WireWriterTest, TimesReadBackAsTimestamps) {
  for (const std::int64_t millis : {0ll, 1ll, 1'700'000'000'123ll, -1ll, -1'500ll}) {
    std::string bytes;
    AppendTimeField(bytes, 7, millis);
    apache::rocketmq::v2::SystemProperties properties;
    ASSERT_TRUE(properties.ParseFromString(bytes));
    EXPECT_EQ(properties.born_timestamp().seconds() * 1'000 + properties.born_timestamp().nanos() / 1'000'000, millis);
    EXPECT_GE(properties.born_timestamp().nanos(), 0);
  }
}

TEST(WireWriterTest, VarintBytesIsWhatIsWritten) {
  for (int bits = 0; bits < 64; ++bits) {
    std::string bytes;
    AppendVarintField(bytes, 1, 1ull << bits);
    EXPECT_EQ(VarintBytes(1ull << bits) + 1, bytes.size()) << bits;
  }
}

}  // namespace
}  // namespace millrace::proxy
