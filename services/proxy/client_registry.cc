#include "services/proxy/client_registry.h"

#include <algorithm>
#include <utility>

namespace millrace::proxy {
namespace {

constexpr std::int64_t kTellEveryMillis = 500;  // links send signs of life once a second
constexpr std::int64_t kForgetAfterMillis = 120'000;

template <typename T>
void Erase(std::vector<std::shared_ptr<T>>& all, const T* one) {
  all.erase(std::remove_if(all.begin(), all.end(), [one](const auto& each) { return each.get() == one; }), all.end());
}

template <typename T>
void AddOnce(std::vector<T>& all, const T& one) {
  if (std::find(all.begin(), all.end(), one) == all.end()) all.push_back(one);
}

bool Has(const std::vector<std::string>& all, absl::string_view one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

}  // namespace

void ClientRegistry::CountOff(Client& client) {
  if (!client.counted) return;
  const Counts::iterator count = *std::exchange(client.counted, std::nullopt);
  if (--count->second == 0) counts_.erase(count);
}

void ClientRegistry::Count(Client& client) {
  CountOff(client);
  if (!client.settings || client.streams.empty()) return;
  const ClientSettings& settings = *client.settings;
  const Kind kind{settings.client_type, settings.group, settings.language, settings.version};
  client.counted = counts_.try_emplace(kind, 0).first;
  ++(*client.counted)->second;
}

ClientRegistry::Connected ClientRegistry::connected() const {
  base::MutexLock lock(mu_);
  return {counts_.begin(), counts_.end()};
}

ClientRegistry::Client* ClientRegistry::Ensure(absl::string_view client) {
  if (const auto found = clients_.find(client); found != clients_.end()) return &found->second;
  if (clients_.size() >= clients_max_) return nullptr;
  Client& made = clients_[std::string(client.data(), client.size())];
  made.seen_millis = clock_.MonotonicMillis();
  made.told_millis = made.seen_millis - kTellEveryMillis;
  return &made;
}

void ClientRegistry::Saw(absl::string_view client, absl::string_view group) { See(client, group, false); }

void ClientRegistry::SawProducer(absl::string_view client) { See(client, "", true); }

void ClientRegistry::See(absl::string_view client, absl::string_view group, bool is_producer) {
  bool is_new = false;
  std::vector<std::string> tell;
  {
    base::MutexLock lock(mu_);
    const bool names_itself = is_producer || !group.empty();
    Client* known = nullptr;
    if (names_itself) {
      known = Ensure(client);
    } else if (const auto found = clients_.find(client); found != clients_.end()) {
      known = &found->second;
    }
    if (known == nullptr) return;
    known->seen_millis = clock_.MonotonicMillis();
    is_new = names_itself && !Has(known->groups, group);
    if (is_new) known->groups.emplace_back(group.data(), group.size());
    if (!is_new && known->seen_millis - known->told_millis < kTellEveryMillis) return;
    known->told_millis = known->seen_millis;
    tell = known->groups;
  }
  directory_.ForEachLink([&](BrokerLink& link) {
    if (is_new) link.RegisterClient(client, group);
    for (const std::string& each : tell) link.SignOfLife(client, each);
  });
}

void ClientRegistry::PutSettings(absl::string_view client, ClientSettings settings) {
  const std::string group = settings.group;
  {
    base::MutexLock lock(mu_);
    if (Client* known = Ensure(client)) {
      known->settings = std::move(settings);
      Count(*known);
    }
  }
  See(client, group, group.empty());
}

std::optional<ClientSettings> ClientRegistry::SettingsOf(absl::string_view client) const {
  base::MutexLock lock(mu_);
  const auto found = clients_.find(client);
  return found == clients_.end() ? std::nullopt : found->second.settings;
}

void ClientRegistry::AddStream(absl::string_view client, const std::shared_ptr<CommandStream>& stream) {
  base::MutexLock lock(mu_);
  if (Client* known = Ensure(client)) {
    AddOnce(known->streams, stream);
    Count(*known);
  }
}

void ClientRegistry::RemoveStream(absl::string_view client, const CommandStream* stream) {
  std::vector<std::string> groups;
  std::vector<std::shared_ptr<CommandStream>> last_reference;  // destroyed without the lock
  {
    base::MutexLock lock(mu_);
    const auto found = clients_.find(client);
    if (found == clients_.end()) return;
    last_reference = found->second.streams;
    Erase(found->second.streams, stream);
    if (found->second.streams.size() == last_reference.size()) return;
    Count(found->second);
    if (!found->second.streams.empty() || !found->second.polls.empty()) return;
    groups = found->second.groups;
  }
  TellStreamsEnded(client, groups);
}

void ClientRegistry::AddPoll(absl::string_view client, const std::shared_ptr<WaitingPoll>& poll) {
  base::MutexLock lock(mu_);
  if (Client* known = Ensure(client)) known->polls.push_back(poll);
}

void ClientRegistry::RemovePoll(absl::string_view client, const WaitingPoll* poll, bool cancelled) {
  std::vector<std::string> groups;
  {
    base::MutexLock lock(mu_);
    const auto found = clients_.find(client);
    if (found == clients_.end()) return;
    Erase(found->second.polls, poll);  // the caller holds a reference
    if (!cancelled || !found->second.streams.empty() || !found->second.polls.empty()) return;
    groups = found->second.groups;
  }
  TellStreamsEnded(client, groups);
}

void ClientRegistry::TellStreamsEnded(absl::string_view client, const std::vector<std::string>& groups) {
  directory_.ForEachLink([&](BrokerLink& link) {
    for (const std::string& group : groups) link.ClientStreamsEnded(client, group);
  });
}

std::vector<std::string> ClientRegistry::Terminate(absl::string_view client) {
  Client ended;
  {
    base::MutexLock lock(mu_);
    const auto found = clients_.find(client);
    if (found == clients_.end()) return {};
    CountOff(found->second);
    ended = std::move(found->second);
    clients_.erase(found);
  }
  for (const auto& poll : ended.polls) poll->EndEarly();
  return std::move(ended.groups);
}

void ClientRegistry::Tick() {
  std::vector<std::shared_ptr<CommandStream>> streams;
  std::vector<std::shared_ptr<WaitingPoll>> polls;
  {
    base::MutexLock lock(mu_);
    const std::int64_t silent_since = clock_.MonotonicMillis() - kForgetAfterMillis;
    absl::erase_if(clients_, [silent_since](const auto& entry) {
      const Client& client = entry.second;
      return client.streams.empty() && client.polls.empty() && client.seen_millis <= silent_since;
    });
    for (const auto& [id, client] : clients_) {
      streams.insert(streams.end(), client.streams.begin(), client.streams.end());
      polls.insert(polls.end(), client.polls.begin(), client.polls.end());
    }
  }
  for (const auto& stream : streams) stream->Refresh();
  for (const auto& poll : polls) poll->Progress();
}

void ClientRegistry::EndPolls() {
  std::vector<std::shared_ptr<WaitingPoll>> polls;
  {
    base::MutexLock lock(mu_);
    for (const auto& [id, client] : clients_) polls.insert(polls.end(), client.polls.begin(), client.polls.end());
  }
  for (const auto& poll : polls) poll->EndEarly();
}

void ClientRegistry::CloseStreams(const absl::Status& status) {
  std::vector<std::shared_ptr<CommandStream>> streams;
  {
    base::MutexLock lock(mu_);
    for (const auto& [id, client] : clients_) {
      streams.insert(streams.end(), client.streams.begin(), client.streams.end());
    }
  }
  for (const auto& stream : streams) stream->Close(status);
}

std::size_t ClientRegistry::clients() const {
  base::MutexLock lock(mu_);
  return clients_.size();
}

}  // namespace millrace::proxy
