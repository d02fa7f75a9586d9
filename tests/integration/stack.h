#pragma once

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "base/check.h"
#include "base/clock.h"
#include "io/posix_file_system.h"
#include "io/testing/faulty_file_system.h"
#include "link/session.h"
#include "services/broker/broker.h"
#include "services/proxy/proxy.h"

namespace millrace::testing_support {

// Broker and proxy in this process, joined by the in-process link, served on a free port; the store is on a real disk
// in a directory of its own. Time is the test's: it stands still until Advance().
class Stack {
 public:
  struct Options {
    bool auto_create_topics = false;
    bool async_flush = false;
    std::string users;  // content of the user file; empty: authentication is off
    bool canary = false;
  };

  explicit Stack(const Options& options) : options_(options) {
    char name[] = "/tmp/millrace-stack-XXXXXX";
    MR_CHECK(mkdtemp(name) != nullptr);
    directory_ = name;
    StartBroker();
    proxy::ProxyConfig config;
    config.listen = "127.0.0.1:0";
    config.admin_listen = "127.0.0.1:0";
    config.auto_create_topics = options.auto_create_topics;
    if (!options.users.empty()) {
      WriteUsers(options.users);
      config.users_file = UsersPath();
    }
    config.canary = options.canary;
    auto started = proxy::Proxy::Start(
        config, "broker-a", [this](const std::shared_ptr<link::Session>& mine) { Join(mine); }, *disk_, clock_);
    MR_CHECK(started.ok());
    proxy_ = *std::move(started);
  }
  Stack() : Stack(Options()) {}
  ~Stack() {
    proxy_.reset();
    broker_.reset();
    std::filesystem::remove_all(directory_);
  }

  int proxy_port() const { return proxy_->port(); }
  int admin_port() const { return proxy_->admin_port(); }
  base::ManualClock& clock() { return clock_; }
  // The core moves at most one second of log time a turn: bigger steps take several turns.
  void Advance(std::int64_t millis) { clock_.Advance(millis); }
  io::testing::FaultyFileSystem& faults() { return faults_; }
  broker::Broker& broker() { return *broker_; }
  proxy::Proxy& proxy() { return *proxy_; }

  // The proxy looks at the file every two seconds of real time.
  void WriteUsers(const std::string& users) { MR_CHECK(io::ReplaceFile(*disk_, UsersPath(), users).ok()); }

  // As a kill of the broker and a start on its directory.
  void RestartBroker() {
    broker_.reset();
    StartBroker();
  }

 private:
  std::string UsersPath() const { return directory_ + "/users.yaml"; }

  class NoTopics final : public broker::TopicListener {
   public:
    void OnTopic(const core::TopicConfig&) override {}
    void OnTopicDeleted(std::uint64_t, absl::string_view) override {}
  };

  void StartBroker() {
    broker::BrokerOptions options;
    options.data_directory = directory_ + "/broker";
    options.home = "broker-a";
    options.auto_create_topics = options_.auto_create_topics;
    options.log.segment_bytes = 32 << 20;
    options.log.async_flush = options_.async_flush;
    auto opened = broker::Broker::Open(options, faults_, clock_, topics_);
    MR_CHECK(opened.ok());
    broker_ = *std::move(opened);
  }

  void Join(const std::shared_ptr<link::Session>& mine) {
    if (broker_ == nullptr) return mine->Close(absl::UnavailableError("the broker is down"));
    const auto theirs = broker_->links().NewStream();
    auto [to_mine, to_theirs] = link::ConnectInProcess(theirs, mine, [this] { return clock_.MonotonicMillis(); });
    theirs->Attach(to_mine);
    mine->Attach(to_theirs);
  }

  const Options options_;
  base::ManualClock clock_;
  const std::unique_ptr<io::FileSystem> disk_ = io::MakePosixFileSystem();
  io::testing::FaultyFileSystem faults_{*disk_};  // the broker's
  NoTopics topics_;
  std::string directory_;
  std::unique_ptr<broker::Broker> broker_;
  std::unique_ptr<proxy::Proxy> proxy_;
};

}  // namespace millrace::testing_support
