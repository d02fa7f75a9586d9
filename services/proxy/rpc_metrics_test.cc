#include "services/proxy/rpc_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "apache/rocketmq/v2/definition.pb.h"

namespace millrace::proxy {
namespace {

namespace v2 = apache::rocketmq::v2;

using Counted = std::map<std::string, std::uint64_t>;

Counted CountsOf(const RpcMetrics& metrics) {
  Counted counted;
  metrics.ForEachAnswer([&](const RpcMetrics::Answers& answers) {
    const absl::string_view name = NameOf(answers.method);
    counted[std::string(name) + " " + CodeLabel(answers.code) + (answers.waited ? " waited" : "")] = answers.count;
  });
  return counted;
}

TEST(RpcMetricsTest, EveryCodeOfEveryMethodHasItsPlace) {
  const auto metrics = std::make_unique<RpcMetrics>();
  Counted expected;
  const auto* codes = v2::Code_descriptor();
  for (std::size_t method = 0; method < kMethodCount; ++method) {
    for (int i = 0; i < codes->value_count(); ++i) {
      const int code = codes->value(i)->number();
      const absl::string_view name = NameOf(static_cast<Method>(method));
      metrics->Record(static_cast<Method>(method), code, 1);
      expected[std::string(name) + " " + CodeLabel(code)] = 1;
    }
  }
  EXPECT_EQ(CountsOf(*metrics), expected);
}

TEST(RpcMetricsTest, OthersAndTheCancelledAreTold) {
  const auto metrics = std::make_unique<RpcMetrics>();
  metrics->Record(Method::kSendMessage, v2::OK, 1);
  metrics->Record(Method::kSendMessage, v2::OK, 1);
  metrics->Record(Method::kSendMessage, 77'777, 1);
  metrics->Record(Method::kReceiveMessage, RpcMetrics::kCancelled, 1, true);
  metrics->Record(Method::kReceiveMessage, v2::BAD_REQUEST, 1);
  EXPECT_EQ(CountsOf(*metrics), (Counted{{"SendMessage OK", 2},
                                         {"SendMessage other", 1},
                                         {"ReceiveMessage cancelled waited", 1},
                                         {"ReceiveMessage BAD_REQUEST", 1}}));
  EXPECT_STREQ(ResultLabel(RpcMetrics::kCancelled), "cancelled");
  EXPECT_STREQ(ResultLabel(v2::TOPIC_NOT_FOUND), "success");
  EXPECT_STREQ(ResultLabel(v2::PROXY_TIMEOUT), "process_request_failed");
}

TEST(RpcMetricsTest, TimesAreKeptInBothKindsOfBuckets) {
  const auto metrics = std::make_unique<RpcMetrics>();
  metrics->Record(Method::kSendMessage, v2::OK, 2'000'000);
  metrics->ForEachAnswer([](const RpcMetrics::Answers& answers) {
    EXPECT_EQ(answers.nanos.buckets[1], 1u) << "1 to 3 ms";
    EXPECT_EQ(answers.nanos.sum, 2'000'000u);
  });
  EXPECT_EQ(metrics->nanos(Method::kSendMessage, false).counts().buckets[4], 1u) << "1 to 2.5 ms";
  EXPECT_EQ(metrics->nanos(Method::kReceiveMessage, true).counts().sum, 0u);
}

}  // namespace
}  // namespace millrace::proxy
