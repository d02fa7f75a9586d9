#include <algorithm>
#include <cstring>

#include "core/codes.h"
#include "core/impl.h"

// Who lives. Time is the silence clock: log time of turns that emptied the inbox, so signs that still wait in it are
// never held against a client.
namespace millrace::core {

std::uint32_t Core::Impl::ClientNumber(absl::string_view name) {
  const auto found = client_names_.find(name);
  if (found != client_names_.end()) return found->second;
  Client* client = clients_.Take();
  client->kind = kClientTimer;
  client->name.assign(name.data(), name.size());
  client->sign = silence_;
  client->streams_ended = kNever;
  client->registrations = 0;
  client_names_.emplace(client->name, client->slot + 1);
  if (started_) ArmClient(*client);
  return client->slot + 1;
}

void Core::Impl::Sign(Client& client) {
  client.sign = silence_;
  client.streams_ended = kNever;
}

// The timer only looks; signs of life do not touch it.
void Core::Impl::ArmClient(Client& client) {
  std::int64_t dead = client.sign + options_.client_silence_millis;
  if (client.streams_ended != kNever) {
    dead = std::min(dead, client.streams_ended + options_.client_streams_ended_millis);
  }
  wheel_.Set(&client, now_ + std::max<std::int64_t>(dead - silence_, 1));
}

void Core::Impl::OnClientTimer(Client& client) {
  const bool silent = silence_ - client.sign >= options_.client_silence_millis;
  const bool gone =
      client.streams_ended != kNever && silence_ - client.streams_ended >= options_.client_streams_ended_millis;
  if (!silent && !gone) return ArmClient(client);
  EndClient(client);
  if (client.leases.empty() && silent) return ForgetClient(client);
  // It keeps its name while a lease for a fixed time is open.
  client.streams_ended = kNever;
  client.sign = std::max(client.sign, silence_ - options_.client_silence_millis + 1'000);
  ArmClient(client);
}

void Core::Impl::OnClientRegistered(const ClientRegistered& event, const EventBatch& batch) {
  const std::uint32_t number = ClientNumber(Text(batch, event.client));
  Client& client = *FindClient(number);
  const absl::string_view group = Text(batch, event.group);
  const RegistrationKey key{event.link, event.number};
  if (const auto old = registrations_.find(key); old != registrations_.end()) {
    if (old->second.client == number) {
      Sign(client);
      if (group == absl::string_view(old->second.group)) return;
      CountMember(old->second.group, number, -1);
      old->second.group.assign(group.data(), group.size());
      return CountMember(old->second.group, number, 1);
    }
    DropRegistration(old);
  }
  Sign(client);
  registrations_[key] = {number, std::string(group.data(), group.size())};
  CountMember(registrations_[key].group, number, 1);
  if (client.registrations++ == 0) ++registered_clients_;
}

// A client that several proxies speak for is one member of its group.
void Core::Impl::CountMember(const std::string& group, std::uint32_t client, int by) {
  if (group.empty()) return;  // a producer
  const auto times = members_.try_emplace({group, client}, 0).first;
  const bool was = times->second > 0;
  times->second += static_cast<std::uint32_t>(by);
  const bool is = times->second > 0;
  if (!is) members_.erase(times);
  if (was == is) return;
  const auto clients = group_clients_.try_emplace(group, 0).first;
  clients->second += static_cast<std::uint32_t>(by);
  if (Group* known = FindGroup(group)) {
    known->clients = clients->second;
    Touch(*known);
  }
  if (clients->second == 0) group_clients_.erase(clients);
}

void Core::Impl::DropRegistration(absl::btree_map<RegistrationKey, Registration>::iterator place) {
  Client* client = FindClient(place->second.client);
  CountMember(place->second.group, place->second.client, -1);
  registrations_.erase(place);
  if (--client->registrations == 0) --registered_clients_;
}

void Core::Impl::OnClientsAlive(const ClientsAlive& event, const EventBatch& batch) {
  const absl::string_view numbers = Text(batch, event.numbers);
  for (std::size_t at = 0; at + 4 <= numbers.size(); at += 4) {
    std::uint32_t number;
    std::memcpy(&number, numbers.data() + at, sizeof number);
    const auto found = registrations_.find({event.link, number});
    if (found != registrations_.end()) Sign(*FindClient(found->second.client));
  }
}

void Core::Impl::OnClientStreamsEnded(const ClientStreamsEnded& event) {
  const auto found = registrations_.find({event.link, event.number});
  if (found == registrations_.end()) return;
  Client& client = *FindClient(found->second.client);
  client.streams_ended = silence_;
  ArmClient(client);
}

void Core::Impl::OnClientTerminated(const ClientTerminated& event, const EventBatch& batch) {
  const auto found = client_names_.find(Text(batch, event.client));
  if (found != client_names_.end()) {
    Client& client = *FindClient(found->second);
    EndClient(client);
    if (client.leases.empty()) ForgetClient(client);
  }
  AnswerOk(event.reply);
}

// Its renewed leases come back, its waiting receives end, no proxy speaks for it any more.
void Core::Impl::EndClient(Client& client) {
  ReleaseLeases(client);
  const std::uint32_t number = client.slot + 1;
  for (std::uint32_t slot = 0; slot < receivers_.slots(); ++slot) {
    Receiver* receiver = receivers_.Slot(slot);
    if (receiver != nullptr && receiver->client == number) EndReceiver(*receiver, code::kMessageNotFound, {});
  }
  for (auto at = registrations_.begin(); client.registrations > 0 && at != registrations_.end();) {
    const auto next = std::next(at);
    if (at->second.client != number) {
      at = next;
      continue;
    }
    const RegistrationKey key = at->first;
    DropRegistration(at);
    at = registrations_.upper_bound(key);
  }
}

void Core::Impl::ReleaseLeases(Client& client) {
  Entry* entry = client.leases.front();
  while (entry != nullptr) {
    Entry* next = client.leases.After(entry);
    if (entry->renewed) EndLease(*entry, entry->state == EntryState::kHeld, options_.return_millis);
    entry = next;
  }
}

void Core::Impl::ForgetClient(Client& client) {
  TimerWheel::Cancel(&client);
  const std::uint32_t number = client.slot + 1;
  for (const auto& [id, group] : groups_) {
    for (const auto& [topic, subscription] : group->subscriptions) subscription->last_answers.erase(number);
  }
  client_names_.erase(client.name);
  clients_.Give(&client);
}

// The proxy may be dead or only its connection: its clients have their silence time to show up elsewhere.
void Core::Impl::OnLinkDown(const LinkDown& event) {
  for (std::uint32_t slot = 0; slot < receivers_.slots(); ++slot) {
    Receiver* receiver = receivers_.Slot(slot);
    if (receiver != nullptr && receiver->reply.link == event.link) DropReceiver(*receiver);
  }
  for (std::uint32_t slot = 0; slot < answers_.slots(); ++slot) {
    Answer* answer = answers_.Slot(slot);
    if (answer != nullptr && answer->link == event.link) EndAnswer(*answer, false, false);
  }
  auto at = registrations_.lower_bound({event.link, 0});
  while (at != registrations_.end() && at->first.first == event.link) {
    DropRegistration(at);
    at = registrations_.lower_bound({event.link, 0});
  }
}

}  // namespace millrace::core
