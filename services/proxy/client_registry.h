#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "services/proxy/directory.h"

namespace millrace::proxy {

// What a client's settings say that later calls need.
struct ClientSettings {
  int client_type = 0;                          // v2 ClientType
  std::string group;                            // full name; empty for producers
  std::string language, version;                // of its SDK, as labels of metrics
  std::int64_t request_timeout_millis = 3'000;  // of its unary calls
};

// An open Telemetry stream, as the registry knows it. Called without a lock of the registry.
class CommandStream {
 public:
  virtual ~CommandStream() = default;
  virtual void Close(const absl::Status& status) = 0;
  // Once a second: looks whether its settings are still what the brokers say.
  virtual void Refresh() = 0;
};

// A receive that waits for a message.
class WaitingPoll {
 public:
  virtual ~WaitingPoll() = default;
  // Answers MESSAGE_NOT_FOUND now, unless a message has come already.
  virtual void EndEarly() = 0;
  // Once a second: tells the broker when its client has taken more of the answer, or may be busy with a long message.
  virtual void Progress() = 0;
};

// Clients that this proxy has seen: their settings, streams and polls; passes signs of life on to every broker.
// Nothing here is needed to serve a client: all of it can be lost.
// Threads. Any. Calls links, streams and polls without holding its lock.
class ClientRegistry {
 public:
  // Beyond `clients_max` ids new ones are served but not remembered.
  ClientRegistry(Directory& directory, const base::Clock& clock, std::size_t clients_max = 100'000)
      : directory_(directory), clock_(clock), clients_max_(clients_max) {}

  // A call of a client, with the group that it names ("": none): a sign of life, passed on to the brokers at most twice
  // a second. A client without settings is known to brokers from its first call with a group.
  void Saw(absl::string_view client, absl::string_view group);
  void SawProducer(absl::string_view client);

  void PutSettings(absl::string_view client, ClientSettings settings);
  // nullopt: none, or the client has ended.
  std::optional<ClientSettings> SettingsOf(absl::string_view client) const;

  // Repeating it is harmless. `stream` and `poll` are removed by the call that ends.
  void AddStream(absl::string_view client, const std::shared_ptr<CommandStream>& stream);
  void RemoveStream(absl::string_view client, const CommandStream* stream);
  void AddPoll(absl::string_view client, const std::shared_ptr<WaitingPoll>& poll);
  // `cancelled`: it did not end well.
  void RemovePoll(absl::string_view client, const WaitingPoll* poll, bool cancelled);

  // The client has said that it ends: forgets it and ends its polls. The groups it was known with.
  std::vector<std::string> Terminate(absl::string_view client);

  // Once a second: forgets clients that were silent for two minutes and have no stream, refreshes the streams, and
  // looks at the progress of polls.
  void Tick();
  void EndPolls();
  void CloseStreams(const absl::Status& status);

  std::size_t clients() const;

  // Clients with settings and an open Telemetry stream that have all of this in common.
  struct Kind {
    int client_type = 0;
    std::string group, language, version;
    auto operator<=>(const Kind&) const = default;
  };
  using Connected = std::vector<std::pair<Kind, std::size_t>>;
  Connected connected() const;

 private:
  using Counts = std::map<Kind, std::size_t>;
  struct Client {
    std::optional<ClientSettings> settings;
    std::vector<std::string> groups;  // as registered with the brokers; "" for a producer
    std::vector<std::shared_ptr<CommandStream>> streams;
    std::vector<std::shared_ptr<WaitingPoll>> polls;
    std::int64_t seen_millis = 0;
    std::int64_t told_millis = 0;
    std::optional<Counts::iterator> counted;  // as connected
  };

  // nullptr: there are too many.
  Client* Ensure(absl::string_view client) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // After a change of its settings or streams.
  void Count(Client& client) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void CountOff(Client& client) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void See(absl::string_view client, absl::string_view group, bool is_producer);
  void TellStreamsEnded(absl::string_view client, const std::vector<std::string>& groups);

  Directory& directory_;
  const base::Clock& clock_;
  const std::size_t clients_max_;

  mutable base::Mutex mu_;
  absl::flat_hash_map<std::string, Client> clients_ ABSL_GUARDED_BY(mu_);
  Counts counts_ ABSL_GUARDED_BY(mu_);
};

}  // namespace millrace::proxy
