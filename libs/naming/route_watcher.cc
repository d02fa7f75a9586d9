#include "naming/route_watcher.h"

#include <chrono>
#include <utility>

#include "base/log.h"
#include "rpc/server.h"

namespace millrace::naming {
namespace {

constexpr std::int64_t kTickMillis = 500;

}  // namespace

RouteWatcher::RouteWatcher(RouteWatcherOptions options, const base::Clock& clock, std::function<void()> on_change)
    : RouteWatcher(std::move(options), clock, std::move(on_change),
                   [](const std::string& target) { return rpc::MakeChannel(target, 64 << 20); }) {}

RouteWatcher::RouteWatcher(RouteWatcherOptions options, const base::Clock& clock, std::function<void()> on_change,
                           const ChannelFactory& channels)
    : options_(std::move(options)),
      clock_(clock),
      on_change_(std::move(on_change)),
      union_(options_.nameservers.size(), options_.expiry_millis),
      sources_(options_.nameservers.size()) {
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    sources_[i].stream =
        std::make_unique<HeldStream>(channels(options_.nameservers[i]), kWatchMethod, [this] { Wake(); });
  }
  thread_ = std::thread([this] { Run(); });
}

RouteWatcher::~RouteWatcher() {
  {
    base::MutexLock lock(mu_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
  sources_.clear();  // waits for the last callbacks
}

RouteWatcher::Sets RouteWatcher::sets() const {
  base::MutexLock lock(mu_);
  return union_.sets();
}

std::vector<std::optional<std::int64_t>> RouteWatcher::SilentMillis() const {
  base::MutexLock lock(mu_);
  const std::int64_t now = clock_.MonotonicMillis();
  std::vector<std::optional<std::int64_t>> silent(sources_.size());
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    if (sources_[i].heard_millis) silent[i] = now - *sources_[i].heard_millis;
  }
  return silent;
}

bool RouteWatcher::complete() const {
  base::MutexLock lock(mu_);
  return complete_;
}

void RouteWatcher::LinkIs(const SetKey& key, bool up) {
  base::MutexLock lock(mu_);
  union_.LinkIs(key, up, clock_.MonotonicMillis());
  woken_ = true;  // Run() looks at what that changes
  changed_.NotifyAll();
}

void RouteWatcher::Run() {
  RouteUnion::Sets told;
  bool told_complete = false;
  for (;;) {
    bool changed = false;
    {
      base::MutexLock lock(mu_);
      const auto wait = std::chrono::milliseconds(kTickMillis);
      if (!woken_ && !stopping_) changed_.WaitFor(mu_, wait);
      if (stopping_) return;
      woken_ = false;
      const std::int64_t now = clock_.MonotonicMillis();
      for (std::size_t i = 0; i < sources_.size(); ++i) Serve(i, now);
      union_.Tick(now);
      changed = union_.sets() != told || complete_ != told_complete;
      told = union_.sets();
      told_complete = complete_;
    }
    if (changed) on_change_();
  }
}

// Under the lock: the transport only queues, and calls back from its own threads.
void RouteWatcher::Serve(std::size_t index, std::int64_t now) {
  Source& source = sources_[index];
  const HeldStream::Events events = source.stream->Take(now);
  if (!events.messages.empty()) source.heard_millis = now;
  for (const std::string& message : events.messages) {
    wire::RouteUpdate update;
    if (update.ParseFromString(message)) Read(index, update, now);
    if (source.reported) MR_LOG(Info, "routes come from a nameserver", {{"nameserver", options_.nameservers[index]}});
    source.reported = false;
  }
  if (events.ended) {
    union_.Lost(index, now);
    source.reader = UpdateReader();
    if (!source.reported) {
      MR_LOG(Warn, "a nameserver cannot be reached",
             {{"nameserver", options_.nameservers[index]}, {"cause", events.cause}});
    }
    source.reported = true;
  }
  if (!source.stream->Open(now)) return;
  wire::WatchRequest request;
  request.set_cluster(options_.cluster);
  source.stream->Write(request.SerializeAsString());
  source.stream->WritesDone();
}

void RouteWatcher::Read(std::size_t index, const wire::RouteUpdate& update, std::int64_t now) {
  for (const wire::SetUpdate& set : update.sets()) {
    bool mistake = false;
    std::optional<SetRoute> route = sources_[index].reader.Read(set, mistake);
    if (route.has_value()) union_.Said(index, *std::move(route), now);
    if (mistake) {
      MR_LOG(Error, "a nameserver sent changes of a broker set that it had not named",
             {{"nameserver", options_.nameservers[index]}, {"broker_set", set.broker_set()}});
    }
  }
  for (const wire::SetName& name : update.removed_sets()) {
    const SetKey key{name.cluster(), name.broker_set()};
    sources_[index].reader.Forget(key);
    union_.Withdrawn(index, key, now);
  }
  complete_ = complete_ || update.complete();
}

void RouteWatcher::Wake() {
  base::MutexLock lock(mu_);
  woken_ = true;
  changed_.NotifyAll();
}

}  // namespace millrace::naming
