#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rpc/server.h"
#include "rpc/testing/lambda_service.h"

namespace millrace::rpc {
namespace {

using testing::HasSubstr;

constexpr std::int64_t kLongMillis = 60'000;

// Calls of a method that its service names as frequent.
class UnaryCallTest : public testing::Test {
 protected:
  UnaryCallTest() {
    service_.frequent = {"/t/Frequent", "/t/Other"};
    service_.unary["/t/Rare"] = [](Call call, std::string message) { call->WriteAndFinish("rare " + message); };
    service_.unary["/t/Other"] = [](Call call, std::string message) { call->WriteAndFinish("other " + message); };
  }

  void Start(ServerOptions options = {}) {
    if (options.address.empty()) options.address = "127.0.0.1:0";
    auto server = StartServer(options, {&service_});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    channel_ = MakeChannel(absl::StrCat("127.0.0.1:", server_->port()));
  }
  void Answer(std::function<void(Call, std::string)> handler) { service_.unary["/t/Frequent"] = std::move(handler); }
  absl::StatusOr<std::string> Ask(const std::string& request, std::int64_t millis = kLongMillis) {
    return channel_->CallAndWait("/t/Frequent", {{"x-mq-client-id", "c1"}}, request, millis);
  }

  LambdaService service_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Channel> channel_;
};

TEST_F(UnaryCallTest, IsAnsweredBesideMethodsThatAreNotFrequent) {
  Answer([](Call call, std::string message) { call->WriteAndFinish(std::move(message)); });
  Start();
  for (const std::string& text : {std::string(), std::string("hello"), std::string(2'000'000, 'x')}) {
    const auto answer = Ask(text);
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(*answer, text);
  }
  for (int i = 0; i < 200; ++i) ASSERT_EQ(*Ask(absl::StrCat(i)), absl::StrCat(i));  // more than are posted
  EXPECT_EQ(*channel_->CallAndWait("/t/Other", {}, "x", kLongMillis), "other x");
  EXPECT_EQ(*channel_->CallAndWait("/t/Rare", {}, "x", kLongMillis), "rare x");
  EXPECT_EQ(channel_->CallAndWait("/t/Nothing", {}, "x", kLongMillis).status().code(),
            absl::StatusCode::kUnimplemented);
}

TEST_F(UnaryCallTest, MessagesUpToTheLimitPassAndLargerOnesAreRefused) {
  Answer([](Call call, std::string message) { call->WriteAndFinish(absl::StrCat(message.size())); });
  Start({.message_bytes_max = 1 << 20});
  const std::string large(1 << 20, 'x');
  EXPECT_EQ(*Ask(large), absl::StrCat(large.size()));
  EXPECT_EQ(Ask(large + "x").status().code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(UnaryCallTest, HandlerSeesMethodHeadersPeerAndDeadline) {
  Answer([](Call call, std::string) {
    const auto left = call->RemainingMillis();
    call->WriteAndFinish(absl::StrCat(call->method(), " ", call->Header("x-mq-client-id"), " [", call->Header("absent"),
                                      "] ", call->peer(), " ", call->tls() ? "tls" : "plain", " ",
                                      left && *left > 0 && *left < 2 * kLongMillis ? "deadline" : "none"));
  });
  Start();
  const auto answer = Ask("");
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_THAT(*answer, HasSubstr("/t/Frequent c1 [] 127.0.0.1:"));
  EXPECT_THAT(*answer, HasSubstr(" plain deadline"));
}

TEST_F(UnaryCallTest, AStatusThatIsNotOkReachesTheClientWithItsText) {
  Answer([](Call call, std::string) { call->Finish(absl::AbortedError("not today")); });
  Start();
  const auto answer = Ask("x");
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(answer.status().message(), "not today");
}

TEST_F(UnaryCallTest, WriteThenFinishAnswersToo) {
  Answer([](Call call, std::string message) {
    EXPECT_TRUE(call->Write(message + "!"));
    EXPECT_EQ(call->UnsentBytes(), message.size() + 1);
    call->Finish(absl::OkStatus());
    EXPECT_FALSE(call->Write("late"));
    call->WriteAndFinish("later");
  });
  Start();
  EXPECT_EQ(*Ask("x"), "x!");
}

TEST_F(UnaryCallTest, ACallWithoutARequestEndsWithoutItsHandler) {
  Answer([](Call, std::string) { ADD_FAILURE() << "there was no request"; });
  Start();
  auto collected = std::make_shared<Collected>();
  const auto stream = channel_->OpenStream("/t/Frequent", {}, collected);
  stream->WritesDone();
  EXPECT_FALSE(collected->ends.Take().ok());
}

TEST_F(UnaryCallTest, AnAnswerAfterTheDeadlineIsReportedAsCancelled) {
  Mailbox<Call> calls;
  Mailbox<CallEnd> ends;
  Answer([&](Call call, std::string) {
    call->OnEnded([&ends](CallEnd end) { ends.Put(end); });
    calls.Put(std::move(call));
  });
  Start();
  EXPECT_EQ(Ask("x", 50).status().code(), absl::StatusCode::kDeadlineExceeded);
  channel_.reset();  // the connection is gone as well
  const Call call = calls.Take();
  EXPECT_EQ(ends.size(), 0u);
  while (call->RemainingMillis() != 0) std::this_thread::yield();
  call->WriteAndFinish("late");
  EXPECT_EQ(ends.Take(), CallEnd::kCancelled);
}

TEST_F(UnaryCallTest, ShutdownEndsWhatNobodyAnswersAndTheCallMayBeKept) {
  Mailbox<Call> calls;
  Mailbox<CallEnd> ends;
  Answer([&](Call call, std::string) {
    call->OnEnded([&ends](CallEnd end) { ends.Put(end); });
    calls.Put(std::move(call));
  });
  Start();
  auto collected = std::make_shared<Collected>();
  const auto stream = channel_->OpenStream("/t/Frequent", {{"x-mq-client-id", "c1"}}, collected);
  stream->Write("x");
  stream->WritesDone();
  const Call call = calls.Take();
  server_.reset();
  EXPECT_EQ(ends.Take(), CallEnd::kCancelled);
  EXPECT_FALSE(collected->ends.Take().ok());
  EXPECT_EQ(call->Header("x-mq-client-id"), "c1");
  EXPECT_FALSE(call->Write("late"));
  std::optional<CallEnd> end;
  call->OnEnded([&end](CallEnd how) { end = how; });
  EXPECT_EQ(end, CallEnd::kCancelled);
}

TEST_F(UnaryCallTest, ACallThatItsHandlerDropsEndsWithTheServer) {
  Answer([](Call, std::string) {});
  Start();
  EXPECT_EQ(Ask("x", 50).status().code(), absl::StatusCode::kDeadlineExceeded);
  server_.reset();
}

}  // namespace
}  // namespace millrace::rpc
