// One link's proxy end in one thread: the test plays the broker and moves the clock.
#include "services/proxy/link_client.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace millrace::proxy {
namespace {

using link::Op;

// Keeps frames until the test hands them on.
class HeldSink final : public link::FrameSink {
 public:
  void Write(std::string frame) override { frames.push_back(std::move(frame)); }
  void Close() override { closed = true; }
  std::deque<std::string> frames;
  bool closed = false;
};

struct Heard {
  Op op;
  std::uint64_t correlation;
  std::uint32_t budget;
  std::string payload;
};

// The broker's end of one stream. Nothing moves but by Move().
struct Stream {
  std::shared_ptr<link::Session> proxy, broker;
  std::shared_ptr<HeldSink> from_proxy = std::make_shared<HeldSink>(), from_broker = std::make_shared<HeldSink>();
};

class Receiver final : public BrokerLink::Receiver {
 public:
  void OnDelivery(const link::Delivery& delivery) override { bodies.emplace_back(delivery.stored); }
  void OnEnd(const link::DeliveryEnd& end) override { ends.push_back(end.code); }
  std::vector<std::string> bodies;
  std::vector<std::uint32_t> ends;
};

class LinkClientTest : public testing::Test {
 protected:
  LinkClientTest() { Make({.proxy_name = "p", .credit_bytes = 1'000, .send_bytes_max = 1'000, .tick_millis = 0}); }

  void Make(const LinkClient::Options& options) {
    client_ = std::make_unique<LinkClient>(options, clock_, [this](const std::shared_ptr<link::Session>& session) {
      if (refuse_) return session->Close(absl::UnavailableError("nobody listens"));
      Stream& stream = streams_.emplace_back();
      stream.proxy = session;
      stream.broker = std::make_shared<link::Session>(
          link::SessionOptions{.window = 1'000, .answer_after = 1}, clock_.MonotonicMillis(),
          [this](const link::Record& record) {
            if (record.op == Op::kHello) return hellos_.push_back(*link::Decode<link::Hello>(record.payload));
            heard_.push_back({record.op, record.correlation, record.budget_millis, std::string(record.payload)});
          },
          [](const absl::Status&) {});
      stream.broker->Attach(stream.from_broker);
      session->Attach(stream.from_proxy);
    });
  }

  link::Session& requests() { return *streams_.at(streams_.size() - 2).broker; }
  link::Session& bodies() { return *streams_.back().broker; }

  // Hands every frame on until there is none.
  void Move() {
    for (bool moved = true; moved;) {
      moved = false;
      for (Stream& stream : streams_) {
        moved = Hand(*stream.from_proxy, *stream.broker) || moved;
        moved = Hand(*stream.from_broker, *stream.proxy) || moved;
      }
    }
  }
  bool Hand(HeldSink& from, link::Session& to) {
    if (from.frames.empty()) return false;
    const std::string frame = std::move(from.frames.front());
    from.frames.pop_front();
    to.OnFrame(frame, clock_.MonotonicMillis());
    return true;
  }

  void SayHello(std::uint64_t start_number = 7, std::uint64_t of_bodies = 0) {
    for (std::uint32_t stream : {0u, 1u}) {
      std::string payload;
      Encode(link::Hello{.cluster = "c",
                         .name = "broker-a",
                         .process = stream == 1 && of_bodies != 0 ? of_bodies : start_number,
                         .stream = stream},
             payload);
      (stream == 0 ? requests() : bodies()).Send({.op = Op::kHello, .payload = payload});
    }
    Move();
  }
  void Connect() {
    client_->Tick();
    Move();
    SayHello();
    ASSERT_TRUE(client_->up());
  }
  // The transport of the newest link ends.
  void Break() {
    streams_.back().proxy->OnTransportEnded(absl::UnavailableError("cut"));
    EXPECT_FALSE(client_->up());
  }
  void Reconnect() {
    clock_.Advance(100);
    Connect();
  }

  void Call(Op op, const std::string& payload, std::int64_t timeout = 10'000) {
    const std::size_t place = replies_.size();
    replies_.emplace_back();
    client_->Call(op, payload, timeout, [this, place](const link::Record& record) {
      ASSERT_FALSE(replies_[place].has_value()) << "answered twice";
      replies_[place] = link::Decode<link::Reply>(record.payload)->code;
    });
    Move();
  }
  void Reply(std::uint64_t correlation, std::uint32_t code) {
    std::string payload;
    Encode(link::Reply{.code = code}, payload);
    requests().Send({.correlation = correlation, .op = Op::kReply, .payload = payload});
    Move();
  }
  void Deliver(std::uint64_t correlation, std::uint64_t answer, const std::string& body) {
    std::string payload;
    Encode(link::Delivery{.answer = answer, .handle = "h", .stored = body}, payload);
    bodies().Send({.correlation = correlation, .op = Op::kDelivery, .payload = payload});
    Move();
  }
  void EndDelivery(std::uint64_t correlation, std::uint64_t answer) {
    std::string payload;
    Encode(link::DeliveryEnd{.code = 20000, .answer = answer}, payload);
    bodies().Send({.correlation = correlation, .op = Op::kDeliveryEnd, .payload = payload});
    Move();
  }
  std::vector<Heard> TakeHeard(Op op) {
    std::vector<Heard> found;
    for (Heard& heard : heard_) {
      if (heard.op == op) found.push_back(heard);
    }
    std::erase_if(heard_, [op](const Heard& heard) { return heard.op == op; });
    return found;
  }
  std::vector<std::uint64_t> Credits() {
    std::vector<std::uint64_t> sums;
    for (const Heard& heard : TakeHeard(Op::kCredit)) sums.push_back(link::Decode<link::Credit>(heard.payload)->bytes);
    return sums;
  }

  base::ManualClock clock_;
  std::deque<Stream> streams_;
  std::vector<link::Hello> hellos_;
  std::vector<Heard> heard_;
  std::vector<std::optional<std::uint32_t>> replies_;
  bool refuse_ = false;
  std::unique_ptr<LinkClient> client_;
};

TEST_F(LinkClientTest, BothStreamsSayTheSameHelloFirst) {
  Connect();
  ASSERT_EQ(hellos_.size(), 2u);
  EXPECT_EQ(hellos_[0].process, hellos_[1].process);
  EXPECT_EQ(hellos_[0].stream, 0u);
  EXPECT_EQ(hellos_[1].stream, 1u);
  EXPECT_EQ(hellos_[1].credit_bytes, 1'000u);
  EXPECT_EQ(client_->broker_set(), "broker-a");
}

TEST_F(LinkClientTest, ABrokerThatSaysNoHelloIsLeftAfterThreeSeconds) {
  client_->Tick();
  Move();
  clock_.Advance(2'999);
  client_->Tick();
  EXPECT_FALSE(streams_.back().from_proxy->closed);
  clock_.Advance(1);
  client_->Tick();
  EXPECT_TRUE(streams_.front().from_proxy->closed);
  EXPECT_TRUE(streams_.back().from_proxy->closed);
  Reconnect();
  EXPECT_EQ(streams_.size(), 4u);
}

TEST_F(LinkClientTest, HelloOnOneStreamIsNotALink) {
  client_->Tick();
  Move();
  std::string payload;
  Encode(link::Hello{.cluster = "c", .name = "broker-a", .process = 7}, payload);
  requests().Send({.op = Op::kHello, .payload = payload});
  Move();
  EXPECT_FALSE(client_->up());
  for (int i = 0; i < 3; ++i) {
    requests().Send({.op = Op::kPing});  // alive, but never whole
    Move();
    clock_.Advance(1'000);
    client_->Tick();
  }
  EXPECT_TRUE(streams_.back().from_proxy->closed);
}

TEST_F(LinkClientTest, StreamsOfTwoStartsOfABrokerAreNoLink) {
  client_->Tick();
  Move();
  SayHello(7, 8);
  EXPECT_FALSE(client_->up());
  EXPECT_TRUE(streams_.back().from_proxy->closed);
}

TEST_F(LinkClientTest, AnotherVersionOrClusterIsRefused) {
  client_->Tick();
  Move();
  std::string payload;
  Encode(link::Hello{.version = 99, .cluster = "c", .name = "broker-a"}, payload);
  requests().Send({.op = Op::kHello, .payload = payload});
  Move();
  EXPECT_TRUE(streams_.front().from_proxy->closed);
  client_.reset();

  Make({.cluster = "mine", .tick_millis = 0});
  client_->Tick();
  Move();
  SayHello();
  EXPECT_FALSE(client_->up());
  EXPECT_TRUE(streams_.back().from_proxy->closed);
}

TEST_F(LinkClientTest, WhatWasNeverSentWaitsForTheLinkInOrder) {
  Call(Op::kSend, "first");
  Call(Op::kAck, "second");
  Call(Op::kSend, "third");
  clock_.Advance(4'000);
  Connect();
  ASSERT_EQ(heard_.size(), 3u);
  EXPECT_EQ(heard_[0].payload, "first");
  EXPECT_EQ(heard_[1].payload, "second");
  EXPECT_EQ(heard_[2].payload, "third");
  EXPECT_EQ(heard_[0].budget, 6'000u);
  Reply(heard_[0].correlation, 20000);
  EXPECT_EQ(replies_[0], 20000u);
}

TEST_F(LinkClientTest, WhatWasNeverSentEndsWithItsTime) {
  refuse_ = true;
  Call(Op::kSend, "send", 500);
  Call(Op::kQuery, "query", 1'000);
  clock_.Advance(500);
  client_->Tick();
  EXPECT_EQ(replies_[0], 50400u);
  EXPECT_FALSE(replies_[1].has_value());
  clock_.Advance(500);
  client_->Tick();
  EXPECT_EQ(replies_[1], 50400u);
  refuse_ = false;
  Reconnect();
  EXPECT_TRUE(heard_.empty());
}

TEST_F(LinkClientTest, ASendInFlightEndsUnknownAndIsNeverSentAgain) {
  Connect();
  Call(Op::kSend, "send");
  ASSERT_EQ(TakeHeard(Op::kSend).size(), 1u);
  Break();
  EXPECT_EQ(replies_[0], 50400u);
  Reconnect();
  EXPECT_TRUE(TakeHeard(Op::kSend).empty());
}

TEST_F(LinkClientTest, AcksChangesAndQueriesAreSentAgainUntilTheirTime) {
  Connect();
  for (const Op op : {Op::kAck, Op::kChangeInvisible, Op::kForwardDeadLetter, Op::kQuery, Op::kClientTerminated}) {
    Call(op, "again");
  }
  Call(Op::kAck, "late", 50);
  heard_.clear();
  Break();
  Reconnect();
  EXPECT_EQ(replies_[5], 50400u);
  ASSERT_EQ(heard_.size(), 5u);
  const auto resent = heard_;
  for (std::size_t i = 0; i < resent.size(); ++i) {
    EXPECT_EQ(resent[i].payload, "again");
    EXPECT_FALSE(replies_[i].has_value());
    Reply(resent[i].correlation, 20000);
    EXPECT_EQ(replies_[i], 20000u);
  }
}

TEST_F(LinkClientTest, AnAnswerThatDoesNotComeEndsTheCallAndItsLateAnswerIsDropped) {
  Connect();
  Call(Op::kAck, "ack", 300);
  const auto asked = TakeHeard(Op::kAck);
  clock_.Advance(300);
  client_->Tick();
  EXPECT_EQ(replies_[0], 50400u);
  Reply(asked.at(0).correlation, 20000);  // replies_ would complain
}

TEST_F(LinkClientTest, FramesOfAnOldLinkAreDropped) {
  Connect();
  Call(Op::kAck, "ack");
  const auto asked = TakeHeard(Op::kAck);
  Stream& old = streams_.front();
  std::string payload;
  Encode(link::Reply{.code = 50001}, payload);
  old.broker->Send({.correlation = asked.at(0).correlation, .op = Op::kReply, .payload = payload});  // held
  Break();
  clock_.Advance(100);
  client_->Tick();
  Move();  // the old frame arrives at last
  EXPECT_FALSE(replies_[0].has_value());
}

TEST_F(LinkClientTest, SendsBeyondWhatMayQueueAreRefusedAtOnce) {
  Call(Op::kSend, std::string(600, 'a'));
  Call(Op::kSend, std::string(600, 'b'));
  EXPECT_FALSE(replies_[0].has_value());
  EXPECT_EQ(replies_[1], 42900u);
  Call(Op::kAck, std::string(600, 'c'));
  EXPECT_FALSE(replies_[2].has_value());
  Connect();
  // With the link up what counts is what no frame has taken, and few frames are unanswered at a time.
  EXPECT_EQ(TakeHeard(Op::kSend).size(), 1u);
  const auto send = [&](char body) {
    const std::size_t place = replies_.size();
    replies_.emplace_back();
    client_->Call(Op::kSend, std::string(600, body), 10'000, [this, place](const link::Record& record) {
      replies_[place] = link::Decode<link::Reply>(record.payload)->code;
    });
  };
  for (const char body : {'1', '2', '3', '4', '5'}) send(body);  // nothing moves
  EXPECT_EQ(replies_.back(), 42900u);
  const auto taken = std::count(replies_.end() - 5, replies_.end(), std::nullopt);
  EXPECT_GE(taken, 1);
  Move();
  EXPECT_EQ(TakeHeard(Op::kSend).size(), static_cast<std::size_t>(taken));
}

TEST_F(LinkClientTest, AReceiveGetsItsDeliveriesAndItsEnd) {
  Connect();
  auto receiver = std::make_shared<Receiver>();
  const std::uint64_t number = client_->Receive("r", 10'000, receiver);
  Move();
  EXPECT_EQ(TakeHeard(Op::kReceive).at(0).correlation, number);
  Deliver(number, 5, "one");
  Deliver(number, 5, "two");
  EndDelivery(number, 5);
  EXPECT_EQ(receiver->bodies, (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(receiver->ends, std::vector<std::uint32_t>{20000});
  client_->ReportAnswer(5, true);
  client_->ReportAnswer(5, false);  // once is enough
  Move();
  const auto reports = TakeHeard(Op::kAnswerEnded);
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_TRUE(link::Decode<link::AnswerEnded>(reports[0].payload)->well);
}

TEST_F(LinkClientTest, ReceivesThatWereSentEndWithTheLinkTheOthersWait) {
  Connect();
  auto begun = std::make_shared<Receiver>(), waiting = std::make_shared<Receiver>();
  const std::uint64_t number = client_->Receive("begun", 10'000, begun);
  client_->Receive("waiting", 10'000, waiting);
  Move();
  Deliver(number, 5, "one");
  Break();
  EXPECT_EQ(begun->bodies.size(), 1u);
  EXPECT_EQ(begun->ends, std::vector<std::uint32_t>{40401});
  EXPECT_EQ(waiting->ends, std::vector<std::uint32_t>{40401});
  auto later = std::make_shared<Receiver>();
  client_->Receive("later", 10'000, later);
  heard_.clear();
  Reconnect();
  ASSERT_EQ(heard_.size(), 1u);
  EXPECT_EQ(heard_[0].payload, "later");
  client_->ReportAnswer(5, true);  // of the old link: another start may use the number again
  Move();
  EXPECT_TRUE(TakeHeard(Op::kAnswerEnded).empty());
}

TEST_F(LinkClientTest, AReceiveThatIsLateIsCancelledAndWhatComesStillGoesBack) {
  Connect();
  auto receiver = std::make_shared<Receiver>();
  const std::uint64_t number = client_->Receive("r", 300, receiver);
  Move();
  clock_.Advance(300);
  client_->Tick();
  Move();
  EXPECT_EQ(receiver->ends, std::vector<std::uint32_t>{40401});
  EXPECT_EQ(TakeHeard(Op::kReceiveCancel).at(0).correlation, number);
  Deliver(number, 9, std::string(400, 'x'));
  EXPECT_TRUE(receiver->bodies.empty());
  EXPECT_FALSE(link::Decode<link::AnswerEnded>(TakeHeard(Op::kAnswerEnded).at(0).payload)->well);
  EXPECT_EQ(Credits(), std::vector<std::uint64_t>{400});
}

TEST_F(LinkClientTest, ACancelledReceiveHearsNothingMore) {
  Connect();
  auto receiver = std::make_shared<Receiver>();
  const std::uint64_t number = client_->Receive("r", 10'000, receiver);
  client_->CancelReceive(number);
  client_->CancelReceive(number);
  Move();
  EXPECT_EQ(TakeHeard(Op::kReceiveCancel).size(), 1u);
  Deliver(number, 3, "late");
  EndDelivery(number, 3);
  EXPECT_TRUE(receiver->bodies.empty());
  EXPECT_TRUE(receiver->ends.empty());
  EXPECT_EQ(TakeHeard(Op::kAnswerEnded).size(), 1u);
}

TEST_F(LinkClientTest, CreditGathersAndGoesOutWithTheTickOrWhenItIsMuch) {
  Connect();
  auto receiver = std::make_shared<Receiver>();
  const std::uint64_t number = client_->Receive("r", 10'000, receiver);
  Move();
  Deliver(number, 1, std::string(500, 'x'));
  client_->ReturnCredit(50);
  client_->ReturnCredit(50);
  Move();
  EXPECT_TRUE(Credits().empty());
  client_->Tick();
  Move();
  EXPECT_EQ(Credits(), std::vector<std::uint64_t>{100});
  client_->ReturnCredit(400);
  Move();
  EXPECT_EQ(Credits(), std::vector<std::uint64_t>{400});
  client_->Tick();
  Move();
  EXPECT_TRUE(Credits().empty());
}

TEST_F(LinkClientTest, ADeliveryBeyondTheCreditEndsTheLink) {
  Connect();
  auto receiver = std::make_shared<Receiver>();
  const std::uint64_t number = client_->Receive("r", 10'000, receiver);
  Move();
  Deliver(number, 1, std::string(1'000, 'x'));
  EXPECT_TRUE(client_->up());
  Deliver(number, 1, "x");
  EXPECT_FALSE(client_->up());
  EXPECT_EQ(receiver->bodies.size(), 1u);
  EXPECT_EQ(receiver->ends.size(), 1u);
}

TEST_F(LinkClientTest, ANewLinkGetsTheCreditThatOldDeliveriesDoNotHold) {
  Connect();
  auto receiver = std::make_shared<Receiver>();
  const std::uint64_t number = client_->Receive("r", 10'000, receiver);
  Move();
  Deliver(number, 1, std::string(700, 'x'));
  Break();
  client_->ReturnCredit(100);
  Reconnect();
  EXPECT_EQ(hellos_.back().credit_bytes, 400u);
  client_->ReturnCredit(600);
  Move();
  EXPECT_EQ(Credits(), std::vector<std::uint64_t>{600});
}

TEST_F(LinkClientTest, ClientsAreNamedOnceCountedEachSecondAndNamedAgainOnANewLink) {
  Connect();
  client_->RegisterClient("c1", "g");
  client_->RegisterClient("c2", "g");
  client_->SignOfLife("c1", "g");
  Move();
  EXPECT_EQ(TakeHeard(Op::kClientRegistered).size(), 2u);
  client_->ClientStreamsEnded("c2", "g");
  clock_.Advance(1'000);
  client_->Tick();
  Move();
  EXPECT_EQ(link::Decode<link::ClientRecord>(TakeHeard(Op::kClientStreamsEnded).at(0).payload)->number, 2u);
  EXPECT_EQ(link::Decode<link::ClientsAlive>(TakeHeard(Op::kClientsAlive).at(0).payload)->numbers,
            std::vector<std::uint32_t>{1});
  heard_.clear();
  Break();
  client_->RegisterClient("c3", "g");
  Reconnect();
  std::vector<std::string> named;
  for (const Heard& heard : heard_) {
    const auto record = link::Decode<link::ClientRecord>(heard.payload);
    if (heard.op == Op::kClientRegistered) named.push_back(std::string(record->client));
    if (heard.op == Op::kClientStreamsEnded) named.push_back(std::string(record->client) + " ended");
  }
  EXPECT_EQ(named, (std::vector<std::string>{"c1", "c2", "c2 ended", "c3"}));
}

TEST_F(LinkClientTest, ATerminatedClientIsNotNamedAgain) {
  Connect();
  client_->RegisterClient("c1", "g");
  std::string payload;
  Encode(link::ClientRecord{.client = "c1", .group = "g"}, payload);
  Call(Op::kClientTerminated, payload);
  heard_.clear();
  Break();
  Reconnect();
  EXPECT_TRUE(TakeHeard(Op::kClientRegistered).empty());
  EXPECT_EQ(TakeHeard(Op::kClientTerminated).size(), 1u);  // nobody answered it
}

TEST_F(LinkClientTest, ASilentBrokerIsLeftAfterThreeSeconds) {
  Connect();
  for (int i = 0; i < 3; ++i) {
    clock_.Advance(1'000);
    client_->Tick();
  }
  EXPECT_TRUE(client_->up());
  Move();  // the pings are answered
  for (int i = 0; i < 3; ++i) {
    clock_.Advance(1'000);
    client_->Tick();
  }
  EXPECT_TRUE(client_->up());
  clock_.Advance(1);
  client_->Tick();
  EXPECT_FALSE(client_->up());
}

TEST_F(LinkClientTest, TheEndOfTheClientAnswersEverything) {
  Connect();
  auto receiver = std::make_shared<Receiver>();
  Call(Op::kSend, "send");
  Call(Op::kAck, "ack");
  client_->Receive("r", 10'000, receiver);
  client_.reset();
  EXPECT_TRUE(replies_[0].has_value());
  EXPECT_TRUE(replies_[1].has_value());
  EXPECT_EQ(receiver->ends.size(), 1u);
}

TEST_F(LinkClientTest, CallbacksMayUseTheLink) {
  Connect();
  int answers = 0;
  client_->Call(Op::kSend, "send", 1'000, [&](const link::Record&) {
    ++answers;
    client_->Call(Op::kAck, "after", 10'000, [&](const link::Record&) { ++answers; });
  });
  Move();
  Break();
  EXPECT_EQ(answers, 1);
  Reconnect();
  Reply(TakeHeard(Op::kAck).at(0).correlation, 20000);
  EXPECT_EQ(answers, 2);
}

}  // namespace
}  // namespace millrace::proxy
