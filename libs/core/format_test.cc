#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "core/core.h"
#include "core/metadata.h"
#include "core/records.h"
#include "core/testing/world.h"

// The examples of docs/formats/records.md and docs/formats/state_image.md.
namespace millrace::core::testing {
namespace {

std::string Hex(absl::string_view bytes) { return absl::BytesToHexString(bytes); }

BlockValue Block() {
  BlockValue block;
  block.open = 0x8000000000000005;
  EntryValue waiting, leased;
  waiting.position = 0;
  waiting.attempt = 3;
  waiting.delivery = 4;
  leased.position = 63;
  leased.lease = LeaseKind::kHeld;
  leased.renewed = true;
  leased.attempt = 1;
  leased.delivery = 1;
  leased.start = 2;
  leased.end = 1'000;
  leased.client = "c1";
  block.entries = {waiting, leased};
  return block;
}

std::string Progress() {
  ProgressHead head;
  head.group_id = 7;
  head.cursor = {10, 300, 280, 5, 1, 0, 1};
  head.blocks = 3;
  std::string out, value;
  EncodeProgressHead(head, out);
  AppendProgressBlock(-1, 1, {}, out);
  BlockValue bitmap;
  bitmap.open = 0xff;
  Encode(bitmap, value);
  AppendProgressBlock(1, 2, value, out);
  value.clear();
  Encode(Block(), value);
  AppendProgressBlock(2, 4, value, out);
  return out;
}

std::string Letter() {
  std::string out(4, '\0');
  Encode(DeadLetterOrigin{1, "T", 2, 300, 17}, out);
  EncodeProgressHead(ProgressHead{7, {0, 301, 300, 0, 1, 0, 0}, 0}, out);
  base::Store(out.data(), static_cast<std::uint32_t>(out.size() - 4));
  return out;
}

std::string TopicBytes() {
  TopicConfig topic;
  topic.id = 3;
  topic.version = 9;
  topic.name = "orders";
  topic.created_millis = 1'000;
  std::string out;
  Encode(topic, out);
  return out;
}

std::string GroupBytes() {
  GroupConfig group;
  group.id = 4;
  group.version = 10;
  group.name = "billing";
  group.backoff_millis = {1'000, 5'000};
  group.created_millis = 1'000;
  std::string out;
  Encode(group, out);
  return out;
}

TEST(Format, Block) {
  std::string out;
  Encode(Block(), out);
  EXPECT_EQ(Hex(out),
            "0500000000000080"
            "01"
            "026331"
            "e807"
            "02"
            "00000304"
            "3f050101000200");
  BlockValue read;
  ASSERT_TRUE(DecodeBlock(out, read));
  EXPECT_EQ(read.open, Block().open);
  ASSERT_EQ(read.entries.size(), 2u);
  EXPECT_EQ(read.entries[1].end, 1'000);
  EXPECT_EQ(std::string(read.entries[1].client.data(), read.entries[1].client.size()), "c1");
  for (std::size_t cut = 9; cut < out.size(); ++cut) EXPECT_FALSE(DecodeBlock(out.substr(0, cut), read)) << cut;
}

TEST(Format, Progress) {
  EXPECT_EQ(Hex(Progress()),
            "07"
            "0a"
            "ac02"
            "9802"
            "05010001"
            "03"
            "08"
            "05ff00000000000000"
            "0a1a"
            "050000000000008001026331e80702000003043f050101000200");
}

TEST(Format, DeadLetterPrefix) {
  EXPECT_EQ(Hex(Letter()),
            "12000000"
            "01"
            "0154"
            "02"
            "ac02"
            "11"
            "07"
            "00"
            "ad02"
            "ac02"
            "00010000"
            "00");
  std::uint32_t prefix = 0;
  const auto origin = DecodeDeadLetterOrigin(Letter() + "the message", prefix);
  ASSERT_TRUE(origin.ok());
  EXPECT_EQ(prefix, Letter().size());
  EXPECT_EQ(origin->topic, "T");
  EXPECT_FALSE(DecodeDeadLetterOrigin(Letter().substr(0, 9), prefix).ok());
}

TEST(Format, Topic) {
  EXPECT_EQ(Hex(TopicBytes()),
            "01"
            "03"
            "09"
            "066f7264657273"
            "01"
            "04"
            "08"
            "e807");
  EXPECT_EQ(DecodeTopic(TopicBytes() + "later fields")->name, "orders");
  for (std::size_t cut = 0; cut < TopicBytes().size(); ++cut) EXPECT_FALSE(DecodeTopic(TopicBytes().substr(0, cut)));
}

TEST(Format, Group) {
  EXPECT_EQ(Hex(GroupBytes()),
            "01"
            "04"
            "0a"
            "0762696c6c696e67"
            "00"
            "11"
            "02"
            "e807"
            "8827"
            "00"
            "00"
            "00"
            "00000000"
            "e807");
  EXPECT_EQ(DecodeGroup(GroupBytes() + "later fields")->backoff_millis[1], 5'000);
  for (std::size_t cut = 0; cut < GroupBytes().size(); ++cut) EXPECT_FALSE(DecodeGroup(GroupBytes().substr(0, cut)));
}

TEST(Format, MetadataRecord) {
  std::string out;
  Encode(MetadataHead{MetadataKind::kTopic, 9, 4, 5}, out);
  out += TopicBytes();
  EXPECT_EQ(Hex(out),
            "02"
            "09"
            "04"
            "05"
            "010309066f7264657273010408e807");
}

TEST(Format, ImageOfEachRecord) {
  MapImage image;
  const auto fold = [&](store::RecordType type, std::uint64_t topic, std::uint32_t queue, std::int64_t offset,
                        const std::string& head) {
    const absl::Status status = Fold(RecordView{type, queue, topic, offset, head}, image);
    ASSERT_TRUE(status.ok()) << status;
  };
  std::string metadata;
  Encode(MetadataHead{MetadataKind::kTopic, 9, 4, 5}, metadata);
  fold(store::RecordType::kMetadata, 0, 0, 0, metadata + TopicBytes());
  fold(store::RecordType::kMessage, 3, 1, 299, {});
  fold(store::RecordType::kProgress, 3, 1, 0, Progress());
  fold(store::RecordType::kDeadLetter, 4 | kDeadLetterBit, 0, 5, Letter());
  fold(store::RecordType::kStart, 0, 0, 0, std::string("\x02", 1));
  fold(store::RecordType::kEpoch, 0, 0, 0, std::string("\x02\x01\x03\x01\x2a", 5));
  fold(store::RecordType::kSeal, 0, 0, 0, {});
  FoldBatchTime(1'000, image);
  std::string text;
  for (const auto& [key, value] : image.pairs) text += key[0] + Hex(key.substr(1)) + " = " + Hex(value) + "\n";
  EXPECT_EQ(text,
            "E = 02\n"
            "L = e807\n"
            "N = 090405\n"
            "S = 02\n"
            "b00000000000000030000000100000000000000070000000000000002 = ff00000000000000\n"
            "b00000000000000030000000100000000000000070000000000000004 = "
            "050000000000008001026331e80702000003043f050101000200\n"
            "c0000000000000001000000020000000000000007 = 00ad02ac0200010000\n"
            "c0000000000000003000000010000000000000007 = 0aac02980205010001\n"
            "e0000000000000003000000010000000000000002 = 2a\n"
            "q000000000000000300000001 = ac02\n"
            "q800000000000000400000000 = 06\n"
            "t0000000000000003 = 010309066f7264657273010408e807\n");
}

TEST(Format, FoldRefusesWhatDoesNotDecodeAndSaysWhere) {
  MapImage image;
  const std::string progress = Progress();
  for (std::size_t cut = 0; cut < progress.size(); ++cut) {
    const std::string head = progress.substr(0, cut);
    const absl::Status status = Fold(RecordView{store::RecordType::kProgress, 1, 3, 0, head}, image);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << cut;
    EXPECT_NE(status.message().find("type 5"), absl::string_view::npos);
  }
  EXPECT_FALSE(Fold(RecordView{store::RecordType::kCarried, 0, 0, 0, {}}, image).ok());
}

TEST(Format, LoadRefusesADamagedImageAndNamesTheKey) {
  World world;
  world.Make("T", "G");
  world.Deposit("T", {"a"});
  world.Ack(world.Take("c", "G", "T")[0].handle, "G", "T");
  world.Flush();
  world.Crash();
  for (const auto& [key, value] : world.image.pairs) {
    if (value.empty()) continue;
    MapImage damaged = world.image;
    damaged.pairs[key] = "";
    if (key[0] == 'b') continue;  // an empty block is a block without open entries
    Core core({});
    const absl::Status status = core.Load(damaged, 0);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << key[0];
    EXPECT_NE(status.message().find(Hex(key)), absl::string_view::npos) << key[0];
  }
}

TEST(Format, HandleIsFlat) {
  const Handle handle{1, 2, 300, 4, 5, 6, 7};
  EXPECT_EQ(Hex(absl::string_view(reinterpret_cast<const char*>(&handle), sizeof handle)),
            "0100000000000000"
            "0200000000000000"
            "2c01000000000000"
            "04000000"
            "05000000"
            "06000000"
            "07000000");
}

}  // namespace
}  // namespace millrace::core::testing
