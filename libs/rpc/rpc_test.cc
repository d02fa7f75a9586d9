#include <atomic>
#include <cstdlib>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rpc/event_loop.h"
#include "rpc/server.h"
#include "rpc/testing/lambda_service.h"

namespace millrace::rpc {
namespace {

using testing::HasSubstr;

constexpr std::int64_t kLongMillis = 60'000;

class RpcTest : public testing::Test {
 protected:
  RpcTest() {
    service_.unary["/t/Echo"] = [](Call call, std::string message) { call->WriteAndFinish(std::move(message)); };
    service_.bidi["/t/Bidi"] = [](Call call) {
      auto stream = std::make_unique<LambdaStream>();
      stream->on_message = [call](std::string message) { call->Write("got " + message); };
      stream->on_half_close = [call] { call->Finish(absl::OkStatus()); };
      return stream;
    };
  }

  void Start(ServerOptions options = {}) {
    if (options.address.empty()) options.address = "127.0.0.1:0";
    auto server = StartServer(options, {&service_});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    channel_ = MakeChannel(Target());
  }
  std::string Target() const { return absl::StrCat("127.0.0.1:", server_->port()); }

  LambdaService service_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Channel> channel_;
};

TEST_F(RpcTest, UnaryCallIsAnswered) {
  Start();
  for (const std::string& text : {std::string(), std::string("hello"), std::string(100'000, 'x')}) {
    const auto answer = channel_->CallAndWait("/t/Echo", {}, text, kLongMillis);
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(*answer, text);
  }
}

TEST_F(RpcTest, MessagesUpToTheLimitPassAndLargerOnesAreRefused) {
  Start({.message_bytes_max = 5 << 20});
  const std::string large(5 << 20, 'x');
  const auto answer = channel_->CallAndWait("/t/Echo", {}, large, kLongMillis);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->size(), large.size());
  const auto refused = channel_->CallAndWait("/t/Echo", {}, large + "x", kLongMillis);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted) << refused.status();
}

TEST_F(RpcTest, ServerStreamKeepsTheOrderAndTheStatus) {
  for (const bool headers_first : {false, true}) {
    service_.server_stream["/t/Count"] = [headers_first](Call call, std::string message) {
      if (headers_first) call->SendInitialMetadata();
      for (int i = 0; i < 1000; ++i) call->Write(absl::StrCat(message, i));
      call->Finish(absl::AbortedError("that was all"));
    };
    Start();
    auto collected = std::make_shared<Collected>();
    const auto stream = channel_->OpenStream("/t/Count", {}, collected);
    stream->Write("n");
    stream->WritesDone();
    const absl::Status end = collected->ends.Take();
    EXPECT_EQ(end.code(), absl::StatusCode::kAborted);
    EXPECT_EQ(end.message(), "that was all");
    ASSERT_EQ(collected->messages.size(), 1000u);
    for (int i = 0; i < 1000; ++i) ASSERT_EQ(collected->messages.Take(), absl::StrCat("n", i));
  }
}

TEST_F(RpcTest, BidiStreamAnswersWhileOpenAndFinishesAfterHalfClose) {
  Start();
  auto collected = std::make_shared<Collected>();
  const auto stream = channel_->OpenStream("/t/Bidi", {}, collected);
  for (int i = 0; i < 100; ++i) {
    stream->Write(absl::StrCat(i));
    ASSERT_EQ(collected->messages.Take(), absl::StrCat("got ", i));
  }
  for (int i = 0; i < 1000; ++i) stream->Write(absl::StrCat(i));
  stream->WritesDone();
  EXPECT_TRUE(collected->ends.Take().ok());
  ASSERT_EQ(collected->messages.size(), 1000u);
  EXPECT_EQ(collected->messages.Take(), "got 0");
}

TEST_F(RpcTest, AServerAndItsChannelsShareALoop) {
  const auto loop = MakeEventLoop();
  std::mutex mu;
  std::set<std::thread::id> threads;
  const auto note = [&] {
    const std::lock_guard lock(mu);
    threads.insert(std::this_thread::get_id());
  };
  service_.bidi["/t/Bidi"] = [&](Call call) {
    auto stream = std::make_unique<LambdaStream>();
    stream->on_message = [&, call](std::string message) {
      note();
      call->Write("got " + message);
    };
    stream->on_half_close = [call] { call->Finish(absl::OkStatus()); };
    return stream;
  };
  struct Noting final : ClientStreamHandler {
    std::function<void()> note;
    Collected collected;
    void OnMessage(std::string message) override {
      note();
      collected.OnMessage(std::move(message));
    }
    void OnEnded(const absl::Status& status) override { collected.OnEnded(status); }
  };
  Start({.loop = loop});
  channel_ = MakeChannel(Target(), 1 << 20, loop);
  auto noting = std::make_shared<Noting>();
  noting->note = note;
  {
    const auto stream = channel_->OpenStream("/t/Bidi", {}, noting);
    stream->Write("1");
    EXPECT_EQ(noting->collected.messages.Take(), "got 1");
    stream->WritesDone();
    EXPECT_TRUE(noting->collected.ends.Take().ok());
  }
  EXPECT_EQ(threads.size(), 1u);
  server_->Shutdown(0);  // the loop goes on for the channel
  auto refused = std::make_shared<Collected>();
  const auto late = channel_->OpenStream("/t/Bidi", {}, refused);
  EXPECT_EQ(refused->ends.Take().code(), absl::StatusCode::kUnavailable);
}

TEST_F(RpcTest, ALoopThatNobodyUsesServesTheNextCall) {
  const auto loop = MakeEventLoop();
  Start({.loop = loop});
  for (int round = 0; round < 3; ++round) {
    while (loop->polling()) std::this_thread::yield();
    const auto answer = MakeChannel(Target())->CallAndWait("/t/Echo", {}, "hello", kLongMillis);
    ASSERT_TRUE(answer.ok()) << answer.status();
  }
}

TEST_F(RpcTest, SoonRunsOnceWhatIsReadyHasBeenHandled) {
  struct Gathering final : ClientStreamHandler {
    ClientStream* stream = nullptr;
    Mailbox<std::string> gathered;
    std::string waiting;
    bool asked = false;
    void OnMessage(std::string message) override {
      waiting += message;
      if (std::exchange(asked, true)) return;
      ASSERT_TRUE(stream->Soon([this] {
        asked = false;
        gathered.Put(std::exchange(waiting, ""));
      }));
    }
    void OnEnded(const absl::Status&) override {}
  };
  Start();
  auto gathering = std::make_shared<Gathering>();
  const auto stream = channel_->OpenStream("/t/Bidi", {}, gathering);
  gathering->stream = stream.get();
  EXPECT_FALSE(stream->Soon([] { ADD_FAILURE() << "this is not the thread of the handlers"; }));
  stream->Write("1");
  stream->Write("2");
  std::string all;
  while (all != "got 1got 2") all += gathering->gathered.Take();
  channel_.reset();
}

TEST_F(RpcTest, HandlerSeesHeadersAuthorityPeerAndDeadline) {
  service_.unary["/t/Describe"] = [](Call call, std::string) {
    const auto left = call->RemainingMillis();
    call->WriteAndFinish(absl::StrCat(call->method(), " ", call->Header("x-mq-client-id"), " [", call->Header("absent"),
                                      "] ", call->authority(), " ", call->peer(), " ", call->tls() ? "tls" : "plain",
                                      " ",  // gRPC rounds up what it sends
                                      left && *left > 0 && *left < 2 * kLongMillis ? "deadline" : "none"));
  };
  Start();
  const auto answer = channel_->CallAndWait("/t/Describe", {{"x-mq-client-id", "c1"}}, "", kLongMillis);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_THAT(*answer, HasSubstr(absl::StrCat("/t/Describe c1 [] ", Target(), " 127.0.0.1:")));
  EXPECT_THAT(*answer, HasSubstr(" plain deadline"));
}

TEST_F(RpcTest, IPv6PeerIsWrittenWithBrackets) {
  service_.unary["/t/Peer"] = [](Call call, std::string) { call->WriteAndFinish(std::string(call->peer())); };
  Start({.address = "[::]:0"});
  const auto v4 = channel_->CallAndWait("/t/Peer", {}, "", kLongMillis);
  ASSERT_TRUE(v4.ok()) << v4.status();
  EXPECT_THAT(*v4, testing::StartsWith("127.0.0.1:"));
  const auto v6 = MakeChannel(absl::StrCat("[::1]:", server_->port()))->CallAndWait("/t/Peer", {}, "", kLongMillis);
  ASSERT_TRUE(v6.ok()) << v6.status();
  EXPECT_THAT(*v6, testing::StartsWith("[::1]:"));
}

TEST_F(RpcTest, UnknownMethodIsUnimplementedAndNamed) {
  Start();
  const auto answer = channel_->CallAndWait("/t/Nothing", {}, "x", kLongMillis);
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(answer.status().message()), HasSubstr("/t/Nothing"));
}

TEST_F(RpcTest, UnaryCallWithoutARequestIsRefused) {
  Start();
  auto collected = std::make_shared<Collected>();
  const auto stream = channel_->OpenStream("/t/Echo", {}, collected);
  stream->WritesDone();
  EXPECT_EQ(collected->ends.Take().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(RpcTest, FinishedCallReportsItsEndAndIsANoOpAfterwards) {
  Mailbox<CallEnd> ends;
  Mailbox<Call> calls;
  service_.unary["/t/Watched"] = [&](Call call, std::string message) {
    call->OnEnded([&ends](CallEnd end) { ends.Put(end); });
    calls.Put(call);
    call->WriteAndFinish(std::move(message));
  };
  Start();
  ASSERT_TRUE(channel_->CallAndWait("/t/Watched", {}, "x", kLongMillis).ok());
  EXPECT_EQ(ends.Take(), CallEnd::kFinished);
  const Call call = calls.Take();
  EXPECT_FALSE(call->Write("late"));
  call->SendInitialMetadata();
  call->Finish(absl::OkStatus());
  EXPECT_EQ(call->UnsentBytes(), 0u);
  EXPECT_EQ(call->method(), "/t/Watched");
}

TEST_F(RpcTest, OnEndedOfACallThatIsOverRunsAtOnce) {
  Mailbox<Call> calls;
  service_.unary["/t/Kept"] = [&](Call call, std::string message) {
    calls.Put(call);
    call->WriteAndFinish(std::move(message));
  };
  Start();
  ASSERT_TRUE(channel_->CallAndWait("/t/Kept", {}, "x", kLongMillis).ok());
  server_.reset();  // every call has ended
  std::optional<CallEnd> end;
  calls.Take()->OnEnded([&end](CallEnd how) { end = how; });
  EXPECT_EQ(end, CallEnd::kFinished);
}

TEST_F(RpcTest, CancelIsSeenByTheServer) {
  Mailbox<CallEnd> ends;
  Mailbox<bool> destroyed;
  service_.bidi["/t/Open"] = [&](Call call) {
    call->OnEnded([&ends](CallEnd end) { ends.Put(end); });
    auto stream = std::make_unique<LambdaStream>();
    stream->on_message = [call](std::string message) { call->Write(message); };
    stream->on_half_close = [] {};
    stream->on_destroyed = [&] { destroyed.Put(ends.size() == 1); };
    return stream;
  };
  Start();
  auto collected = std::make_shared<Collected>();
  const auto stream = channel_->OpenStream("/t/Open", {}, collected);
  stream->Write("x");
  collected->messages.Take();
  stream->Cancel();
  EXPECT_EQ(collected->ends.Take().code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(destroyed.Take());
  EXPECT_EQ(ends.Take(), CallEnd::kCancelled);
}

TEST_F(RpcTest, CancelledStreamIsNotHalfClosed) {
  std::atomic<int> half_closed = 0;
  Mailbox<CallEnd> ends;
  service_.bidi["/t/Open"] = [&](Call call) {
    call->OnEnded([&ends](CallEnd end) { ends.Put(end); });
    auto stream = std::make_unique<LambdaStream>();
    stream->on_message = [call](std::string message) { call->Write(message); };
    stream->on_half_close = [&half_closed] { half_closed.fetch_add(1); };
    return stream;
  };
  Start();
  for (int i = 0; i < 50; ++i) {
    auto collected = std::make_shared<Collected>();
    const auto stream = channel_->OpenStream("/t/Open", {}, collected);
    stream->Write("x");
    collected->messages.Take();
    i % 2 == 0 ? stream->Cancel() : channel_.reset();
    EXPECT_EQ(ends.Take(), CallEnd::kCancelled);
    channel_ = MakeChannel(Target());
  }
  server_.reset();
  EXPECT_EQ(half_closed.load(), 0);
}

TEST_F(RpcTest, DeadlineOfTheClientEndsAWaitingCall) {
  Mailbox<CallEnd> ends;
  Mailbox<Call> calls;
  service_.unary["/t/Never"] = [&](Call call, std::string) {
    call->OnEnded([&ends](CallEnd end) { ends.Put(end); });
    calls.Put(std::move(call));
  };
  Start();
  EXPECT_EQ(channel_->CallAndWait("/t/Never", {}, "x", 200).status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(ends.Take(), CallEnd::kCancelled);
  // The client's clock ended it; the server's own copy of the deadline is rounded up.
  EXPECT_LT(calls.Take()->RemainingMillis().value_or(kLongMillis), 200);
}

TEST_F(RpcTest, BrokenConnectionEndsTheCall) {
  Mailbox<CallEnd> ends;
  service_.bidi["/t/Open"] = [&](Call call) {
    call->OnEnded([&ends](CallEnd end) { ends.Put(end); });
    auto stream = std::make_unique<LambdaStream>();
    stream->on_message = [call](std::string message) { call->Write(message); };
    stream->on_half_close = [] {};
    return stream;
  };
  Start();
  auto collected = std::make_shared<Collected>();
  const auto stream = channel_->OpenStream("/t/Open", {}, collected);
  stream->Write("x");
  collected->messages.Take();
  channel_.reset();
  EXPECT_EQ(ends.Take(), CallEnd::kCancelled);
}

TEST_F(RpcTest, SlowReaderLeavesBytesUnsent) {
  Mailbox<Call> calls;
  service_.server_stream["/t/Flood"] = [&](Call call, std::string) {
    for (int i = 0; i < 64; ++i) call->Write(std::string(1 << 20, 'x'));
    calls.Put(std::move(call));
  };
  Start();
  struct Blocked final : ClientStreamHandler {
    Mailbox<bool> go;
    Mailbox<bool> ended;
    std::size_t bytes = 0;
    void OnMessage(std::string message) override {
      if (bytes == 0) go.Take();
      bytes += message.size();
    }
    void OnEnded(const absl::Status&) override { ended.Put(true); }
  };
  auto blocked = std::make_shared<Blocked>();
  const auto stream = channel_->OpenStream("/t/Flood", {}, blocked);
  stream->Write("x");
  const Call call = calls.Take();
  EXPECT_GT(call->UnsentBytes(), 32u << 20);
  blocked->go.Put(true);
  call->Finish(absl::OkStatus());
  blocked->ended.Take();
  EXPECT_EQ(blocked->bytes, 64u << 20);
}

TEST_F(RpcTest, UnreachableTargetEndsTheStreamAsUnavailable) {
  Start();
  const std::string target = Target();
  server_.reset();
  const auto channel = MakeChannel(target);
  auto collected = std::make_shared<Collected>();
  const auto stream = channel->OpenStream("/t/Bidi", {}, collected);
  stream->Write("x");
  EXPECT_EQ(collected->ends.Take().code(), absl::StatusCode::kUnavailable);
}

TEST_F(RpcTest, ChannelReconnectsByItself) {
  Start();
  ASSERT_TRUE(channel_->CallAndWait("/t/Echo", {}, "x", kLongMillis).ok());
  const std::string target = Target();
  server_.reset();
  auto server = StartServer({.address = target}, {&service_});
  ASSERT_TRUE(server.ok()) << server.status();
  while (!channel_->CallAndWait("/t/Echo", {}, "x", kLongMillis).ok()) std::this_thread::yield();
}

TEST_F(RpcTest, ClosingAChannelEndsItsStreams) {
  Start();
  auto collected = std::make_shared<Collected>();
  const auto stream = channel_->OpenStream("/t/Bidi", {}, collected);
  channel_.reset();
  EXPECT_EQ(collected->ends.Take().code(), absl::StatusCode::kCancelled);
  stream->Write("late");
  stream->WritesDone();
  stream->Cancel();
}

TEST_F(RpcTest, HealthFollowsSetServing) {
  Start();
  const auto check = [this](const std::string& request) {
    return channel_->CallAndWait("/grpc.health.v1.Health/Check", {}, request, kLongMillis).value_or("failed");
  };
  EXPECT_EQ(check(""), "\x08\x01");
  EXPECT_EQ(check("\x0a\x01x"), "\x08\x01");
  auto collected = std::make_shared<Collected>();
  const auto watch = channel_->OpenStream("/grpc.health.v1.Health/Watch", {}, collected);
  watch->Write("");
  EXPECT_EQ(collected->messages.Take(), "\x08\x01");
  server_->SetServing(false);
  EXPECT_EQ(check(""), "\x08\x02");
  EXPECT_EQ(collected->messages.Take(), "\x08\x02");
}

TEST_F(RpcTest, ShutdownWaitsForCallsWithinTheGrace) {
  Mailbox<Call> calls;
  service_.unary["/t/Later"] = [&](Call call, std::string) { calls.Put(std::move(call)); };
  Start();
  Mailbox<bool> answers;
  std::thread client([&] { answers.Put(channel_->CallAndWait("/t/Later", {}, "x", kLongMillis).ok()); });
  const Call call = calls.Take();
  std::thread shutdown([this] { server_->Shutdown(kLongMillis); });
  call->WriteAndFinish("y");
  shutdown.join();
  client.join();
  EXPECT_TRUE(answers.Take());
}

TEST_F(RpcTest, ShutdownCancelsWhatIsLeftAndHandlersMayKeepTheCall) {
  Mailbox<Call> calls;
  Mailbox<CallEnd> ends;
  service_.unary["/t/Later"] = [&](Call call, std::string) {
    call->OnEnded([&ends](CallEnd end) { ends.Put(end); });
    calls.Put(std::move(call));
  };
  Start();
  std::thread client([&] { EXPECT_FALSE(channel_->CallAndWait("/t/Later", {}, "x", kLongMillis).ok()); });
  const Call call = calls.Take();
  server_->Shutdown(10);
  server_.reset();
  client.join();
  channel_.reset();
  EXPECT_EQ(ends.size(), 1u);
  EXPECT_EQ(ends.Take(), CallEnd::kCancelled);
  EXPECT_FALSE(call->Write("late"));
  call->WriteAndFinish("late");
  EXPECT_EQ(call->method(), "/t/Later");
  EXPECT_EQ(call->Header("absent"), "");
  EXPECT_FALSE(call->tls());
  EXPECT_THAT(std::string(call->peer()), HasSubstr("127.0.0.1:"));
}

// Handlers answer from other threads, at once, late or never; clients cancel, half-close, give deadlines or drop the
// connection; in the end the server shuts down under them. Every accepted call has exactly one end.
TEST_F(RpcTest, EveryCallOfARandomRunEndsOnce) {
  const char* given = std::getenv("MILLRACE_SEED");
  const unsigned seed = given != nullptr ? static_cast<unsigned>(std::stoul(given)) : std::random_device{}();
  std::printf("seed %u (set MILLRACE_SEED to repeat)\n", seed);

  std::atomic<int> accepted = 0, ended = 0, streams = 0;
  Mailbox<Call> late;
  const auto accept = [&](const Call& call) {
    accepted.fetch_add(1);
    auto count = std::make_shared<std::atomic<int>>(0);
    call->OnEnded([&ended, count](CallEnd) {
      EXPECT_EQ(count->fetch_add(1), 0);
      ended.fetch_add(1);
    });
    if (call->Header("headers") == "yes") call->SendInitialMetadata();
  };
  service_.unary["/t/Random"] = [&](Call call, std::string message) {
    accept(call);
    message.size() % 2 == 0 ? call->WriteAndFinish(message) : late.Put(call);
  };
  service_.bidi["/t/RandomBidi"] = [&](Call call) {
    accept(call);
    streams.fetch_add(1);
    auto stream = std::make_unique<LambdaStream>();
    stream->on_message = [&late, call](std::string message) {
      call->Write(message);
      if (message.size() % 3 == 0) call->Write(message);
      if (message.size() % 7 == 0) late.Put(call);
    };
    stream->on_half_close = [call] { call->Finish(absl::OkStatus()); };
    stream->on_destroyed = [&streams] { streams.fetch_sub(1); };
    return stream;
  };
  Start({.threads = 2});

  std::thread answering([&] {
    std::mt19937 random(seed + 100);
    while (const Call call = late.Take()) {
      for (std::uint32_t i = random() % 3; i > 0; --i) call->Write(std::string(random() % 5000, 'l'));
      if (random() % 4 != 0) call->Finish(random() % 2 == 0 ? absl::OkStatus() : absl::AbortedError("late"));
    }
  });
  const auto client = [&](unsigned number) {
    std::mt19937 random(seed + number);
    auto channel = MakeChannel(Target());
    for (int round = 0; round < 150; ++round) {
      if (random() % 50 == 0) channel = MakeChannel(Target());
      const bool headers = random() % 2 == 0;
      if (random() % 3 == 0) {
        (void)channel->CallAndWait("/t/Random", {{"headers", headers ? "yes" : "no"}},
                                   std::string(random() % 3000, 'u'), 1 + random() % 20);
        continue;
      }
      auto collected = std::make_shared<Collected>();
      auto stream = channel->OpenStream("/t/RandomBidi", {{"headers", headers ? "yes" : "no"}}, collected);
      for (std::uint32_t i = random() % 20; i > 0; --i) stream->Write(std::string(random() % 20'000, 'b'));
      if (random() % 2 == 0) stream->WritesDone();
      for (std::uint32_t i = random() % 3; i > 0 && collected->ends.size() == 0; --i) std::this_thread::yield();
      if (random() % 2 == 0) stream->Cancel();
      stream.reset();
      (void)collected->ends.Take();
    }
  };
  std::vector<std::thread> clients;
  for (unsigned i = 0; i < 4; ++i) clients.emplace_back(client, i);
  clients[0].join();
  server_->Shutdown(5);  // in the middle of what the others do; they go on against a port that is gone
  for (unsigned i = 1; i < 4; ++i) clients[i].join();
  late.Put(nullptr);
  answering.join();
  EXPECT_GT(accepted.load(), 50);
  EXPECT_EQ(ended.load(), accepted.load());
  EXPECT_EQ(streams.load(), 0);
}

}  // namespace
}  // namespace millrace::rpc
