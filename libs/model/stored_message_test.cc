#include "model/stored_message.h"

#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "model/testing/random.h"

namespace millrace::model {
namespace {

const std::string kSystem = absl::HexStringToBytes("0a01611a03494431280130013a020801420168");
const std::string kUser = absl::HexStringToBytes("12060a016b120176");
// The example of docs/formats/stored_message.md.
const std::string kGolden = absl::HexStringToBytes(
    "0100010002000100"
    "130000000800000005000000"
    "0500030000000000"
    "5d41402abc4b2a76b9719d911017c592"
    "00000000"
    "0a0161"
    "1a03494431"
    "28013001"
    "3a020801"
    "420168"
    "12060a016b120176"
    "68656c6c6f");

std::string Example() {
  return EncodeStoredMessage({.message_type = 1,
                              .tag = {2, 1},
                              .id = {5, 3},
                              .md5 = base::Md5("hello"),
                              .system = kSystem,
                              .user = kUser,
                              .body = "hello"});
}

TEST(StoredMessageTest, ExampleOfTheFormatPageIsWhatIsWritten) {
  EXPECT_EQ(absl::BytesToHexString(Example()), absl::BytesToHexString(kGolden));
}

TEST(StoredMessageTest, ParsedFieldsAreWhatWasEncoded) {
  const auto view = ParseStoredMessage(kGolden);
  ASSERT_TRUE(view);
  EXPECT_FALSE(view->compressed);
  EXPECT_EQ(view->message_type, 1);
  EXPECT_EQ(view->tag, "a");
  EXPECT_EQ(view->id, "ID1");
  EXPECT_EQ(view->md5, base::Md5("hello"));
  EXPECT_EQ(view->system, kSystem);
  EXPECT_EQ(view->user, kUser);
  EXPECT_EQ(view->body, "hello");
}

TEST(StoredMessageTest, FlagAndMissingTagAreKept) {
  const std::string bytes = EncodeStoredMessage({.compressed = true, .message_type = 3, .body = "z"});
  const auto view = ParseStoredMessage(bytes);
  ASSERT_TRUE(view);
  EXPECT_TRUE(view->compressed);
  EXPECT_EQ(view->tag, std::nullopt);
  EXPECT_EQ(view->message_type, 3);
}

TEST(StoredMessageTest, EveryOtherSizeIsRefused) {
  for (std::size_t size = 0; size < kGolden.size(); ++size) EXPECT_FALSE(ParseStoredMessage(kGolden.substr(0, size)));
  EXPECT_FALSE(ParseStoredMessage(kGolden + "x"));
}

TEST(StoredMessageTest, OtherVersionsAndRangesOutsideTheSystemSliceAreRefused) {
  const auto with = [](std::size_t at, char byte) {
    std::string bytes = kGolden;
    bytes[at] = byte;
    return bytes;
  };
  EXPECT_FALSE(ParseStoredMessage(with(kStoredVersionAt, 2)));
  EXPECT_TRUE(ParseStoredMessage(with(kStoredTagAt, 18)));
  EXPECT_FALSE(ParseStoredMessage(with(kStoredTagAt, 19)));
  EXPECT_FALSE(ParseStoredMessage(with(kStoredIdAt + 2, 15)));
  EXPECT_FALSE(ParseStoredMessage(with(kStoredSystemBytesAt + 3, '\x7f')));
}

TEST(StoredMessageTest, AnyBytesAreParsedWithoutLeavingThem) {
  TestRandom random(12'345);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = kGolden;
    for (int change = 0; change < 3; ++change) bytes[random.Below(bytes.size())] = static_cast<char>(random.Next());
    if (const auto view = ParseStoredMessage(bytes)) {
      EXPECT_EQ(kStoredHeaderBytes + view->system.size() + view->user.size() + view->body.size(), bytes.size());
      EXPECT_LE(view->id.size(), view->system.size());
    }
  }
}

}  // namespace
}  // namespace millrace::model
