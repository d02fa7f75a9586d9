// Checklist: sending.
#include "base/digest.h"
#include "tests/integration/wire_fixture.h"

namespace millrace {
namespace {

using testing::ElementsAre;

class SendWireTest : public WireTest {
 protected:
  SendWireTest() { CreateTopic("orders"); }

  static v2::Message Order(const std::string& body = "a") { return MakeMessage("orders", body); }
  // The code of a message that is an order but for one change.
  v2::Code CodeWith(const std::function<void(v2::Message&)>& change) {
    v2::Message message = Order();
    change(message);
    return SendCode(message);
  }
  static v2::SystemProperties& System(v2::Message& message) { return *message.mutable_system_properties(); }
};

TEST_F(SendWireTest, C_051_ARequestWithoutMessagesIsCorrupted) {
  EXPECT_EQ(Send({}).status().code(), v2::MESSAGE_CORRUPTED);
}

TEST_F(SendWireTest, C_052_TwoTopicsInOneRequestAreCorrupted) {
  CreateTopic("invoices");
  EXPECT_EQ(Send({Order(), MakeMessage("invoices", "b")}).status().code(), v2::MESSAGE_CORRUPTED);
}

TEST_F(SendWireTest, C_053_AnEmptyBodyIsRefused) {
  EXPECT_EQ(CodeWith([](v2::Message& message) { message.clear_body(); }), v2::MESSAGE_BODY_EMPTY);
}

TEST_F(SendWireTest, C_054_ABodyOf4MiBIsAcceptedAndDeliveredOneByteMoreIsRefused) {
  const std::string body(4'194'304, 'x');
  EXPECT_EQ(SendCode(Order(body)), v2::OK);
  EXPECT_EQ(SendCode(Order(body + "x")), v2::MESSAGE_BODY_TOO_LARGE);
  EXPECT_TRUE(Bodies(Receive(ReceiveRequest("orders"))) == std::vector<std::string>{body});
}

TEST_F(SendWireTest, C_055_128UserPropertiesAreAcceptedOneMoreIsRefused) {
  const auto with = [&](int count) {
    return CodeWith([count](v2::Message& message) {
      for (int i = 0; i < count; ++i) (*message.mutable_user_properties())[absl::StrCat("key-", i)] = "v";
    });
  };
  EXPECT_EQ(with(128), v2::OK);
  EXPECT_EQ(with(129), v2::MESSAGE_PROPERTIES_TOO_LARGE);
}

TEST_F(SendWireTest, C_056_16384BytesOfPropertiesTagAndKeysAreAcceptedOneMoreIsRefused) {
  const auto with = [&](std::size_t bytes) {
    return CodeWith([bytes](v2::Message& message) {
      System(message).set_tag("tag");
      System(message).add_keys("key");
      (*message.mutable_user_properties())["k"] = std::string(bytes - 7, 'v');
    });
  };
  EXPECT_EQ(with(16'384), v2::OK);
  EXPECT_EQ(with(16'385), v2::MESSAGE_PROPERTIES_TOO_LARGE);
}

TEST_F(SendWireTest, C_057_C_058_ReservedKeysAndControlCharactersAreRefused) {
  const auto with = [&](const std::string& key, const std::string& value) {
    return CodeWith([&](v2::Message& message) { (*message.mutable_user_properties())[key] = value; });
  };
  EXPECT_EQ(with("TAGS", "v"), v2::ILLEGAL_MESSAGE_PROPERTY_KEY);
  EXPECT_EQ(with("a\nb", "v"), v2::ILLEGAL_MESSAGE_PROPERTY_KEY);
  EXPECT_EQ(with("key", "a\x7f"), v2::ILLEGAL_MESSAGE_PROPERTY_KEY);
  EXPECT_EQ(with("key", ""), v2::OK);
}

TEST_F(SendWireTest, C_059_ATagHasNoBarAndIsNotBlank) {
  const auto with = [&](const std::string& tag) {
    return CodeWith([&](v2::Message& message) { System(message).set_tag(tag); });
  };
  EXPECT_EQ(with("a|b"), v2::ILLEGAL_MESSAGE_TAG);
  EXPECT_EQ(with("  "), v2::ILLEGAL_MESSAGE_TAG);
  EXPECT_EQ(with(""), v2::OK);
}

TEST_F(SendWireTest, C_060_ABlankKeyIsRefused) {
  EXPECT_EQ(CodeWith([](v2::Message& message) { System(message).add_keys(" "); }), v2::ILLEGAL_MESSAGE_KEY);
}

TEST_F(SendWireTest, C_061_AMessageGroupHas63BytesAtMost) {
  const auto with = [&](std::size_t bytes) {
    return CodeWith([bytes](v2::Message& message) { System(message).set_message_group(std::string(bytes, 'g')); });
  };
  EXPECT_EQ(with(64), v2::ILLEGAL_MESSAGE_GROUP);
  EXPECT_NE(with(63), v2::ILLEGAL_MESSAGE_GROUP);
}

TEST_F(SendWireTest, C_062_ABlankMessageIdIsRefused) {
  EXPECT_EQ(CodeWith([](v2::Message& message) { System(message).clear_message_id(); }), v2::ILLEGAL_MESSAGE_ID);
  EXPECT_EQ(CodeWith([](v2::Message& message) { System(message).set_message_id(" "); }), v2::ILLEGAL_MESSAGE_ID);
}

TEST_F(SendWireTest, C_065_AMessageOfAnotherTypeThanItsTopicIsRefused) {
  using Change = std::function<void(v2::Message&)>;
  const std::int64_t soon = stack_.clock().WallMillis() / 1'000 + 60;
  const std::vector<std::pair<admin_v1::TopicType, Change>> types = {
      {admin_v1::NORMAL, [](v2::Message&) {}},
      {admin_v1::FIFO, [](v2::Message& m) { System(m).set_message_group("g"); }},
      {admin_v1::DELAY, [soon](v2::Message& m) { System(m).mutable_delivery_timestamp()->set_seconds(soon); }},
      {admin_v1::TRANSACTION, [](v2::Message& m) { System(m).set_message_type(v2::TRANSACTION); }},
      {admin_v1::LITE, [](v2::Message& m) { System(m).set_lite_topic("lite"); }},
      {admin_v1::PRIORITY, [](v2::Message& m) { System(m).set_priority(1); }},
  };
  for (const auto& [topic_type, unused] : types) CreateTopic(absl::StrCat("topic-", topic_type), topic_type);
  for (const auto& [topic_type, unused] : types) {
    for (const auto& [message_type, change] : types) {
      v2::Message message = MakeMessage(absl::StrCat("topic-", topic_type), "a");
      change(message);
      const v2::Code code = SendCode(message);
      EXPECT_EQ(code == v2::MESSAGE_PROPERTY_CONFLICT_WITH_TYPE, topic_type != message_type)
          << "topic " << topic_type << ", message " << message_type << ": " << code;
    }
  }
}

TEST_F(SendWireTest, C_067_C_068_ABatchHasAnEntryForEachMessageInItsOrder) {
  const v2::SendMessageResponse answer = Send({Order("a"), Order("b"), Order("c")});
  EXPECT_EQ(answer.status().code(), v2::OK);
  ASSERT_EQ(answer.entries_size(), 3);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(answer.entries(i).status().code(), v2::OK);
    EXPECT_EQ(answer.entries(i).message_id(), absl::StrCat("01", std::string(1, static_cast<char>('a' + i))));
    EXPECT_EQ(answer.entries(i).offset(), answer.entries(0).offset() + i);
  }
}

TEST_F(SendWireTest, C_070_WhatOnlyTheServerSetsHasNoEffect) {
  EXPECT_EQ(CodeWith([](v2::Message& message) {
              System(message).set_delivery_attempt(77);
              System(message).set_queue_id(99);
              System(message).set_store_host("203.0.113.9:1");
              System(message).set_queue_offset(4'711);
              System(message).set_receipt_handle("mine");
            }),
            v2::OK);
  const Received received = Receive(ReceiveRequest("orders"));
  ASSERT_EQ(received.messages.size(), 1u);
  const v2::SystemProperties& system = received.messages[0].system_properties();
  EXPECT_EQ(system.delivery_attempt(), 1);
  EXPECT_LT(system.queue_id(), 4);
  EXPECT_EQ(system.queue_offset(), 0);
  EXPECT_NE(system.store_host(), "203.0.113.9:1");
  EXPECT_NE(system.receipt_handle(), "mine");
}

TEST_F(SendWireTest, C_071_ASendThatTheDiskDoesNotConfirmInTimeSaysSo) {
  stack_.faults().HoldSyncs(1'000);
  v2::SendMessageResponse answer;
  std::atomic<bool> answered{false};
  std::thread sender([&] {
    answer = Send({Order("a"), Order("b")});
    answered = true;
  });
  stack_.faults().WaitForHeldSync();
  // The broker gives up after 2 s of its log time, the proxy after 2.5 s: in small steps, each with turns of the core.
  for (int step = 0; step < 100 && !answered; ++step) {
    stack_.Advance(50);
    for (int turn = 0; turn < 3; ++turn) Admin<admin_v1::ListGroupsResponse>("ListGroups", {});
  }
  for (int i = 0; i < 2'000 && !answered; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_TRUE(answered);
  stack_.faults().ReleaseSyncs();
  sender.join();
  EXPECT_EQ(answer.status().code(), v2::MASTER_PERSISTENCE_TIMEOUT);
  ASSERT_EQ(answer.entries_size(), 2);
  for (const auto& entry : answer.entries()) {
    EXPECT_EQ(entry.status().code(), v2::MASTER_PERSISTENCE_TIMEOUT);
    EXPECT_NE(entry.status().message(), "");
  }
  EXPECT_EQ(SendCode(Order("c")), v2::OK);
}

TEST_F(SendWireTest, C_072_C_073_ABodyComesBackAsItWasSentWithItsEncoding) {
  const std::string gzip("\x1f\x8b\x08\0\0 not really", 17);
  EXPECT_EQ(CodeWith([&](v2::Message& message) {
              message.set_body(gzip);
              System(message).set_body_encoding(v2::GZIP);
            }),
            v2::OK);
  Received received = Receive(ReceiveRequest("orders"));
  ASSERT_EQ(received.messages.size(), 1u);
  EXPECT_EQ(received.messages[0].body(), gzip);
  EXPECT_EQ(received.messages[0].system_properties().body_encoding(), v2::GZIP);

  EXPECT_EQ(CodeWith([](v2::Message& message) { System(message).clear_body_encoding(); }), v2::OK);
  received = Receive(ReceiveRequest("orders"));
  ASSERT_EQ(received.messages.size(), 1u);
  EXPECT_EQ(received.messages[0].system_properties().body_encoding(), v2::IDENTITY);
}

TEST_F(SendWireTest, AnUnknownTopicIsNotFound) {
  EXPECT_EQ(SendCode(MakeMessage("unknown", "a")), v2::TOPIC_NOT_FOUND);
}

}  // namespace
}  // namespace millrace
