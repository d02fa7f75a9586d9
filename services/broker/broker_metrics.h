#pragma once

#include "http/metric_families.h"
#include "services/broker/broker.h"

namespace millrace::broker {

// The labels of all its samples, and the sums of one scrape. Reads what the core's thread has published; walks nothing.
http::Labels BrokerLabels(const Broker& broker);
void CollectBroker(const Broker& broker, http::MetricFamilies& families);

}  // namespace millrace::broker
