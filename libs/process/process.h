#pragma once

#include <string>

#include "config/loader.h"
#include "config/schema.h"

// What every process of ours does around its work: logs, signals, the ready line.
namespace millrace::process {

// Keys that every process has.
struct ProcessConfig {
  std::string http_listen = "0.0.0.0:5557";
  std::string log_level = "info";
  std::string log_format = "text";

  static void Declare(config::Schema<ProcessConfig>& keys) {
    keys.Add("http.listen", &ProcessConfig::http_listen).Doc("Address of /livez, /readyz and /metrics.");
    keys.Add("log.level", &ProcessConfig::log_level)
        .Doc("Least level that is logged.")
        .OneOf({"debug", "info", "warn", "error"});
    keys.Add("log.format", &ProcessConfig::log_format).Doc("Form of log lines.").OneOf({"text", "json"});
  }
};

// First in main(), before any thread: SIGTERM and SIGINT wait for WaitForStop(), SIGPIPE is ignored.
void BlockSignals();

// Sets logs up from `config` and logs the loader's warnings.
void SetUp(const ProcessConfig& config, const config::Loader& loader);

// Blocks until SIGTERM or SIGINT. A second one ends the process at once.
void WaitForStop();

// The one line on standard output that says that a process serves: "ready: broker grpc=127.0.0.1:10911 ...".
void SayReady(const std::string& line);

// `listen` with the port that was really bound: "0.0.0.0:0", 41234 -> "127.0.0.1:41234" (an address that can be dialled
// from this machine).
std::string Dialable(const std::string& listen, int port);

}  // namespace millrace::process
