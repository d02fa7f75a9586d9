// A broker and a proxy's link to it in one process, over the in-process link: the store is on a real disk.
#include <cstdlib>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/digest.h"
#include "core/metadata.h"
#include "gtest/gtest.h"
#include "io/posix_file_system.h"
#include "link/session.h"
#include "model/stored_message.h"
#include "model/tag_filter.h"
#include "services/broker/broker.h"
#include "services/proxy/link_client.h"

namespace millrace {
namespace {

using namespace std::chrono_literals;

class NoTopics final : public broker::TopicListener {
 public:
  void OnTopic(const core::TopicConfig&) override {}
  void OnTopicDeleted(std::uint64_t, absl::string_view) override {}
};

std::string Stored(const std::string& body) {
  return model::EncodeStoredMessage({.message_type = 1, .md5 = base::Md5(body), .body = body});
}

// What a receive got.
class Inbox final : public proxy::BrokerLink::Receiver {
 public:
  struct Message {
    std::string body, handle;
    std::int64_t offset;
    std::uint32_t attempt;
  };
  void OnDelivery(const link::Delivery& delivery) override {
    const auto view = model::ParseStoredMessage(delivery.stored);
    ASSERT_TRUE(view.has_value());
    messages.push_back(
        {std::string(view->body), std::string(delivery.handle), delivery.queue_offset, delivery.attempt});
  }
  void OnEnd(const link::DeliveryEnd& end) override {
    const std::lock_guard lock(mu);
    code = end.code;
    answer = end.answer;
    ended.notify_all();
  }
  std::vector<Message> messages;
  std::mutex mu;
  std::condition_variable ended;
  std::uint32_t code = 0;
  std::uint64_t answer = 0;
};

class BrokerTest : public testing::Test {
 protected:
  BrokerTest() {
    char name[] = "/tmp/millrace-broker-test-XXXXXX";
    directory_ = mkdtemp(name);
    Start();
  }
  ~BrokerTest() override {
    client_.reset();
    broker_.reset();
    std::filesystem::remove_all(directory_);
  }

  void Start() {
    broker::BrokerOptions options;
    options.data_directory = directory_;
    options.home = "broker-a";
    options.log.segment_bytes = 8 << 20;
    auto opened = broker::Broker::Open(options, *fs_, clock_, topics_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    broker_ = *std::move(opened);
    client_ = std::make_unique<proxy::LinkClient>(
        proxy::LinkClient::Options{.proxy_name = "test"}, clock_, [this](const std::shared_ptr<link::Session>& mine) {
          const auto theirs = broker_->links().NewStream();
          auto [to_mine, to_theirs] = link::ConnectInProcess(theirs, mine, [this] { return clock_.MonotonicMillis(); });
          theirs->Attach(to_mine);
          mine->Attach(to_theirs);
        });
  }
  // As a kill: nothing is flushed that was not.
  void Kill() {
    client_.reset();
    broker_.reset();
  }

  // Blocks for the reply. {code, text or payload}
  std::pair<std::uint32_t, std::string> Call(link::Op op, std::string payload) {
    std::mutex mu;
    std::condition_variable changed;
    bool done = false;
    std::pair<std::uint32_t, std::string> result;
    client_->Call(op, std::move(payload), 10'000, [&](const link::Record& record) {
      const std::lock_guard lock(mu);
      if (record.op == link::Op::kSendReply) {
        const auto reply = link::Decode<link::SendReply>(record.payload);
        result = {reply->code, std::to_string(reply->first_offset)};
      } else {
        const auto reply = link::Decode<link::Reply>(record.payload);
        result = {reply->code, std::string(reply->text) + std::string(reply->payload)};
      }
      done = true;
      changed.notify_all();
    });
    std::unique_lock lock(mu);
    EXPECT_TRUE(changed.wait_for(lock, 20s, [&] { return done; }));
    return result;
  }

  void CreateTopic(const std::string& name, std::uint32_t queues = 1) {
    std::string config, payload;
    core::Encode(core::TopicConfig{.name = name, .queues = queues}, config);
    link::Encode(link::MetadataRequest{.kind = 0, .name = name, .config = config}, payload);
    const auto reply = Call(link::Op::kPutTopic, payload);
    EXPECT_EQ(reply.first, 20000u) << reply.second;
  }

  std::pair<std::uint32_t, std::string> Send(const std::string& topic, const std::string& body) {
    const std::string stored = Stored(body);
    std::string payload;
    link::Encode(link::SendRequest{.topic = topic, .message_type = 1, .messages = {{.stored = stored}}}, payload);
    return Call(link::Op::kSend, payload);
  }

  std::vector<Inbox::Message> Receive(const std::string& topic, std::uint32_t batch = 32, std::int64_t wait = 0) {
    auto inbox = std::make_shared<Inbox>();
    std::string payload;
    link::Encode(link::ReceiveRequest{.topic = topic,
                                      .group = "g",
                                      .client = "c",
                                      .filter = "*",
                                      .invisible_millis = 30'000,
                                      .wait_millis = wait,
                                      .batch = batch,
                                      .bytes_max = 8 << 20,
                                      .auto_create = true},
                 payload);
    client_->Receive(payload, 30'000, inbox);
    std::unique_lock lock(inbox->mu);
    EXPECT_TRUE(inbox->ended.wait_for(lock, 30s, [&] { return inbox->code != 0; }));
    if (inbox->answer != 0) client_->ReportAnswer(inbox->answer, true);
    return inbox->messages;
  }

  std::uint32_t Ack(const std::string& topic, const std::string& handle) {
    std::string payload;
    link::Encode(link::HandleRequest{.topic = topic, .group = "g", .handle = handle}, payload);
    return Call(link::Op::kAck, payload).first;
  }

  base::SystemClock clock_;
  std::unique_ptr<io::FileSystem> fs_ = io::MakePosixFileSystem();
  NoTopics topics_;
  std::string directory_;
  std::unique_ptr<broker::Broker> broker_;
  std::unique_ptr<proxy::LinkClient> client_;
};

TEST_F(BrokerTest, AMessageIsSentReceivedAndAcknowledged) {
  CreateTopic("t");
  EXPECT_EQ(Send("t", "hello").first, 20000u);
  const auto messages = Receive("t");
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].body, "hello");
  EXPECT_EQ(messages[0].attempt, 1u);
  EXPECT_EQ(Ack("t", messages[0].handle), 20000u);
  EXPECT_EQ(Ack("t", messages[0].handle), 20000u);
  EXPECT_EQ(Ack("t", "rubbish"), 40013u);
  EXPECT_TRUE(Receive("t").empty());
}

TEST_F(BrokerTest, AWaitingReceiveIsWokenByASend) {
  CreateTopic("t");
  std::thread sender([this] {
    while (broker_->totals().waiting_receives == 0) std::this_thread::yield();
    Send("t", "late");
  });
  const auto messages = Receive("t", 32, 20'000);
  sender.join();
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].body, "late");
}

TEST_F(BrokerTest, WhatWasAnsweredIsThereAfterAKillAndWhatWasAcknowledgedIsNot) {
  CreateTopic("t", 4);
  for (int i = 0; i < 100; ++i) ASSERT_EQ(Send("t", "m" + std::to_string(i)).first, 20000u);
  auto first = Receive("t", 10);
  ASSERT_FALSE(first.empty());
  const std::size_t acknowledged = first.size();
  for (const auto& message : first) EXPECT_EQ(Ack("t", message.handle), 20000u);
  Kill();
  Start();
  std::size_t left = 0;
  for (auto batch = Receive("t"); !batch.empty(); batch = Receive("t")) {
    left += batch.size();
    for (const auto& message : batch) EXPECT_EQ(Ack("t", message.handle), 20000u);
  }
  EXPECT_EQ(left, 100 - acknowledged);
}

TEST_F(BrokerTest, ATopicThatIsMadeAgainSharesNothingWithTheOldOne) {
  CreateTopic("t");
  ASSERT_EQ(Send("t", "old").first, 20000u);
  ASSERT_EQ(Send("t", "old too").first, 20000u);
  const auto old = Receive("t", 1);
  ASSERT_EQ(old.size(), 1u);
  std::string name;
  link::Encode(link::MetadataRequest{.name = "t"}, name);
  ASSERT_EQ(Call(link::Op::kDeleteTopic, name).first, 20000u);
  EXPECT_EQ(Send("t", "nowhere").first, 40402u);
  CreateTopic("t");
  EXPECT_EQ(Ack("t", old[0].handle), 40013u);
  EXPECT_TRUE(Receive("t").empty());
  EXPECT_EQ(Send("t", "new"), std::make_pair(20000u, std::string("0")));
  Kill();
  Start();
  EXPECT_EQ(Ack("t", old[0].handle), 40013u);
  const auto fresh = Receive("t");
  ASSERT_EQ(fresh.size(), 1u);
  EXPECT_EQ(fresh[0].body, "new");
}

TEST_F(BrokerTest, ACleanStopNeedsNoReplay) {
  CreateTopic("t");
  ASSERT_EQ(Send("t", "kept").first, 20000u);
  client_.reset();
  ASSERT_TRUE(broker_->Stop().ok());
  broker_.reset();
  Start();
  EXPECT_EQ(Receive("t").size(), 1u);
}

}  // namespace
}  // namespace millrace
