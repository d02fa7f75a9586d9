#pragma once

#include <cstdlib>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/mutex.h"
#include "core/metadata.h"
#include "gtest/gtest.h"
#include "io/posix_file_system.h"
#include "model/stored_message.h"
#include "services/broker/broker.h"
#include "services/proxy/link_client.h"
#include "tests/support/frame_relay.h"

namespace millrace::testing_support {

// What a call got, once it has.
class Reply {
 public:
  void Set(const link::Record& record) {
    base::MutexLock lock(mu_);
    MR_CHECK(!code_.has_value());  // exactly once
    if (record.op == link::Op::kSendReply) {
      const auto reply = link::Decode<link::SendReply>(record.payload);
      code_ = reply->code;
      offset_ = reply->first_offset;
      text_.assign(reply->text.data(), reply->text.size());
    } else {
      const auto reply = link::Decode<link::Reply>(record.payload);
      code_ = reply->code;
      text_.assign(reply->text.data(), reply->text.size());
      payload_.assign(reply->payload.data(), reply->payload.size());
    }
  }
  std::optional<std::uint32_t> code() const {
    base::MutexLock lock(mu_);
    return code_;
  }
  std::string text() const {
    base::MutexLock lock(mu_);
    return text_;
  }
  std::string payload() const {
    base::MutexLock lock(mu_);
    return payload_;
  }

 private:
  mutable base::Mutex mu_;
  std::optional<std::uint32_t> code_ ABSL_GUARDED_BY(mu_);
  std::int64_t offset_ ABSL_GUARDED_BY(mu_) = 0;
  std::string text_ ABSL_GUARDED_BY(mu_), payload_ ABSL_GUARDED_BY(mu_);
};
using ReplyPtr = std::shared_ptr<Reply>;

struct Got {
  std::string body, handle;
  std::int64_t offset = 0;
  std::uint32_t attempt = 0;
  std::uint64_t answer = 0;
};

// What a receive got so far. It returns no credit and reports nothing: the test does.
class Received final : public proxy::BrokerLink::Receiver {
 public:
  void OnDelivery(const link::Delivery& delivery) override {
    const auto view = model::ParseStoredMessage(delivery.stored);
    base::MutexLock lock(mu_);
    bytes_ += delivery.stored.size();
    messages_.push_back({view ? std::string(view->body) : "?", std::string(delivery.handle), delivery.queue_offset,
                         delivery.attempt, delivery.answer});
  }
  void OnEnd(const link::DeliveryEnd& end) override {
    base::MutexLock lock(mu_);
    code_ = end.code;
  }
  std::optional<std::uint32_t> code() const {
    base::MutexLock lock(mu_);
    return code_;
  }
  std::vector<Got> messages() const {
    base::MutexLock lock(mu_);
    return messages_;
  }
  std::size_t bytes() const {
    base::MutexLock lock(mu_);
    return bytes_;
  }

 private:
  mutable base::Mutex mu_;
  std::vector<Got> messages_ ABSL_GUARDED_BY(mu_);
  std::size_t bytes_ ABSL_GUARDED_BY(mu_) = 0;
  std::optional<std::uint32_t> code_ ABSL_GUARDED_BY(mu_);
};
using ReceivedPtr = std::shared_ptr<Received>;

// One proxy's link to the broker, over a relay of its own.
class Peer {
 public:
  // `broker` says where the broker is now; nullptr: down.
  Peer(const base::Clock& clock, std::function<broker::Broker*()> broker, std::uint32_t credit_bytes)
      : relay(clock),
        link({.proxy_name = "test", .credit_bytes = credit_bytes, .tick_millis = 0}, clock,
             [this, broker = std::move(broker)](const std::shared_ptr<link::Session>& mine) {
               broker::Broker* there = broker();
               if (there == nullptr) return mine->Close(absl::UnavailableError("the broker is down"));
               relay.Join(mine, there->links().NewStream());
             }) {}

  ReplyPtr Call(link::Op op, std::string payload, std::int64_t timeout = 10'000) {
    auto reply = std::make_shared<Reply>();
    link.Call(op, std::move(payload), timeout, [reply](const link::Record& record) { reply->Set(record); });
    return reply;
  }
  ReplyPtr Send(const std::string& topic, const std::string& body, std::int64_t timeout = 10'000) {
    const std::string stored = model::EncodeStoredMessage({.message_type = 1, .md5 = base::Md5(body), .body = body});
    std::string payload;
    Encode(link::SendRequest{.topic = topic, .message_type = 1, .messages = {{.stored = stored}}}, payload);
    return Call(link::Op::kSend, std::move(payload), timeout);
  }
  ReplyPtr Ack(const std::string& topic, const std::string& handle, std::int64_t timeout = 10'000) {
    std::string payload;
    Encode(link::HandleRequest{.topic = topic, .group = "g", .handle = handle}, payload);
    return Call(link::Op::kAck, std::move(payload), timeout);
  }
  ReplyPtr Query(core::QueryKind kind, const std::string& name) {
    std::string payload;
    Encode(link::MetadataRequest{.kind = static_cast<std::uint32_t>(kind), .name = name}, payload);
    return Call(link::Op::kQuery, std::move(payload));
  }

  struct Poll {
    std::string client = "c";
    std::string group = "g";
    std::uint32_t batch = 32;
    std::int64_t wait = 5'000;
    bool auto_renew = false;
    std::int64_t timeout = 60'000;
  };
  ReceivedPtr Receive(const std::string& topic, const Poll& poll) {
    auto received = std::make_shared<Received>();
    std::string payload;
    Encode(link::ReceiveRequest{.topic = topic,
                                .group = poll.group,
                                .client = poll.client,
                                .filter = "*",
                                .invisible_millis = poll.auto_renew ? 0 : 30'000,
                                .wait_millis = poll.wait,
                                .batch = poll.batch,
                                .bytes_max = 8 << 20,
                                .auto_renew = poll.auto_renew,
                                .auto_create = true},
           payload);
    last_receive = link.Receive(std::move(payload), poll.timeout, received);
    return received;
  }
  ReceivedPtr Receive(const std::string& topic) { return Receive(topic, Poll{}); }

  FrameRelay relay;
  std::uint64_t last_receive = 0;
  proxy::LinkClient link;  // goes first
};

// A broker and links to it in one process. Time is the test's; the store is below a directory of its own.
class LinkFixture : public testing::Test {
 protected:
  LinkFixture() : posix_(io::MakePosixFileSystem()) {
    char name[] = "/tmp/millrace-link-test-XXXXXX";
    MR_CHECK(mkdtemp(name) != nullptr);
    directory_ = name;
  }
  ~LinkFixture() override {
    for (const auto& peer : peers_) peer->relay.CutAll();
    peers_.clear();
    broker_.reset();
    std::filesystem::remove_all(directory_);
  }

  void Start(io::FileSystem& fs) {
    broker::BrokerOptions options;
    options.data_directory = directory_ + "/broker";
    options.home = "broker-a";
    options.log.segment_bytes = 8 << 20;
    auto opened = broker::Broker::Open(options, fs, clock_, topics_);
    MR_CHECK(opened.ok());
    broker_ = *std::move(opened);
    if (control_ == nullptr) control_ = AddPeer();
  }
  void Start() { Start(*posix_); }
  // As a kill.
  void Kill() {
    std::unique_ptr<broker::Broker> dying = std::move(broker_);
    for (const auto& peer : peers_) peer->relay.CutAll();
    dying.reset();
  }

  Peer* AddPeer(std::uint32_t credit_bytes = 64u << 20) {
    peers_.push_back(std::make_unique<Peer>(
        clock_, [this] { return broker_.get(); }, credit_bytes));
    return peers_.back().get();
  }

  // Ticks links until `so`; false after 20 s of real time. The test's time hardly moves.
  [[nodiscard]] bool Until(const std::function<bool()>& so) {
    const auto begun = std::chrono::steady_clock::now();
    for (int round = 0; !so(); ++round) {
      if (std::chrono::steady_clock::now() - begun > std::chrono::seconds(20)) return false;
      // Answers of frames need time to pass.
      if (round % (round < 20 * 256 ? 256 : 1 << 15) == 255) clock_.Advance(1);
      for (const auto& peer : peers_) peer->link.Tick();
      std::this_thread::yield();
    }
    return true;
  }
  std::uint32_t CodeOf(const ReplyPtr& reply) {
    return Until([&] { return reply->code().has_value(); }) ? *reply->code() : 0;
  }
  std::uint32_t CodeOf(const ReceivedPtr& received) {
    return Until([&] { return received->code().has_value(); }) ? *received->code() : 0;
  }
  void Connect(Peer& peer) {
    clock_.Advance(100);  // the time between attempts
    ASSERT_TRUE(Until([&] { return peer.link.up(); }));
  }
  // The broker has done everything that it was asked before, and has answered every frame: that takes it a millisecond.
  void Turn() {
    for (int i = 0; i < 3; ++i) {
      clock_.Advance(2);
      ASSERT_EQ(CodeOf(control_->Query(core::QueryKind::kTopics, "")), 20000u);
    }
  }

  // Moves time in steps that keep healthy links alive; the core has taken each of them.
  void Advance(std::int64_t millis) {
    while (millis > 0) {
      const std::int64_t step = std::min<std::int64_t>(millis, 500);
      clock_.Advance(step);
      millis -= step;
      for (const auto& peer : peers_) peer->link.Tick();
      Turn();
    }
  }

  void CreateTopic(const std::string& name, std::uint32_t queues = 1) {
    std::string config, payload;
    core::Encode(core::TopicConfig{.name = name, .queues = queues}, config);
    Encode(link::MetadataRequest{.kind = 0, .name = name, .config = config}, payload);
    ASSERT_EQ(CodeOf(control_->Call(link::Op::kPutTopic, payload)), 20000u);
  }
  // Sums over the queues of topic "t" and group "g".
  core::QueueProgress Progress() {
    core::QueueProgress sum;
    const auto reply = control_->Query(core::QueryKind::kGroupProgress, "g");
    EXPECT_EQ(CodeOf(reply), 20000u) << reply->text();
    const auto progress = core::DecodeProgress(reply->payload());
    if (!progress) return sum;
    for (const auto& queue : progress->queues) {
      if (queue.queue < 0) continue;
      sum.maximum += queue.maximum;
      sum.ready += queue.ready;
      sum.claimed += queue.claimed;
      sum.in_flight += queue.in_flight;
      sum.waiting += queue.waiting;
      sum.acknowledged += queue.acknowledged;
    }
    return sum;
  }

  class NoTopics final : public broker::TopicListener {
   public:
    void OnTopic(const core::TopicConfig&) override {}
    void OnTopicDeleted(std::uint64_t, absl::string_view) override {}
  };

  base::ManualClock clock_;
  std::unique_ptr<io::FileSystem> posix_;
  NoTopics topics_;
  std::string directory_;
  std::unique_ptr<broker::Broker> broker_;
  std::vector<std::unique_ptr<Peer>> peers_;
  Peer* control_ = nullptr;  // a link without faults
};

}  // namespace millrace::testing_support
