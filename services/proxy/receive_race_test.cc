// Deliveries, the end of the call and early ends at the same moment, from several threads.
#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>

#include "base/digest.h"
#include "gtest/gtest.h"
#include "model/stored_message.h"
#include "services/proxy/receive_stream.h"
#include "services/proxy/testing/fakes.h"

namespace millrace::proxy {
namespace {

// A call that two threads may use; its end comes from the thread that plays the transport.
class RaceCall final : public rpc::ServerCall {
 public:
  absl::string_view method() const override { return "/apache.rocketmq.v2.MessagingService/ReceiveMessage"; }
  absl::string_view Header(absl::string_view key) const override { return key == "x-mq-client-id" ? "c" : ""; }
  absl::string_view authority() const override { return ""; }
  absl::string_view peer() const override { return ""; }
  bool tls() const override { return false; }
  std::optional<std::int64_t> RemainingMillis() const override { return std::nullopt; }
  void SendInitialMetadata() override {}
  bool Write(std::string) override {
    base::MutexLock lock(mu_);
    if (finished_ || ended_) return false;
    ++written_;
    return true;
  }
  std::size_t UnsentBytes() const override { return 1; }
  void Finish(const absl::Status&) override {
    base::MutexLock lock(mu_);
    finished_ = true;
  }
  void WriteAndFinish(std::string message) override {
    Write(std::move(message));
    Finish(absl::OkStatus());
  }
  void OnEnded(std::function<void(rpc::CallEnd)> then) override {
    base::MutexLock lock(mu_);
    then_ = std::move(then);
  }

  // Finished when the handler had finished it, else cancelled.
  rpc::CallEnd End() {
    std::function<void(rpc::CallEnd)> then;
    rpc::CallEnd end;
    {
      base::MutexLock lock(mu_);
      ended_ = true;
      end = finished_ ? rpc::CallEnd::kFinished : rpc::CallEnd::kCancelled;
      then = std::exchange(then_, nullptr);
    }
    then(end);
    return end;
  }
  int written() const {
    base::MutexLock lock(mu_);
    return written_;
  }

 private:
  mutable base::Mutex mu_;
  std::function<void(rpc::CallEnd)> then_ ABSL_GUARDED_BY(mu_);
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
  int written_ ABSL_GUARDED_BY(mu_) = 0;
};

// What the stream tells the link. It has no broker behind it: the test calls the receiver.
class RaceLink final : public BrokerLink {
 public:
  void Call(link::Op, std::string, std::int64_t, Done) override {}
  std::uint64_t Receive(std::string, std::int64_t, std::shared_ptr<Receiver>) override { return 1; }
  void CancelReceive(std::uint64_t) override { ++cancelled; }
  void ReportAnswer(std::uint64_t, bool well) override { ++(well ? reported_well : reported_not_well); }
  void ReturnCredit(std::size_t bytes) override { credit += bytes; }
  void RegisterClient(absl::string_view, absl::string_view) override {}
  void SignOfLife(absl::string_view, absl::string_view) override {}
  void ClientStreamsEnded(absl::string_view, absl::string_view) override {}
  bool up() const override { return true; }
  std::string broker_set() const override { return "broker-a"; }

  std::atomic<int> cancelled{0}, reported_well{0}, reported_not_well{0};
  std::atomic<std::size_t> credit{0};
};

TEST(ReceiveRaceTest, EveryByteComesBackAndNoAnswerIsForgotten) {
  const char* given = std::getenv("MILLRACE_SEED");
  const unsigned seed = given != nullptr ? static_cast<unsigned>(std::atoi(given)) : std::random_device()();
  std::printf("seed %u (set MILLRACE_SEED to repeat)\n", seed);
  std::minstd_rand random(seed);
  const std::string stored = model::EncodeStoredMessage({.message_type = 1, .md5 = base::Md5("b"), .body = "b"});

  int well = 0, not_well = 0;
  for (int round = 0; round < 2'000; ++round) {
    FakeProxy proxy;  // for what the handlers share
    RaceLink link;
    ProxyMetrics metrics;
    RefusalLog refusals;
    const ServiceOptions options;
    ClientRegistry clients(proxy.directory, proxy.clock);
    const ServiceParts parts{options, proxy.clock, proxy.directory, clients, metrics, refusals};
    const auto call = std::make_shared<RaceCall>();
    const auto stream =
        std::make_shared<ReceiveStream>(parts, RequestContext(call, Method::kReceiveMessage, 0), "orders", link);
    stream->Start("", 1'000, true);

    const unsigned deliveries = random() % 4;
    const unsigned pause = random() % 20'000;  // a thread starts in about as long
    const bool ends_early = random() % 2 == 0;
    std::thread broker([&] {
      for (unsigned i = 0; i < deliveries; ++i) stream->OnDelivery({.answer = 9, .stored = stored});
      stream->OnEnd({.code = deliveries > 0 ? 20'000u : 40'401u, .answer = deliveries > 0 ? 9u : 0u});
    });
    std::atomic<unsigned> spun{0};
    while (++spun < pause) {
    }
    if (ends_early) stream->EndEarly();
    const rpc::CallEnd end = call->End();
    broker.join();

    EXPECT_EQ(link.credit, deliveries * stored.size());
    if (end == rpc::CallEnd::kCancelled) {
      EXPECT_EQ(link.reported_well, 0);
    }
    // With messages: status, at least one message, time. Without: status and time.
    if (end == rpc::CallEnd::kFinished) {
      EXPECT_EQ(link.reported_well, call->written() > 2 ? 1 : 0);
    }
    if (deliveries > 0) {
      EXPECT_GT(link.reported_well + link.reported_not_well, 0);
    }
    EXPECT_EQ(metrics.polls_waiting, 0);
    EXPECT_LE(link.cancelled, 1);
    well += link.reported_well;
    not_well += link.reported_not_well > 0;
    if (HasFailure()) FAIL() << "round " << round;
  }
  EXPECT_GT(well, 0) << "no client was slower than its broker";
  EXPECT_GT(not_well, 0) << "no client went before its broker was done";
  std::printf("%d answers ended well, %d did not\n", well, not_well);
}

}  // namespace
}  // namespace millrace::proxy
