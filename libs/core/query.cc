#include <bit>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "core/codes.h"
#include "core/impl.h"

namespace millrace::core {
namespace {

template <typename T>
void AppendItem(const T& item, std::string& list) {
  std::string bytes;
  Encode(item, bytes);
  base::Put(list, static_cast<std::uint32_t>(bytes.size()));
  list += bytes;
}

}  // namespace

QueueProgress Core::Impl::Describe(const Cursor& cursor) const {
  const Topic& topic = *cursor.subscription->topic;
  const Queue& queue = topic.queues[cursor.queue];
  QueueProgress progress;
  progress.topic_id = topic.config.id;
  progress.topic = topic.config.name;
  progress.queue = static_cast<std::int32_t>(cursor.queue);
  progress.minimum = queue.minimum;
  progress.maximum = queue.visible;
  progress.start = cursor.start;
  progress.next = cursor.next;
  progress.ready = cursor.ready + queue.visible - cursor.next;
  progress.claimed = cursor.claimed;
  progress.in_flight = cursor.in_flight;
  progress.waiting = cursor.waiting;
  progress.acknowledged = cursor.passed.acknowledged;
  progress.rejected = cursor.passed.rejected;
  progress.dead_lettered = cursor.passed.dead_lettered;
  progress.skipped = cursor.passed.skipped;
  progress.expired = cursor.passed.expired;
  progress.oldest_open_offset = cursor.next < queue.visible ? cursor.next : -1;
  for (const Block* block : cursor.blocks) {
    if (block->open == 0) continue;
    progress.oldest_open_offset = block->index * kBlockEntries + std::countr_zero(block->open);
    break;
  }
  return progress;
}

void Core::Impl::OnQuery(const Query& event, const EventBatch& batch) {
  const absl::string_view name = Text(batch, event.name);
  const Topic* topic = FindTopic(name);
  Group* group = FindGroup(name);
  // Before its first letter a dead letter topic is an empty one.
  const Group* letters_of = topic == nullptr && absl::StartsWith(name, kDeadLetterPrefix)
                                ? FindGroup(name.substr(kDeadLetterPrefix.size()))
                                : nullptr;
  const auto no_topic = [&] {
    AnswerError(event.reply, code::kTopicNotFound, absl::StrCat("topic ", name, " does not exist"));
  };
  const auto no_group = [&] {
    AnswerError(event.reply, code::kConsumerGroupNotFound, absl::StrCat("group ", name, " does not exist"));
  };
  std::string payload;
  switch (event.kind) {
    case QueryKind::kTopic:
      if (topic == nullptr && letters_of == nullptr) return no_topic();
      Encode(topic != nullptr ? topic->config : DeadLetterTopic(letters_of->config), payload);
      break;
    case QueryKind::kTopics:
      for (const auto& [id, each] : topics_) AppendItem(each->config, payload);
      break;
    case QueryKind::kGroup:
      if (group == nullptr) return no_group();
      Encode(group->config, payload);
      break;
    case QueryKind::kGroups:
      for (const auto& [id, each] : groups_) AppendItem(each->config, payload);
      break;
    case QueryKind::kGroupProgress: {
      if (group == nullptr) return no_group();
      GroupProgress progress;
      progress.group = group->config;
      std::set<std::uint32_t> clients;
      for (const auto& [key, registration] : registrations_) {
        if (registration.group == group->config.name) clients.insert(registration.client);
      }
      progress.clients = static_cast<std::uint32_t>(clients.size());
      for (const auto& [id, subscription] : group->subscriptions) {
        for (const auto& cursor : subscription->cursors) progress.queues.push_back(Describe(*cursor));
      }
      Encode(progress, payload);
      break;
    }
    case QueryKind::kTopicProgress: {
      if (topic == nullptr && letters_of == nullptr) return no_topic();
      const TopicConfig config = topic != nullptr ? topic->config : DeadLetterTopic(letters_of->config);
      GroupProgress progress;
      for (std::uint32_t i = 0; i < config.queues; ++i) {
        QueueProgress& queue = progress.queues.emplace_back();
        queue.topic_id = config.id;
        queue.topic = config.name;
        queue.queue = static_cast<std::int32_t>(i);
        if (topic == nullptr) continue;
        queue.minimum = topic->queues[i].minimum;
        queue.maximum = topic->queues[i].visible;
      }
      Encode(progress, payload);
      break;
    }
    case QueryKind::kEnsureGroup: {
      if (name.empty()) return AnswerError(event.reply, code::kIllegalConsumerGroup, "a group needs a name");
      if (group == nullptr) group = CreateGroup(name);
      Wait wait;
      wait.kind = WaitKind::kGroupReply;
      wait.reply = event.reply;
      wait.id = group->config.id;
      return WaitForTurn(wait);
    }
  }
  AnswerOk(event.reply, payload);
}

void Core::Impl::DescribeTopics(ActionBatch& actions) const {
  for (const auto& [id, topic] : topics_) {
    std::string config;
    Encode(topic->config, config);
    actions.Add(ActionType::kTopicChanged, TopicChanged{actions.AddText(config.data(), config.size())});
  }
}

Core::Totals Core::Impl::totals() const {
  Totals totals = sums_;
  totals.unconfirmed_bytes = log_end_ - confirmed_end_;
  totals.clients = registered_clients_;
  totals.waiting_receives = receivers_.used();
  totals.topics = topics_.size();
  totals.groups = groups_.size();
  return totals;
}

}  // namespace millrace::core
