#include "services/proxy/proxy_collect.h"

#include <algorithm>
#include <map>

#include "apache/rocketmq/v2/definition.pb.h"
#include "auth/auth_metrics.h"
#include "model/names.h"
#include "services/proxy/method.h"

namespace millrace::proxy {
namespace {

namespace v2 = apache::rocketmq::v2;
using http::Labels;
using http::MetricFamilies;
using prometheus::MetricType;

// SDKs name their language and version themselves: more kinds than this are summed up as "other".
constexpr std::size_t kKindsMax = 500;

template <typename T>
double Number(T value) {
  return static_cast<double>(value);
}
const char* BoolLabel(bool value) { return value ? "true" : "false"; }
std::string MethodLabel(Method method) {
  const absl::string_view name = NameOf(method);
  return {name.data(), name.size()};
}

void CollectCalls(const RpcMetrics& rpc, MetricFamilies& families) {
  constexpr char kLatency[] = "rocketmq_rpc_latency_milliseconds";
  constexpr char kRequests[] = "millrace_proxy_requests_total";
  const std::string requests_help = "Calls that have ended, by name of the v2 code; of Telemetry the streams.";
  families.Declare(kLatency, "Time of a call until its answer, in RocketMQ's buckets.", MetricType::Histogram);
  families.Declare(kRequests, requests_help, MetricType::Counter);
  std::map<std::pair<Method, int>, std::uint64_t> requests;
  rpc.ForEachAnswer([&](const RpcMetrics::Answers& answers) {
    requests[{answers.method, answers.code}] += answers.count;
    if (answers.method == Method::kTelemetry) return;  // its streams last as long as their clients
    families.Histogram(kLatency, "", base::kRpcNanos, answers.nanos, 1e6,
                       {{"protocol_type", "grpc"},
                        {"request_code", MethodLabel(answers.method)},
                        {"response_code", CodeLabel(answers.code)},
                        {"is_long_polling", BoolLabel(answers.waited)},
                        {"result", ResultLabel(answers.code)}});
  });
  for (const auto& [key, count] : requests) {
    families.Counter(kRequests, requests_help, Number(count),
                     {{"method", MethodLabel(key.first)}, {"code", CodeLabel(key.second)}});
  }
  const auto histogram = [&](Method method, bool waited) {
    families.Histogram("millrace_proxy_request_seconds", "Time of a call until its answer, whatever its code.",
                       rpc.nanos(method, waited), 1e9,
                       {{"method", MethodLabel(method)}, {"is_long_polling", BoolLabel(waited)}});
  };
  for (std::size_t i = 0; i < kMethodCount; ++i) {
    if (const auto method = static_cast<Method>(i); method != Method::kTelemetry) histogram(method, false);
  }
  histogram(Method::kReceiveMessage, true);
}

void CollectTraffic(const ProxyMetrics& metrics, MetricFamilies& families) {
  families.Counter("millrace_proxy_messages_in_total", "Messages stored, as the broker said.",
                   Number(metrics.messages_in.load()));
  families.Counter("millrace_proxy_messages_out_total", "Messages in streams that ended well.",
                   Number(metrics.messages_out.load()));
  families.Counter("millrace_proxy_bytes_in_total", "Bytes of send requests.", Number(metrics.bytes_in.load()));
  families.Counter("millrace_proxy_bytes_out_total", "Bytes of deliveries.", Number(metrics.bytes_out.load()));
  families.Counter("millrace_proxy_answers_returned_total", "Receives whose stream did not end well.",
                   Number(metrics.answers_returned.load()));
}

const char* ConsumeMode(int client_type) {
  switch (client_type) {
    case v2::PUSH_CONSUMER:
    case v2::LITE_PUSH_CONSUMER: return "push";
    case v2::PULL_CONSUMER: return "pull";
    default: return "simple";
  }
}

void CollectKind(const ClientRegistry::Kind& kind, std::size_t clients, MetricFamilies& families) {
  if (kind.client_type == v2::PRODUCER) {
    return families.Gauge("rocketmq_producer_connections", "", Number(clients),
                          {{"language", kind.language}, {"version", kind.version}, {"protocol_type", "grpc"}});
  }
  families.Gauge("rocketmq_consumer_connections", "", Number(clients),
                 {{"consumer_group", kind.group},
                  {"language", kind.language},
                  {"version", kind.version},
                  {"consume_mode", ConsumeMode(kind.client_type)},
                  {"protocol_type", "grpc"},
                  {"is_system", "false"}});
}

void CollectClients(const Proxy& proxy, MetricFamilies& families) {
  families.Declare("rocketmq_producer_connections", "Producers with an open Telemetry stream.", MetricType::Gauge);
  families.Declare("rocketmq_consumer_connections", "Consumers with an open Telemetry stream.", MetricType::Gauge);
  ClientRegistry::Connected kinds = proxy.clients().connected();
  std::map<bool, std::size_t> others;  // by whether they produce
  if (kinds.size() > kKindsMax) {
    std::stable_sort(kinds.begin(), kinds.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
    for (std::size_t i = kKindsMax; i < kinds.size(); ++i) {
      others[kinds[i].first.client_type == v2::PRODUCER] += kinds[i].second;
    }
    kinds.resize(kKindsMax);
  }
  for (const auto& [kind, clients] : kinds) CollectKind(kind, clients, families);
  for (const auto& [produces, clients] : others) {
    const int type = produces ? v2::PRODUCER : v2::SIMPLE_CONSUMER;
    CollectKind({type, "other", "other", "other"}, clients, families);
  }

  const ProxyMetrics& metrics = proxy.metrics();
  families.Gauge("millrace_proxy_clients", "Clients seen in the last two minutes.", Number(proxy.clients().clients()));
  families.Gauge("millrace_proxy_telemetry_streams", "Open Telemetry streams.",
                 Number(metrics.telemetry_streams.load()));
  families.Gauge("millrace_proxy_long_polls", "Receives that wait.", Number(metrics.polls_waiting.load()));
  const rpc::ConnectionCounts connections = proxy.connections();
  families.Gauge("millrace_proxy_connections", "Open connections to the client port.", Number(connections.open));
  constexpr char kConnections[] = "millrace_proxy_connections_total";
  const std::string help = "Connections to the client port; refused: because of proxy.connections-max.";
  families.Counter(kConnections, help, Number(connections.accepted), {{"result", "accepted"}});
  families.Counter(kConnections, help, Number(connections.refused), {{"result", "refused"}});
}

void CollectLink(const Proxy& proxy, MetricFamilies& families) {
  const LinkClient& link = proxy.link();
  const LinkClient::Stats stats = link.stats();
  const Labels labels{{"broker_set", link.broker_set()}};
  families.Gauge("millrace_proxy_link_up", "1: the link is up.", link.up(), labels);
  families.Counter("millrace_proxy_link_breaks_total", "Times that the link was up and broke.", Number(stats.breaks),
                   labels);
  families.Counter("millrace_proxy_link_frames_out_total", "Frames with records to the broker.",
                   Number(stats.frames.frames_out), labels);
  families.Counter("millrace_proxy_link_records_out_total", "Records in them.", Number(stats.frames.records_out),
                   labels);
  families.Counter("millrace_proxy_link_frames_in_total", "Frames with records from the broker.",
                   Number(stats.frames.frames_in), labels);
  families.Counter("millrace_proxy_link_records_in_total", "Records in them.", Number(stats.frames.records_in), labels);
  families.Gauge("millrace_proxy_link_queued_bytes", "Records that no frame has taken yet.", Number(stats.queued_bytes),
                 labels);
  families.Gauge("millrace_proxy_link_calls", "Requests that wait for the broker's answer, without receives.",
                 Number(stats.calls), labels);
  link.forwarded().ForEach([&](const char* op, const base::Histogram& nanos) {
    families.Histogram("millrace_proxy_forward_seconds",
                       "From a request's hand-over to the link until the broker's answer.", nanos, 1e9,
                       {{"broker_set", link.broker_set()}, {"op", op}});
  });
  families.Gauge("millrace_proxy_routes", "Topics that the proxy has a route of.", Number(proxy.routes()));
}

void CollectCanary(const Canary& canary, MetricFamilies& families) {
  for (const bool ok : {true, false}) {
    const Labels result{{"result", ok ? "ok" : "failed"}};
    families.Counter("millrace_canary_sends_total", "Messages of the canary.", Number(canary.sends(ok)), result);
    families.Counter("millrace_canary_acknowledgements_total", "Its acknowledgements.", Number(canary.acks(ok)),
                     result);
  }
  families.Histogram("millrace_canary_end_to_end_seconds", "From the send to its delivery.", canary.end_to_end(), 1e9);
}

}  // namespace

std::vector<prometheus::MetricFamily> ProxyPage::Collect() const {
  MetricFamilies families(http::ServiceLabels(proxy_.link().cluster(), "proxy", proxy_.name()));
  families.Gauge("rocketmq_proxy_up", "1 while the proxy serves.", 1);
  CollectCalls(proxy_.metrics().rpc, families);
  CollectTraffic(proxy_.metrics(), families);
  CollectClients(proxy_, families);
  CollectLink(proxy_, families);
  families.Declare("millrace_proxy_route_age_seconds", "Since this nameserver's last sign of life.", MetricType::Gauge);
  if (proxy_.users() != nullptr) auth::Collect(*proxy_.users(), families);
  if (proxy_.canary() != nullptr) CollectCanary(*proxy_.canary(), families);
  if (more_) more_(families);
  return families.Take();
}

void CollectNameservers(const std::vector<std::pair<std::string, std::optional<std::int64_t>>>& silent_millis,
                        MetricFamilies& families) {
  for (const auto& [nameserver, silent] : silent_millis) {
    if (!silent) continue;
    families.Gauge("millrace_proxy_route_age_seconds", "", Number(*silent) / 1e3, {{"nameserver", nameserver}});
  }
}

}  // namespace millrace::proxy
