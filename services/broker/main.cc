#include <unistd.h>

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
#include "services/broker/broker_config.h"
#include "services/broker/broker_metrics.h"
#include "services/broker/broker_server.h"
#include "services/broker/topic_announcer.h"

namespace millrace::broker {
namespace {

struct MainConfig {
  std::vector<std::string> nameservers{"127.0.0.1:9876"};
  static void Declare(config::Schema<MainConfig>& keys) {
    keys.Add("nameserver.addresses", &MainConfig::nameservers)
        .Doc("Every nameserver: the broker registers with each of them.")
        .RocketmqName("namesrvAddr");
  }
};

int Explain(const absl::Status& status) {
  std::fprintf(stderr, "millrace-broker: %s\n", std::string(status.message()).c_str());
  return status.code() == absl::StatusCode::kAlreadyExists ? 6 : 1;
}

int Main(int argc, char** argv) {
  process::BlockSignals();
  process::ProcessConfig common;
  MainConfig main_config;
  auth::ClusterSecretConfig cluster_config;
  BrokerConfig broker_config;
  config::Loader loader("millrace-broker", "Stores and delivers messages.");
  loader.Add(common);
  loader.Add(main_config);
  loader.Add(cluster_config);
  loader.Add(broker_config);
  if (const int done = config::LoadOrExit(loader, argc, argv); done >= 0) return done;
  process::SetUp(common, loader);

  const base::SystemClock clock;
  const auto fs = io::MakePosixFileSystem();
  const auto secret = auth::ClusterSecret::Open(cluster_config.secret_file, *fs, clock);
  if (!secret.ok()) return Explain(secret.status());
  TopicAnnouncer topics;
  const auto loop = rpc::MakeEventLoop();
  auto server = BrokerServer::Start(broker_config.Options(absl::StrCat("millrace-broker, process ", getpid())),
                                    broker_config.listen, *fs, clock, topics, loop, *secret);
  if (!server.ok()) return Explain(server.status());
  const Broker& broker = (*server)->broker();
  const http::CollectedBy metrics(
      [&broker, &secret](http::MetricFamilies& families) {
        CollectBroker(broker, families);
        auth::Collect(secret->get(), families);
        http::CollectProcess(families);
      },
      BrokerLabels(broker));
  auto page = http::HttpServer::Start(common.http_listen, {&metrics});
  if (!page.ok()) return Explain(page.status());

  const std::string address = process::Dialable(broker_config.listen, (*server)->port());
  topics.Begin(std::make_unique<naming::Registrar>(
      naming::RegistrarOptions{.nameservers = main_config.nameservers,
                               .key = {broker_config.cluster, broker_config.name},
                               .address = broker_config.advertise.empty() ? address : broker_config.advertise,
                               .epoch = broker.epoch(),
                               .first_version = broker.start_number() << 32},
      clock, [&](const std::string& target) {
        return auth::Signed(rpc::MakeChannel(target, 16 << 20, loop), *secret, target);
      }));
  (*page)->SetReady(true);
  process::SayReady(
      absl::StrCat("broker grpc=", address, " http=", process::Dialable(common.http_listen, (*page)->port())));
  process::WaitForStop();
  (*page)->SetReady(false);
  topics.Goodbye();
  if (const absl::Status stopped = (*server)->Stop(); !stopped.ok()) return Explain(stopped);
  return 0;
}

}  // namespace
}  // namespace millrace::broker

int main(int argc, char** argv) { return millrace::broker::Main(argc, argv); }
