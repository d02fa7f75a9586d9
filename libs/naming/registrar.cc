#include "naming/registrar.h"

#include <chrono>
#include <utility>

#include "base/log.h"
#include "rpc/server.h"

namespace millrace::naming {
namespace {

constexpr std::int64_t kHeartbeatMillis = 1'000;

SetRoute Route(const RegistrarOptions& options) {
  return {.key = options.key,
          .replica = options.replica,
          .address = options.address,
          .epoch = options.epoch,
          .version = options.first_version};
}

}  // namespace

Registrar::Registrar(RegistrarOptions options, const base::Clock& clock)
    : Registrar(std::move(options), clock, [](const std::string& target) { return rpc::MakeChannel(target); }) {}

Registrar::Registrar(RegistrarOptions options, const base::Clock& clock, const ChannelFactory& channels)
    : options_(std::move(options)),
      clock_(clock),
      registration_(options_.nameservers.size(), Route(options_), options_.expiry_millis),
      reported_(options_.nameservers.size()) {
  for (const std::string& target : options_.nameservers) {
    streams_.push_back(std::make_unique<HeldStream>(channels(target), kRegisterMethod, [this] { Wake(); }));
  }
  thread_ = std::thread([this] { Run(); });
}

Registrar::~Registrar() {
  Stop();
  streams_.clear();  // waits for the last callbacks
}

void Registrar::SetTopics(std::vector<TopicRoute> topics) {
  base::MutexLock lock(mu_);
  registration_.SetTopics(std::move(topics));
  has_topics_ = woken_ = true;
  changed_.NotifyAll();
}

void Registrar::TopicChanged(TopicRoute topic) {
  base::MutexLock lock(mu_);
  registration_.TopicChanged(std::move(topic));
  woken_ = true;
  changed_.NotifyAll();
}

void Registrar::TopicRemoved(std::uint64_t id) {
  base::MutexLock lock(mu_);
  registration_.TopicRemoved(id);
  woken_ = true;
  changed_.NotifyAll();
}

void Registrar::Run() {
  std::int64_t next_beat = clock_.MonotonicMillis();
  base::MutexLock lock(mu_);
  while (!stopping_) {
    const std::int64_t now = clock_.MonotonicMillis();
    const bool heartbeat = now >= next_beat;
    if (heartbeat) next_beat = now + kHeartbeatMillis;
    woken_ = false;
    for (std::size_t peer = 0; has_topics_ && peer < streams_.size(); ++peer) Serve(peer, now, heartbeat);
    if (!woken_ && !stopping_) changed_.WaitFor(mu_, std::chrono::milliseconds(next_beat - now));
  }
}

// Under the lock: the transport only queues, and calls back from its own threads.
void Registrar::Serve(std::size_t peer, std::int64_t now, bool heartbeat) {
  HeldStream& stream = *streams_[peer];
  const HeldStream::Events events = stream.Take(now);
  for (const std::string& message : events.messages) {
    wire::RegisterResponse response;
    if (response.ParseFromString(message)) registration_.Answered(peer, response);
    if (reported_[peer]) MR_LOG(Info, "registered with a nameserver", {{"nameserver", options_.nameservers[peer]}});
    reported_[peer] = false;
  }
  if (events.ended && !reported_[peer]) {
    reported_[peer] = true;
    MR_LOG(Warn, "a nameserver cannot be reached",
           {{"nameserver", options_.nameservers[peer]}, {"cause", events.cause}});
  }
  if (stream.Open(now)) registration_.Opened(peer);
  if (!stream.is_open()) return;
  for (const wire::RegisterRequest& request : registration_.NextFor(peer, heartbeat)) {
    stream.Write(request.SerializeAsString());
  }
}

void Registrar::Wake() {
  base::MutexLock lock(mu_);
  woken_ = true;
  changed_.NotifyAll();
}

void Registrar::Stop() {
  {
    base::MutexLock lock(mu_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

void Registrar::Goodbye(std::int64_t wait_millis) {
  Stop();
  wire::RegisterRequest goodbye;
  goodbye.mutable_goodbye();
  std::int64_t now = clock_.MonotonicMillis();
  const std::int64_t end = now + wait_millis;
  std::size_t open = 0;
  for (const auto& stream : streams_) {
    stream->Take(now);
    if (!stream->is_open()) continue;
    stream->Write(goodbye.SerializeAsString());
    stream->WritesDone();
    ++open;
  }
  base::MutexLock lock(mu_);
  while (open > 0 && now < end) {
    woken_ = false;
    open = 0;
    for (const auto& stream : streams_) {
      stream->Take(now);
      open += stream->is_open() ? 1 : 0;
    }
    if (open > 0 && !woken_) changed_.WaitFor(mu_, std::chrono::milliseconds(end - now));
    now = clock_.MonotonicMillis();
  }
}

}  // namespace millrace::naming
