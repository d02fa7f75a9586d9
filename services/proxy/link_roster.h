#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "link/messages.h"

namespace millrace::proxy {

// The clients that a link speaks for: their numbers, and who had a sign of life. The broker drops a client that was
// silent for 60 s, or 15 s after its streams ended, so one that comes back later is registered again.
// Not thread-safe.
class LinkRoster {
 public:
  // True: the client is to be registered with RecordOf().
  bool Sign(absl::string_view client, absl::string_view group, std::int64_t now_millis);
  // True: the broker is to hear of it. What it said before is no sign of life any more.
  bool StreamsEnded(absl::string_view client, absl::string_view group);
  void Forget(absl::string_view client, absl::string_view group);

  link::ClientRecord RecordOf(absl::string_view client, absl::string_view group) const;
  // Numbers of all that had a sign since the last call. Who was silent for long is forgotten.
  std::vector<std::uint32_t> TakeAlive(std::int64_t now_millis);

  // What a new link has to hear: everyone who is not known to be dead. Calls `each(record, streams_ended)`.
  template <typename Each>
  void ForEachLiving(std::int64_t now_millis, Each&& each) const {
    for (const auto& [key, client] : clients_) {
      if (now_millis - client.sign_millis >= kSilentMillis) continue;
      each(link::ClientRecord{client.number, key.first, key.second}, client.streams_ended);
    }
  }

 private:
  static constexpr std::int64_t kSilentMillis = 55'000;  // a sign of life is a second on its way
  static constexpr std::int64_t kForgetMillis = 120'000;

  struct Client {
    std::uint32_t number = 0;
    std::int64_t sign_millis = 0;
    bool alive = false;  // had a sign since the last TakeAlive()
    bool streams_ended = false;
  };
  using Key = std::pair<std::string, std::string>;  // client, group

  static Key KeyOf(absl::string_view client, absl::string_view group) {
    return {std::string(client.data(), client.size()), std::string(group.data(), group.size())};
  }

  std::map<Key, Client> clients_;
  std::uint32_t next_number_ = 1;
};

}  // namespace millrace::proxy
