#pragma once

#include "http/metric_families.h"
#include "services/proxy/proxy.h"

namespace millrace::proxy {

// The sums of one scrape.
void CollectProxy(const Proxy& proxy, http::MetricFamilies& families);

}  // namespace millrace::proxy
