#include "services/proxy/proxy_collect.h"

#include <string>

#include "auth/auth_metrics.h"
#include "services/proxy/method.h"

namespace millrace::proxy {
void CollectProxy(const Proxy& proxy, http::MetricFamilies& families) {
  const ProxyMetrics& metrics = proxy.metrics();
  const auto number = [](const auto& value) { return static_cast<double>(value); };
  const auto each_method = [&](const std::string& name, const std::string& help, const auto& counters) {
    for (std::size_t i = 0; i < kMethodCount; ++i) {
      const absl::string_view method = NameOf(static_cast<Method>(i));
      families.Counter(name, help, number(counters[i].load()), {{"method", std::string(method.data(), method.size())}});
    }
  };
  families.Gauge("rocketmq_proxy_up", "1 while the proxy serves.", 1);
  each_method("millrace_proxy_requests_total", "Requests; Telemetry counts streams.", metrics.requests);
  each_method("millrace_proxy_refused_total", "Requests answered with another code than OK or MESSAGE_NOT_FOUND.",
              metrics.refused);
  families.Counter("rocketmq_messages_in_total", "Messages stored, as the broker said.",
                   number(metrics.messages_in.load()));
  families.Counter("rocketmq_messages_out_total", "Messages in streams that ended well.",
                   number(metrics.messages_out.load()));
  families.Counter("rocketmq_throughput_in_total", "Bytes of sends.", number(metrics.bytes_in.load()));
  families.Counter("rocketmq_throughput_out_total", "Bytes of deliveries.", number(metrics.bytes_out.load()));
  families.Counter("millrace_proxy_answers_returned_total", "Answers whose stream did not end well.",
                   number(metrics.answers_returned.load()));
  families.Gauge("millrace_proxy_long_polls", "Receives that wait.", number(metrics.polls_waiting.load()));
  families.Gauge("millrace_proxy_telemetry_streams", "Open Telemetry streams.",
                 number(metrics.telemetry_streams.load()));
  families.Gauge("millrace_proxy_clients", "Clients seen in the last two minutes.", number(proxy.clients().clients()));
  families.Gauge("millrace_proxy_link_up", "1: the link to the broker is up.", proxy.ready());
  if (proxy.users() != nullptr) auth::Collect(*proxy.users(), families);
}

}  // namespace millrace::proxy
