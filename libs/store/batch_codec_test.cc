#include "store/batch_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <random>
#include <sstream>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/crc32c.h"

namespace millrace::store {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kSeed = 0x1122334455667788;

// The bytes of the block "```hex NAME" of docs/formats/commit_log.md.
std::string Documented(const std::string& name) {
  std::ifstream file(MILLRACE_SOURCE_DIR "/docs/formats/commit_log.md");
  std::string line, hex;
  bool inside = false;
  while (std::getline(file, line)) {
    if (line == absl::StrCat("```hex ", name)) {
      inside = true;
    } else if (line == "```") {
      inside = false;
    } else if (inside) {
      for (const char c : line.substr(0, line.find('#'))) {
        if (c != ' ') hex.push_back(c);
      }
    }
  }
  return absl::HexStringToBytes(hex);
}

AppendBatch ExampleBatch() {
  AppendBatch batch{.offset = 0, .epoch = 7, .log_time_millis = 1'700'000'000'000};
  batch.records.push_back({.type = RecordType::kMessage,
                           .queue = 3,
                           .topic_id = 5,
                           .queue_offset = 9,
                           .tag_field = 0x0000000b0000000a,
                           .time_millis = 1'700'000'000'001,
                           .keys = {0x0102030405060708},
                           .head = "hel",
                           .body = std::make_shared<const std::string>("lo")});
  return batch;
}

// 16 bytes a line, for the message of a failing test.
std::string Hex(const std::string& bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 16) {
    absl::StrAppend(&text, absl::BytesToHexString(bytes.substr(i, 16)), "\n");
  }
  return text;
}

TEST(BatchCodec, WritesTheBytesOfTheDocument) {
  const BatchCodec codec(kSeed);
  std::string batch, seal;
  const std::uint32_t checksum = codec.Encode(ExampleBatch(), 0, 0, batch);
  EXPECT_EQ(Hex(batch), Hex(Documented("batch")));
  EXPECT_EQ(batch.size(), 128u);
  codec.Encode({.offset = 128, .epoch = 7, .log_time_millis = 1'700'000'000'100, .records = {{}}}, 128, checksum, seal);
  EXPECT_EQ(Hex(seal), Hex(Documented("seal")));
}

TEST(BatchCodec, ReadsTheBytesOfTheDocument) {
  const BatchCodec codec(kSeed);
  const std::string bytes = Documented("batch");
  BatchCodec::Header header;
  ASSERT_TRUE(codec.ParseHeader(bytes, 0, header).ok());
  LogBatch batch;
  ASSERT_TRUE(codec.ParseBatch(bytes, header, batch).ok());
  EXPECT_EQ(batch.epoch, 7u);
  EXPECT_EQ(batch.log_time_millis, 1'700'000'000'000);
  ASSERT_EQ(batch.records.size(), 1u);
  EXPECT_EQ(batch.records[0].offset, 64u);
  EXPECT_EQ(batch.records[0].bytes, 64u);
  EXPECT_EQ(batch.records[0].payload, "hello");
  EXPECT_EQ(batch.records[0].keys, std::vector<std::uint64_t>{0x0102030405060708});

  const std::string seal = Documented("seal");
  BatchCodec::Header next;
  ASSERT_TRUE(codec.ParseHeader(seal, 128, next).ok());
  EXPECT_EQ(next.previous_checksum, header.header_checksum);
  EXPECT_EQ(next.durable_end, 128u);
}

// True when the batch at the start of `bytes` validates at `offset`.
bool Validates(const BatchCodec& codec, const std::string& bytes, std::uint64_t offset) {
  BatchCodec::Header header;
  LogBatch batch;
  if (!codec.ParseHeader(bytes, offset, header).ok() || header.bytes > bytes.size()) return false;
  return codec.ParseBatch(absl::string_view(bytes).substr(0, header.bytes), header, batch).ok();
}

TEST(BatchCodec, EveryFlippedBitIsFound) {
  const BatchCodec codec(kSeed);
  std::string bytes;
  codec.Encode(ExampleBatch(), 0, 0, bytes);
  ASSERT_TRUE(Validates(codec, bytes, 0));
  for (std::size_t i = 0; i < bytes.size() * 8; ++i) {
    bytes[i / 8] = static_cast<char>(bytes[i / 8] ^ (1 << i % 8));
    EXPECT_FALSE(Validates(codec, bytes, 0)) << "bit " << i;
    bytes[i / 8] = static_cast<char>(bytes[i / 8] ^ (1 << i % 8));
  }
}

TEST(BatchCodec, AMisplacedOrForeignBatchOrRecordNeverValidates) {
  std::string bytes;
  BatchCodec(kSeed).Encode(ExampleBatch(), 0, 0, bytes);
  EXPECT_FALSE(Validates(BatchCodec(kSeed), bytes, 4096));
  EXPECT_FALSE(Validates(BatchCodec(kSeed + 1), bytes, 0));
  LogRecord record;
  const absl::string_view only_record = absl::string_view(bytes).substr(64);
  EXPECT_TRUE(BatchCodec(kSeed).ParseRecord(only_record, 64, record).ok());
  EXPECT_FALSE(BatchCodec(kSeed).ParseRecord(only_record, 4096 + 64, record).ok());
  EXPECT_FALSE(BatchCodec(kSeed + 1).ParseRecord(only_record, 64, record).ok());
}

TEST(BatchCodec, ANewerFormatIsRefusedByName) {
  const BatchCodec codec(kSeed);
  std::string bytes;
  codec.Encode(ExampleBatch(), 0, 0, bytes);
  bytes[4] = 2;
  BatchCodec::Header header;
  EXPECT_TRUE(absl::IsDataLoss(codec.ParseHeader(bytes, 0, header))) << "the checksum is wrong now";
  char seed[8];
  base::Store(seed, kSeed);
  base::Store(bytes.data() + 60,
              base::Crc32c(absl::string_view(bytes).substr(0, 60), base::Crc32c(absl::string_view(seed, 8))));
  const absl::Status status = codec.ParseHeader(bytes, 0, header);
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("version 2"));
}

// Lengths, counts and checksums of a valid batch replaced, with the header checksum made right again: what a bug or a
// second failure of the medium could leave. Nothing may be read outside the buffer (sanitizers look).
TEST(BatchCodec, MutatedBatchesNeitherValidateNorReadOutside) {
  const BatchCodec codec(kSeed);
  std::mt19937_64 random(7);
  std::string valid;
  AppendBatch example = ExampleBatch();
  example.records.push_back({.head = "second"});
  codec.Encode(example, 0, 0, valid);
  char seed[8];
  base::Store(seed, kSeed);
  for (int i = 0; i < 20'000; ++i) {
    auto bytes = std::make_unique<std::string>(valid);
    const std::size_t at = random() % bytes->size();
    for (std::size_t k = at; k < std::min(bytes->size(), at + 4); ++k) (*bytes)[k] = static_cast<char>(random());
    base::Store(bytes->data() + 60,
                base::Crc32c(absl::string_view(*bytes).substr(0, 60), base::Crc32c(absl::string_view(seed, 8))));
    // Epoch, times, durable_end and chain may say anything.
    const bool changed = bytes->substr(24, 8) != valid.substr(24, 8) || bytes->substr(64) != valid.substr(64);
    EXPECT_FALSE(changed && Validates(codec, *bytes, 0)) << "run " << i << ", at " << at;
  }
}

}  // namespace
}  // namespace millrace::store
