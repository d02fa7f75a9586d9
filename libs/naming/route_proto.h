#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "millrace/v1/nameserver.pb.h"
#include "naming/route.h"

// Between routes and protos/millrace/v1/nameserver.proto.
namespace millrace::naming {

namespace wire = ::millrace::nameserver::v1;

inline constexpr char kRegisterMethod[] = "/millrace.nameserver.v1.Nameserver/Register";
inline constexpr char kWatchMethod[] = "/millrace.nameserver.v1.Nameserver/Watch";

// Topics in one message; more of them go in several.
inline constexpr std::size_t kTopicsPerMessage = 10'000;

void ToWire(const TopicRoute& topic, wire::Topic& to);
TopicRoute FromWire(const wire::Topic& topic);

// `make` starts each message (a Registration or a full SetUpdate); topics and `more` are filled in.
template <typename Message>
std::vector<Message> InPieces(const std::map<std::uint64_t, TopicRoute>& topics, const std::function<Message()>& make,
                              std::size_t per_message = kTopicsPerMessage) {
  std::vector<Message> pieces = {make()};
  for (const auto& [id, topic] : topics) {
    if (static_cast<std::size_t>(pieces.back().topics_size()) == per_message) {
      pieces.back().set_more(true);
      pieces.push_back(make());
    }
    ToWire(topic, *pieces.back().add_topics());
  }
  return pieces;
}

// A full statement about a set.
std::vector<wire::SetUpdate> FullUpdate(const SetRoute& route);

// Puts the updates of one Watch stream together. Not thread-safe.
class UpdateReader {
 public:
  // The set as it stands now; nullopt: more is to come, or changes to a set that was never said in full (a mistake of
  // the nameserver; `mistake` is set).
  std::optional<SetRoute> Read(const wire::SetUpdate& update, bool& mistake);
  void Forget(const SetKey& key) {
    routes_.erase(key);
    pieces_.erase(key);
  }

 private:
  std::map<SetKey, SetRoute> routes_;
  std::set<SetKey> pieces_;  // sets whose update has only begun
};

}  // namespace millrace::naming
