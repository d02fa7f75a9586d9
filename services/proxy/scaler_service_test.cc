#include "services/proxy/scaler_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/proxy/testing/fakes.h"

namespace millrace::proxy {
namespace {

namespace keda = externalscaler;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

keda::ScaledObjectRef Object(std::map<std::string, std::string> metadata) {
  keda::ScaledObjectRef object;
  object.set_name("billing-workers");
  for (const auto& [key, value] : metadata) (*object.mutable_scalermetadata())[key] = value;
  return object;
}

keda::ScaledObjectRef Billing(const std::string& key = "targetLag", const std::string& value = "100") {
  return Object({{"consumerGroup", "billing"}, {key, value}});
}

keda::GetMetricsRequest Metrics(const keda::ScaledObjectRef& object, const std::string& name = "") {
  keda::GetMetricsRequest request;
  *request.mutable_scaledobjectref() = object;
  request.set_metricname(name);
  return request;
}

class ScalerServiceTest : public testing::Test {
 protected:
  ScalerServiceTest() { link_.answers_queries = false; }
  ~ScalerServiceTest() override {
    for (const auto& call : calls_) call->Forget();
  }

  template <typename Request>
  std::shared_ptr<FakeCall> Start(const std::string& method, const Request& request) {
    auto call = calls_.emplace_back(std::make_shared<FakeCall>("/externalscaler.ExternalScaler/" + method));
    EXPECT_NE(service_.Kind(call->method()), std::nullopt);
    service_.OnRequest(call, request.SerializeAsString());
    return call;
  }
  template <typename Response>
  static Response AnswerOf(const FakeCall& call) {
    Response response;
    EXPECT_TRUE(call.finished.has_value() && call.finished->ok()) << call.finished.value_or(absl::OkStatus());
    EXPECT_THAT(call.written, SizeIs(1));
    EXPECT_TRUE(response.ParseFromString(call.written.at(0)));
    return response;
  }
  static bool LastOf(const FakeCall& stream) {
    keda::IsActiveResponse response;
    EXPECT_TRUE(response.ParseFromString(stream.written.back()));
    return response.result();
  }

  // The broker's answer to the last question.
  void Answer(const core::GroupProgress& progress) {
    std::string payload;
    core::Encode(progress, payload);
    link_.Reply(link_.calls.size() - 1, kOk, {}, payload);
  }
  void Refuse(std::uint32_t code, const std::string& text) { link_.Reply(link_.calls.size() - 1, code, text); }

  static core::QueueProgress Queue(const std::string& topic, std::int64_t ready, std::int64_t in_flight = 0,
                                   std::int64_t acknowledged = 0) {
    core::QueueProgress queue;
    queue.topic = topic;
    queue.ready = ready;
    queue.in_flight = in_flight;
    queue.acknowledged = acknowledged;
    return queue;
  }
  static core::GroupProgress Progress(std::uint32_t clients, std::vector<core::QueueProgress> queues) {
    core::GroupProgress progress;
    progress.group.name = "billing";
    progress.clients = clients;
    progress.queues = std::move(queues);
    return progress;
  }

  static constexpr std::uint32_t kOk = 20'000, kTopicNotFound = 40'402, kGroupNotFound = 40'403, kTimeout = 50'400;
  base::ManualClock clock_;
  FakeLink link_;
  ScalerService service_{link_, clock_};
  std::vector<std::shared_ptr<FakeCall>> calls_;
};

TEST_F(ScalerServiceTest, KnowsItsMethodsOnly) {
  EXPECT_EQ(service_.Kind("/externalscaler.ExternalScaler/IsActive"), rpc::CallKind::kUnary);
  EXPECT_EQ(service_.Kind("/externalscaler.ExternalScaler/StreamIsActive"), rpc::CallKind::kServerStream);
  // Others than the four, and those of another service on the port.
  EXPECT_EQ(service_.Kind("/externalscaler.ExternalScaler/StreamMetricSpec"), std::nullopt);
  EXPECT_EQ(service_.Kind("/millrace.admin.v1.Admin/IsActive"), std::nullopt);
}

TEST_F(ScalerServiceTest, ABacklogAboveTheActivationIsActive) {
  const auto asked = Start("IsActive", Billing());
  Answer(Progress(0, {Queue("orders", 1)}));
  EXPECT_TRUE(AnswerOf<keda::IsActiveResponse>(*asked).result());

  const auto held = Start("IsActive", Billing());
  Answer(Progress(1, {Queue("orders", 0, 1)}));
  EXPECT_TRUE(AnswerOf<keda::IsActiveResponse>(*held).result());

  const auto empty = Start("IsActive", Billing());
  Answer(Progress(1, {Queue("orders", 0, 0, 70)}));
  EXPECT_FALSE(AnswerOf<keda::IsActiveResponse>(*empty).result());

  const auto few =
      Start("IsActive", Object({{"consumerGroup", "billing"}, {"targetLag", "5"}, {"activationLag", "3"}}));
  Answer(Progress(1, {Queue("orders", 3)}));
  EXPECT_FALSE(AnswerOf<keda::IsActiveResponse>(*few).result());
}

TEST_F(ScalerServiceTest, OffersAMetricForEachTarget) {
  const auto names = [&](const keda::ScaledObjectRef& object) {
    std::map<std::string, double> specs;
    const auto answer = AnswerOf<keda::GetMetricSpecResponse>(*Start("GetMetricSpec", object));
    for (const auto& spec : answer.metricspecs()) {
      specs[spec.metricname()] = spec.targetsizefloat();
      EXPECT_EQ(static_cast<double>(spec.targetsize()), spec.targetsizefloat());
    }
    return specs;
  };
  using Specs = std::map<std::string, double>;
  EXPECT_EQ(names(Billing("targetLag", "250")), (Specs{{"millrace-lag", 250}}));
  EXPECT_EQ(names(Billing("targetDrainSeconds", "60")), (Specs{{"millrace-consumers-needed", 1}}));
  EXPECT_EQ(names(Object({{"consumerGroup", "billing"}, {"targetLag", "10"}, {"targetDrainSeconds", "60"}})),
            (Specs{{"millrace-consumers-needed", 1}, {"millrace-lag", 10}}));
  EXPECT_THAT(link_.calls, IsEmpty()) << "what is offered does not depend on the broker";
}

TEST_F(ScalerServiceTest, TheBacklogIsWhatIsReadyAndInFlightInAllTopics) {
  const auto asked = Start("GetMetrics", Metrics(Billing(), "millrace-lag"));
  Answer(Progress(2, {Queue("orders", 100, 5, 9), Queue("orders", 20), Queue("refunds", 3)}));
  const auto answer = AnswerOf<keda::GetMetricsResponse>(*asked);
  ASSERT_EQ(answer.metricvalues_size(), 1);
  EXPECT_EQ(answer.metricvalues(0).metricname(), "millrace-lag");
  EXPECT_EQ(answer.metricvalues(0).metricvaluefloat(), 128);
  EXPECT_EQ(answer.metricvalues(0).metricvalue(), 128);
}

TEST_F(ScalerServiceTest, ATriggerMayNameOneTopic) {
  const auto object = Object({{"consumerGroup", "billing"}, {"topic", "refunds"}, {"targetLag", "10"}});
  const auto asked = Start("GetMetrics", Metrics(object));
  Answer(Progress(2, {Queue("orders", 100), Queue("refunds", 3)}));
  EXPECT_EQ(AnswerOf<keda::GetMetricsResponse>(*asked).metricvalues(0).metricvalue(), 3);
}

TEST_F(ScalerServiceTest, ATopicThatTheGroupHasNotReadYetIsAllBacklog) {
  const auto object = Object({{"consumerGroup", "billing"}, {"topic", "refunds"}, {"targetLag", "10"}});
  const auto asked = Start("GetMetrics", Metrics(object));
  Answer(Progress(0, {Queue("orders", 100)}));
  core::QueueProgress stored;
  stored.topic = "refunds";
  stored.minimum = 5;
  stored.maximum = 12;
  Answer(Progress(0, {stored, stored}));
  EXPECT_EQ(AnswerOf<keda::GetMetricsResponse>(*asked).metricvalues(0).metricvalue(), 14);

  const auto unknown = Start("GetMetrics", Metrics(object));
  Answer(Progress(0, {}));
  Refuse(kTopicNotFound, "topic refunds does not exist");
  EXPECT_EQ(unknown->finished->code(), absl::StatusCode::kNotFound);
}

TEST_F(ScalerServiceTest, NeedsAsManyConsumersAsEmptyTheBacklogInTime) {
  const auto object = Billing("targetDrainSeconds", "60");
  const auto needed = [&](const core::GroupProgress& progress) {
    const auto asked = Start("GetMetrics", Metrics(object, "millrace-consumers-needed"));
    Answer(progress);
    return AnswerOf<keda::GetMetricsResponse>(*asked).metricvalues(0).metricvaluefloat();
  };
  EXPECT_EQ(needed(Progress(2, {Queue("orders", 6'000, 0, 1'000)})), 2) << "no rate is known yet";
  clock_.Advance(10'000);
  // 2 consumers acknowledged 100 in 10 s: 5 a second each; 6,000 in a minute take 20 of them.
  EXPECT_EQ(needed(Progress(2, {Queue("orders", 6'000, 0, 1'100)})), 20);
  EXPECT_EQ(needed(Progress(2, {Queue("orders", 0, 3, 1'100)})), 0);
}

TEST_F(ScalerServiceTest, AMetricOfAnotherTriggerIsRefused) {
  const auto asked = Start("GetMetrics", Metrics(Billing(), "millrace-consumers-needed"));
  EXPECT_EQ(asked->finished->code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(asked->finished->message()), HasSubstr("targetDrainSeconds gives millrace-consumers-needed"));
}

TEST_F(ScalerServiceTest, AnUnknownGroupIsNotFound) {
  for (const char* method : {"IsActive", "StreamIsActive"}) {
    const auto asked = Start(method, Billing());
    Refuse(kGroupNotFound, "group billing does not exist");
    EXPECT_EQ(asked->finished->code(), absl::StatusCode::kNotFound) << method;
    EXPECT_THAT(std::string(asked->finished->message()), HasSubstr("billing"));
  }
}

TEST_F(ScalerServiceTest, ABrokerThatDoesNotAnswerIsNoEmptyBacklog) {
  const auto asked = Start("IsActive", Billing());
  Refuse(kTimeout, "the link to the broker is down");
  EXPECT_EQ(asked->finished->code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(ScalerServiceTest, BadMetadataAndBytesAreRefused) {
  for (const char* method : {"IsActive", "StreamIsActive", "GetMetricSpec"}) {
    EXPECT_EQ(Start(method, Object({{"targetLag", "5"}}))->finished->code(), absl::StatusCode::kInvalidArgument);
  }
  const auto call = std::make_shared<FakeCall>("/externalscaler.ExternalScaler/IsActive");
  service_.OnRequest(call, "\xff\xff");
  EXPECT_EQ(call->finished->code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(link_.calls, IsEmpty());
}

TEST_F(ScalerServiceTest, AStreamTellsAtOnceAndWhenItChanges) {
  const auto stream = Start("StreamIsActive", Billing());
  EXPECT_THAT(stream->written, IsEmpty());
  Answer(Progress(0, {}));
  ASSERT_THAT(stream->written, SizeIs(1));
  EXPECT_FALSE(LastOf(*stream));

  const auto look = [&](const core::GroupProgress& progress) {
    clock_.Advance(5'000);
    service_.Tick();
    Answer(progress);
  };
  look(Progress(0, {}));
  EXPECT_THAT(stream->written, SizeIs(1)) << "nothing has changed";
  look(Progress(0, {Queue("orders", 1)}));
  ASSERT_THAT(stream->written, SizeIs(2));
  EXPECT_TRUE(LastOf(*stream));
  EXPECT_EQ(stream->finished, std::nullopt);
}

TEST_F(ScalerServiceTest, AStreamAsksOneQuestionAtATimeAndEveryFiveSeconds) {
  Start("StreamIsActive", Billing());
  clock_.Advance(60'000);
  service_.Tick();
  EXPECT_THAT(link_.calls, SizeIs(1)) << "the first is not answered";
  Answer(Progress(0, {}));
  service_.Tick();
  EXPECT_THAT(link_.calls, SizeIs(2));
  Answer(Progress(0, {}));
  clock_.Advance(4'999);
  service_.Tick();
  EXPECT_THAT(link_.calls, SizeIs(2));
  clock_.Advance(1);
  service_.Tick();
  EXPECT_THAT(link_.calls, SizeIs(3));
}

TEST_F(ScalerServiceTest, AStreamOutlivesABrokerThatIsAwayButNotItsGroup) {
  const auto stream = Start("StreamIsActive", Billing());
  Refuse(kTimeout, "the link to the broker is down");
  EXPECT_EQ(stream->finished, std::nullopt);
  clock_.Advance(5'000);
  service_.Tick();
  Answer(Progress(0, {Queue("orders", 1)}));
  EXPECT_TRUE(LastOf(*stream));
  clock_.Advance(5'000);
  service_.Tick();
  Refuse(kGroupNotFound, "group billing does not exist");
  EXPECT_EQ(stream->finished->code(), absl::StatusCode::kNotFound);
}

TEST_F(ScalerServiceTest, AStreamThatHasEndedIsNotLookedAfter) {
  const auto stream = Start("StreamIsActive", Billing());
  Answer(Progress(0, {}));
  stream->Cancel();
  clock_.Advance(5'000);
  service_.Tick();
  EXPECT_THAT(link_.calls, SizeIs(1));

  const auto other = Start("StreamIsActive", Billing());
  service_.EndStreams();
  EXPECT_EQ(other->finished->code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace millrace::proxy
