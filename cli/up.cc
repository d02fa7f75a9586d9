#include "cli/up.h"

#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "auth/auth_metrics.h"
#include "auth/cluster_secret.h"
#include "base/clock.h"
#include "cli/exit_code.h"
#include "config/loader.h"
#include "http/http_server.h"
#include "http/metric_families.h"
#include "io/posix_file_system.h"
#include "link/session.h"
#include "process/process.h"
#include "services/broker/broker_config.h"
#include "services/broker/broker_metrics.h"
#include "services/broker/broker_server.h"
#include "services/broker/topic_announcer.h"
#include "services/nameserver/nameserver.h"
#include "services/nameserver/nameserver_config.h"
#include "services/proxy/proxy.h"
#include "services/proxy/proxy_collect.h"

namespace millrace::cli {
namespace {

// The keys of all roles, with defaults for one machine: loopback only, names created on first use.
struct UpConfig {
  std::string data = "./data";
  auth::ClusterSecretConfig cluster;
  process::ProcessConfig common{.http_listen = "127.0.0.1:5557", .log_level = "warn"};
  nameserver::NameserverConfig nameserver;
  broker::BrokerConfig broker;
  proxy::ProxyConfig proxy;

  UpConfig() {
    nameserver.listen = "127.0.0.1:9876";
    broker.listen = "127.0.0.1:10911";
    broker.auto_create_topics = true;
    broker.segment_bytes = {64 << 20};
    broker.retention_size = {10ll << 30};
    proxy.listen = "127.0.0.1:8081";
    proxy.admin_listen = "127.0.0.1:8083";
    proxy.auto_create_topics = true;
  }

  static void Declare(config::Schema<UpConfig>& keys) {
    keys.Add("data", &UpConfig::data).Doc("Directory of everything that is kept.");
    keys.Include(&UpConfig::common);
    keys.Include(&UpConfig::cluster);
    keys.Include(&UpConfig::nameserver);
    keys.Include(&UpConfig::broker);
    keys.Include(&UpConfig::proxy);
  }
};

int Explain(const absl::Status& status) {
  std::fprintf(stderr, "millrace up: %s\n", std::string(status.message()).c_str());
  return ExitCodeOf(status);
}

// Streams between proxy and broker as function calls.
proxy::LinkClient::OpenStream InProcess(broker::LinkHub& hub, const base::Clock& clock) {
  return [&hub, &clock](const std::shared_ptr<link::Session>& mine) {
    const auto theirs = hub.NewStream();
    auto [to_mine, to_theirs] = link::ConnectInProcess(theirs, mine, [&clock] { return clock.MonotonicMillis(); });
    theirs->Attach(to_mine);
    mine->Attach(to_theirs);
  };
}

void SayWhatNext(const std::string& proxy, const std::string& admin, bool authentication) {
  const std::string where = proxy == "127.0.0.1:8081" ? "" : absl::StrCat(" --proxy ", proxy);
  const std::string at = admin == "127.0.0.1:8083" ? "" : absl::StrCat(" --admin ", admin);
  const char* const keys = authentication ? "  export MILLRACE_ACCESS_KEY=... MILLRACE_SECRET_KEY=...\n" : "";
  std::printf(
      "\nSDKs connect to %s, plaintext or TLS. In another terminal:\n"
      "%s"
      "  millrace message send hello --body 'first words'%s\n"
      "  millrace message receive hello --group readers%s\n"
      "  millrace group describe readers%s\n"
      "Ctrl-C stops.\n",
      proxy.c_str(), keys, where.c_str(), where.c_str(), at.c_str());
  std::fflush(stdout);
}

}  // namespace

int RunUp(int argc, char** argv) {
  process::BlockSignals();
  UpConfig config;
  config::Loader loader("millrace up", "Nameserver, broker and proxy in one process, for development and small use.");
  loader.Add(config);
  if (const int done = config::LoadOrExit(loader, argc - 1, argv + 1); done >= 0) return done;
  process::SetUp(config.common, loader);
  config.broker.data = absl::StrCat(config.data, "/broker");
  if (config.broker.home.empty()) config.broker.home = config.broker.name;
  if (config.proxy.data.empty()) config.proxy.data = absl::StrCat(config.data, "/proxy");

  const base::SystemClock clock;
  const auto fs = io::MakePosixFileSystem();
  const auto secret = auth::ClusterSecret::Open(config.cluster.secret_file, *fs, clock);
  if (!secret.ok()) return Explain(secret.status());
  auto nameserver = nameserver::Nameserver::Start({.listen = config.nameserver.listen,
                                                   .expiry_millis = absl::ToInt64Milliseconds(config.nameserver.expiry),
                                                   .secret = *secret},
                                                  clock, [] {});
  broker::TopicAnnouncer topics;
  // The store first: a directory that another process holds is the more telling error than its ports.
  auto broker = broker::BrokerServer::Start(config.broker.Options(absl::StrCat("millrace up, process ", getpid())),
                                            config.broker.listen, *fs, clock, topics, nullptr, *secret);
  if (!broker.ok()) return Explain(broker.status());
  if (!nameserver.ok()) return Explain(nameserver.status());
  const std::string names = process::Dialable(config.nameserver.listen, (*nameserver)->port());
  const std::string links = process::Dialable(config.broker.listen, (*broker)->port());
  topics.Begin(std::make_unique<naming::Registrar>(
      naming::RegistrarOptions{.nameservers = {names},
                               .key = {config.broker.cluster, config.broker.name},
                               .address = links,
                               .epoch = (*broker)->broker().epoch(),
                               .first_version = (*broker)->broker().start_number() << 32},
      clock, [&](const std::string& target) { return auth::Signed(rpc::MakeChannel(target), *secret, target); }));
  auto proxy =
      proxy::Proxy::Start(config.proxy, config.broker.name, InProcess((*broker)->broker().links(), clock), *fs, clock);
  if (!proxy.ok()) return Explain(proxy.status());

  const http::CollectedBy metrics(
      [&](http::MetricFamilies& families) { broker::CollectBroker((*broker)->broker(), families); },
      broker::BrokerLabels((*broker)->broker()));
  const http::CollectedBy process(
      [&](http::MetricFamilies& families) {
        auth::Collect(secret->get(), families);
        http::CollectProcess(families);
      },
      http::ServiceLabels({}, "up", http::HostName()));
  const proxy::ProxyPage calls(**proxy);
  auto page = http::HttpServer::Start(config.common.http_listen, {&metrics, nameserver->get(), &calls, &process});
  if (!page.ok()) return Explain(page.status());
  (*page)->SetReady(true);
  const std::string clients = process::Dialable(config.proxy.listen, (*proxy)->port());
  const std::string admin = process::Dialable(config.proxy.admin_listen, (*proxy)->admin_port());
  process::SayReady(absl::StrCat("up proxy=", clients, " admin=", admin,
                                 " http=", process::Dialable(config.common.http_listen, (*page)->port()),
                                 " broker=", links, " nameserver=", names, " data=", config.data));
  SayWhatNext(clients, admin, (*proxy)->users() != nullptr);

  process::WaitForStop();
  (*page)->SetReady(false);
  (*proxy)->Stop();
  proxy->reset();
  topics.Goodbye();
  const absl::Status stopped = (*broker)->Stop();
  page->reset();
  (*nameserver)->Stop();
  return stopped.ok() ? kExitOk : Explain(stopped);
}

}  // namespace millrace::cli
