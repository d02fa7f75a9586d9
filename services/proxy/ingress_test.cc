#include "services/proxy/ingress.h"

#include <functional>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "apache/rocketmq/v2/service.pb.h"
#include "base/digest.h"
#include "google/protobuf/util/message_differencer.h"
#include "model/stored_message.h"
#include "services/proxy/wire.h"

namespace millrace::proxy {
namespace {

namespace v2 = apache::rocketmq::v2;
using google::protobuf::util::MessageDifferencer;
using model::ErrorCode;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::int64_t kNow = 1'700'000'000'000;
constexpr std::int64_t kHour = 3'600'000;
const IngressContext kContext = {.peer_host = "10.9.8.7", .now_millis = kNow};

v2::SendMessageRequest Request(int messages = 1) {
  v2::SendMessageRequest request;
  for (int i = 0; i < messages; ++i) {
    v2::Message& message = *request.add_messages();
    message.mutable_topic()->set_name("orders");
    message.set_body("hello");
    v2::SystemProperties& system = *message.mutable_system_properties();
    system.set_message_id(absl::StrCat("ID", i));
    system.set_message_type(v2::NORMAL);
    system.set_body_encoding(v2::IDENTITY);
    system.mutable_born_timestamp()->set_seconds(1'699'999'999);
    system.set_born_host("shop-1");
  }
  return request;
}

model::Result<IngressSend> Scan(const v2::SendMessageRequest& request, const IngressContext& context = kContext) {
  // Views of the result point into the bytes of the last request.
  static std::string bytes;
  bytes = request.SerializeAsString();
  return ScanSendRequest(bytes, context, {});
}

// The v2 code of the error; 0 when the request passes.
int CodeOf(const v2::SendMessageRequest& request) {
  const auto send = Scan(request);
  return send.ok() ? 0 : send.error().number();
}

template <typename Change>
int CodeWith(Change change) {
  v2::SendMessageRequest request = Request();
  change(*request.mutable_messages(0));
  return CodeOf(request);
}
template <typename Change>
int CodeWithSystem(Change change) {
  return CodeWith([&](v2::Message& message) { change(*message.mutable_system_properties()); });
}

v2::SystemProperties SystemOf(const IngressMessage& message) {
  const auto view = model::ParseStoredMessage(message.stored);
  EXPECT_TRUE(view);
  v2::SystemProperties system;
  EXPECT_TRUE(system.ParseFromArray(view->system.data(), static_cast<int>(view->system.size())));
  return system;
}

TEST(IngressTest, AnOrdinaryMessageIsStoredVerbatim) {
  v2::SendMessageRequest request = Request();
  v2::Message& message = *request.mutable_messages(0);
  message.mutable_topic()->set_resource_namespace("ns");
  (*message.mutable_user_properties())["color"] = "red";
  message.mutable_system_properties()->set_tag("TagA");
  message.mutable_system_properties()->add_keys("k1");
  message.mutable_system_properties()->add_keys("k 2");

  const auto send = Scan(request);
  ASSERT_TRUE(send.ok()) << send.error().text;
  EXPECT_EQ(send->topic, "ns%orders");
  ASSERT_EQ(send->messages.size(), 1u);
  const IngressMessage& scanned = send->messages[0];
  EXPECT_EQ(scanned.message_id, "ID0");
  EXPECT_EQ(scanned.tag, "TagA");
  EXPECT_THAT(scanned.keys, ElementsAre("k1", "k 2"));
  EXPECT_EQ(scanned.type, MessageType::kNormal);
  EXPECT_EQ(scanned.born_millis, 1'699'999'999'000);
  EXPECT_EQ(scanned.delivery_millis, std::nullopt);
  EXPECT_EQ(scanned.priority, std::nullopt);
  EXPECT_TRUE(scanned.verbatim);

  const auto view = model::ParseStoredMessage(scanned.stored);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->system, message.system_properties().SerializeAsString());
  EXPECT_EQ(view->user, absl::string_view("\x12\x0c\x0a\x05"
                                          "color\x12\x03red"));
  EXPECT_EQ(view->body, "hello");
  EXPECT_EQ(view->tag, "TagA");
  EXPECT_EQ(view->id, "ID0");
  EXPECT_EQ(view->message_type, 1);
  EXPECT_FALSE(view->compressed);
  EXPECT_EQ(view->md5, base::Md5("hello"));
}

TEST(IngressTest, WhatAProducerLeavesOutIsFilledIn) {
  v2::SendMessageRequest request;
  v2::Message& message = *request.add_messages();
  message.mutable_topic()->set_name("t");
  message.set_body("b");
  message.mutable_system_properties()->set_message_id("ID");
  const auto send = Scan(request, {.default_namespace = "ns", .peer_host = "10.9.8.7", .now_millis = 1'234'567});
  ASSERT_TRUE(send.ok()) << send.error().text;
  EXPECT_EQ(send->topic, "ns%t");
  EXPECT_EQ(send->messages[0].born_millis, 1'234'567);
  const v2::SystemProperties system = SystemOf(send->messages[0]);
  EXPECT_EQ(system.message_type(), v2::NORMAL);
  EXPECT_EQ(system.body_encoding(), v2::IDENTITY);
  EXPECT_EQ(system.born_host(), "10.9.8.7");
  EXPECT_EQ(system.born_timestamp().seconds(), 1'234);
  EXPECT_EQ(system.born_timestamp().nanos(), 567'000'000);
  EXPECT_EQ(model::ParseStoredMessage(send->messages[0].stored)->id, "ID");
}

TEST(IngressTest, FieldsThatOnlyTheServerSetsHaveNoEffect) {
  v2::SendMessageRequest request = Request();
  v2::SystemProperties& system = *request.mutable_messages(0)->mutable_system_properties();
  const v2::SystemProperties clean = system;
  system.set_queue_id(-7);
  system.set_queue_offset(99);
  system.mutable_store_timestamp()->set_seconds(5);
  system.set_store_host("evil");
  system.set_receipt_handle("\xff\xfe");  // not even text
  system.mutable_invisible_duration()->set_seconds(1);
  system.set_delivery_attempt(-123'456);
  system.mutable_body_digest()->set_checksum("wrong");
  system.mutable_dead_letter_queue()->set_topic("x");
  const auto send = Scan(request);
  ASSERT_TRUE(send.ok()) << send.error().text;
  EXPECT_FALSE(send->messages[0].verbatim);
  EXPECT_TRUE(MessageDifferencer::Equals(SystemOf(send->messages[0]), clean));
  EXPECT_EQ(model::ParseStoredMessage(send->messages[0].stored)->id, "ID0");
}

TEST(IngressTest, EmptyOptionalTextsAreAbsentAfterwards) {
  v2::SendMessageRequest request = Request();
  v2::SystemProperties& system = *request.mutable_messages(0)->mutable_system_properties();
  system.set_tag("");
  system.set_message_group("");
  system.set_lite_topic("");
  system.set_trace_context("");
  const auto send = Scan(request);
  ASSERT_TRUE(send.ok()) << send.error().text;
  const v2::SystemProperties stored = SystemOf(send->messages[0]);
  EXPECT_FALSE(stored.has_tag() || stored.has_message_group() || stored.has_lite_topic() || stored.has_trace_context());
  EXPECT_EQ(stored.message_type(), v2::NORMAL);
  EXPECT_EQ(model::ParseStoredMessage(send->messages[0].stored)->tag, std::nullopt);
}

TEST(IngressTest, TypeFollowsFromThePropertiesInTheOrderOfTheContract) {
  const auto type = [](const std::function<void(v2::SystemProperties&)>& change) {
    v2::SendMessageRequest request = Request();
    change(*request.mutable_messages(0)->mutable_system_properties());
    const auto send = Scan(request);
    EXPECT_TRUE(send.ok()) << send.error().text;
    EXPECT_EQ(SystemOf(send->messages[0]).message_type(), static_cast<int>(send->messages[0].type));
    EXPECT_EQ(SystemOf(send->messages[0]).has_priority(), send->messages[0].type == MessageType::kPriority);
    return send->messages[0].type;
  };
  EXPECT_EQ(type([](auto& s) { s.set_message_type(v2::FIFO); }), MessageType::kNormal);
  EXPECT_EQ(type([](auto& s) { s.set_lite_topic("l"); }), MessageType::kLite);
  EXPECT_EQ(type([](auto& s) {
              s.set_priority(0);
              s.set_lite_topic("l");
            }),
            MessageType::kPriority);
  EXPECT_EQ(type([](auto& s) {
              s.set_message_group("g");
              s.set_priority(1);
            }),
            MessageType::kFifo);
  EXPECT_EQ(type([](auto& s) {
              s.mutable_delivery_timestamp();
              s.set_message_group("g");
            }),
            MessageType::kDelay);
  EXPECT_EQ(type([](auto& s) {
              s.set_message_type(v2::TRANSACTION);
              s.mutable_delivery_timestamp();
            }),
            MessageType::kTransaction);
}

TEST(IngressTest, ABodyFlaggedGzipKeepsItsBytesAndFlag) {
  v2::SendMessageRequest request = Request();
  request.mutable_messages(0)->set_body(std::string("\x78\x9c\x00\xff", 4));
  request.mutable_messages(0)->mutable_system_properties()->set_body_encoding(v2::GZIP);
  const auto send = Scan(request);
  ASSERT_TRUE(send.ok());
  EXPECT_TRUE(send->messages[0].compressed);
  EXPECT_TRUE(model::ParseStoredMessage(send->messages[0].stored)->compressed);
  EXPECT_EQ(model::ParseStoredMessage(send->messages[0].stored)->body, request.messages(0).body());
}

TEST(IngressTest, TimesAreRoundedSoThatNothingComesEarly) {
  v2::SendMessageRequest request = Request();
  auto& delivery = *request.mutable_messages(0)->mutable_system_properties()->mutable_delivery_timestamp();
  delivery.set_seconds(1'700'000'001);
  delivery.set_nanos(1);
  auto send = Scan(request);
  ASSERT_TRUE(send.ok());
  EXPECT_EQ(send->messages[0].delivery_millis, 1'700'000'001'001);
  delivery.set_seconds(std::numeric_limits<std::int64_t>::min());
  send = Scan(request);
  ASSERT_TRUE(send.ok());
  EXPECT_LT(*send->messages[0].delivery_millis, 0);
}

TEST(IngressChecksTest, RequestsWithoutMessagesOrWithTwoTopicsAreCorrupted) {
  EXPECT_EQ(CodeOf(v2::SendMessageRequest()), v2::MESSAGE_CORRUPTED);
  v2::SendMessageRequest request = Request(2);
  request.mutable_messages(1)->mutable_topic()->set_name("other");
  EXPECT_EQ(CodeOf(request), v2::MESSAGE_CORRUPTED);
  request = Request(2);
  request.mutable_messages(1)->mutable_topic()->set_resource_namespace("ns");
  EXPECT_EQ(CodeOf(request), v2::MESSAGE_CORRUPTED);
  request.mutable_messages(0)->mutable_topic()->set_name("a.b");  // the topic comes before
  EXPECT_EQ(CodeOf(request), v2::ILLEGAL_TOPIC);
}

TEST(IngressChecksTest, BodyLimits) {
  EXPECT_EQ(CodeWith([](auto& m) { m.clear_body(); }), v2::MESSAGE_BODY_EMPTY);
  EXPECT_EQ(CodeWith([](auto& m) { m.set_body(std::string(4'194'304, 'b')); }), 0);
  EXPECT_EQ(CodeWith([](auto& m) { m.set_body(std::string(4'194'305, 'b')); }), v2::MESSAGE_BODY_TOO_LARGE);
}

TEST(IngressChecksTest, UserPropertyCountKeysAndCharacters) {
  const auto with = [](int count, const std::string& key, const std::string& value) {
    return CodeWith([&](v2::Message& m) {
      for (int i = 0; i < count; ++i) (*m.mutable_user_properties())[absl::StrCat("k", i)] = "v";
      if (!key.empty()) (*m.mutable_user_properties())[key] = value;
    });
  };
  EXPECT_EQ(with(128, "", ""), 0);
  EXPECT_EQ(with(129, "", ""), v2::MESSAGE_PROPERTIES_TOO_LARGE);
  EXPECT_EQ(with(0, "TAGS", "x"), v2::ILLEGAL_MESSAGE_PROPERTY_KEY);
  EXPECT_EQ(with(0, "__SHARDINGKEY", "x"), v2::ILLEGAL_MESSAGE_PROPERTY_KEY);
  EXPECT_EQ(with(0, "a\nb", "x"), v2::ILLEGAL_MESSAGE_PROPERTY_KEY);
  EXPECT_EQ(with(0, "a", "x\xc2\x85"), v2::ILLEGAL_MESSAGE_PROPERTY_KEY);
  EXPECT_EQ(with(0, "a", ""), 0);
}

TEST(IngressChecksTest, TagAndKeys) {
  EXPECT_EQ(CodeWithSystem([](auto& s) { s.set_tag(""); }), 0);
  for (const char* tag : {" ", "a|b", "a\tb", "\xe3\x80\x80"}) {
    EXPECT_EQ(CodeWithSystem([&](auto& s) { s.set_tag(tag); }), v2::ILLEGAL_MESSAGE_TAG) << tag;
  }
  EXPECT_EQ(CodeWithSystem([](auto& s) {
              s.add_keys("");
              s.add_keys("a|b c");
            }),
            0);
  for (const char* key : {" ", "a\x7f"}) {
    EXPECT_EQ(CodeWithSystem([&](auto& s) {
                s.add_keys("k");
                s.add_keys(key);
              }),
              v2::ILLEGAL_MESSAGE_KEY)
        << key;
  }
}

TEST(IngressChecksTest, PropertyBytesCountUserPropertiesTagAndKeys) {
  const auto with = [](std::size_t value_bytes) {
    return CodeWith([&](v2::Message& m) {
      (*m.mutable_user_properties())["key"] = std::string(value_bytes, 'v');
      m.mutable_system_properties()->set_tag("tag");
      m.mutable_system_properties()->add_keys("k");
    });
  };
  EXPECT_EQ(with(16'384 - 7), 0);
  EXPECT_EQ(with(16'385 - 7), v2::MESSAGE_PROPERTIES_TOO_LARGE);
}

// Texts that the 16384 bytes do not count, and fields of two bytes that would cost much memory.
TEST(IngressChecksTest, EncodedPropertiesAreLimitedWhateverTheyConsistOf) {
  EXPECT_EQ(CodeWithSystem([](auto& s) { s.set_message_id(std::string(32'700, 'i')); }), 0);
  EXPECT_EQ(CodeWithSystem([](auto& s) { s.set_message_id(std::string(32'750, 'i')); }),
            v2::MESSAGE_PROPERTIES_TOO_LARGE);
  EXPECT_EQ(CodeWithSystem([](auto& s) { s.set_trace_context(std::string(70'000, 'i')); }),
            v2::MESSAGE_PROPERTIES_TOO_LARGE);
  EXPECT_EQ(CodeWithSystem([](auto& s) {
              for (int i = 0; i < 20'000; ++i) s.add_keys("");
            }),
            v2::MESSAGE_PROPERTIES_TOO_LARGE);
  std::string message = Request().messages(0).SerializeAsString();
  for (int i = 0; i < 2'000; ++i) message.append("\x12\x00", 2);
  std::string request;
  AppendBytesField(request, 1, message);
  EXPECT_EQ(ScanSendRequest(request, kContext, {}).error().number(), v2::MESSAGE_PROPERTIES_TOO_LARGE);
  std::string many;
  for (int i = 0; i < 5'000; ++i) many.append("\x0a\x00", 2);
  EXPECT_EQ(ScanSendRequest(many, kContext, {}).error().number(), v2::PAYLOAD_TOO_LARGE);
}

TEST(IngressChecksTest, MessageIdGroupPriorityAndLiteTopic) {
  EXPECT_EQ(CodeWithSystem([](auto& s) { s.clear_message_id(); }), v2::ILLEGAL_MESSAGE_ID);
  EXPECT_EQ(CodeWithSystem([](auto& s) { s.set_message_id(" \t"); }), v2::ILLEGAL_MESSAGE_ID);
  EXPECT_EQ(CodeWithSystem([](auto& s) { s.set_message_group(std::string(63, 'g')); }), 0);
  EXPECT_EQ(CodeWithSystem([](auto& s) { s.set_message_group(std::string(64, 'g')); }), v2::ILLEGAL_MESSAGE_GROUP);
  EXPECT_EQ(CodeWithSystem([](auto& s) { s.set_message_group("  "); }), v2::ILLEGAL_MESSAGE_GROUP);
  EXPECT_EQ(CodeWithSystem([](auto& s) { s.set_message_group("a\x01"); }), v2::ILLEGAL_MESSAGE_GROUP);
  EXPECT_EQ(CodeWithSystem([](auto& s) { s.set_priority(-1); }), v2::BAD_REQUEST);
  EXPECT_EQ(CodeWithSystem([](auto& s) { s.set_lite_topic("a b"); }), v2::ILLEGAL_LITE_TOPIC);
}

TEST(IngressChecksTest, DeliveryTimeAndTransactionRecoveryHaveLimits) {
  const auto delivery = [](std::int64_t millis) {
    return CodeWithSystem([&](auto& s) { s.mutable_delivery_timestamp()->set_seconds(millis / 1'000); });
  };
  EXPECT_EQ(delivery(kNow + model::kDelayMillisMax - kHour), 0);
  EXPECT_EQ(delivery(kNow + model::kDelayMillisMax), 0);
  EXPECT_EQ(delivery(kNow + model::kDelayMillisMax + kHour), v2::ILLEGAL_DELIVERY_TIME);
  EXPECT_EQ(delivery(std::numeric_limits<std::int64_t>::max()), v2::ILLEGAL_DELIVERY_TIME);
  EXPECT_EQ(delivery(kNow - kHour), 0);
  const auto recovery = [](v2::MessageType type, std::int64_t seconds) {
    return CodeWithSystem([&](auto& s) {
      s.set_message_type(type);
      s.mutable_orphaned_transaction_recovery_duration()->set_seconds(seconds);
    });
  };
  EXPECT_EQ(recovery(v2::TRANSACTION, 3'600), 0);
  EXPECT_EQ(recovery(v2::TRANSACTION, 3'601), v2::BAD_REQUEST);
  EXPECT_EQ(recovery(v2::TRANSACTION, -1), v2::BAD_REQUEST);
  EXPECT_EQ(recovery(v2::NORMAL, 3'601), 0);
}

// A message with every fault: repairing one after the other shows the order of the contract.
TEST(IngressChecksTest, TheFirstFailureInTheContractsOrderIsReported) {
  v2::SendMessageRequest request = Request();
  v2::Message& m = *request.mutable_messages(0);
  v2::SystemProperties& s = *m.mutable_system_properties();
  m.mutable_topic()->set_name("a.b");
  m.clear_body();
  for (int i = 0; i < 128; ++i) (*m.mutable_user_properties())[absl::StrCat("k", i)] = std::string(127, 'v');
  (*m.mutable_user_properties())["TAGS"] = "\x01";
  s.set_tag("|");
  s.add_keys("\x01");
  s.add_keys(std::string(9'000, 'k'));
  s.set_message_id(" ");
  s.set_message_type(v2::TRANSACTION);
  s.mutable_orphaned_transaction_recovery_duration()->set_seconds(9'999);
  s.mutable_delivery_timestamp()->set_seconds(9'999'999'999);
  s.set_priority(-1);
  s.set_message_group(" ");
  s.set_lite_topic(" ");

  const auto expect = [&](v2::Code code) { EXPECT_EQ(CodeOf(request), code) << v2::Code_Name(code); };
  expect(v2::ILLEGAL_TOPIC);
  m.mutable_topic()->set_name("t");
  expect(v2::MESSAGE_BODY_EMPTY);
  m.set_body("b");
  expect(v2::MESSAGE_PROPERTIES_TOO_LARGE);
  m.mutable_user_properties()->erase("k0");
  expect(v2::ILLEGAL_MESSAGE_PROPERTY_KEY);
  m.mutable_user_properties()->erase("TAGS");
  expect(v2::ILLEGAL_MESSAGE_TAG);
  s.set_tag("t");
  expect(v2::ILLEGAL_MESSAGE_KEY);
  s.set_keys(0, "k");
  expect(v2::MESSAGE_PROPERTIES_TOO_LARGE);
  s.mutable_keys()->RemoveLast();
  m.clear_user_properties();
  expect(v2::ILLEGAL_MESSAGE_ID);
  s.set_message_id("ID");
  expect(v2::BAD_REQUEST);
  s.clear_orphaned_transaction_recovery_duration();
  expect(v2::ILLEGAL_DELIVERY_TIME);
  s.clear_delivery_timestamp();
  expect(v2::BAD_REQUEST);
  s.set_priority(1);
  expect(v2::ILLEGAL_MESSAGE_GROUP);
  s.clear_message_group();
  expect(v2::ILLEGAL_LITE_TOPIC);
  s.clear_lite_topic();
  EXPECT_EQ(CodeOf(request), 0);
}

TEST(IngressChecksTest, ErrorsOfABatchNameTheMessage) {
  v2::SendMessageRequest request = Request(3);
  request.mutable_messages(1)->clear_body();
  EXPECT_THAT(Scan(request).error().text, HasSubstr("message 2 of 3: the body is empty"));
}

TEST(IngressChecksTest, ABatchIsOfOneKind) {
  EXPECT_EQ(CodeOf(Request(3)), 0);
  const auto with = [](auto first, auto second) {
    v2::SendMessageRequest request = Request(2);
    first(*request.mutable_messages(0)->mutable_system_properties());
    second(*request.mutable_messages(1)->mutable_system_properties());
    return CodeOf(request);
  };
  const auto group = [](const char* name) { return [name](auto& s) { s.set_message_group(name); }; };
  const auto priority = [](int level) { return [level](auto& s) { s.set_priority(level); }; };
  const auto transaction = [](auto& s) { s.set_message_type(v2::TRANSACTION); };
  const auto none = [](auto&) {};
  EXPECT_EQ(with(group("a"), group("a")), 0);
  EXPECT_EQ(with(group("a"), group("b")), v2::BAD_REQUEST);
  EXPECT_EQ(with(group("a"), none), v2::BAD_REQUEST);
  EXPECT_EQ(with(priority(1), priority(1)), 0);
  EXPECT_EQ(with(priority(1), priority(2)), v2::BAD_REQUEST);
  EXPECT_EQ(with(transaction, transaction), v2::BAD_REQUEST);
}

}  // namespace
}  // namespace millrace::proxy
