#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "config/schema.h"

namespace millrace::nameserver {

// Keys of a nameserver. `up` has the same keys with other defaults.
struct NameserverConfig {
  std::string listen = "0.0.0.0:9876";
  absl::Duration expiry = absl::Seconds(10);
  std::vector<std::string> expect;

  static void Declare(config::Schema<NameserverConfig>& keys) {
    keys.Add("nameserver.listen", &NameserverConfig::listen)
        .Doc("Address for brokers and proxies. Port 0 picks a free one. For the cluster, never for the world.");
    keys.Add("nameserver.expiry", &NameserverConfig::expiry)
        .Doc("How long a broker that says nothing stays in the routes, unless it says another span itself.")
        .Range(absl::Seconds(2), absl::Minutes(10))
        .RocketmqName("brokerNotActiveTimeoutMillis", absl::Milliseconds(1));
    keys.Add("nameserver.expect", &NameserverConfig::expect)
        .Doc("Broker sets that have to be registered before the nameserver is ready; it is after 15 s anyway.")
        .Example("broker-a,broker-b");
  }
};

}  // namespace millrace::nameserver
