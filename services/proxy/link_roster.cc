#include "services/proxy/link_roster.h"

namespace millrace::proxy {

bool LinkRoster::Sign(absl::string_view client, absl::string_view group, std::int64_t now_millis) {
  Client& entry = clients_[KeyOf(client, group)];
  const bool known = entry.number != 0 && !entry.streams_ended && now_millis - entry.sign_millis < kSilentMillis;
  if (entry.number == 0) entry.number = next_number_++;
  entry.sign_millis = now_millis;
  entry.alive = true;
  entry.streams_ended = false;
  return !known;
}

bool LinkRoster::StreamsEnded(absl::string_view client, absl::string_view group) {
  const auto at = clients_.find(KeyOf(client, group));
  if (at == clients_.end()) return false;
  at->second.alive = false;
  at->second.streams_ended = true;
  return true;
}

void LinkRoster::Forget(absl::string_view client, absl::string_view group) { clients_.erase(KeyOf(client, group)); }

link::ClientRecord LinkRoster::RecordOf(absl::string_view client, absl::string_view group) const {
  return {clients_.at(KeyOf(client, group)).number, client, group};
}

std::vector<std::uint32_t> LinkRoster::TakeAlive(std::int64_t now_millis) {
  std::vector<std::uint32_t> numbers;
  for (auto at = clients_.begin(); at != clients_.end();) {
    Client& client = at->second;
    if (client.alive) numbers.push_back(client.number);
    client.alive = false;
    at = now_millis - client.sign_millis >= kForgetMillis ? clients_.erase(at) : std::next(at);
  }
  return numbers;
}

}  // namespace millrace::proxy
