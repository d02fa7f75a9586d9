#include "services/nameserver/nameserver_service.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"

namespace millrace::nameserver {
namespace {

namespace wire = ::millrace::naming::wire;

// A watcher that does not read: it is sent away and gets everything anew when it comes back.
constexpr std::size_t kUnsentBytesMax = 64 << 20;

wire::SetUpdate TopicUpdate(const naming::SetRoute& route, const naming::TopicChanges& changes) {
  wire::SetUpdate update;
  update.set_cluster(route.key.cluster);
  update.set_broker_set(route.key.name);
  update.set_replica(route.replica);
  update.set_address(route.address);
  update.set_epoch(route.epoch);
  update.set_version(route.version);
  for (const naming::TopicRoute& topic : changes.changed) naming::ToWire(topic, *update.add_topics());
  for (const std::uint64_t id : changes.removed) update.add_removed_topics(id);
  return update;
}

// Messages that say `change`. The set may have changed again or gone since: then a later change says so.
std::vector<wire::RouteUpdate> Updates(const RouteTable& table, const SetChange& change) {
  std::vector<wire::RouteUpdate> updates;
  const naming::SetRoute* route = table.Find(change.key);
  if (change.kind == SetChange::Kind::kGone || route == nullptr) {
    wire::SetName& name = *updates.emplace_back().add_removed_sets();
    name.set_cluster(change.key.cluster);
    name.set_broker_set(change.key.name);
  } else if (change.kind == SetChange::Kind::kTopics) {
    *updates.emplace_back().add_sets() = TopicUpdate(*route, change.topics);
  } else {
    for (wire::SetUpdate& piece : naming::FullUpdate(*route)) *updates.emplace_back().add_sets() = std::move(piece);
  }
  return updates;
}

}  // namespace

// One broker's stream.
class NameserverService::RegisterStream final : public rpc::StreamHandler {
 public:
  RegisterStream(NameserverService& service, std::shared_ptr<rpc::ServerCall> call)
      : service_(service), call_(std::move(call)) {}

  void OnMessage(std::string message) override {
    wire::RegisterRequest request;
    if (!request.ParseFromString(message) || request.request_case() == wire::RegisterRequest::REQUEST_NOT_SET) {
      call_->Finish(absl::InvalidArgumentError("the message is no RegisterRequest of this release"));
      return;
    }
    wire::RegisterResponse response;
    response.set_send_full(!Handle(request));
    call_->Write(response.SerializeAsString());
  }

  void OnHalfClose() override { call_->Finish(absl::OkStatus()); }

 private:
  // False: a full registration is needed.
  bool Handle(const wire::RegisterRequest& request) {
    if (request.has_full()) return Full(request.full());
    if (!key_.has_value()) return false;
    if (request.has_changes()) return service_.Change(*key_, request.changes());
    if (request.has_heartbeat()) return service_.Heartbeat(*key_, request.heartbeat());
    service_.Goodbye(*key_);
    key_.reset();
    return true;
  }

  bool Full(const wire::Registration& full) {
    if (!piece_.has_value()) piece_.emplace();
    piece_->key = {full.cluster(), full.broker_set()};
    piece_->replica = full.replica();
    piece_->address = full.address();
    piece_->epoch = full.epoch();
    piece_->version = full.version();
    for (const wire::Topic& topic : full.topics()) piece_->topics[topic.id()] = naming::FromWire(topic);
    if (full.more()) return true;
    const ReplicaKey key{piece_->key, piece_->replica};
    if (key_ != key) {
      MR_LOG(Info, "a broker registers",
             {{"cluster", full.cluster()},
              {"broker_set", full.broker_set()},
              {"replica", full.replica()},
              {"address", full.address()},
              {"epoch", full.epoch()}});
    }
    key_ = key;
    service_.Register(full.expiry_millis(), *std::exchange(piece_, std::nullopt));
    return true;
  }

  NameserverService& service_;
  const std::shared_ptr<rpc::ServerCall> call_;
  std::optional<ReplicaKey> key_;
  std::optional<naming::SetRoute> piece_;  // of a registration in several messages
};

std::optional<rpc::CallKind> NameserverService::Kind(absl::string_view method) const {
  if (method == naming::kRegisterMethod) return rpc::CallKind::kBidi;
  if (method == naming::kWatchMethod) return rpc::CallKind::kServerStream;
  return std::nullopt;
}

std::unique_ptr<rpc::StreamHandler> NameserverService::OnStream(std::shared_ptr<rpc::ServerCall> call) {
  return std::make_unique<RegisterStream>(*this, std::move(call));
}

void NameserverService::OnRequest(std::shared_ptr<rpc::ServerCall> call, absl::string_view message) {
  wire::WatchRequest request;
  if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
    call->Finish(absl::InvalidArgumentError("the message is no WatchRequest"));
    return;
  }
  rpc::ServerCall* const id = call.get();
  {
    base::MutexLock lock(mu_);
    Watcher& watcher = watchers_[id] = {call, request.cluster()};
    SendEverything(watcher);
  }
  // Outside of the lock: it may run at once.
  call->OnEnded([this, id](rpc::CallEnd) {
    base::MutexLock lock(mu_);
    watchers_.erase(id);
  });
}

void NameserverService::SendEverything(const Watcher& watcher) {
  for (const auto& [key, route] : table_.routes()) {
    for (const wire::RouteUpdate& update : Updates(table_, {.kind = SetChange::Kind::kFull, .key = key})) {
      Send(watcher, update);
    }
  }
  wire::RouteUpdate complete;
  complete.set_complete(true);
  Send(watcher, complete);
}

void NameserverService::Send(const Watcher& watcher, const wire::RouteUpdate& update) {
  for (const wire::SetUpdate& set : update.sets()) {
    if (!watcher.cluster.empty() && set.cluster() != watcher.cluster) return;
  }
  if (watcher.call->UnsentBytes() > kUnsentBytesMax) {
    watcher.call->Finish(absl::ResourceExhaustedError(
        absl::StrCat("more than ", kUnsentBytesMax, " bytes of route updates were not read; watch again")));
    return;
  }
  watcher.call->Write(update.SerializeAsString());
}

void NameserverService::TellWatchers() {
  for (const SetChange& change : table_.TakeChanges()) {
    for (const wire::RouteUpdate& update : Updates(table_, change)) {
      for (const auto& [id, watcher] : watchers_) Send(watcher, update);
    }
  }
}

void NameserverService::Register(std::uint32_t expiry_millis, naming::SetRoute route) {
  base::MutexLock lock(mu_);
  ++counts_.registrations;
  table_.Register(expiry_millis, std::move(route), clock_.MonotonicMillis());
  TellWatchers();
}

bool NameserverService::Change(const ReplicaKey& key, const wire::TopicChanges& changes) {
  naming::TopicChanges read;
  for (const wire::Topic& topic : changes.changed()) read.changed.push_back(naming::FromWire(topic));
  read.removed.assign(changes.removed().begin(), changes.removed().end());
  base::MutexLock lock(mu_);
  ++counts_.changes;
  const bool known = table_.Change(key, changes.from_version(), changes.version(), read, clock_.MonotonicMillis());
  TellWatchers();
  return known;
}

bool NameserverService::Heartbeat(const ReplicaKey& key, const wire::Heartbeat& heartbeat) {
  base::MutexLock lock(mu_);
  ++counts_.heartbeats;
  return table_.Heartbeat(key, heartbeat.version(), heartbeat.expiry_millis(), clock_.MonotonicMillis());
}

void NameserverService::Goodbye(const ReplicaKey& key) {
  MR_LOG(Info, "a broker says goodbye", {{"broker_set", key.set.name}, {"replica", key.replica}});
  base::MutexLock lock(mu_);
  table_.Unregister(key);
  TellWatchers();
}

void NameserverService::Tick() {
  std::size_t gone = 0;
  {
    base::MutexLock lock(mu_);
    const std::size_t before = table_.replicas();
    table_.Expire(clock_.MonotonicMillis());
    gone = before - table_.replicas();
    counts_.expired += gone;
    TellWatchers();
    for (const auto& [id, watcher] : watchers_) Send(watcher, {});
  }
  if (gone > 0) MR_LOG(Warn, "brokers have been silent for too long and are forgotten", {{"brokers", gone}});
}

NameserverService::Counts NameserverService::counts() const {
  base::MutexLock lock(mu_);
  Counts counts = counts_;
  counts.replicas = table_.replicas();
  counts.watchers = watchers_.size();
  for (const auto& [key, route] : table_.routes()) {
    ++counts.sets;
    counts.topics += route->topics.size();
  }
  return counts;
}

std::vector<std::string> NameserverService::SetNames() const {
  base::MutexLock lock(mu_);
  std::vector<std::string> names;
  for (const auto& [key, route] : table_.routes()) names.push_back(key.name);
  return names;
}

}  // namespace millrace::nameserver
