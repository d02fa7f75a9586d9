#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "link/frame.h"
#include "link/messages.h"
#include "link/session.h"

namespace millrace::link {
namespace {

// Keeps frames until the test hands them on.
class HeldSink final : public FrameSink {
 public:
  void Write(std::string frame) override { frames.push_back(std::move(frame)); }
  void Close() override { closed = true; }
  std::deque<std::string> frames;
  bool closed = false;
};

// A session, what it wrote, and what it heard.
struct End {
  explicit End(SessionOptions options = {}) : sink(std::make_shared<HeldSink>()) {
    session = std::make_shared<Session>(
        options, 0, [this](const Record& r) { heard.emplace_back(r.correlation, std::string(r.payload)); },
        [this](const absl::Status& status) { ends.push_back(status); });
    session->Attach(sink);
  }
  std::shared_ptr<HeldSink> sink;
  std::shared_ptr<Session> session;
  std::vector<std::pair<std::uint64_t, std::string>> heard;
  std::vector<absl::Status> ends;
};

void Hand(End& from, End& to) {
  const std::string frame = std::move(from.sink->frames.front());
  from.sink->frames.pop_front();
  to.session->OnFrame(frame, 0);
}

void Exchange(End& a, End& b) {
  while (!a.sink->frames.empty() || !b.sink->frames.empty()) {
    if (!a.sink->frames.empty()) Hand(a, b);
    if (!b.sink->frames.empty()) Hand(b, a);
  }
}

TEST(FrameTest, GoldenBytes) {
  std::string frame("\x02\0\0\0", 4);
  AppendRecord(frame, {.correlation = 7, .op = Op::kAck, .budget_millis = 500, .payload = "hi"});
  EXPECT_EQ(frame, std::string("\x02\0\0\0"
                               "\x02\0\0\0"
                               "\x07\0\0\0\0\0\0\0"
                               "\x15\0"
                               "\0\0"
                               "\xf4\x01\0\0"
                               "hi",
                               26));
}

TEST(FrameTest, EveryCutIsNoticed) {
  std::string frame(4, '\0');
  AppendRecord(frame, {.correlation = 7, .op = Op::kAck, .payload = "hello"});
  for (std::size_t size = 5; size < frame.size(); ++size) {
    FrameReader reader(absl::string_view(frame).substr(0, size));
    Record record;
    EXPECT_FALSE(reader.Next(record));
    EXPECT_FALSE(reader.ok()) << size;
  }
}

TEST(SessionTest, WhatGathersWhileFramesAreUnansweredIsTheNextFrame) {
  End a({.window = 2}), b({.window = 2});
  for (std::uint64_t i = 0; i < 10; ++i) a.session->Send({.correlation = i, .op = Op::kAck});
  EXPECT_EQ(a.sink->frames.size(), 2u);  // one record each; eight wait
  Exchange(a, b);
  EXPECT_EQ(b.heard.size(), 10u);
  EXPECT_EQ(a.session->counters().frames_out, 3u);
}

TEST(SessionTest, AnswersRideOnRecordsOfTheOtherSide) {
  End a({.window = 1}), b({.answer_after = 1, .delay_answers = true});
  a.session->Send({.correlation = 1, .op = Op::kAck});
  a.session->Send({.correlation = 2, .op = Op::kAck});
  Hand(a, b);
  EXPECT_TRUE(b.sink->frames.empty());
  EXPECT_TRUE(b.session->OwesAnswer());
  b.session->Send({.correlation = 1, .op = Op::kReply});
  Hand(b, a);
  ASSERT_EQ(a.sink->frames.size(), 1u);
  Hand(a, b);
  EXPECT_EQ(b.heard.size(), 2u);
}

TEST(SessionTest, ADelayedAnswerComesWithTheNextTick) {
  End a({.window = 1}), b({.answer_after = 1, .delay_answers = true});
  a.session->Send({.correlation = 1, .op = Op::kAck});
  a.session->Send({.correlation = 2, .op = Op::kAck});
  Hand(a, b);
  EXPECT_TRUE(b.session->Tick(1));
  ASSERT_EQ(b.sink->frames.size(), 1u);
  Hand(b, a);
  EXPECT_EQ(a.sink->frames.size(), 1u);
}

// The owner may answer from another thread before OnFrame() has returned.
TEST(SessionTest, AReplyAnswersTheFrameThatAskedForIt) {
  End a({.window = 1});
  const auto sink = std::make_shared<HeldSink>();
  std::shared_ptr<Session> b;
  b = std::make_shared<Session>(
      SessionOptions{.answer_after = 1, .delay_answers = true}, 0,
      [&](const Record& record) { b->Send({.correlation = record.correlation, .op = Op::kReply}); },
      [](const absl::Status&) {});
  b->Attach(sink);
  a.session->Send({.correlation = 1, .op = Op::kAck});
  a.session->Send({.correlation = 2, .op = Op::kAck});
  b->OnFrame(a.sink->frames.at(0), 0);
  EXPECT_FALSE(b->OwesAnswer());
  a.session->OnFrame(sink->frames.at(0), 0);
  EXPECT_EQ(a.sink->frames.size(), 2u);
}

TEST(SessionTest, FramesThatReachNoOwnerAreAnsweredAtOnce) {
  End a({.window = 1}), b({.answer_after = 1, .delay_answers = true});
  b.session->Send({.op = Op::kPing});
  Hand(b, a);  // the pong is a frame with a record
  a.session->Send({.correlation = 1, .op = Op::kAck});
  Exchange(a, b);
  EXPECT_EQ(b.heard.size(), 1u);
}

TEST(SessionTest, ASinkThatComesAfterTheEndIsClosed) {
  End a;
  a.session->Close(absl::UnavailableError("over"));
  const auto late = std::make_shared<HeldSink>();
  a.session->Attach(late);
  EXPECT_TRUE(late->closed);
  a.session->Send({.correlation = 1, .op = Op::kAck});
  EXPECT_TRUE(late->frames.empty());
}

// A sink that lets records gather.
class GatheringSink final : public FrameSink {
 public:
  void Write(std::string frame) override { frames.push_back(std::move(frame)); }
  void Close() override {}
  bool Later(const std::function<void()>& flush) override {
    flushes.push_back(flush);
    return true;
  }
  std::vector<std::string> frames;
  std::vector<std::function<void()>> flushes;
};

TEST(SessionTest, ASinkThatComesBackLaterGetsOneFrameForAll) {
  End a;
  const auto sink = std::make_shared<GatheringSink>();
  const auto b = std::make_shared<Session>(
      SessionOptions{}, 0, [](const Record&) {}, [](const absl::Status&) {});
  b->Attach(sink);
  for (std::uint64_t i = 1; i <= 3; ++i) b->Send({.correlation = i, .op = Op::kAck});
  EXPECT_TRUE(sink->frames.empty());
  ASSERT_EQ(sink->flushes.size(), 1u);
  sink->flushes[0]();
  ASSERT_EQ(sink->frames.size(), 1u);
  a.session->OnFrame(sink->frames[0], 0);
  EXPECT_EQ(a.heard.size(), 3u);
  b->Send({.correlation = 4, .op = Op::kAck});
  EXPECT_EQ(sink->flushes.size(), 2u);
  b->Close(absl::CancelledError("done"));  // the sink's callbacks hold the session
}

TEST(SessionTest, ABigPayloadTravelsInPieces) {
  End a, b;
  const std::string big(3 * kPieceBytes + 5, 'x');
  a.session->Queue({.correlation = 9, .op = Op::kSend, .payload = big});
  a.session->Send({.correlation = 10, .op = Op::kSend, .payload = "small"});
  Exchange(a, b);
  ASSERT_EQ(b.heard.size(), 2u);
  EXPECT_EQ(b.heard[0].second, big);
  EXPECT_EQ(b.heard[1].second, "small");
}

TEST(SessionTest, ASilentPeerEndsTheSessionOnce) {
  End a;
  EXPECT_TRUE(a.session->Tick(1'000));
  EXPECT_TRUE(a.session->Tick(3'000));
  EXPECT_FALSE(a.session->Tick(3'001));
  EXPECT_FALSE(a.session->Tick(4'000));
  ASSERT_EQ(a.ends.size(), 1u);
  EXPECT_EQ(a.ends[0].code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(a.sink->closed);
}

TEST(SessionTest, PingsKeepAnIdleLinkAlive) {
  End a, b;
  for (std::int64_t now = 0; now <= 20'000; now += 500) {
    EXPECT_TRUE(a.session->Tick(now));
    EXPECT_TRUE(b.session->Tick(now));
    while (!a.sink->frames.empty()) {
      b.session->OnFrame(a.sink->frames.front(), now);
      a.sink->frames.pop_front();
    }
    while (!b.sink->frames.empty()) {
      a.session->OnFrame(b.sink->frames.front(), now);
      b.sink->frames.pop_front();
    }
  }
}

TEST(SessionTest, RubbishEndsTheSession) {
  End a;
  a.session->OnFrame("\x01\x02\x03\x04\xff\xff\xff\xff garbage", 0);
  ASSERT_EQ(a.ends.size(), 1u);
  EXPECT_EQ(a.ends[0].code(), absl::StatusCode::kInvalidArgument);
}

template <typename T>
T RoundTrip(const T& value) {
  std::string bytes;
  Encode(value, bytes);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(Decode<T>(absl::string_view(bytes).substr(0, size)).has_value()) << size;
  }
  static std::string kept;
  kept = bytes + "future";
  return *Decode<T>(kept);
}

TEST(MessagesTest, RoundTripsAndCutsAreNoticed) {
  const auto receive = RoundTrip(ReceiveRequest{.topic = "t",
                                                .group = "g",
                                                .client = "c",
                                                .attempt_id = "a",
                                                .filter = "*",
                                                .invisible_millis = 5,
                                                .wait_millis = 6,
                                                .queue = -1,
                                                .batch = 32,
                                                .bytes_max = 7,
                                                .auto_renew = true});
  EXPECT_EQ(receive.queue, -1);
  EXPECT_EQ(receive.filter, "*");
  EXPECT_TRUE(receive.auto_renew);
  const auto send =
      RoundTrip(SendRequest{.topic = "t",
                            .message_type = 1,
                            .messages = {{.born_millis = 3, .tag_hash = 4, .id_hash = 5, .stored = "body"}}});
  ASSERT_EQ(send.messages.size(), 1u);
  EXPECT_EQ(send.messages[0].stored, "body");
  const auto delivery = RoundTrip(Delivery{.answer = 1,
                                           .handle = "h",
                                           .queue = 2,
                                           .queue_offset = 3,
                                           .attempt = 4,
                                           .store_millis = 5,
                                           .invisible_millis = 6,
                                           .origin_topic = "",
                                           .stored = "s"});
  EXPECT_EQ(delivery.stored, "s");
  EXPECT_EQ(RoundTrip(DeliveryEnd{.code = 1, .answer = 2, .text = "x"}).text, "x");
  EXPECT_EQ(RoundTrip(HandleRequest{.topic = "t", .group = "g", .handle = "h", .duration_millis = -1}).duration_millis,
            -1);
  EXPECT_EQ(RoundTrip(Reply{.code = 20000, .payload = "p"}).payload, "p");
  EXPECT_EQ(RoundTrip(SendReply{.code = 20000, .queue = 1, .first_offset = 2}).first_offset, 2);
  EXPECT_EQ(RoundTrip(Credit{1ull << 40}).bytes, 1ull << 40);
  EXPECT_EQ(RoundTrip(ClientsAlive{{1, 2, 300}}).numbers.size(), 3u);
  EXPECT_EQ(RoundTrip(Hello{.cluster = "c", .name = "n", .process = 9, .credit_bytes = 5, .stream = 1}).stream, 1u);
}

}  // namespace
}  // namespace millrace::link
