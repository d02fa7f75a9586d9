#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "naming/held_stream.h"
#include "naming/registrar.h"
#include "naming/route_union.h"

namespace millrace::naming {

struct RouteWatcherOptions {
  std::vector<std::string> nameservers;  // "host:port", all of them
  std::string cluster;                   // empty: every cluster
  std::int64_t expiry_millis = 10'000;
};

// Keeps the union of what all nameservers say (RouteUnion).
// Threads.  Any thread. `on_change` runs in the watcher's own thread, without locks, after sets() has changed.
// Lifetime. `clock` outlives it; no call of `on_change` after destruction.
class RouteWatcher {
 public:
  using Sets = RouteUnion::Sets;

  RouteWatcher(RouteWatcherOptions options, const base::Clock& clock, std::function<void()> on_change,
               const ChannelFactory& channels);
  RouteWatcher(RouteWatcherOptions options, const base::Clock& clock, std::function<void()> on_change);
  ~RouteWatcher();

  Sets sets() const;
  // Milliseconds since each nameserver was heard last, in the order of the options; nullopt: never.
  std::vector<std::optional<std::int64_t>> SilentMillis() const;
  // At least one nameserver has said all it knows.
  bool complete() const;
  // The caller's link to the broker of the set came up or went down.
  void LinkIs(const SetKey& key, bool up);

 private:
  struct Source {
    std::unique_ptr<HeldStream> stream;
    UpdateReader reader;
    bool reported = false;  // its loss was logged
    std::optional<std::int64_t> heard_millis;
  };

  void Run();
  void Serve(std::size_t index, std::int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Read(std::size_t index, const wire::RouteUpdate& update, std::int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Wake();

  const RouteWatcherOptions options_;
  const base::Clock& clock_;
  const std::function<void()> on_change_;
  mutable base::Mutex mu_;
  base::CondVar changed_;
  RouteUnion union_ ABSL_GUARDED_BY(mu_);
  bool complete_ ABSL_GUARDED_BY(mu_) = false;
  bool woken_ ABSL_GUARDED_BY(mu_) = true;  // Run() has something to do
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<Source> sources_;  // of Run(); heard_millis under mu_
  std::thread thread_;
};

}  // namespace millrace::naming
