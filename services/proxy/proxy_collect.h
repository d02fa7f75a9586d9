#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "http/metric_families.h"
#include "services/proxy/proxy.h"
#include <prometheus/collectable.h>

namespace millrace::proxy {

// The proxy's part of a page of metrics. docs/metrics.md
// Lifetime. `proxy` outlives it.
class ProxyPage final : public prometheus::Collectable {
 public:
  // `more`: adds what the process has beside the proxy, under the same labels.
  explicit ProxyPage(const Proxy& proxy, std::function<void(http::MetricFamilies&)> more = nullptr)
      : proxy_(proxy), more_(std::move(more)) {}
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const Proxy& proxy_;
  const std::function<void(http::MetricFamilies&)> more_;
};

// Milliseconds since each nameserver was heard last; nullopt: never.
void CollectNameservers(const std::vector<std::pair<std::string, std::optional<std::int64_t>>>& silent_millis,
                        http::MetricFamilies& families);

}  // namespace millrace::proxy
