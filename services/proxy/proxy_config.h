#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "config/schema.h"

namespace millrace::proxy {

// Keys of a proxy. `up` has the same keys with other defaults.
struct ProxyConfig {
  std::string listen = "0.0.0.0:8081";
  std::string admin_listen = "0.0.0.0:8083";
  std::string name;
  std::string data;
  bool auto_create_topics = false;
  int threads = 1;
  int connections_max = 10'000;
  std::string tls_certificate, tls_key, tls_certificate_out;
  std::vector<std::string> tls_names;
  absl::Duration stop_delay = absl::ZeroDuration();
  int drain_seconds = 5;
  std::string users_file;
  bool canary = false;

  static void Declare(config::Schema<ProxyConfig>& keys) {
    keys.Add("proxy.listen", &ProxyConfig::listen)
        .Doc("Address for clients, plaintext and TLS on one port. Port 0 picks a free one.");
    keys.Add("admin.listen", &ProxyConfig::admin_listen)
        .Doc("Address of the admin service. For the cluster, never for the world.");
    keys.Add("proxy.name", &ProxyConfig::name).Doc("Name in logs of brokers; empty: the host name.");
    keys.Add("proxy.data", &ProxyConfig::data)
        .Doc("Directory in which a certificate that the proxy makes itself is kept; empty: a new one at each start.");
    keys.Add("proxy.auto-create-topics", &ProxyConfig::auto_create_topics)
        .Doc(
            "Routes of unknown legal topics are answered, so a first send can create them; set it with the brokers' "
            "auto-create-topics.");
    keys.Add("proxy.threads", &ProxyConfig::threads)
        .Doc("Threads that serve clients. One is the cheapest per message; more help where cores are to spare.")
        .Range(1, 256);
    keys.Add("proxy.connections-max", &ProxyConfig::connections_max)
        .Doc("Connections of clients at a time; beyond it new ones are closed at once.")
        .Range(1, 1'000'000);
    keys.Add("tls.certificate", &ProxyConfig::tls_certificate)
        .Doc("PEM file of the certificate chain; empty: one is made for localhost, this host and tls.names.");
    keys.Add("tls.key", &ProxyConfig::tls_key).Doc("PEM file of the private key of tls.certificate.");
    keys.Add("tls.certificate-out", &ProxyConfig::tls_certificate_out)
        .Doc("File that gets the public part of the certificate, for clients that verify it.");
    keys.Add("tls.names", &ProxyConfig::tls_names)
        .Doc("More host names and addresses for a certificate that the proxy makes.")
        .Example("millrace.example.com,10.0.0.5");
    keys.Add("proxy.stop-delay", &ProxyConfig::stop_delay)
        .Doc(
            "How long a stop goes on serving everything, new connections too, while /readyz already says no: what "
            "spreads connections needs that time to see it.")
        .Range(absl::ZeroDuration(), absl::Minutes(5));
    keys.Add("proxy.drain-seconds", &ProxyConfig::drain_seconds)
        .Doc("How long a stop waits for calls in flight.")
        .Range(0, 300);
    keys.Add("auth.users-file", &ProxyConfig::users_file)
        .Doc(
            "YAML file of the users (accessKey and secretKey) that may call the ports for clients and administrators. "
            "Read again when it changes. Empty: anybody may.")
        .Example("/etc/millrace/auth/users.yaml");
    keys.Add("proxy.canary", &ProxyConfig::canary)
        .Doc(
            "Sends a tiny message per second through the broker in the system topic rmq_sys_canary and receives it: "
            "availability and latency without load (docs/metrics.md).");
  }

  absl::Status Validate() const {
    if (tls_certificate.empty() == tls_key.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        "tls.certificate and tls.key belong together, only one is set; set both or neither");
  }
};

}  // namespace millrace::proxy
