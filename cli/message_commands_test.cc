#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apache/rocketmq/v2/service.pb.h"
#include "cli/exit_code.h"
#include "cli/testing/cli_fixture.h"
#include "millrace/v1/admin.pb.h"

namespace millrace::cli {
namespace {

namespace v1 = admin::v1;
namespace v2 = apache::rocketmq::v2;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

v2::SendMessageResponse Sent(std::int64_t offset) {
  v2::SendMessageResponse response;
  response.mutable_status()->set_code(v2::OK);
  response.add_entries()->set_offset(offset);
  return response;
}

TEST_F(CliTest, SendOneMessageWithEverything) {
  server_.On("SendMessage", Sent(41));
  EXPECT_EQ(Run({"message", "send", "orders", "--body", "hello", "--tag", "red", "--key", "k1", "--key", "k2",
                 "--property", "a=b=c", "--proxy", "p:1"}),
            kExitOk)
      << err_.str();
  EXPECT_THAT(targets_, ElementsAre("p:1"));
  const auto asked = server_.Asked<v2::SendMessageRequest>("SendMessage");
  ASSERT_EQ(asked.messages_size(), 1);
  const v2::Message& message = asked.messages(0);
  EXPECT_EQ(message.topic().name(), "orders");
  EXPECT_EQ(message.body(), "hello");
  EXPECT_EQ(message.user_properties().at("a"), "b=c");
  EXPECT_EQ(message.system_properties().tag(), "red");
  EXPECT_THAT(message.system_properties().keys(), ElementsAre("k1", "k2"));
  EXPECT_EQ(message.system_properties().born_timestamp().seconds(), 1'700'000'000);
  EXPECT_EQ(message.system_properties().message_id().size(), 34u);
  EXPECT_EQ(out_.str(), "sent " + message.system_properties().message_id() + " offset 41\n");
}

TEST_F(CliTest, SendLeavesOutTheTagThatWasNotGiven) {
  server_.On("SendMessage", Sent(0));
  EXPECT_EQ(Run({"message", "send", "orders", "--body", "hello"}), kExitOk);
  EXPECT_FALSE(server_.Asked<v2::SendMessageRequest>("SendMessage").messages(0).system_properties().has_tag());
}

TEST_F(CliTest, SendTakesALineOfStandardInputForAMessage) {
  server_.On("SendMessage", Sent(0));
  in_.str("one\n\ntwo");
  EXPECT_EQ(Run({"message", "send", "orders", "--output", "json"}), kExitOk) << err_.str();
  EXPECT_THAT(server_.Methods(), ElementsAre("SendMessage", "SendMessage"));
  const auto first = server_.Asked<v2::SendMessageRequest>("SendMessage", 0).messages(0);
  const auto second = server_.Asked<v2::SendMessageRequest>("SendMessage", 1).messages(0);
  EXPECT_EQ(first.body(), "one");
  EXPECT_EQ(second.body(), "two");
  EXPECT_NE(first.system_properties().message_id(), second.system_properties().message_id());
  EXPECT_THAT(err_.str(), HasSubstr("left out 1 empty"));
  EXPECT_THAT(out_.str(), StartsWith("{\"message_id\":\"01"));
}

TEST_F(CliTest, SendStopsAtTheFirstFailureAndSaysHowFarItCame) {
  server_.On("SendMessage", Sent(0));
  v2::SendMessageResponse refused;
  refused.mutable_status()->set_code(v2::MASTER_PERSISTENCE_TIMEOUT);
  refused.mutable_status()->set_message("not confirmed within 2000 ms");
  server_.On("SendMessage", refused);
  in_.str("one\ntwo\nthree\n");
  EXPECT_EQ(Run({"message", "send", "orders"}), kExitUnavailable);
  EXPECT_EQ(server_.requests.size(), 2u);
  EXPECT_EQ(err_.str(),
            "millrace: not confirmed within 2000 ms (MASTER_PERSISTENCE_TIMEOUT 50401); sent before it: 1 message\n");
}

v2::Message Delivered(int number) {
  v2::Message message;
  message.mutable_topic()->set_name("orders");
  message.set_body("body " + std::to_string(number));
  v2::SystemProperties& system = *message.mutable_system_properties();
  system.set_message_id("ID" + std::to_string(number));
  system.set_receipt_handle("handle " + std::to_string(number));
  system.set_queue_id(2);
  system.set_queue_offset(number);
  system.set_delivery_attempt(1);
  system.set_message_type(v2::NORMAL);
  system.set_body_encoding(v2::IDENTITY);
  system.mutable_born_timestamp()->set_seconds(1'700'000'000);
  system.mutable_store_timestamp()->set_seconds(1'700'000'001);
  system.set_born_host("host");
  return message;
}

FakeServer::Answer Received(const std::vector<v2::Message>& messages) {
  FakeServer::Answer answer;
  v2::ReceiveMessageResponse part;
  part.mutable_status()->set_code(messages.empty() ? v2::MESSAGE_NOT_FOUND : v2::OK);
  answer.messages.push_back(part.SerializeAsString());
  for (const v2::Message& message : messages) {
    *part.mutable_message() = message;
    answer.messages.push_back(part.SerializeAsString());
  }
  part.mutable_delivery_timestamp()->set_seconds(1);
  answer.messages.push_back(part.SerializeAsString());
  return answer;
}

class ReceiveTest : public CliTest {
 protected:
  ReceiveTest() {
    v2::AckMessageResponse acknowledged;
    acknowledged.mutable_status()->set_code(v2::OK);
    server_.On("AckMessage", acknowledged);
    v2::NotifyClientTerminationResponse terminated;
    terminated.mutable_status()->set_code(v2::OK);
    server_.On("NotifyClientTermination", terminated);
  }
};

TEST_F(ReceiveTest, PrintsAcknowledgesAndSaysGoodbye) {
  server_.On("ReceiveMessage", Received({Delivered(5), Delivered(6)}));
  server_.On("ReceiveMessage", Received({}));
  EXPECT_EQ(Run({"message", "receive", "orders", "--group", "readers"}), kExitOk) << err_.str();
  EXPECT_THAT(server_.Methods(),
              ElementsAre("ReceiveMessage", "AckMessage", "ReceiveMessage", "NotifyClientTermination"));
  const auto asked = server_.Asked<v2::ReceiveMessageRequest>("ReceiveMessage");
  EXPECT_EQ(asked.batch_size(), 32);
  EXPECT_EQ(asked.long_polling_timeout().seconds(), 5);
  const auto acknowledged = server_.Asked<v2::AckMessageRequest>("AckMessage");
  ASSERT_EQ(acknowledged.entries_size(), 2);
  EXPECT_EQ(acknowledged.entries(1).receipt_handle(), "handle 6");
  EXPECT_EQ(out_.str(),
            "QUEUE  OFFSET    ATTEMPT  TAG           BODY\n"
            "2      5         1        -             body 5\n"
            "2      6         1        -             body 6\n");
}

TEST_F(ReceiveTest, StopsAtTheMaximum) {
  server_.On("ReceiveMessage", Received({Delivered(5)}));
  EXPECT_EQ(Run({"message", "receive", "orders", "--group", "readers", "--max", "2"}), kExitOk) << err_.str();
  EXPECT_EQ(server_.Asked<v2::ReceiveMessageRequest>("ReceiveMessage", 0).batch_size(), 2);
  EXPECT_EQ(server_.Asked<v2::ReceiveMessageRequest>("ReceiveMessage", 1).batch_size(), 1);
  EXPECT_EQ(server_.requests.size(), 5u);
}

TEST_F(ReceiveTest, NoAckGivesBackWhatItHasShownAtTheEnd) {
  server_.On("ReceiveMessage", Received({Delivered(5)}));
  server_.On("ReceiveMessage", Received({Delivered(6)}));
  server_.On("ReceiveMessage", Received({}));
  v2::ChangeInvisibleDurationResponse changed;
  changed.mutable_status()->set_code(v2::OK);
  server_.On("ChangeInvisibleDuration", changed);
  EXPECT_EQ(Run({"message", "receive", "orders", "--group", "readers", "--no-ack"}), kExitOk) << err_.str();
  EXPECT_THAT(server_.Methods(),
              ElementsAre("ReceiveMessage", "ReceiveMessage", "ReceiveMessage", "ChangeInvisibleDuration",
                          "ChangeInvisibleDuration", "NotifyClientTermination"));
  const auto asked = server_.Asked<v2::ChangeInvisibleDurationRequest>("ChangeInvisibleDuration", 1);
  EXPECT_EQ(asked.receipt_handle(), "handle 6");
  EXPECT_EQ(asked.invisible_duration().seconds(), 0);
  EXPECT_TRUE(asked.suspend());
}

TEST_F(ReceiveTest, NothingInTimeIsNoError) {
  server_.On("ReceiveMessage", Received({}));
  EXPECT_EQ(Run({"message", "receive", "orders", "--group", "readers", "--wait", "1500ms"}), kExitOk);
  EXPECT_EQ(out_.str(), "");
  EXPECT_EQ(err_.str(), "millrace: no message within 1500ms\n");
  EXPECT_EQ(server_.Asked<v2::ReceiveMessageRequest>("ReceiveMessage").long_polling_timeout().nanos(), 500'000'000);
}

TEST_F(ReceiveTest, AnAckThatIsRefusedIsReported) {
  FakeServer server;
  std::swap(server_, server);
  server_.On("ReceiveMessage", Received({Delivered(5)}));
  v2::AckMessageResponse refused;
  refused.mutable_status()->set_code(v2::INVALID_RECEIPT_HANDLE);
  v2::AckMessageResultEntry& entry = *refused.add_entries();
  entry.set_message_id("ID5");
  entry.mutable_status()->set_code(v2::INVALID_RECEIPT_HANDLE);
  entry.mutable_status()->set_message("the lease has ended");
  server_.On("AckMessage", refused);
  EXPECT_EQ(Run({"message", "receive", "orders", "--group", "readers", "--max=1"}), kExitConflict);
  EXPECT_THAT(err_.str(), HasSubstr("message ID5 is not acknowledged: the lease has ended"));
}

TEST_F(ReceiveTest, JsonHasOneMessagePerLineAndKeepsEveryByte) {
  v2::Message message = Delivered(5);
  message.set_body(std::string("\x00\xff", 2));
  message.mutable_system_properties()->set_tag("red");
  (*message.mutable_user_properties())["b"] = "2";
  (*message.mutable_user_properties())["a"] = "1";
  server_.On("ReceiveMessage", Received({message}));
  EXPECT_EQ(Run({"message", "receive", "orders", "--group", "readers", "--max=1", "-o", "json"}), kExitOk);
  EXPECT_EQ(out_.str(),
            R"({"topic":"orders","queue":2,"offset":5,"message_id":"ID5","type":"NORMAL","encoding":"IDENTITY",)"
            R"("attempt":1,"tag":"red","keys":[],"properties":{"a":"1","b":"2"},"born":"2023-11-14T22:13:20.000Z",)"
            R"("born_host":"host","stored":"2023-11-14T22:13:21.000Z","body_base64":"AP8="})"
            "\n");
}

TEST_F(CliTest, GetShowsOneMessage) {
  v1::GetMessageResponse response = Ok<v1::GetMessageResponse>();
  *response.mutable_message() = Delivered(5);
  response.mutable_message()->set_body("two\nlines");
  server_.On("GetMessage", response);
  EXPECT_EQ(Run({"message", "get", "orders", "2", "5"}), kExitOk) << err_.str();
  const auto asked = server_.Asked<v1::GetMessageRequest>("GetMessage");
  EXPECT_EQ(asked.queue(), 2u);
  EXPECT_EQ(asked.offset(), 5);
  EXPECT_EQ(out_.str(),
            "TOPIC       orders\n"
            "QUEUE       2\n"
            "OFFSET      5\n"
            "MESSAGE-ID  ID5\n"
            "TYPE        NORMAL\n"
            "TAG         -\n"
            "KEYS        -\n"
            "BORN        2023-11-14T22:13:20.000Z at host\n"
            "STORED      2023-11-14T22:13:21.000Z\n"
            "BYTES       9\n"
            "BODY        two\\nlines\n");
}

}  // namespace
}  // namespace millrace::cli
