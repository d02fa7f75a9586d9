#include "services/proxy/single_set_directory.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/metadata.h"
#include "model/names.h"
#include "services/proxy/answers.h"

namespace millrace::proxy {
namespace {

constexpr std::int64_t kFreshMillis = 1'000;
constexpr std::int64_t kUsableMillis = 20'000;

template <typename T>
using Answer = model::Result<std::shared_ptr<const T>>;

bool IsMiss(const model::Error& error) {
  return error.code == model::ErrorCode::kTopicNotFound || error.code == model::ErrorCode::kConsumerGroupNotFound;
}

model::Error Unreadable(absl::string_view what, absl::string_view name) {
  return {model::ErrorCode::kInternalServerError,
          absl::StrCat("the broker's answer about ", what, " ", name,
                       " does not decode: run proxy and broker of the same or adjacent releases")};
}

}  // namespace

template <typename T>
SingleSetDirectory::Step SingleSetDirectory::Look(Entry<T>& entry) {
  const std::int64_t age = clock_.MonotonicMillis() - entry.since_millis;
  if (entry.answer && age < kFreshMillis) return Step::kUse;
  if (entry.answer && entry.answer->ok() && age < kUsableMillis) {
    if (entry.asking) return Step::kUse;
    entry.asking = true;
    return Step::kUseAndAsk;
  }
  if (entry.asking) return Step::kWait;
  entry.asking = true;
  return Step::kAsk;
}

// Names that nobody has asked for lately make room; a table full of names in use is emptied and fills again.
template <typename T>
void SingleSetDirectory::MakeRoom(Table<T>& table) {
  if (table.entries.size() < options_.entries_max) return;
  const std::int64_t old = clock_.MonotonicMillis() - kUsableMillis;
  const auto erase = [&table](const auto& may_go) {
    absl::erase_if(table.entries, [&](const auto& each) {
      if (each.second.asking || !may_go(each.second)) return false;
      if (each.second.known()) --table.known;
      return true;
    });
  };
  erase([old](const Entry<T>& entry) { return entry.since_millis < old; });
  if (table.entries.size() < options_.entries_max) return;
  erase([](const Entry<T>&) { return true; });
}

template <typename T>
void SingleSetDirectory::Settle(Table<T>& table, const std::string& name, Answer<T> answer) {
  std::vector<std::function<void(Answer<T>)>> waiting;
  {
    base::MutexLock lock(mu_);
    Entry<T>& entry = table.entries[name];
    if (entry.known()) --table.known;
    entry.asking = false;
    waiting = std::exchange(entry.waiting, {});
    // A broker that does not answer takes nothing back of what it said before.
    if (!answer.ok() && !IsMiss(answer.error()) && entry.answer && entry.answer->ok()) {
      answer = *entry.answer;
    } else if (!answer.ok() && !IsMiss(answer.error())) {
      entry.answer.reset();  // not even a miss: the next call asks again
    } else {
      entry.answer = answer;
    }
    entry.since_millis = clock_.MonotonicMillis();
    if (entry.known()) ++table.known;
  }
  for (const auto& then : waiting) then(answer);
}

std::size_t SingleSetDirectory::topics() const {
  base::MutexLock lock(mu_);
  return topics_.known;
}

Directory::RoutePtr SingleSetDirectory::CachedTopic(absl::string_view full_name) {
  RoutePtr route;
  Step step;
  {
    base::MutexLock lock(mu_);
    const auto found = topics_.entries.find(full_name);
    if (found == topics_.entries.end()) return nullptr;
    Entry<TopicRoute>& entry = found->second;
    if (!entry.answer || !entry.answer->ok()) return nullptr;
    if (clock_.MonotonicMillis() - entry.since_millis >= kUsableMillis) return nullptr;
    route = **entry.answer;
    step = Look(entry);
  }
  if (step == Step::kUseAndAsk) AskTopic(std::string(full_name.data(), full_name.size()));
  return route;
}

void SingleSetDirectory::FindTopic(absl::string_view full_name, TopicCallback then) {
  std::string name(full_name.data(), full_name.size());
  std::optional<Answer<TopicRoute>> answer;
  Step step;
  {
    base::MutexLock lock(mu_);
    MakeRoom(topics_);
    Entry<TopicRoute>& entry = topics_.entries[name];
    step = Look(entry);
    if (step == Step::kUse || step == Step::kUseAndAsk) {
      answer = entry.answer;
    } else {
      entry.waiting.push_back(then);
    }
  }
  if (answer) then(*answer);
  if (step == Step::kAsk || step == Step::kUseAndAsk) AskTopic(name);
}

void SingleSetDirectory::FindGroup(absl::string_view full_name, bool fifo, GroupCallback then) {
  std::string name(full_name.data(), full_name.size());
  std::optional<Answer<core::GroupConfig>> answer;
  Step step;
  {
    base::MutexLock lock(mu_);
    MakeRoom(groups_);
    Entry<core::GroupConfig>& entry = groups_.entries[name];
    step = Look(entry);
    if (step == Step::kUse || step == Step::kUseAndAsk) {
      answer = entry.answer;
    } else {
      entry.waiting.push_back(then);
    }
  }
  if (answer) then(*answer);
  if (step == Step::kAsk || step == Step::kUseAndAsk) AskGroup(name, fifo);
}

void SingleSetDirectory::Ask(link::Op op, const link::MetadataRequest& request, Bytes then) {
  std::string payload;
  link::Encode(request, payload);
  link_.Call(op, std::move(payload), options_.query_timeout_millis, [then](const link::Record& record) {
    const auto reply = link::Decode<link::Reply>(record.payload);
    if (!reply) return then(Unreadable("a query", ""));
    if (reply->code != kOk) return then(BrokerError(reply->code, reply->text));
    then(std::string(reply->payload.data(), reply->payload.size()));
  });
}

model::Result<Directory::RoutePtr> SingleSetDirectory::RouteOf(const std::string& name,
                                                               const model::Result<std::string>& reply) const {
  auto route = std::make_shared<TopicRoute>();
  if (reply.ok()) {
    auto config = core::DecodeTopic(*reply);
    if (!config) return Unreadable("topic", name);
    route->config = *std::move(config);
  } else {
    const bool may_create = options_.auto_create_topics && !model::IsDeadLetterTopic(name);
    if (!may_create || reply.error().code != model::ErrorCode::kTopicNotFound) return reply.error();
    route->is_virtual = true;
    route->config.name = name;
    route->config.type = core::TopicType::kMixed;
    route->config.queues = options_.auto_create_queues;
  }
  const std::string broker = options_.broker.empty() ? link_.broker_set() : options_.broker;
  route->sets.push_back({broker, &link_, route->config.access, route->config.queues});
  return RoutePtr(std::move(route));
}

void SingleSetDirectory::AskTopic(const std::string& name) {
  Ask(link::Op::kQuery, {static_cast<std::uint32_t>(core::QueryKind::kTopic), name, {}},
      [this, name](model::Result<std::string> reply) { Settle(topics_, name, RouteOf(name, reply)); });
}

void SingleSetDirectory::AskGroup(const std::string& name, bool fifo) {
  const auto settle = [this, name](const model::Result<std::string>& reply) {
    if (!reply.ok()) return Settle<core::GroupConfig>(groups_, name, reply.error());
    auto config = core::DecodeGroup(*reply);
    if (!config) return Settle<core::GroupConfig>(groups_, name, Unreadable("group", name));
    Settle<core::GroupConfig>(groups_, name, GroupPtr(std::make_shared<core::GroupConfig>(*std::move(config))));
  };
  const auto ensure = [this, name, settle] {
    Ask(link::Op::kQuery, {static_cast<std::uint32_t>(core::QueryKind::kEnsureGroup), name, {}}, settle);
  };
  if (!fifo) return ensure();
  Ask(link::Op::kQuery, {static_cast<std::uint32_t>(core::QueryKind::kGroup), name, {}},
      [this, name, settle, ensure](model::Result<std::string> reply) {
        if (reply.ok() || !IsMiss(reply.error())) return settle(reply);
        // Whether this one or another proxy has created it: what stands then counts.
        CreateFifoGroup(name, [ensure](const model::Result<std::string>&) { ensure(); });
      });
}

void SingleSetDirectory::CreateFifoGroup(const std::string& name, Bytes then) {
  core::GroupConfig config;
  config.name = name;
  config.fifo = true;
  std::string encoded;
  core::Encode(config, encoded);
  Ask(link::Op::kPutGroup, {0, name, encoded}, std::move(then));
}

}  // namespace millrace::proxy
