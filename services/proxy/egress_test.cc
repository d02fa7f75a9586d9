#include "services/proxy/egress.h"

#include <gtest/gtest.h>

#include "apache/rocketmq/v2/service.pb.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/util/message_differencer.h"
#include "services/proxy/ingress.h"
#include "services/proxy/wire.h"

namespace millrace::proxy {
namespace {

namespace v2 = apache::rocketmq::v2;
using google::protobuf::util::MessageDifferencer;

// What a send of `text` (a v2.Message) stores.
std::string Stored(const std::string& text) {
  v2::SendMessageRequest request;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, request.add_messages())) << text;
  const std::string bytes = request.SerializeAsString();
  auto send = ScanSendRequest(bytes, {.peer_host = "10.9.8.7", .now_millis = 1'700'000'000'000}, {});
  if (!send.ok()) {
    ADD_FAILURE() << send.error().text;
    return {};
  }
  return send->messages[0].stored;
}

const DeliveryFields kDelivery = {
    .resource_namespace = "ns",
    .topic = "orders",
    .receipt_handle = "handle",
    .queue_id = 7,
    .queue_offset = 1'234'567'890'123,
    .delivery_attempt = 2,
    .store_millis = 1'700'000'000'123,
    .store_host = "10.0.0.2:10911",
};

v2::Message Delivered(const std::string& stored, const DeliveryFields& delivery) {
  const auto view = model::ParseStoredMessage(stored);
  EXPECT_TRUE(view);
  v2::ReceiveMessageResponse response;
  EXPECT_TRUE(response.ParseFromString(MakeMessageElement(*view, delivery)));
  EXPECT_EQ(response.content_case(), v2::ReceiveMessageResponse::kMessage);
  v2::Message alone;
  EXPECT_TRUE(alone.ParseFromString(MakeMessage(*view, delivery)));
  EXPECT_TRUE(MessageDifferencer::Equals(alone, response.message()));
  return response.message();
}

void ExpectMessage(const v2::Message& message, const std::string& text) {
  v2::Message expected;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &expected)) << text;
  EXPECT_TRUE(MessageDifferencer::Equals(message, expected)) << message.DebugString();
}

const char kFull[] = R"(
  topic { resource_namespace: "ns" name: "orders" }
  user_properties { key: "color" value: "red" }
  user_properties { key: "size" value: "" }
  system_properties {
    tag: "TagA" keys: "k 1" keys: "k2" message_id: "01ABCDEF"
    body_encoding: IDENTITY message_type: FIFO
    born_timestamp { seconds: 1699999999 nanos: 5000000 } born_host: "shop-1"
    message_group: "g1" trace_context: "00-aa"
  }
  body: "hello")";

TEST(EgressTest, AMessageCarriesEverythingItsProducerSaidAndAllServerFields) {
  ExpectMessage(Delivered(Stored(kFull), kDelivery), R"(
      topic { resource_namespace: "ns" name: "orders" }
      user_properties { key: "color" value: "red" }
      user_properties { key: "size" value: "" }
      system_properties {
        tag: "TagA" keys: "k 1" keys: "k2" message_id: "01ABCDEF"
        body_digest { type: MD5 checksum: "5D41402ABC4B2A76B9719D911017C592" }
        body_encoding: IDENTITY message_type: FIFO
        born_timestamp { seconds: 1699999999 nanos: 5000000 } born_host: "shop-1"
        store_timestamp { seconds: 1700000000 nanos: 123000000 } store_host: "10.0.0.2:10911"
        receipt_handle: "handle" queue_id: 7 queue_offset: 1234567890123 delivery_attempt: 2
        message_group: "g1" trace_context: "00-aa"
      }
      body: "hello")");
}

// Also what producers leave out is there (clients dereference it), and what does not apply is absent, not empty.
TEST(EgressTest, AMinimalMessageHasTheMandatoryFieldsAndNoOthers) {
  const std::string stored = Stored(R"(topic { name: "t" } system_properties { message_id: "ID" tag: "" } body: "x")");
  const DeliveryFields delivery = {.topic = "t", .receipt_handle = "h", .store_millis = 5'000, .store_host = "s:1"};
  ExpectMessage(Delivered(stored, delivery), R"(
      topic { name: "t" }
      system_properties {
        message_id: "ID"
        body_digest { type: MD5 checksum: "9DD4E461268C8034F5C8564E155C67A6" }
        body_encoding: IDENTITY message_type: NORMAL
        born_timestamp { seconds: 1700000000 } born_host: "10.9.8.7"
        store_timestamp { seconds: 5 } store_host: "s:1"
        receipt_handle: "h" queue_id: 0 queue_offset: 0 delivery_attempt: 1
      }
      body: "x")");
}

TEST(EgressTest, LetterLeaseAndLongHandleArePutIn) {
  DeliveryFields delivery = kDelivery;
  const std::string handle(900, 'h');  // the length prefix takes more than one byte
  delivery.receipt_handle = handle;
  delivery.invisible_millis = 60'500;
  delivery.dead_letter = DeadLetterOrigin{"ns%orders", "01ABCDEF"};
  const v2::SystemProperties system = Delivered(Stored(kFull), delivery).system_properties();
  EXPECT_EQ(system.receipt_handle(), handle);
  EXPECT_EQ(system.invisible_duration().seconds(), 60);
  EXPECT_EQ(system.invisible_duration().nanos(), 500'000'000);
  EXPECT_EQ(system.dead_letter_queue().topic(), "ns%orders");
  EXPECT_EQ(system.dead_letter_queue().message_id(), "01ABCDEF");
  EXPECT_EQ(system.tag(), "TagA");
}

TEST(EgressTest, ACompressedBodyIsDeliveredByteForByteAsGzip) {
  const std::string stored = Stored(R"(
      topic { name: "t" } system_properties { message_id: "ID" body_encoding: GZIP } body: "\037\213\000\377")");
  const v2::Message message = Delivered(stored, kDelivery);
  EXPECT_EQ(message.body(), std::string("\x1f\x8b\x00\xff", 4));
  EXPECT_EQ(message.system_properties().body_encoding(), v2::GZIP);
}

TEST(EgressTest, AttemptIsNeverBelowOneAndAPullHasNoHandle) {
  DeliveryFields delivery = kDelivery;
  delivery.delivery_attempt = 0;
  delivery.receipt_handle.reset();
  const v2::SystemProperties system = Delivered(Stored(kFull), delivery).system_properties();
  EXPECT_EQ(system.delivery_attempt(), 1);
  EXPECT_FALSE(system.has_receipt_handle());
}

// Node.js would take a second occurrence of the system properties for the only one.
TEST(EgressTest, SystemPropertiesOccurOnce) {
  const std::string stored = Stored(kFull);
  const std::string bytes = MakeMessage(*model::ParseStoredMessage(stored), kDelivery);
  int occurrences = 0;
  WireReader reader(bytes);
  for (WireField field; reader.Next(field);) occurrences += field.number == 3;
  EXPECT_EQ(occurrences, 1);
}

TEST(EgressTest, StatusTimeAndOffsetElementsParse) {
  v2::ReceiveMessageResponse response;
  ASSERT_TRUE(response.ParseFromString(MakeStatusElement(20'000, "OK")));
  EXPECT_EQ(response.status().code(), v2::OK);
  EXPECT_EQ(response.status().message(), "OK");
  ASSERT_TRUE(response.ParseFromString(MakeStatusElement({model::ErrorCode::kMessageNotFound, "none"})));
  EXPECT_EQ(response.status().code(), v2::MESSAGE_NOT_FOUND);
  ASSERT_TRUE(response.ParseFromString(MakeDeliveryTimestampElement(1'700'000'000'250)));
  EXPECT_EQ(response.delivery_timestamp().seconds(), 1'700'000'000);
  EXPECT_EQ(response.delivery_timestamp().nanos(), 250'000'000);
  v2::PullMessageResponse pull;
  ASSERT_TRUE(pull.ParseFromString(MakeNextOffsetElement(0)));
  EXPECT_EQ(pull.content_case(), v2::PullMessageResponse::kNextOffset);
  ASSERT_TRUE(pull.ParseFromString(MakeNextOffsetElement(9)));
  EXPECT_EQ(pull.next_offset(), 9);
}

}  // namespace
}  // namespace millrace::proxy
