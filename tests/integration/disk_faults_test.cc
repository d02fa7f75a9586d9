// A disk that hangs, fails, or is full, below a real broker.
#include <string>

#include "io/testing/faulty_file_system.h"
#include "tests/integration/link_fixture.h"

namespace millrace {
namespace {

using io::testing::FaultyFileSystem;
using link::Op;
using testing_support::LinkFixture;
using testing_support::Peer;

constexpr std::uint32_t kOk = 20000, kInternal = 50001, kPersistenceTimeout = 50401;

class DiskFaultsTest : public LinkFixture {
 protected:
  void SetUp() override {
    Begin();
    CreateTopic("t");
    ASSERT_EQ(CodeOf(control_->Query(core::QueryKind::kEnsureGroup, "g")), kOk);
    for (const char* body : {"1", "2", "3"}) ASSERT_EQ(CodeOf(control_->Send("t", body)), kOk);
  }
  void TearDown() override {
    fs_->ReleaseSyncs();
    Kill();
  }
  void Begin() {
    Start(*fs_);
    Connect(*control_);
  }
  // As a kill and a start on a mended disk.
  void Restart() {
    fs_->ReleaseSyncs();
    Kill();
    fs_ = std::make_unique<FaultyFileSystem>(*posix_);
    Begin();
  }
  // Bodies of all messages that nobody has, in the order they come; there is one at least.
  std::vector<std::string> TakeAll() {
    std::vector<std::string> bodies;
    do {
      const auto received = control_->Receive("t");
      EXPECT_EQ(CodeOf(received), kOk);
      if (received->messages().empty()) return bodies;
      for (const auto& message : received->messages()) bodies.push_back(message.body);
      control_->link.ReportAnswer(received->messages()[0].answer, true);
    } while (Progress().ready > 0);
    return bodies;
  }
  std::uint32_t GetMessage(std::int64_t offset) {
    std::string payload;
    Encode(link::GetMessage{.topic = "t", .queue_offset = offset}, payload);
    return CodeOf(control_->Call(Op::kGetMessage, payload));
  }

  std::unique_ptr<FaultyFileSystem> fs_ = std::make_unique<FaultyFileSystem>(*posix_);
};

TEST_F(DiskFaultsTest, AHangingSyncAnswersSendsAfterTwoSecondsAndReadsGoOn) {
  fs_->HoldSyncs(1'000);
  const auto send = control_->Send("t", "slow");
  fs_->WaitForHeldSync();
  Advance(1'500);
  EXPECT_FALSE(send->code().has_value());
  Advance(1'000);
  EXPECT_EQ(CodeOf(send), kPersistenceTimeout);
  EXPECT_EQ(GetMessage(0), kOk);
  EXPECT_NE(GetMessage(3), kOk);  // it is not confirmed
  const auto received = control_->Receive("t");
  EXPECT_EQ(CodeOf(received), kOk);
  ASSERT_EQ(received->messages().size(), 3u);
  const auto ack = control_->Ack("t", received->messages()[0].handle);
  Turn();
  EXPECT_FALSE(ack->code().has_value());  // nor is this

  fs_->ReleaseSyncs();
  EXPECT_EQ(CodeOf(ack), kOk);
  EXPECT_EQ(CodeOf(control_->Send("t", "after")), kOk);
  EXPECT_EQ(GetMessage(3), kOk);
  EXPECT_EQ(GetMessage(4), kOk);
  Restart();
  EXPECT_EQ(Progress().acknowledged, 1);
  EXPECT_EQ(Progress().maximum, 5);
}

TEST_F(DiskFaultsTest, AFailedSyncAcknowledgesNothingMoreAndLosesNothing) {
  fs_->FailNth(FaultyFileSystem::Operation::kSync, 1, absl::UnavailableError("input/output error"));
  const auto send = control_->Send("t", "unknown");
  ASSERT_TRUE(Until([&] { return broker_->failed(); }));
  Turn();
  EXPECT_FALSE(send->code().has_value());
  EXPECT_EQ(CodeOf(control_->Send("t", "refused")), kInternal);
  EXPECT_EQ(CodeOf(control_->Receive("t")), kInternal);
  Advance(2'000);
  EXPECT_EQ(CodeOf(send), kPersistenceTimeout);
  EXPECT_EQ(GetMessage(2), kOk);
  EXPECT_NE(GetMessage(3), kOk);

  Restart();
  EXPECT_FALSE(broker_->failed());
  EXPECT_EQ(CodeOf(control_->Send("t", "after")), kOk);
  auto bodies = TakeAll();
  ASSERT_GE(bodies.size(), 4u);
  EXPECT_EQ((std::vector<std::string>{bodies.begin(), bodies.begin() + 3}), (std::vector<std::string>{"1", "2", "3"}));
  EXPECT_EQ(bodies.back(), "after");
  EXPECT_LE(bodies.size(), 5u);  // the outcome of "unknown" is
}

TEST_F(DiskFaultsTest, AnAckWhoseSyncFailedIsNotAnsweredOk) {
  const auto received = control_->Receive("t", {.batch = 1});
  ASSERT_EQ(CodeOf(received), kOk);
  control_->link.ReportAnswer(received->messages().at(0).answer, true);
  Turn();
  fs_->FailNth(FaultyFileSystem::Operation::kSync, 1, absl::UnavailableError("input/output error"));
  const auto ack = control_->Ack("t", received->messages()[0].handle);
  ASSERT_TRUE(Until([&] { return broker_->failed(); }));
  Advance(2'500);
  EXPECT_NE(CodeOf(ack), kOk);
  EXPECT_EQ(CodeOf(control_->Ack("t", received->messages()[0].handle)), kInternal);
}

TEST_F(DiskFaultsTest, AFullDiskRefusesSendsAndARestartWithSpaceHasEverything) {
  fs_->FailNth(FaultyFileSystem::Operation::kWrite, 1, absl::ResourceExhaustedError("no space left on device"), true);
  const auto send = control_->Send("t", "no room");
  ASSERT_TRUE(Until([&] { return broker_->failed(); }));
  EXPECT_EQ(CodeOf(control_->Send("t", "refused")), kInternal);
  Advance(2'500);
  EXPECT_EQ(CodeOf(send), kPersistenceTimeout);
  EXPECT_EQ(GetMessage(2), kOk);

  Restart();
  const auto bodies = TakeAll();
  EXPECT_EQ(bodies, (std::vector<std::string>{"1", "2", "3"}));
}

TEST_F(DiskFaultsTest, AMessageThatTheDiskDidNotGiveIsDeliveredLater) {
  fs_->FailNth(FaultyFileSystem::Operation::kRead, 1, absl::UnavailableError("input/output error"));
  const auto received = control_->Receive("t");
  EXPECT_EQ(CodeOf(received), kOk);
  EXPECT_EQ(received->messages().size(), 2u);
  EXPECT_EQ(Progress().skipped, 0);
  EXPECT_EQ(Progress().waiting, 1);
  Advance(1'000);
  const auto later = control_->Receive("t");
  ASSERT_EQ(CodeOf(later), kOk);
  ASSERT_EQ(later->messages().size(), 1u);
  EXPECT_EQ(later->messages()[0].attempt, 1u);
}

}  // namespace
}  // namespace millrace
