// KEDA's contract on the admin port, asked by a plain gRPC client.
#include "keda/externalscaler.pb.h"
#include "tests/integration/wire_fixture.h"

namespace millrace {
namespace {

namespace keda = externalscaler;
using Metadata = std::map<std::string, std::string>;

class ScalerTest : public WireTest {
 protected:
  static keda::ScaledObjectRef Object(const Metadata& metadata) {
    keda::ScaledObjectRef object;
    for (const auto& [key, value] : metadata) (*object.mutable_scalermetadata())[key] = value;
    return object;
  }
  static std::string Path(absl::string_view method) { return absl::StrCat("/externalscaler.ExternalScaler/", method); }

  template <typename Response>
  Response Ask(absl::string_view method, const google::protobuf::MessageLite& request) {
    const auto bytes = admin_->CallAndWait(Path(method), {}, request.SerializeAsString(), 20'000);
    MR_CHECK(bytes.ok());
    Response response;
    MR_CHECK(response.ParseFromString(*bytes));
    return response;
  }
  bool IsActive(const Metadata& metadata) { return Ask<keda::IsActiveResponse>("IsActive", Object(metadata)).result(); }
  std::map<std::string, double> Values(const Metadata& metadata) {
    keda::GetMetricsRequest request;
    *request.mutable_scaledobjectref() = Object(metadata);
    const auto response = Ask<keda::GetMetricsResponse>("GetMetrics", request);
    std::map<std::string, double> values;
    for (const auto& value : response.metricvalues()) values[value.metricname()] = value.metricvaluefloat();
    return values;
  }
  absl::StatusCode Refused(absl::string_view method, const Metadata& metadata) {
    return admin_->CallAndWait(Path(method), {}, Object(metadata).SerializeAsString(), 20'000).status().code();
  }

  void SendMany(int count) {
    for (int i = 0; i < count; ++i) SendBodies("orders", {absl::StrCat("message ", i)});
  }
  // Receives up to `count` and acknowledges them.
  int Consume(int count) {
    int done = 0;
    while (done < count) {
      auto request = ReceiveRequest("orders");
      request.set_batch_size(std::min(count - done, 32));
      const Received received = Receive(request);
      for (const v2::Message& message : received.messages) {
        EXPECT_EQ(AckCode("orders", message.system_properties().receipt_handle()), v2::OK);
        ++done;
      }
    }
    return done;
  }
};

const Metadata kBoth{{"consumerGroup", "billing"}, {"targetLag", "10"}, {"targetDrainSeconds", "60"}};

TEST_F(ScalerTest, FollowsTheBacklogOfAGroup) {
  CreateTopic("orders");
  CreateGroup("billing", [](auto&) {});
  EXPECT_FALSE(IsActive(kBoth)) << "it has received from no topic yet";

  SendMany(100);
  Metadata of_topic = kBoth;
  of_topic["topic"] = "orders";
  EXPECT_TRUE(IsActive(of_topic)) << "all that is stored waits for a group that has not begun";
  EXPECT_EQ(Values(of_topic).at("millrace-lag"), 100);

  Consume(10);
  EXPECT_TRUE(IsActive(kBoth));
  EXPECT_EQ(Values(kBoth).at("millrace-lag"), 90);
  EXPECT_EQ(Values(of_topic).at("millrace-lag"), 90);

  const Received held = Receive(ReceiveRequest("orders"));
  ASSERT_FALSE(held.messages.empty());
  EXPECT_EQ(Values(kBoth).at("millrace-lag"), 90) << "messages in flight are still work";

  for (const v2::Message& message : held.messages) AckCode("orders", message.system_properties().receipt_handle());
  Consume(90 - static_cast<int>(held.messages.size()));
  EXPECT_EQ(Values(kBoth).at("millrace-lag"), 0);
  EXPECT_EQ(Values(kBoth).at("millrace-consumers-needed"), 0);
  EXPECT_FALSE(IsActive(kBoth));
}

TEST_F(ScalerTest, TheRateOfConsumersIsMeasured) {
  CreateTopic("orders");
  SendMany(200);
  const auto telemetry = client_.OpenTelemetry();
  telemetry->Write(ConsumerSettings(v2::SIMPLE_CONSUMER, "orders"));
  Answer(*telemetry);
  Consume(1);
  while (ClientsOf("billing") == 0) WaitForLinkTick();
  const std::int64_t began = stack_.clock().MonotonicMillis();
  EXPECT_EQ(Values(kBoth).at("millrace-consumers-needed"), 1) << "no rate is known: as many as there are";
  Consume(100);
  AdvanceSeconds(50);
  const double needed = Values(kBoth).at("millrace-consumers-needed");
  const double seconds = static_cast<double>(stack_.clock().MonotonicMillis() - began) / 1'000;
  // 99 are ready; one consumer did 100 in `seconds`.
  EXPECT_NEAR(needed, std::ceil(99 * seconds / 100 / 60), 1);
  Metadata hurry = kBoth;
  hurry["targetDrainSeconds"] = "5";
  EXPECT_GE(Values(hurry).at("millrace-consumers-needed"), 9);
}

TEST_F(ScalerTest, WhatDoesNotExistIsNotFound) {
  EXPECT_EQ(Refused("IsActive", kBoth), absl::StatusCode::kNotFound);
  CreateGroup("billing", [](auto&) {});
  Metadata of_topic = kBoth;
  of_topic["topic"] = "nowhere";
  EXPECT_EQ(Refused("IsActive", of_topic), absl::StatusCode::kNotFound);
  EXPECT_EQ(Refused("IsActive", {{"consumerGroup", "billing"}}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Refused("StreamMetricSpec", kBoth), absl::StatusCode::kUnimplemented);
}

TEST_F(ScalerTest, AStreamIsToldWhenWorkArrives) {
  CreateTopic("orders");
  CreateGroup("billing", [](auto&) {});
  const auto heard = std::make_shared<testing_support::WireStream>();
  const auto call = admin_->OpenStream(Path("StreamIsActive"), {}, heard);
  call->Write(Object({{"consumerGroup", "billing"}, {"topic", "orders"}, {"targetLag", "5"}}).SerializeAsString());
  call->WritesDone();
  const auto result = [](const std::string& bytes) {
    keda::IsActiveResponse response;
    MR_CHECK(response.ParseFromString(bytes));
    return response.result();
  };
  EXPECT_FALSE(result(heard->WaitForMessages(1).at(0)));
  SendMany(1);
  AdvanceSeconds(10, [&] { return heard->messages().size() == 2; });
  EXPECT_TRUE(result(heard->WaitForMessages(2).at(1)));
  stack_.proxy().Stop();
  EXPECT_EQ(heard->WaitForEnd().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace millrace
