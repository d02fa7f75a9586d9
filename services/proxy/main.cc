#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "auth/auth_metrics.h"
#include "auth/cluster_secret.h"
#include "base/clock.h"
#include "config/loader.h"
#include "http/http_server.h"
#include "http/metric_families.h"
#include "io/posix_file_system.h"
#include "process/process.h"
#include "services/proxy/proxy.h"
#include "services/proxy/proxy_collect.h"
#include "services/proxy/routed_link.h"

namespace millrace::proxy {
namespace {

struct MainConfig {
  std::vector<std::string> nameservers{"127.0.0.1:9876"};
  static void Declare(config::Schema<MainConfig>& keys) {
    keys.Add("nameserver.addresses", &MainConfig::nameservers)
        .Doc("Every nameserver: what they say together is the route table.")
        .RocketmqName("namesrvAddr");
  }
};

int Explain(const absl::Status& status) {
  std::fprintf(stderr, "millrace-proxy: %s\n", std::string(status.message()).c_str());
  return status.code() == absl::StatusCode::kAlreadyExists ? 6 : 1;
}

int Main(int argc, char** argv) {
  process::BlockSignals();
  process::ProcessConfig common;
  MainConfig main_config;
  auth::ClusterSecretConfig cluster_config;
  ProxyConfig proxy_config;
  config::Loader loader("millrace-proxy", "What clients talk to: apache.rocketmq.v2 for every official SDK.");
  loader.Add(common);
  loader.Add(main_config);
  loader.Add(cluster_config);
  loader.Add(proxy_config);
  if (const int done = config::LoadOrExit(loader, argc, argv); done >= 0) return done;
  process::SetUp(common, loader);

  const base::SystemClock clock;
  const auto fs = io::MakePosixFileSystem();
  const auto secret = auth::ClusterSecret::Open(cluster_config.secret_file, *fs, clock);
  if (!secret.ok()) return Explain(secret.status());
  const auto loop = rpc::MakeEventLoop();
  RoutedLink routes({.nameservers = main_config.nameservers}, clock, loop, *secret);
  auto proxy = Proxy::Start(proxy_config, "", routes.Opener(), *fs, clock, loop);
  if (!proxy.ok()) return Explain(proxy.status());
  const Proxy& serving = **proxy;
  const ProxyPage metrics(serving, [&routes, &secret](http::MetricFamilies& families) {
    CollectNameservers(routes.Nameservers(), families);
    auth::Collect(secret->get(), families);
    http::CollectProcess(families);
  });
  auto page = http::HttpServer::Start(common.http_listen, {&metrics});
  if (!page.ok()) return Explain(page.status());
  routes.Watch((*proxy)->link(), [&page] { (*page)->SetReady(true); });
  process::SayReady(absl::StrCat("proxy grpc=", process::Dialable(proxy_config.listen, serving.port()),
                                 " proxy=", process::Dialable(proxy_config.listen, serving.port()),
                                 " admin=", process::Dialable(proxy_config.admin_listen, serving.admin_port()),
                                 " http=", process::Dialable(common.http_listen, (*page)->port())));
  process::WaitForStop();
  routes.StopWatching();
  (*page)->SetReady(false);
  (*proxy)->Stop();
  return 0;
}

}  // namespace
}  // namespace millrace::proxy

int main(int argc, char** argv) { return millrace::proxy::Main(argc, argv); }
