#include <iostream>

#include "absl/strings/str_cat.h"
#include "auth/auth_metrics.h"
#include "auth/cluster_secret.h"
#include "base/clock.h"
#include "base/log.h"
#include "config/loader.h"
#include "http/http_server.h"
#include "http/metric_families.h"
#include "io/posix_file_system.h"
#include "process/process.h"
#include "services/nameserver/nameserver.h"
#include "services/nameserver/nameserver_config.h"

namespace millrace::nameserver {
namespace {

int Fail(const absl::Status& status) {
  MR_LOG(Error, "the nameserver cannot start", {{"cause", status.message()}});
  return 1;
}

int Main(int argc, char** argv) {
  process::BlockSignals();
  process::ProcessConfig process_config;
  NameserverConfig config;
  auth::ClusterSecretConfig cluster_config;
  config::Loader loader("millrace-nameserver", "which broker sets hold which topics.");
  loader.Add(config);
  loader.Add(cluster_config);
  loader.Add(process_config);
  const int exit_code = config::LoadOrExit(loader, argc, argv);
  if (exit_code >= 0) return exit_code;
  process::SetUp(process_config, loader);

  const base::SystemClock clock;
  const auto fs = io::MakePosixFileSystem();
  const auto secret = auth::ClusterSecret::Open(cluster_config.secret_file, *fs, clock);
  if (!secret.ok()) return Fail(secret.status());
  // The nameserver is known to HTTP before it exists, so the order of construction is the other way round.
  http::HttpServer* http = nullptr;
  base::Mutex mu;
  bool ready = false;
  auto nameserver = Nameserver::Start({.listen = config.listen,
                                       .expiry_millis = absl::ToInt64Milliseconds(config.expiry),
                                       .expect = config.expect,
                                       .secret = *secret},
                                      clock, [&] {
                                        base::MutexLock lock(mu);
                                        ready = true;
                                        if (http != nullptr) http->SetReady(true);
                                      });
  if (!nameserver.ok()) return Fail(nameserver.status());
  const http::CollectedBy process_metrics(
      [&secret](http::MetricFamilies& families) {
        auth::Collect(secret->get(), families);
        http::CollectProcess(families);
      },
      http::ServiceLabels({}, "nameserver", http::HostName()));
  auto http_server = http::HttpServer::Start(process_config.http_listen, {nameserver->get(), &process_metrics});
  if (!http_server.ok()) return Fail(http_server.status());
  {
    base::MutexLock lock(mu);
    http = http_server->get();
    http->SetReady(ready);
  }
  process::SayReady(absl::StrCat("nameserver grpc=", process::Dialable(config.listen, (*nameserver)->port()),
                                 " http=", process::Dialable(process_config.http_listen, http->port())));
  process::WaitForStop();
  {
    base::MutexLock lock(mu);
    http->SetReady(false);
    http = nullptr;
  }
  (*nameserver)->Stop();
  http_server->reset();
  MR_LOG(Info, "the nameserver has stopped");
  return 0;
}

}  // namespace
}  // namespace millrace::nameserver

int main(int argc, char** argv) { return millrace::nameserver::Main(argc, argv); }
