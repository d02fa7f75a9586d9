#include "store/queue_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "base/bytes.h"
#include "base/crc32c.h"

namespace millrace::store {
namespace {

using testing::HasSubstr;

const PageAddress kAddress{.key = {.topic_id = 7, .queue = 2}, .first = 0, .generation = 1};

QueuePage ExamplePage() {
  QueuePage page;
  page.Add({.physical_offset = 4096, .bytes = 232, .tag_field = 0x0027a807, .store_time_millis = 1'700'000'000'000});
  return page;
}

std::string Hex(absl::string_view bytes) { return absl::BytesToHexString(bytes); }

// The example of docs/formats/consume_queue.md.
TEST(QueuePageTest, HasTheDocumentedBytes) {
  const std::string bytes = EncodePage(kAddress, ExamplePage());
  ASSERT_EQ(bytes.size(), 4096u);
  EXPECT_EQ(Hex(absl::string_view(bytes).substr(0, 20)), "0010000000000000e800000007a8270000000000");
  EXPECT_EQ(Hex(absl::string_view(bytes).substr(4080)), "0068e5cf8b010000d903972501000000");
}

TEST(QueuePageTest, AppliedHasTheDocumentedBytes) {
  EXPECT_EQ(Hex(EncodeApplied({.applied = 4096, .removed_below = 1024, .generation = 3})),
            "4d52513101000000001000000000000000040000000000000300000026249ede");
}

TEST(QueuePageTest, DecodesWhatItEncodes) {
  QueuePage page = ExamplePage();
  for (std::uint32_t i = 1; i < kPageEntries; ++i) {
    page.Add(
        {.physical_offset = 5000 + i, .bytes = 100 + i, .tag_field = std::uint64_t{i} << 32, .store_time_millis = 5});
  }
  const absl::StatusOr<QueuePage> decoded = DecodePage(kAddress, EncodePage(kAddress, page));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  ASSERT_EQ(decoded->size(), kPageEntries);
  EXPECT_EQ(decoded->entries, page.entries);
  EXPECT_EQ(decoded->At(203).physical_offset, 5203u);
  EXPECT_EQ(decoded->At(203).bytes, 303u);
  EXPECT_EQ(decoded->At(203).tag_field, 203ull << 32);
  EXPECT_EQ(decoded->At(203).store_time_millis, 1'700'000'000'000);
}

TEST(QueuePageTest, AnyFlippedBitIsFound) {
  const std::string good = EncodePage(kAddress, ExamplePage());
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ (1 << (at % 8)));
    EXPECT_EQ(DecodePage(kAddress, bad).status().code(), absl::StatusCode::kDataLoss) << "byte " << at;
  }
}

TEST(QueuePageTest, APageOfAnotherPlaceDoesNotValidate) {
  const std::string bytes = EncodePage(kAddress, ExamplePage());
  PageAddress other = kAddress;
  other.first = kPageEntries;
  EXPECT_FALSE(DecodePage(other, bytes).ok());
  other = kAddress;
  other.key.queue = 3;
  EXPECT_FALSE(DecodePage(other, bytes).ok());
  other = kAddress;
  other.key.topic_id = 8;
  EXPECT_FALSE(DecodePage(other, bytes).ok());
}

TEST(QueuePageTest, APageOfAnotherGenerationIsNamed) {
  PageAddress next = kAddress;
  next.generation = 2;
  EXPECT_THAT(std::string(DecodePage(next, EncodePage(kAddress, ExamplePage())).status().message()),
              HasSubstr("generation 1, not 2"));
}

TEST(QueuePageTest, ANewerVersionIsRefusedAndNotTakenForDamage) {
  std::string bytes = EncodeApplied({});
  bytes.resize(bytes.size() - 4);
  bytes[4] = 2;
  base::Put<std::uint32_t>(bytes, base::Crc32c(bytes));
  const absl::Status status = DecodeApplied(bytes).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("format version 2"));
}

TEST(QueuePageTest, WritingKeepsItsMarks) {
  const absl::StatusOr<QueueWriting> writing =
      DecodeWriting(EncodeWriting({.applied = 77, .marks = {{{7, 1}, 100}, {{1ull << 63, 0}, 0}}}));
  ASSERT_TRUE(writing.ok()) << writing.status();
  EXPECT_EQ(writing->applied, 77u);
  ASSERT_EQ(writing->marks.size(), 2u);
  EXPECT_EQ(writing->marks[0].maximum, 100);
  EXPECT_EQ(writing->marks[1].key, (QueueKey{1ull << 63, 0}));
  EXPECT_FALSE(DecodeWriting(EncodeWriting({.marks = {{{7, 1}, 100}}}).substr(0, 24)).ok());
}

}  // namespace
}  // namespace millrace::store
