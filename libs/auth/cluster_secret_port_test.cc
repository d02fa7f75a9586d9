// A real port between processes that share a secret, or do not.
#include <atomic>
#include <optional>

#include "absl/strings/str_cat.h"
#include "auth/cluster_secret.h"
#include "base/check.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "io/testing/memory_file_system.h"
#include "rpc/server.h"

namespace millrace::auth {
namespace {

using testing::HasSubstr;

constexpr std::int64_t kLongMillis = 60'000;

class EchoService final : public rpc::Service {
 public:
  std::optional<rpc::CallKind> Kind(absl::string_view method) const override {
    if (method == "/t/Echo" || method == "/t/Frequent") return rpc::CallKind::kUnary;
    if (method == "/t/Stream") return rpc::CallKind::kBidi;
    return std::nullopt;
  }
  std::vector<std::string> FrequentMethods() const override { return {"/t/Frequent"}; }
  void OnRequest(std::shared_ptr<rpc::ServerCall> call, absl::string_view message) override {
    ++calls;
    call->WriteAndFinish(std::string(message.data(), message.size()));
  }
  std::unique_ptr<rpc::StreamHandler> OnStream(std::shared_ptr<rpc::ServerCall> call) override {
    class Handler final : public rpc::StreamHandler {
     public:
      explicit Handler(std::shared_ptr<rpc::ServerCall> stream) : call_(std::move(stream)) {}
      void OnMessage(std::string message) override { call_->Write(std::move(message)); }
      void OnHalfClose() override { call_->Finish(absl::OkStatus()); }

     private:
      const std::shared_ptr<rpc::ServerCall> call_;
    };
    ++calls;
    return std::make_unique<Handler>(std::move(call));
  }
  std::atomic<int> calls = 0;
};

class Collected final : public rpc::ClientStreamHandler {
 public:
  void OnMessage(std::string message) override {
    base::MutexLock lock(mu_);
    message_ = std::move(message);
    changed_.NotifyAll();
  }
  void OnEnded(const absl::Status& status) override {
    base::MutexLock lock(mu_);
    end_ = status;
    changed_.NotifyAll();
  }
  std::string WaitForMessage() {
    base::MutexLock lock(mu_);
    while (!message_) changed_.Wait(mu_);
    return *message_;
  }
  absl::Status WaitForEnd() {
    base::MutexLock lock(mu_);
    while (!end_) changed_.Wait(mu_);
    return *end_;
  }

 private:
  base::Mutex mu_;
  base::CondVar changed_;
  std::optional<std::string> message_ ABSL_GUARDED_BY(mu_);
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mu_);
};

class ClusterSecretPortTest : public testing::Test {
 protected:
  ClusterSecretPortTest() {
    auto started = rpc::StartServer({.address = "127.0.0.1:0", .admit = AdmitBy(SecretOf("right-right-right-right"))},
                                    {&service_});
    MR_CHECK(started.ok());
    server_ = *std::move(started);
  }

  std::shared_ptr<ClusterSecret> SecretOf(const std::string& text) {
    MR_CHECK(fs_.CreateDirectories("d").ok() && io::ReplaceFile(fs_, "d/secret", text).ok());
    auto secret = ClusterSecret::Open("d/secret", fs_, clock_, 0);
    MR_CHECK(secret.ok());
    return *std::move(secret);
  }
  std::unique_ptr<rpc::Channel> ChannelWith(std::shared_ptr<ClusterSecret> secret) {
    const std::string target = absl::StrCat("127.0.0.1:", server_->port());
    return Signed(rpc::MakeChannel(target), std::move(secret), target);
  }

  io::testing::MemoryFileSystem fs_;
  base::SystemClock clock_;
  EchoService service_;
  std::unique_ptr<rpc::Server> server_;
};

TEST_F(ClusterSecretPortTest, TheRightSecretCallsAndStreams) {
  const auto channel = ChannelWith(SecretOf("right-right-right-right"));
  for (const char* method : {"/t/Echo", "/t/Frequent"}) {
    const auto answer = channel->CallAndWait(method, {}, "hello", kLongMillis);
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(*answer, "hello");
  }
  const auto handler = std::make_shared<Collected>();
  const auto stream = channel->OpenStream("/t/Stream", {{"x-other", "kept"}}, handler);
  stream->Write("word");
  EXPECT_EQ(handler->WaitForMessage(), "word");
  stream->WritesDone();
  EXPECT_TRUE(handler->WaitForEnd().ok());
}

TEST_F(ClusterSecretPortTest, AWrongOrMissingSecretReachesNoService) {
  const std::pair<std::shared_ptr<ClusterSecret>, const char*> cases[] = {
      {SecretOf("wrong-wrong-wrong-wrong"), "the caller has another secret"}, {nullptr, "the call is not signed"}};
  for (const auto& [secret, cause] : cases) {
    const auto channel = ChannelWith(secret);
    for (const char* method : {"/t/Echo", "/t/Frequent", "/t/None"}) {
      const absl::Status status = channel->CallAndWait(method, {}, "hello", kLongMillis).status();
      EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated) << status;
      EXPECT_THAT(status.message(), HasSubstr(cause));
    }
    const auto handler = std::make_shared<Collected>();
    const auto stream = channel->OpenStream("/t/Stream", {}, handler);
    stream->Write("word");
    const absl::Status end = handler->WaitForEnd();
    EXPECT_EQ(end.code(), absl::StatusCode::kUnauthenticated) << end;
    EXPECT_THAT(end.message(), HasSubstr("cluster.secret-file"));
  }
  EXPECT_EQ(service_.calls, 0);
}

TEST_F(ClusterSecretPortTest, ProbesOfHealthNeedNoSecret) {
  EXPECT_TRUE(ChannelWith(nullptr)->CallAndWait("/grpc.health.v1.Health/Check", {}, "", kLongMillis).ok());
}

}  // namespace
}  // namespace millrace::auth
