#include "services/nameserver/nameserver.h"

#include <atomic>
#include <chrono>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "naming/registrar.h"
#include "naming/route_watcher.h"
#include <prometheus/metric_family.h>

namespace millrace::nameserver {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Waits for a condition that callbacks make true, not for time.
class Signal {
 public:
  void Notify() {
    base::MutexLock lock(mu_);
    changed_.NotifyAll();
  }
  void Until(const std::function<bool()>& condition) {
    base::MutexLock lock(mu_);
    while (!condition()) changed_.WaitFor(mu_, std::chrono::milliseconds(50));
  }

 private:
  base::Mutex mu_;
  base::CondVar changed_;
};

class NameserverTest : public testing::Test {
 protected:
  std::unique_ptr<Nameserver> StartNameserver(const std::string& listen = "127.0.0.1:0",
                                              std::vector<std::string> expect = {}) {
    auto started = Nameserver::Start({.listen = listen, .expect = std::move(expect)}, clock_, [this] {
      ready_ = true;
      signal_.Notify();
    });
    EXPECT_TRUE(started.ok()) << started.status();
    return *std::move(started);
  }
  static std::string Address(const Nameserver& nameserver) { return absl::StrCat("127.0.0.1:", nameserver.port()); }

  std::unique_ptr<naming::Registrar> StartRegistrar(std::vector<std::string> nameservers, const std::string& set = "a",
                                                    std::uint64_t epoch = 1, std::uint64_t version = 0) {
    return std::make_unique<naming::Registrar>(naming::RegistrarOptions{.nameservers = std::move(nameservers),
                                                                        .key = {"c", set},
                                                                        .address = absl::StrCat(set, ":10911"),
                                                                        .epoch = epoch,
                                                                        .first_version = version},
                                               clock_);
  }
  std::unique_ptr<naming::RouteWatcher> StartWatcher(std::vector<std::string> nameservers,
                                                     const std::string& cluster = "c") {
    return std::make_unique<naming::RouteWatcher>(
        naming::RouteWatcherOptions{.nameservers = std::move(nameservers), .cluster = cluster}, clock_,
        [this] { signal_.Notify(); });
  }
  // "set: topic topic" of every set.
  static std::vector<std::string> Sets(const naming::RouteWatcher& watcher) {
    std::vector<std::string> texts;
    for (const auto& [key, route] : watcher.sets()) {
      std::string text = absl::StrCat(key.name, ":");
      for (const auto& [id, topic] : route->topics) absl::StrAppend(&text, " ", topic.name);
      texts.push_back(text);
    }
    return texts;
  }
  void Expect(const naming::RouteWatcher& watcher, std::vector<std::string> sets) {
    signal_.Until([&] { return Sets(watcher) == sets; });
  }

  base::SystemClock clock_;
  Signal signal_;
  std::atomic<bool> ready_ = false;
};

TEST_F(NameserverTest, AWatcherLearnsOfBrokersTheirTopicsAndTheirEnd) {
  const auto nameserver = StartNameserver();
  const auto watcher = StartWatcher({Address(*nameserver)});
  signal_.Until([&] { return watcher->complete(); });
  EXPECT_THAT(Sets(*watcher), IsEmpty());

  auto registrar = StartRegistrar({Address(*nameserver)});
  registrar->SetTopics({{.id = 1, .name = "orders"}});
  Expect(*watcher, {"a: orders"});
  EXPECT_EQ(watcher->sets().begin()->second->address, "a:10911");
  registrar->TopicChanged({.id = 2, .name = "payments"});
  Expect(*watcher, {"a: orders payments"});
  registrar->TopicRemoved(1);
  Expect(*watcher, {"a: payments"});
  registrar->Goodbye();

  // What a later watcher is told is what the nameserver knows: the goodbye counts at once.
  const auto second = StartWatcher({Address(*nameserver)});
  signal_.Until([&] { return second->complete(); });
  EXPECT_THAT(Sets(*second), IsEmpty());
  EXPECT_EQ(nameserver->Collect().at(0).metric.at(0).gauge.value, 0);
}

TEST_F(NameserverTest, AWatcherThatComesLaterIsToldEverything) {
  const auto nameserver = StartNameserver();
  const auto a = StartRegistrar({Address(*nameserver)}, "a");
  const auto b = StartRegistrar({Address(*nameserver)}, "b");
  a->SetTopics({{.id = 1, .name = "orders"}});
  b->SetTopics({});
  const auto watcher = StartWatcher({Address(*nameserver)});
  Expect(*watcher, {"a: orders", "b:"});
  const auto other = StartWatcher({Address(*nameserver)}, "another cluster");
  signal_.Until([&] { return other->complete(); });
  EXPECT_THAT(Sets(*other), IsEmpty());
}

TEST_F(NameserverTest, EveryNameserverIsToldAndOneIsEnough) {
  const auto first = StartNameserver();
  auto second = StartNameserver();
  const auto registrar = StartRegistrar({Address(*first), Address(*second)});
  registrar->SetTopics({{.id = 1, .name = "orders"}});
  const auto watcher_of_first = StartWatcher({Address(*first)});
  const auto watcher_of_both = StartWatcher({Address(*first), Address(*second)});
  const auto watcher_of_second = StartWatcher({Address(*second)});
  Expect(*watcher_of_first, {"a: orders"});
  Expect(*watcher_of_second, {"a: orders"});
  second.reset();
  registrar->TopicChanged({.id = 2, .name = "payments"});
  Expect(*watcher_of_both, {"a: orders payments"});
  EXPECT_THAT(Sets(*watcher_of_second), ElementsAre("a: orders"));  // what it knew stays
}

TEST_F(NameserverTest, BrokersAndProxiesComeBackToARestartedNameserver) {
  auto nameserver = StartNameserver();
  const std::string address = Address(*nameserver);
  const auto registrar = StartRegistrar({address});
  registrar->SetTopics({{.id = 1, .name = "orders"}});
  const auto watcher = StartWatcher({address});
  Expect(*watcher, {"a: orders"});
  nameserver.reset();
  nameserver = StartNameserver(address);
  registrar->TopicChanged({.id = 2, .name = "payments"});
  Expect(*watcher, {"a: orders payments"});
}

TEST_F(NameserverTest, IsReadyAtOnceUnlessItWaitsForASet) {
  const auto at_once = StartNameserver();
  signal_.Until([&] { return ready_.load(); });
  ready_ = false;
  const auto waiting = StartNameserver("127.0.0.1:0", {"a", "b"});
  const auto a = StartRegistrar({Address(*waiting)}, "a");
  a->SetTopics({});
  const auto watcher = StartWatcher({Address(*waiting)});
  Expect(*watcher, {"a:"});
  const auto b = StartRegistrar({Address(*waiting)}, "b");
  b->SetTopics({});
  signal_.Until([&] { return ready_.load(); });
}

TEST_F(NameserverTest, ATakenPortIsNamed) {
  const auto nameserver = StartNameserver();
  const auto second = Nameserver::Start({.listen = Address(*nameserver)}, clock_, [] {});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
}

}  // namespace
}  // namespace millrace::nameserver
