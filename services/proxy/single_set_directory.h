#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "core/events.h"
#include "link/messages.h"
#include "services/proxy/directory.h"

namespace millrace::proxy {

// The directory of a proxy with one broker set: asks it over its link and caches what it says. Thread-safe.
// Ages.     A hit is used as it is for 1 s, then once more while it is asked for again in the background; older than
//           20 s it is asked for first, and counts only when the broker does not answer. A miss is kept for 1 s.
class SingleSetDirectory final : public Directory {
 public:
  struct Options {
    std::string broker = "broker-0";  // name of the set, as clients see it
    bool auto_create_topics = false;
    std::uint32_t auto_create_queues = 4;
    std::int64_t query_timeout_millis = 1'000;
    std::size_t entries_max = 100'000;  // topics, and as many groups
  };

  // `link` and `clock` outlive the directory; it outlives the link's callbacks.
  SingleSetDirectory(const Options& options, BrokerLink& link, const base::Clock& clock)
      : options_(options), link_(link), clock_(clock) {}

  RoutePtr CachedTopic(absl::string_view full_name) override;
  void FindTopic(absl::string_view full_name, TopicCallback then) override;
  void FindGroup(absl::string_view full_name, bool fifo, GroupCallback then) override;
  void ForEachLink(absl::FunctionRef<void(BrokerLink&)> each) override { each(link_); }

  // Topics whose route is cached.
  std::size_t topics() const;

 private:
  template <typename T>
  struct Entry {
    std::optional<model::Result<std::shared_ptr<const T>>> answer;
    std::int64_t since_millis = 0;  // of the answer
    bool asking = false;
    std::vector<std::function<void(model::Result<std::shared_ptr<const T>>)>> waiting;

    bool known() const { return answer && answer->ok(); }
  };
  template <typename T>
  struct Table {
    absl::flat_hash_map<std::string, Entry<T>> entries;
    std::size_t known = 0;  // of them
  };
  // What to do about one name now.
  enum class Step { kUse, kUseAndAsk, kAsk, kWait };

  template <typename T>
  Step Look(Entry<T>& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  template <typename T>
  void MakeRoom(Table<T>& table) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  template <typename T>
  void Settle(Table<T>& table, const std::string& name, model::Result<std::shared_ptr<const T>> answer);

  using Bytes = std::function<void(model::Result<std::string>)>;
  void Ask(link::Op op, const link::MetadataRequest& request, Bytes then);
  void AskTopic(const std::string& name);
  void AskGroup(const std::string& name, bool fifo);
  void CreateFifoGroup(const std::string& name, Bytes then);
  model::Result<RoutePtr> RouteOf(const std::string& name, const model::Result<std::string>& reply) const;

  const Options options_;
  BrokerLink& link_;
  const base::Clock& clock_;

  mutable base::Mutex mu_;
  Table<TopicRoute> topics_ ABSL_GUARDED_BY(mu_);
  Table<core::GroupConfig> groups_ ABSL_GUARDED_BY(mu_);
};

}  // namespace millrace::proxy
