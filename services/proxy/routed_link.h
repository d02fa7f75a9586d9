#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "auth/signing_channel.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "naming/route_watcher.h"
#include "rpc/server.h"
#include "services/proxy/link_client.h"

namespace millrace::proxy {

// Finds the broker of the cluster's set in what nameservers say, and dials it: each attempt of a link goes to where the
// set is then.
// Lifetime. Outlives the link that uses Opener(); StopWatching() before the link goes.
class RoutedLink {
 public:
  // Everything it dials is served by `loop`, and signed by `signer` unless that is null.
  RoutedLink(naming::RouteWatcherOptions options, const base::Clock& clock, std::shared_ptr<rpc::EventLoop> loop,
             std::shared_ptr<const auth::CallSigner> signer = nullptr)
      : clock_(clock),
        loop_(std::move(loop)),
        signer_(std::move(signer)),
        nameservers_(options.nameservers),
        watcher_(
            std::move(options), clock, [] {}, [this](const std::string& target) { return Dial(target); }) {}
  ~RoutedLink() { StopWatching(); }

  LinkClient::OpenStream Opener() {
    return [this](const std::shared_ptr<link::Session>& session) {
      const std::shared_ptr<rpc::Channel> channel = ChannelNow();
      if (channel == nullptr) {
        return session->Close(absl::UnavailableError("no nameserver has named a broker yet"));
      }
      OverChannel(channel, clock_)(session);
    };
  }

  // Milliseconds since each nameserver was heard last; nullopt: never.
  std::vector<std::pair<std::string, std::optional<std::int64_t>>> Nameservers() const {
    std::vector<std::pair<std::string, std::optional<std::int64_t>>> result;
    const auto silent = watcher_.SilentMillis();
    for (std::size_t i = 0; i < silent.size(); ++i) result.emplace_back(nameservers_[i], silent[i]);
    return result;
  }

  // Tells the watcher whether the link is up: a set that is linked stays, whatever nameservers say. Calls `on_usable`
  // once: when the link is up for the first time, or after 15 s without; a proxy whose broker is away answers its
  // clients all the same.
  void Watch(const LinkClient& link, std::function<void()> on_usable) {
    thread_ = std::thread([this, &link, on_usable = std::move(on_usable)] {
      const std::int64_t give_up = clock_.MonotonicMillis() + 15'000;
      bool told = false;
      while (true) {
        {
          base::MutexLock lock(mu_);
          if (stopping_) return;
          stop_signal_.WaitFor(mu_, std::chrono::milliseconds(250));
          if (stopping_) return;
        }
        for (const auto& [key, route] : watcher_.sets()) watcher_.LinkIs(key, link.up());
        if (told || (!link.up() && clock_.MonotonicMillis() < give_up)) continue;
        told = true;
        on_usable();
      }
    });
  }
  void StopWatching() {
    {
      base::MutexLock lock(mu_);
      stopping_ = true;
    }
    stop_signal_.NotifyAll();
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::unique_ptr<rpc::Channel> Dial(const std::string& target) const {
    return auth::Signed(rpc::MakeChannel(target, 64 << 20, loop_), signer_, target);
  }
  std::shared_ptr<rpc::Channel> ChannelNow() {
    const auto sets = watcher_.sets();
    if (sets.empty()) return nullptr;
    const std::string& address = sets.begin()->second->address;
    base::MutexLock lock(mu_);
    if (channel_ == nullptr || address != address_) {
      address_ = address;
      channel_ = Dial(address);
    }
    return channel_;
  }

  const base::Clock& clock_;
  const std::shared_ptr<rpc::EventLoop> loop_;
  const std::shared_ptr<const auth::CallSigner> signer_;
  const std::vector<std::string> nameservers_;
  naming::RouteWatcher watcher_;
  base::Mutex mu_;
  base::CondVar stop_signal_;
  std::string address_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<rpc::Channel> channel_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace millrace::proxy
