#include "services/proxy/canary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/stored_message.h"
#include "services/proxy/testing/fakes.h"

namespace millrace::proxy {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

constexpr std::uint32_t kOkCode = 20'000, kExists = 42'800, kNoTopic = 40'402, kNoMessage = 40'401, kTimeout = 50'400;

class CanaryTest : public testing::Test {
 protected:
  CanaryTest() { link_.answers_queries = false; }
  ~CanaryTest() override {
    canary_->Stop();
    link_.polls.clear();
    link_.calls.clear();
  }

  // Topic and group are there; the next Tick() sends.
  void Prepare() {
    canary_->Tick();
    link_.Reply(0, kExists);
    link_.Reply(1, kOkCode);
    link_.calls.clear();
  }
  std::string StoredOfLastSend() const {
    const auto request = link::Decode<link::SendRequest>(link_.calls.back().payload);
    EXPECT_EQ(request->topic, kCanaryTopic);
    return std::string(request->messages.at(0).stored);
  }
  void Deliver(std::size_t poll, const std::string& stored, std::uint32_t attempt = 1) {
    link_.polls.at(poll).receiver->OnDelivery({.answer = 7, .handle = "handle", .attempt = attempt, .stored = stored});
  }
  std::uint64_t Measured() const {
    std::uint64_t count = 0;
    for (const std::uint64_t bucket : canary_->end_to_end().counts().buckets) count += bucket;
    return count;
  }

  base::ManualClock clock_;
  FakeLink link_;
  std::shared_ptr<Canary> canary_ = std::make_shared<Canary>(link_, clock_, "proxy-0");
};

TEST_F(CanaryTest, MakesTopicAndGroupFirst) {
  canary_->Tick();
  canary_->Tick();
  ASSERT_THAT(link_.calls, SizeIs(1)) << "one attempt at a time";
  EXPECT_EQ(link_.calls[0].op, link::Op::kPutTopic);
  link_.Reply(0, kTimeout);
  EXPECT_EQ(canary_->sends(false), 1u);
  canary_->Tick();
  link_.Reply(1, kOkCode);
  ASSERT_THAT(link_.calls, SizeIs(3));
  EXPECT_EQ(link_.calls[2].op, link::Op::kPutGroup);
  link_.Reply(2, kExists);
  canary_->Tick();
  EXPECT_EQ(link_.calls.back().op, link::Op::kSend);
}

TEST_F(CanaryTest, MeasuresTheWayToTheConsumerAndAcknowledges) {
  Prepare();
  canary_->Tick();
  ASSERT_THAT(link_.polls, SizeIs(1));
  const std::string stored = StoredOfLastSend();
  link_.ReplySent(0, kOkCode, 0);
  EXPECT_EQ(canary_->sends(true), 1u);
  clock_.Advance(40);
  Deliver(0, stored);
  EXPECT_EQ(Measured(), 1u);
  EXPECT_EQ(canary_->end_to_end().counts().sum, 40'000'000u);
  EXPECT_EQ(link_.credit, stored.size());
  link_.polls[0].receiver->OnEnd({.code = kOkCode, .answer = 7});
  EXPECT_EQ(link_.reports, (std::vector<std::pair<std::uint64_t, bool>>{{7, true}}));
  EXPECT_EQ(link_.calls.back().op, link::Op::kAck);
  link_.Reply(link_.calls.size() - 1, kOkCode);
  EXPECT_EQ(canary_->acks(true), 1u);
  EXPECT_THAT(link_.polls, SizeIs(2)) << "it waits for the next one at once";
}

TEST_F(CanaryTest, FailedSendsAreCounted) {
  Prepare();
  canary_->Tick();
  link_.ReplySent(0, kTimeout, 0);
  canary_->Tick();
  link_.Reply(1, kTimeout);
  EXPECT_EQ(canary_->sends(true), 0u);
  EXPECT_EQ(canary_->sends(false), 2u);
  canary_->Tick();
  link_.ReplySent(2, kNoTopic, 0);
  canary_->Tick();
  EXPECT_EQ(link_.calls.back().op, link::Op::kPutTopic) << "somebody deleted it";
}

TEST_F(CanaryTest, AnEmptyPollIsRepeatedByTheNextTickOnly) {
  Prepare();
  canary_->Tick();
  link_.polls[0].receiver->OnEnd({.code = kNoMessage});
  EXPECT_THAT(link_.polls, SizeIs(1));
  canary_->Tick();
  EXPECT_THAT(link_.polls, SizeIs(2));
}

TEST_F(CanaryTest, OldMessagesAndRedeliveriesAreNotMeasured) {
  Prepare();
  canary_->Tick();
  const std::string stored = StoredOfLastSend();
  Deliver(0, stored, 2);
  clock_.Advance(600'001);
  Deliver(0, stored);
  EXPECT_EQ(Measured(), 0u);
  // Of another proxy: by the wall clock.
  const std::string body = absl::StrCat("0123 5 ", clock_.WallMillis() - 30);
  Deliver(0, model::EncodeStoredMessage({.message_type = 1, .body = body}));
  EXPECT_EQ(canary_->end_to_end().counts().sum, 30'000'000u);
}

TEST_F(CanaryTest, AStopEndsItsPollAndItself) {
  Prepare();
  canary_->Tick();
  canary_->Stop();
  EXPECT_THAT(link_.cancelled, SizeIs(1));
  const std::size_t calls = link_.calls.size();
  canary_->Tick();
  EXPECT_THAT(link_.calls, SizeIs(calls));
}

}  // namespace
}  // namespace millrace::proxy
