// Writes one valid input of each kind for every fuzz target: fuzz_seeds DIRECTORY
// (DIRECTORY/<target>/seed-<what>). What fuzzing found beside them stays in the tree.
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "apache/rocketmq/v2/service.pb.h"
#include "base/digest.h"
#include "core/event_file.h"
#include "core/metadata.h"
#include "core/records.h"
#include "io/testing/memory_file_system.h"
#include "link/frame.h"
#include "link/messages.h"
#include "model/stored_message.h"
#include "services/broker/receipt_handle.h"
#include "store/batch_codec.h"
#include "store/image_position.h"
#include "store/queue_page.h"
#include "store/store_files.h"
#include "store/testing/log_fixture.h"

namespace millrace::fuzz {
namespace {

class Seeds {
 public:
  explicit Seeds(std::string directory) : directory_(std::move(directory)) {}

  void Add(const std::string& target, const std::string& name, absl::string_view bytes) {
    std::filesystem::create_directories(directory_ + "/" + target);
    std::ofstream file(directory_ + "/" + target + "/seed-" + name, std::ios::binary | std::ios::trunc);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  // With the byte (or bytes) that say which decoder is meant.
  void Add(const std::string& target, const std::string& name, char kind, absl::string_view bytes) {
    Add(target, name, absl::StrCat(std::string(1, kind), bytes));
  }

 private:
  const std::string directory_;
};

template <typename T>
std::string Encoded(const T& value) {
  std::string out;
  Encode(value, out);
  return out;
}

std::string Stored() {
  const std::string system = "\x0a\x04TagA\x1a\x03ID1";
  return model::EncodeStoredMessage({.message_type = 1,
                                     .tag = {2, 4},
                                     .id = {8, 3},
                                     .md5 = base::Md5("hello"),
                                     .system = system,
                                     .user = "\x12\x06\x0a\x01k\x12\x01v",
                                     .body = "hello"});
}

void Log(Seeds& seeds) {
  const store::BatchCodec codec(store::testing::kTestSeed);
  store::testing::Appender appender(4096, 0);
  std::string log;
  std::uint32_t previous = 0;
  for (const int messages : {1, 3, 2}) {
    previous = codec.Encode(appender.Make(std::vector<std::string>(messages, Stored())), log.size(), previous, log);
  }
  seeds.Add("store_log", "batches", std::string(2, '\0') + log);
  seeds.Add("store_log", "torn", std::string("\x01\x02", 2) + log.substr(0, log.size() - 9));
  log.resize(4096);
  store::testing::Appender next(4096, 4096);
  codec.Encode(next.Make({"in the next segment"}), 4096, previous, log);
  seeds.Add("store_log", "segments", std::string("\x02\x00", 2) + log);
  seeds.Add("store_log", "damage", std::string("\x02\x41", 2) + log);
}

void Store(Seeds& seeds) {
  store::QueuePage page;
  page.Add({.physical_offset = 4096, .bytes = 232, .tag_field = 0x27a807, .store_time_millis = 1'700'000'000'000});
  page.Add({.physical_offset = 4392, .bytes = 232, .tag_field = 0, .store_time_millis = 1'700'000'000'000});
  seeds.Add("queue_files", "page", 0, store::EncodePage({{7, 2}, 408, 1}, page));
  seeds.Add("queue_files", "page-short", 4, page.entries);
  seeds.Add("queue_files", "applied", 1, store::EncodeApplied({4096, 128, 2}));
  seeds.Add("queue_files", "applied-repaired", 5, store::EncodeApplied({4096, 128, 2}));
  seeds.Add("queue_files", "writing", 2, store::EncodeWriting({4096, {{{7, 2}, 12}, {{7, 3}, 0}}}));
  seeds.Add("queue_files", "writing-repaired", 6, store::EncodeWriting({4096, {{{7, 2}, 12}, {{7, 3}, 0}}}));

  io::testing::MemoryFileSystem fs;
  MR_CHECK(store::OpenStoreFiles(fs, "s", {.cluster = "DefaultCluster", .broker_set = "broker-a"}, "h", "boot").ok());
  MR_CHECK(store::WriteCheckpoint(fs, "s", {4096, 1024, 2048}).ok());
  for (const auto& [name, kind] : {std::pair<std::string, char>{"identity", 0}, {"checkpoint", 1}, {"abort", 2}}) {
    const std::string text = *io::ReadFile(fs, "s/" + name);
    seeds.Add("store_files", name, kind, text);
    const std::size_t end = text.find("crc32c");
    if (end != text.npos) seeds.Add("store_files", name + "-repaired", kind + 4, text.substr(0, end));
  }
  seeds.Add("store_files", "position", 3, store::EncodePosition({4096, 77}));
}

void Link(Seeds& seeds) {
  std::string frame(4, '\0');
  link::AppendRecord(frame, {.op = link::Op::kHello, .payload = Encoded(link::Hello{.name = "p"})});
  link::AppendRecord(frame, {.correlation = 1, .op = link::Op::kAck, .flags = link::kMorePieces, .payload = "first "});
  link::AppendRecord(frame, {.correlation = 1, .op = link::Op::kAck, .payload = "second"});
  link::AppendRecord(frame, {.op = link::Op::kPong});
  frame.resize((frame.size() + 3) / 4 * 4 - 4);  // the last record is cut off
  seeds.Add("link_frames", "cut", absl::StrCat(std::string(1, static_cast<char>(frame.size() / 4)), frame));
  std::string ping(4, '\x01');
  link::AppendRecord(ping, {.op = link::Op::kPing});
  seeds.Add("link_frames", "pings", absl::StrCat("\x06", ping, "\x06", ping, "\x01", std::string(4, '\x02')));

  const std::string stored = Stored();
  char kind = 0;
  const auto add = [&](const std::string& name, const auto& message) {
    seeds.Add("link_messages", name, kind++, Encoded(message));
  };
  add("hello", link::Hello{.cluster = "c", .name = "broker-a", .process = 3, .epoch = 1, .credit_bytes = 1 << 20});
  add("credit", link::Credit{1'000});
  add("send", link::SendRequest{.topic = "t", .message_type = 1, .messages = {{.id_hash = 5, .stored = stored}}});
  add("send-reply", link::SendReply{.code = 20000, .queue = 1, .first_offset = 42});
  add("receive", link::ReceiveRequest{.topic = "t", .group = "g", .client = "c", .filter = "*", .wait_millis = 20'000});
  add("delivery", link::Delivery{.answer = 1, .handle = "h", .queue_offset = 42, .attempt = 1, .stored = stored});
  add("delivery-end", link::DeliveryEnd{.code = 40404, .text = "no message"});
  add("answer-ended", link::AnswerEnded{.answer = 1, .well = true});
  add("handle", link::HandleRequest{.topic = "t", .group = "g", .handle = "h", .duration_millis = -1});
  add("reply", link::Reply{.code = 20000, .text = "OK", .payload = "p"});
  add("client", link::ClientRecord{.number = 7, .client = "c", .group = "g"});
  add("alive", link::ClientsAlive{.numbers = {1, 2, 300}});
  add("metadata", link::MetadataRequest{.kind = 1, .name = "t", .config = Encoded(core::TopicConfig{.name = "t"})});
  add("get", link::GetMessage{.topic = "t", .queue = 1, .queue_offset = 42});
  seeds.Add("stored_message", "message", stored);
}

core::BlockValue Block(const std::string& client) {
  core::BlockValue block{.open = 0x8000000000000005};
  block.entries.push_back({.position = 0, .attempt = 3, .delivery = 4});
  block.entries.push_back({.position = 63,
                           .lease = core::LeaseKind::kHeld,
                           .renewed = true,
                           .delivery = 1,
                           .start = 2,
                           .end = 1'000,
                           .client = client});
  return block;
}

std::string Progress() {
  std::string out;
  core::EncodeProgressHead({.group_id = 7, .cursor = {10, 300, 280, 5, 1, 0, 1}, .blocks = 3}, out);
  core::AppendProgressBlock(-1, 1, {}, out);
  core::AppendProgressBlock(1, 2, std::string("\xff\0\0\0\0\0\0\0", 8), out);
  core::AppendProgressBlock(2, 4, Encoded(Block("c1")), out);
  return out;
}

std::string Record(store::RecordType type, char topic, char queue, char offset, const std::string& head) {
  return absl::StrCat(std::string{static_cast<char>(type), topic, queue, offset, static_cast<char>(head.size())}, head);
}

void Core(Seeds& seeds) {
  std::string letter(4, '\0');
  core::Encode(core::DeadLetterOrigin{3, "T", 1, 300, 17}, letter);
  core::EncodeProgressHead({.group_id = 4, .cursor = {0, 301, 300, 0, 1, 0, 0}}, letter);
  base::Store(letter.data(), static_cast<std::uint32_t>(letter.size() - 4));
  const core::MetadataHead head{core::MetadataKind::kTopic, 9, 4, 5};
  const core::ClusterValue cluster{"DefaultCluster", "broker-a", "0123456789abcdef"};
  const core::TopicConfig topic{.id = 3, .version = 9, .name = "orders", .queues = 2, .created_millis = 1'000};
  const core::GroupConfig group{.id = 4, .version = 10, .name = "billing", .backoff_millis = {1'000, 5'000}};
  const core::GroupProgress progress{.group = group, .clients = 1, .queues = {{.topic_id = 3, .topic = "orders"}}};
  seeds.Add("core_records", "block", 0, Encoded(Block("c1")));
  seeds.Add("core_records", "progress", 1, Progress());
  seeds.Add("core_records", "dead-letter", 2, letter);
  seeds.Add("core_records", "heads", 3, Encoded(head) + Encoded(cluster));
  seeds.Add("core_records", "topic", 4, Encoded(topic));
  seeds.Add("core_records", "group", 5, Encoded(group));
  seeds.Add("core_records", "group-progress", 6, Encoded(progress));

  using store::RecordType;
  const auto change = [](core::MetadataKind kind, const std::string& value) {
    return Encoded(core::MetadataHead{kind, 9, 4, 5}) + value;
  };
  std::string log = Record(RecordType::kMetadata, 0, 0, 0, change(core::MetadataKind::kInitialise, Encoded(cluster)));
  log += Record(RecordType::kMetadata, 0, 0, 0, change(core::MetadataKind::kTopic, Encoded(topic)));
  log += Record(RecordType::kMetadata, 0, 0, 0, change(core::MetadataKind::kGroup, Encoded(group)));
  log += Record(RecordType::kStart, 0, 0, 0, "\x02");
  log += Record(RecordType::kEpoch, 0, 0, 0, std::string("\x02\x01\x03\x01\x2a", 5));
  seeds.Add("core_fold", "metadata", log);
  log += Record(RecordType::kMessage, 3, 1, 100, "");
  std::string cursor;
  core::EncodeProgressHead({.group_id = 4, .cursor = {0, 101, 99, 0, 0, 0, 0}, .blocks = 1}, cursor);
  core::AppendProgressBlock(-1, 1, std::string("\0\0\0\0\0\0\0\x01", 8), cursor);
  log += Record(RecordType::kProgress, 3, 1, 0, cursor);
  seeds.Add("core_fold", "progress", log);
  seeds.Add("core_fold", "dead-letter", log + Record(RecordType::kDeadLetter, static_cast<char>(0x84), 0, 5, letter));
  seeds.Add("core_fold", "group-deleted",
            log + Record(RecordType::kMetadata, 0, 0, 0,
                         change(core::MetadataKind::kGroupDeleted, std::string("\x04\x01\x03\x01", 4))));

  core::EventBatch batch;
  batch.time_millis = 1'000;
  batch.Add(core::EventType::kFlushed, core::Flushed{0x1234});
  batch.AddText("ab", 2);
  std::string file;
  core::AppendEventFileHeader(file);
  core::AppendEventBatch(batch, file);
  core::AppendEventBatch(core::EventBatch{}, file);
  seeds.Add("event_file", "turns", 0, file);
  seeds.Add("event_file", "turns-repaired", 1, file);

  const core::Handle handle{.topic_id = 3, .group_id = 4, .queue_offset = 42, .queue = 1, .delivery = 1, .start = 2};
  const std::string raw(reinterpret_cast<const char*>(&handle), sizeof handle);
  seeds.Add("receipt_handle", "text", 0, broker::EncodeHandle(handle, "broker-a", "0123456789abcdef"));
  seeds.Add("receipt_handle", "signed", 1, absl::StrCat("\x01\x08", "broker-a", raw));
  seeds.Add("receipt_handle", "changed", 2, absl::StrCat("\x05\x01", raw));
}

void Clients(Seeds& seeds) {
  apache::rocketmq::v2::SendMessageRequest request;
  auto* message = request.add_messages();
  message->mutable_topic()->set_name("orders");
  message->set_body("hello");
  message->mutable_system_properties()->set_message_id("01ABCDEF");
  message->mutable_system_properties()->set_message_type(apache::rocketmq::v2::NORMAL);
  seeds.Add("send_request", "minimal", request.SerializeAsString());
  auto* system = message->mutable_system_properties();
  system->set_tag("TagA");
  system->add_keys("key");
  system->set_born_host("host");
  system->mutable_born_timestamp()->set_seconds(1'700'000'000);
  system->set_body_encoding(apache::rocketmq::v2::GZIP);
  system->set_trace_context("trace");
  (*message->mutable_user_properties())["k"] = "v";
  seeds.Add("send_request", "full", request.SerializeAsString());
  *request.add_messages() = *message;
  request.mutable_messages(1)->mutable_system_properties()->set_message_id("01ABCDF0");
  seeds.Add("send_request", "two", request.SerializeAsString());
  system->mutable_delivery_timestamp()->set_seconds(1'700'000'100);
  system->set_message_group("group");
  system->set_priority(3);
  seeds.Add("send_request", "conflict", request.SerializeAsString());

  for (const auto& [name, text] : {std::pair<std::string, std::string>{"all", "*"},
                                   {"two", "TagA || TagB"},
                                   {"none", " || "},
                                   {"empty", ""},
                                   {"doubled", "a||a||b|c"}}) {
    seeds.Add("tag_filter", name, text);
  }
}

void Config(Seeds& seeds) {
  char kind = 0;
  for (const char* text : {"text", "on", "-9223372036854775808", "7", "0.1", "1h30m", "64KiB", "a, b;c"}) {
    seeds.Add("config_value", absl::StrCat("kind-", static_cast<int>(kind)), kind, text);
    ++kind;
  }
  seeds.Add("config_value", "days", 5, "1.5d");
  seeds.Add("config_file", "yaml", 0, "part:\n  count: 3\n  list:\n    - a\n    - b\nname: \"a\"\n");
  seeds.Add("config_file", "yaml-alias", 0, "a: &x {b: 1}\nc: *x\n");
  seeds.Add("config_file", "properties", 1, "# comment\npartCount = 3\nname=a\n");
  seeds.Add("config_file", "flags", 2, "--name\nb\n--part.on\n--part.interval=10s\n--part.size\n4MiB");
  seeds.Add("config_file", "flags-mistaken", 2, "--part.cuont\n9\n--partInterval\n250\nrest");
}

}  // namespace
}  // namespace millrace::fuzz

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: fuzz_seeds DIRECTORY\n";
    return 2;
  }
  millrace::fuzz::Seeds seeds(argv[1]);
  millrace::fuzz::Log(seeds);
  millrace::fuzz::Store(seeds);
  millrace::fuzz::Link(seeds);
  millrace::fuzz::Core(seeds);
  millrace::fuzz::Clients(seeds);
  millrace::fuzz::Config(seeds);
}
