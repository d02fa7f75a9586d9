// The proxy's page of metrics after calls of which the number is known.
#include "services/proxy/proxy_collect.h"
#include "tests/integration/wire_fixture.h"

namespace millrace {
namespace {

using Wanted = std::map<std::string, std::string>;

class ProxyMetricsTest : public WireTest {
 protected:
  explicit ProxyMetricsTest(const testing_support::Stack::Options& options = {}) : WireTest(options) {}

  // The sum over samples that carry these labels; nullopt: there is none. Of a histogram its number of values.
  std::optional<double> Find(const std::string& name, const Wanted& wanted = {}) {
    std::optional<double> sum;
    for (const auto& family : proxy::ProxyPage(stack_.proxy()).Collect()) {
      if (family.name != name) continue;
      for (const auto& metric : family.metric) {
        Wanted labels;
        for (const auto& label : metric.label) labels[label.name] = label.value;
        const bool matches = std::all_of(wanted.begin(), wanted.end(), [&](const auto& each) {
          const auto found = labels.find(each.first);
          return found != labels.end() && found->second == each.second;
        });
        if (!matches) continue;
        const bool is_histogram = family.type == prometheus::MetricType::Histogram;
        sum = sum.value_or(0) + (is_histogram ? static_cast<double>(metric.histogram.sample_count)
                                              : metric.counter.value + metric.gauge.value);
      }
    }
    return sum;
  }
  double Value(const std::string& name, const Wanted& wanted = {}) { return Find(name, wanted).value_or(-1); }
};

TEST_F(ProxyMetricsTest, CountsCallsByMethodAndCode) {
  CreateTopic("orders");
  SendBodies("orders", {"1", "2", "3"});
  EXPECT_EQ(SendCode(MakeMessage("nowhere", "4")), v2::TOPIC_NOT_FOUND);
  const Received received = Receive(ReceiveRequest("orders"));
  ASSERT_FALSE(received.messages.empty());
  EXPECT_EQ(AckCode("orders", HandleOf(received)), v2::OK);
  EXPECT_EQ(AckCode("orders", "rubbish"), v2::INVALID_RECEIPT_HANDLE);

  const char* requests = "millrace_proxy_requests_total";
  EXPECT_EQ(Value(requests, {{"method", "SendMessage"}, {"code", "OK"}}), 3);
  EXPECT_EQ(Value(requests, {{"method", "SendMessage"}, {"code", "TOPIC_NOT_FOUND"}}), 1);
  EXPECT_EQ(Value(requests, {{"method", "ReceiveMessage"}, {"code", "OK"}}), 1);
  EXPECT_EQ(Value(requests, {{"method", "AckMessage"}}), 2);
  EXPECT_EQ(Value(requests, {{"method", "AckMessage"}, {"code", "INVALID_RECEIPT_HANDLE"}}), 1);

  const char* latency = "rocketmq_rpc_latency_milliseconds";
  EXPECT_EQ(Value(latency, {{"protocol_type", "grpc"},
                            {"request_code", "SendMessage"},
                            {"response_code", "OK"},
                            {"is_long_polling", "false"},
                            {"result", "success"}}),
            3);
  EXPECT_EQ(Value(latency, {{"request_code", "ReceiveMessage"}, {"is_long_polling", "true"}}), 1);
  EXPECT_EQ(Value("millrace_proxy_request_seconds", {{"method", "SendMessage"}}), 4);
  EXPECT_EQ(Value("millrace_proxy_request_seconds", {{"method", "Heartbeat"}}), 0);
  EXPECT_EQ(Value("millrace_proxy_forward_seconds", {{"broker_set", "broker-a"}, {"op", "send"}}), 3);
  EXPECT_EQ(Value("millrace_proxy_forward_seconds", {{"op", "ack"}}), 2);
  EXPECT_EQ(Value("millrace_proxy_messages_in_total"), 3);
  EXPECT_EQ(Value("millrace_proxy_routes"), 1);
}

TEST_F(ProxyMetricsTest, CountsClientsStreamsAndConnections) {
  CreateTopic("orders");
  client_.headers["x-mq-language"] = "JAVA";
  client_.headers["x-mq-client-version"] = "5.0.7";
  const auto producer = client_.OpenTelemetry();
  producer->Write(ProducerSettings("orders"));
  Answer(*producer);
  WireClient other = Client("client-2");
  auto consumer = other.OpenTelemetry();
  consumer->Write(ConsumerSettings(v2::PUSH_CONSUMER, "orders"));
  Answer(*consumer);

  EXPECT_EQ(Value("rocketmq_producer_connections", {{"language", "java"}, {"version", "5.0.7"}}), 1);
  EXPECT_EQ(Value("rocketmq_consumer_connections", {{"consumer_group", "billing"}, {"consume_mode", "push"}}), 1);
  EXPECT_EQ(Value("millrace_proxy_telemetry_streams"), 2);
  EXPECT_EQ(Value("millrace_proxy_connections"), 2);
  EXPECT_EQ(Value("millrace_proxy_connections_total", {{"result", "accepted"}}), 2);
  EXPECT_EQ(Value("millrace_proxy_connections_total", {{"result", "refused"}}), 0);

  consumer.reset();
  while (Value("millrace_proxy_telemetry_streams") != 1) std::this_thread::yield();
  while (Find("rocketmq_consumer_connections")) std::this_thread::yield();
  EXPECT_EQ(Value("millrace_proxy_requests_total", {{"method", "Telemetry"}, {"code", "cancelled"}}), 1);
  EXPECT_EQ(Find("rocketmq_rpc_latency_milliseconds", {{"request_code", "Telemetry"}}), std::nullopt);
}

TEST_F(ProxyMetricsTest, EverySampleSaysWhereItComesFrom) {
  CreateTopic("orders");
  EXPECT_EQ(Value("millrace_proxy_link_up", {{"broker_set", "broker-a"}}), 1);
  EXPECT_GT(Value("millrace_proxy_link_records_out_total", {{"broker_set", "broker-a"}}), 0);
  EXPECT_EQ(Value("millrace_proxy_link_breaks_total"), 0);
  std::set<std::string> clusters;
  for (const auto& family : proxy::ProxyPage(stack_.proxy()).Collect()) {
    for (const auto& metric : family.metric) {
      ASSERT_GE(metric.label.size(), 3u) << family.name;
      EXPECT_EQ(metric.label[1].value, "proxy") << family.name;
      clusters.insert(metric.label[0].value);
    }
  }
  EXPECT_EQ(clusters.size(), 1u);
  EXPECT_EQ(Find("millrace_canary_sends_total"), std::nullopt) << "it is off";
}

class ProxyCanaryTest : public ProxyMetricsTest {
 protected:
  ProxyCanaryTest() : ProxyMetricsTest({.canary = true}) {}
};

TEST_F(ProxyCanaryTest, GoesRoundAndIsNoUsersTopic) {
  while (Value("millrace_canary_acknowledgements_total", {{"result", "ok"}}) < 2) std::this_thread::yield();
  EXPECT_GE(Value("millrace_canary_sends_total", {{"result", "ok"}}), 2);
  EXPECT_GE(Value("millrace_canary_end_to_end_seconds"), 2);
  EXPECT_EQ(Value("millrace_proxy_messages_in_total"), 0) << "no client sent it";
  CreateTopic("orders");
  CreateGroup("billing", [](auto&) {});
  const auto topics = Admin<admin_v1::ListTopicsResponse>("ListTopics", admin_v1::ListTopicsRequest());
  ASSERT_EQ(topics.topics_size(), 1);
  EXPECT_EQ(topics.topics(0).name(), "orders");
  const auto groups = Admin<admin_v1::ListGroupsResponse>("ListGroups", admin_v1::ListGroupsRequest());
  ASSERT_EQ(groups.groups_size(), 1);
  admin_v1::ListTopicsRequest all;
  all.set_system(true);
  EXPECT_EQ(Admin<admin_v1::ListTopicsResponse>("ListTopics", all).topics_size(), 2);
  EXPECT_EQ(SendCode(MakeMessage("rmq_sys_canary", "x")), v2::ILLEGAL_TOPIC);
}

}  // namespace
}  // namespace millrace
