// The ports between the services: nameserver, broker and a proxy's links over real sockets, with the same secret,
// another one, or none.
#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "auth/cluster_secret.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "http/metric_families.h"
#include "io/posix_file_system.h"
#include "io/testing/memory_file_system.h"
#include "services/broker/broker_server.h"
#include "services/broker/topic_announcer.h"
#include "services/nameserver/nameserver.h"
#include "services/proxy/routed_link.h"

namespace millrace {
namespace {

using Secret = std::shared_ptr<auth::ClusterSecret>;

void Until(const std::function<bool()>& condition) {
  while (!condition()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

class ClusterPortsTest : public testing::Test {
 protected:
  ClusterPortsTest() {
    char name[] = "/tmp/millrace-ports-XXXXXX";
    directory_ = mkdtemp(name);
  }
  ~ClusterPortsTest() override {
    topics_.Goodbye();
    broker_.reset();
    nameserver_.reset();
    std::filesystem::remove_all(directory_);
  }

  Secret SecretOf(const std::string& text) {
    MR_CHECK(files_.CreateDirectories("d").ok() && io::ReplaceFile(files_, "d/secret", text).ok());
    auto secret = auth::ClusterSecret::Open("d/secret", files_, clock_, 0);
    MR_CHECK(secret.ok());
    return *std::move(secret);
  }
  void StartNameserver(const Secret& secret) {
    auto started = nameserver::Nameserver::Start({.listen = "127.0.0.1:0", .secret = secret}, clock_, [] {});
    MR_CHECK(started.ok());
    nameserver_ = *std::move(started);
  }
  std::string Nameserver() const { return absl::StrCat("127.0.0.1:", nameserver_->port()); }
  // It registers with the same secret.
  void StartBroker(const Secret& secret) {
    broker::BrokerOptions options;
    options.data_directory = directory_ + "/broker";
    options.home = "broker-a";
    auto started = broker::BrokerServer::Start(options, "127.0.0.1:0", *disk_, clock_, topics_, nullptr, secret);
    MR_CHECK(started.ok());
    broker_ = *std::move(started);
    topics_.Begin(std::make_unique<naming::Registrar>(
        naming::RegistrarOptions{.nameservers = {Nameserver()},
                                 .key = {"DefaultCluster", "broker-a"},
                                 .address = absl::StrCat("127.0.0.1:", broker_->port())},
        clock_,
        [secret](const std::string& target) { return auth::Signed(rpc::MakeChannel(target), secret, target); }));
  }
  double Brokers() const { return nameserver_->Collect().at(0).metric.at(0).gauge.value; }

  // A proxy's way to its broker.
  struct Links {
    Links(const std::string& nameserver, const base::Clock& clock, const Secret& secret)
        : routes({.nameservers = {nameserver}}, clock, rpc::MakeEventLoop(), secret),
          link({.proxy_name = "test"}, clock, routes.Opener()) {}
    proxy::RoutedLink routes;
    proxy::LinkClient link;
  };

  base::SystemClock clock_;
  io::testing::MemoryFileSystem files_;
  std::unique_ptr<io::FileSystem> disk_ = io::MakePosixFileSystem();
  std::string directory_;
  std::unique_ptr<nameserver::Nameserver> nameserver_;
  broker::TopicAnnouncer topics_;
  std::unique_ptr<broker::BrokerServer> broker_;
};

TEST_F(ClusterPortsTest, TheSameSecretJoinsAll) {
  const Secret secret = SecretOf("right-right-right-right");
  StartNameserver(secret);
  StartBroker(secret);
  Links links(Nameserver(), clock_, secret);
  Until([&] { return links.link.up(); });
  EXPECT_EQ(links.link.broker_set(), "broker-a");
  EXPECT_EQ(secret->refused(), 0u);
}

TEST_F(ClusterPortsTest, ABrokerWithAnotherSecretOrNoneIsNotRegistered) {
  for (const Secret& brokers : {SecretOf("wrong-wrong-wrong-wrong"), Secret()}) {
    const Secret secret = SecretOf("right-right-right-right");
    StartNameserver(secret);
    StartBroker(brokers);
    Until([&] { return secret->refused() > 0; });
    EXPECT_EQ(Brokers(), 0);
    topics_.Goodbye();
    broker_.reset();
  }
}

TEST_F(ClusterPortsTest, AProxyWithAnotherSecretOrNoneLearnsNoRoutes) {
  const Secret secret = SecretOf("right-right-right-right");
  StartNameserver(secret);
  StartBroker(secret);
  Until([&] { return Brokers() == 1; });
  for (const Secret& proxys : {SecretOf("wrong-wrong-wrong-wrong"), Secret()}) {
    const std::uint64_t before = secret->refused();
    Links links(Nameserver(), clock_, proxys);
    Until([&] { return secret->refused() > before; });
    EXPECT_FALSE(links.link.up());
  }
}

TEST_F(ClusterPortsTest, ABrokersLinksWantTheSecretToo) {
  StartNameserver(nullptr);  // so that routes come
  const Secret secret = SecretOf("right-right-right-right");
  StartBroker(secret);
  for (const Secret& proxys : {SecretOf("wrong-wrong-wrong-wrong"), Secret()}) {
    const std::uint64_t before = secret->refused();
    Links links(Nameserver(), clock_, proxys);
    Until([&] { return secret->refused() > before + 2; });
    EXPECT_FALSE(links.link.up());
    EXPECT_EQ(broker_->broker().links().links(), 0u);
  }
  Links links(Nameserver(), clock_, secret);
  Until([&] { return links.link.up(); });
}

}  // namespace
}  // namespace millrace
