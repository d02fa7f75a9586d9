#include "cli/up.h"

#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "cli/exit_code.h"
#include "config/loader.h"
#include "io/posix_file_system.h"
#include "link/session.h"
#include "process/process.h"
#include "services/broker/broker_config.h"
#include "services/broker/broker_server.h"
#include "services/proxy/proxy.h"

namespace millrace::cli {
namespace {

struct UpConfig {
  std::string data = "./data";
  std::string nameserver_listen = "127.0.0.1:9876";
  static void Declare(config::Schema<UpConfig>& keys) {
    keys.Add("data", &UpConfig::data).Doc("Directory of everything that is kept.");
    keys.Add("nameserver.listen", &UpConfig::nameserver_listen).Doc("Address of the nameserver.");
  }
};

int Explain(const absl::Status& status) {
  std::fprintf(stderr, "millrace up: %s\n", std::string(status.message()).c_str());
  return ExitCodeOf(status);
}

class NoTopics final : public broker::TopicListener {
 public:
  void OnTopic(const core::TopicConfig&) override {}
  void OnTopicDeleted(std::uint64_t, absl::string_view) override {}
};

}  // namespace

int RunUp(int argc, char** argv) {
  process::BlockSignals();
  UpConfig up;
  process::ProcessConfig common{.http_listen = "127.0.0.1:5557", .log_level = "warn"};
  broker::BrokerConfig broker_config;
  broker_config.listen = "127.0.0.1:10911";
  broker_config.auto_create_topics = true;
  broker_config.home = broker_config.name;
  broker_config.segment_bytes = {64 << 20};
  broker_config.retention_size = {10ll << 30};
  proxy::ProxyConfig proxy_config;
  proxy_config.listen = "127.0.0.1:8081";
  proxy_config.admin_listen = "127.0.0.1:8083";
  proxy_config.auto_create_topics = true;

  config::Loader loader("millrace up", "Nameserver, broker and proxy in one process, for development and small use.");
  loader.Add(up);
  loader.Add(common);
  loader.Add(broker_config);
  loader.Add(proxy_config);
  if (const int done = config::LoadOrExit(loader, argc - 1, argv + 1); done >= 0) return done;
  process::SetUp(common, loader);
  broker_config.data = absl::StrCat(up.data, "/broker");
  if (proxy_config.data.empty()) proxy_config.data = absl::StrCat(up.data, "/proxy");

  const base::SystemClock clock;
  const auto fs = io::MakePosixFileSystem();
  NoTopics topics;
  auto broker = broker::BrokerServer::Start(broker_config.Options(absl::StrCat("millrace up, process ", getpid())),
                                            broker_config.listen, *fs, clock, topics);
  if (!broker.ok()) return Explain(broker.status());
  broker::LinkHub& hub = (*broker)->broker().links();
  auto proxy = proxy::Proxy::Start(
      proxy_config, broker_config.name,
      [&hub, &clock](const std::shared_ptr<link::Session>& mine) {
        const auto theirs = hub.NewStream();
        auto [to_mine, to_theirs] = link::ConnectInProcess(theirs, mine, [&clock] { return clock.MonotonicMillis(); });
        theirs->Attach(to_mine);
        mine->Attach(to_theirs);
      },
      *fs, clock);
  if (!proxy.ok()) return Explain(proxy.status());

  const std::string client = process::Dialable(proxy_config.listen, (*proxy)->port());
  const std::string admin = process::Dialable(proxy_config.admin_listen, (*proxy)->admin_port());
  process::SayReady(absl::StrCat("up proxy=", client, " admin=", admin, " http=127.0.0.1:1 nameserver=127.0.0.1:1 broker=",
                                 process::Dialable(broker_config.listen, (*broker)->port())));
  process::WaitForStop();
  (*proxy)->Stop();
  proxy->reset();
  if (const absl::Status stopped = (*broker)->Stop(); !stopped.ok()) return Explain(stopped);
  return kExitOk;
}

}  // namespace millrace::cli
