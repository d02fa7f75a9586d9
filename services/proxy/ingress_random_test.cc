#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "apache/rocketmq/v2/service.pb.h"
#include "base/digest.h"
#include "google/protobuf/stubs/logging.h"
#include "google/protobuf/util/message_differencer.h"
#include "model/stored_message.h"
#include "model/testing/random.h"
#include "services/proxy/ingress.h"
#include "services/proxy/wire.h"

// The scan against a full decode of the same bytes.
namespace millrace::proxy {
namespace {

namespace v2 = apache::rocketmq::v2;
using google::protobuf::util::MessageDifferencer;

constexpr std::int64_t kNow = 1'700'000'000'000;
const IngressContext kContext = {.peer_host = "10.9.8.7", .now_millis = kNow};

std::string RandomText(model::TestRandom& random) {
  static const std::string kTexts[] = {"",
                                       "a",
                                       "TagA",
                                       "gr\xc3\xbc\xc3\x9f"
                                       "e",
                                       "k 1",
                                       "x-y_z"};
  return random.OneIn(2) ? kTexts[random.Below(std::size(kTexts))] : random.Letters(random.Below(40));
}

void FillSystem(model::TestRandom& random, v2::SystemProperties& s) {
  if (random.OneIn(2)) s.set_tag(RandomText(random));
  for (std::uint32_t i = random.Below(4); i > 0; --i) s.add_keys(RandomText(random));
  s.set_message_id("ID" + random.Letters(random.Below(34)));
  if (random.OneIn(2)) s.set_body_encoding(static_cast<v2::Encoding>(random.Below(4)));
  if (random.OneIn(2)) s.set_message_type(static_cast<v2::MessageType>(random.Below(8)));
  if (random.OneIn(2)) s.mutable_born_timestamp()->set_seconds(1'600'000'000 + random.Below(1'000'000));
  if (random.OneIn(2)) s.mutable_born_timestamp()->set_nanos(static_cast<int>(random.Below(1'000'000'000)));
  if (random.OneIn(2)) s.set_born_host(RandomText(random));
  if (random.OneIn(4)) s.mutable_delivery_timestamp()->set_seconds(1'600'000'000 + random.Below(100'000'000));
  if (random.OneIn(4)) s.set_message_group(RandomText(random));
  if (random.OneIn(4)) s.set_trace_context(RandomText(random));
  if (random.OneIn(4)) s.mutable_orphaned_transaction_recovery_duration()->set_seconds(random.Below(3'600));
  if (random.OneIn(4)) s.set_lite_topic(random.OneIn(2) ? "" : "lite-1");
  if (random.OneIn(4)) s.set_priority(static_cast<int>(random.Below(10)));
  if (random.OneIn(4)) s.set_queue_id(static_cast<int>(random.Next()));
  if (random.OneIn(4)) s.set_delivery_attempt(static_cast<int>(random.Next()));
  if (random.OneIn(8)) s.set_queue_offset(random.Next());
  if (random.OneIn(8)) s.set_receipt_handle("old");
  if (random.OneIn(8)) s.set_store_host("host");
  if (random.OneIn(8)) s.mutable_body_digest()->set_checksum("00");
  if (random.OneIn(8)) s.mutable_store_timestamp()->set_seconds(1);
  if (random.OneIn(8)) s.mutable_invisible_duration()->set_seconds(1);
  if (random.OneIn(8)) s.mutable_dead_letter_queue()->set_topic("t");
}

// A v2.Message on the wire, in a form that a serialiser need not choose: repeated map keys, system properties in two
// occurrences, fields that nobody knows.
std::string RandomMessage(model::TestRandom& random) {
  v2::Message message;
  message.mutable_topic()->set_name("orders");
  for (std::uint32_t i = random.OneIn(8) ? random.Below(40) : random.Below(4); i > 0; --i) {
    (*message.mutable_user_properties())[absl::StrCat("u", random.Below(60))] = RandomText(random);
  }
  FillSystem(random, *message.mutable_system_properties());
  message.set_body(random.Bytes(1 + random.Below(50)));
  std::string bytes = message.SerializeAsString();
  if (random.OneIn(4)) {
    v2::Message more;
    FillSystem(random, *more.mutable_system_properties());
    (*more.mutable_user_properties())[absl::StrCat("u", random.Below(60))] = "again";
    if (random.OneIn(2)) more.set_body("other");
    bytes += more.SerializeAsString();
  }
  if (random.OneIn(4)) AppendVarintField(bytes, 77, random.Next());
  if (random.OneIn(4)) {
    std::string unknown;
    AppendBytesField(unknown, 99, "future");
    AppendBytesField(bytes, 3, unknown);
  }
  return bytes;
}

int ExpectedType(const v2::SystemProperties& s) {
  if (s.message_type() == v2::TRANSACTION) return v2::TRANSACTION;
  if (s.has_delivery_timestamp()) return v2::DELAY;
  if (!s.message_group().empty()) return v2::FIFO;
  if (s.has_priority()) return v2::PRIORITY;
  return s.lite_topic().empty() ? v2::NORMAL : v2::LITE;
}

// What must be stored for a message whose full decode is `message`.
v2::SystemProperties ExpectedSystem(const v2::Message& message) {
  v2::SystemProperties s = message.system_properties();
  const int type = ExpectedType(s);
  s.clear_body_digest();
  s.clear_store_timestamp();
  s.clear_store_host();
  s.clear_receipt_handle();
  s.clear_queue_id();
  s.clear_queue_offset();
  s.clear_invisible_duration();
  s.clear_delivery_attempt();
  s.clear_dead_letter_queue();
  if (s.tag().empty()) s.clear_tag();
  if (s.message_group().empty()) s.clear_message_group();
  if (s.trace_context().empty()) s.clear_trace_context();
  if (s.lite_topic().empty()) s.clear_lite_topic();
  if (type != v2::PRIORITY) s.clear_priority();
  s.set_message_type(static_cast<v2::MessageType>(type));
  s.set_body_encoding(s.body_encoding() == v2::GZIP ? v2::GZIP : v2::IDENTITY);
  if (!s.has_born_timestamp()) s.mutable_born_timestamp()->set_seconds(kNow / 1'000);
  if (s.born_host().empty()) s.set_born_host("10.9.8.7");
  return s;
}

void ExpectFieldsAsDecoded(const IngressMessage& scanned, const v2::Message& message) {
  const v2::SystemProperties expected = ExpectedSystem(message);
  EXPECT_EQ(scanned.message_id, expected.message_id());
  EXPECT_EQ(scanned.tag, expected.tag());
  EXPECT_EQ(scanned.message_group, expected.message_group());
  EXPECT_EQ(scanned.lite_topic, expected.lite_topic());
  EXPECT_EQ(std::vector<std::string>(scanned.keys.begin(), scanned.keys.end()),
            std::vector<std::string>(expected.keys().begin(), expected.keys().end()));
  EXPECT_EQ(static_cast<int>(scanned.type), expected.message_type());
  EXPECT_EQ(scanned.priority.has_value(), expected.has_priority());
  EXPECT_EQ(scanned.priority.value_or(0), expected.priority());
  EXPECT_EQ(scanned.delivery_millis.has_value(), expected.has_delivery_timestamp());
  EXPECT_EQ(scanned.delivery_millis.value_or(0), expected.delivery_timestamp().seconds() * 1'000);
  EXPECT_EQ(scanned.born_millis,
            expected.born_timestamp().seconds() * 1'000 + expected.born_timestamp().nanos() / 1'000'000);
}

enum class UnknownFields { kCompared, kLeftOut };

void ExpectStoredAsDecoded(const IngressMessage& scanned, const v2::Message& message, UnknownFields unknown) {
  v2::SystemProperties expected = ExpectedSystem(message);
  const auto view = model::ParseStoredMessage(scanned.stored);
  ASSERT_TRUE(view);
  v2::Message stored;  // what a client makes of the slices
  std::string bytes(view->user);
  AppendBytesField(bytes, 3, view->system);
  AppendBytesField(bytes, 4, view->body);
  ASSERT_TRUE(stored.ParseFromString(bytes));
  if (unknown == UnknownFields::kLeftOut) {
    stored.DiscardUnknownFields();
    expected.DiscardUnknownFields();
  }
  EXPECT_TRUE(MessageDifferencer::Equals(stored.system_properties(), expected))
      << stored.system_properties().DebugString() << "expected\n"
      << expected.DebugString();
  EXPECT_EQ(stored.body(), message.body());
  EXPECT_EQ(view->md5, base::Md5(message.body()));
  EXPECT_EQ(view->compressed, expected.body_encoding() == v2::GZIP);
  EXPECT_EQ(view->tag.value_or(""), expected.tag());
  EXPECT_EQ(view->id, expected.message_id());
  EXPECT_EQ(view->message_type, expected.message_type());
  const std::map<std::string, std::string> user(stored.user_properties().begin(), stored.user_properties().end());
  const std::map<std::string, std::string> sent(message.user_properties().begin(), message.user_properties().end());
  EXPECT_EQ(user, sent);
}

TEST(IngressRandomTest, AScanFindsAndStoresWhatAFullDecodeFinds) {
  model::TestRandom random(4'711);
  int verbatim = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes;
    AppendBytesField(bytes, 1, RandomMessage(random));
    v2::SendMessageRequest request;
    ASSERT_TRUE(request.ParseFromString(bytes));
    const auto send = ScanSendRequest(bytes, kContext, {});
    ASSERT_TRUE(send.ok()) << send.error().text;
    ASSERT_EQ(send->messages.size(), 1u);
    ExpectFieldsAsDecoded(send->messages[0], request.messages(0));
    ExpectStoredAsDecoded(send->messages[0], request.messages(0), UnknownFields::kCompared);
    if (::testing::Test::HasFailure()) FAIL() << "round " << round << "\n" << request.DebugString();
    verbatim += send->messages[0].verbatim;
  }
  EXPECT_GT(verbatim, 500);  // both ways were taken
  EXPECT_LT(verbatim, 19'500);
}

bool IsNoRequest(const model::Error& error) {
  return error.text.find("are not a SendMessageRequest") != error.text.npos;
}

// Whatever the bytes: nothing that a decoder accepts is called malformed, and nothing is stored that does not decode.
TEST(IngressRandomTest, DamagedRequestsAreRefusedOrStoredDecodable) {
  const google::protobuf::LogSilencer silencer;  // the parser logs each text that is not UTF-8
  model::TestRandom random(99);
  int malformed = 0;
  int accepted = 0;
  for (int round = 0; round < 60'000; ++round) {
    std::string bytes;
    AppendBytesField(bytes, 1, RandomMessage(random));
    for (std::uint32_t i = 1 + random.Below(3); i > 0; --i) bytes[random.Below(bytes.size())] = random.Next();
    if (random.OneIn(4)) bytes.resize(random.Below(bytes.size()));
    v2::SendMessageRequest request;
    const bool decodes = request.ParseFromString(bytes);
    const auto send = ScanSendRequest(bytes, kContext, {});
    if (!send.ok()) {
      if (IsNoRequest(send.error())) {
        EXPECT_FALSE(decodes) << "round " << round;
        ++malformed;
      }
      continue;
    }
    ++accepted;
    ASSERT_EQ(send->messages.size(), static_cast<std::size_t>(decodes ? request.messages_size() : 1));
    // A server's field number with a foreign wire type is unknown to a decoder and dropped by the scan.
    if (decodes) ExpectStoredAsDecoded(send->messages[0], request.messages(0), UnknownFields::kLeftOut);
    const auto view = model::ParseStoredMessage(send->messages[0].stored);
    v2::Message user;
    ASSERT_TRUE(user.ParseFromArray(view->user.data(), static_cast<int>(view->user.size())));
    v2::SystemProperties system;
    ASSERT_TRUE(system.ParseFromArray(view->system.data(), static_cast<int>(view->system.size())));
    if (::testing::Test::HasFailure()) FAIL() << "round " << round << "\n" << request.DebugString();
  }
  EXPECT_GT(malformed, 1'000);
  EXPECT_GT(accepted, 1'000);
}

TEST(IngressRandomTest, AnyBytesAreScannedWithoutLeavingThem) {
  model::TestRandom random(5);
  for (int round = 0; round < 100'000; ++round) {
    const std::string bytes = random.Bytes(random.Below(60));
    const auto send = ScanSendRequest(bytes, kContext, {});
    EXPECT_FALSE(send.ok());
  }
}

}  // namespace
}  // namespace millrace::proxy
