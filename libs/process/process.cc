#include "process/process.h"

#include <pthread.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "base/log.h"

namespace millrace::process {
namespace {

sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

}  // namespace

void BlockSignals() {
  const sigset_t signals = StopSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

void SetUp(const ProcessConfig& config, const config::Loader& loader) {
  base::SetUpLog(config.log_level, config.log_format);
  for (const std::string& warning : loader.warnings()) MR_LOG(Warn, "configuration", {{"warning", warning}});
}

void WaitForStop() {
  const sigset_t signals = StopSignals();
  int which = 0;
  sigwait(&signals, &which);
  // From here on a second signal must not wait for an orderly end.
  std::signal(SIGTERM, [](int) { _exit(1); });
  std::signal(SIGINT, [](int) { _exit(1); });
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

void SayReady(const std::string& line) {
  std::printf("ready: %s\n", line.c_str());
  std::fflush(stdout);
}

std::string Dialable(const std::string& listen, int port) {
  std::string host = listen.substr(0, listen.rfind(':'));
  if (host == "0.0.0.0" || host.empty()) host = "127.0.0.1";
  if (host == "[::]") host = "[::1]";
  return absl::StrCat(host, ":", port);
}

}  // namespace millrace::process
