#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "core/codes.h"
#include "core/impl.h"

// Topics and groups: created, changed, deleted. Every change is one metadata record, flushed before it is answered.
namespace millrace::core {

Topic* Core::Impl::FindTopic(absl::string_view name) const {
  const auto found = topic_names_.find(name);
  return found == topic_names_.end() ? nullptr : found->second;
}

Topic* Core::Impl::FindTopic(std::uint64_t id) const {
  const auto found = topics_.find(id);
  return found == topics_.end() ? nullptr : found->second.get();
}

Group* Core::Impl::FindGroup(absl::string_view name) const {
  const auto found = group_names_.find(name);
  return found == group_names_.end() ? nullptr : found->second;
}

Group* Core::Impl::FindGroup(std::uint64_t id) const {
  const auto found = groups_.find(id);
  return found == groups_.end() ? nullptr : found->second.get();
}

void Core::Impl::AddMetadataRecord(MetadataKind kind, absl::string_view body) {
  std::string head;
  Encode(MetadataHead{kind, ++metadata_version_, next_topic_, next_group_}, head);
  head.append(body.data(), body.size());
  AddRecord(store::RecordType::kMetadata, head);
  flush_first_ = flush_first_ || options_.rules.metadata_sync;
}

Topic* Core::Impl::AddTopic(TopicConfig config) {
  auto topic = std::make_unique<Topic>();
  topic->config = std::move(config);
  topic->queues.resize(topic->config.queues);
  Topic* added = topic.get();
  topic_names_[added->config.name] = added;
  topics_[added->config.id] = std::move(topic);
  Touch(*added);
  return added;
}

Group* Core::Impl::AddGroup(GroupConfig config) {
  auto group = std::make_unique<Group>();
  group->config = std::move(config);
  Group* added = group.get();
  group_names_[added->config.name] = added;
  groups_[added->config.id] = std::move(group);
  const auto clients = group_clients_.find(added->config.name);
  added->clients = clients == group_clients_.end() ? 0 : clients->second;
  Touch(*added);
  return added;
}

// Receives that wait for a topic of this name hang at it from now on.
void Core::Impl::AdoptReceivers(Topic& topic) {
  Receiver* receiver = no_topic_.front();
  while (receiver != nullptr) {
    Receiver* next = no_topic_.After(receiver);
    if (receiver->topic == topic.config.name) {
      List<Receiver, WaitTag>::Remove(receiver);
      receiver->subscription = Subscribe(*receiver->group, topic);
      if (receiver->queue >= static_cast<std::int64_t>(topic.queues.size())) receiver->queue = -1;
      WaitFor(*receiver);
    }
    receiver = next;
  }
}

Topic* Core::Impl::CreateTopic(TopicConfig config) {
  config.id = next_topic_++;
  config.created_millis = now_;
  Topic* topic = AddTopic(std::move(config));
  RecordTopic(*topic);
  AdoptReceivers(*topic);
  return topic;
}

void Core::Impl::RecordTopic(Topic& topic) {
  topic.config.version = metadata_version_ + 1;
  std::string body;
  Encode(topic.config, body);
  AddMetadataRecord(MetadataKind::kTopic, body);
  Wait changed;
  changed.kind = WaitKind::kTopicChanged;
  changed.id = topic.config.id;
  WaitForTurn(changed);
}

Group* Core::Impl::CreateGroup(absl::string_view name) {
  GroupConfig config;
  config.name.assign(name.data(), name.size());
  config.id = next_group_++;
  config.created_millis = now_;
  Group* group = AddGroup(std::move(config));
  RecordGroup(*group);
  return group;
}

// Its id must not be lost once a handle names it: nothing is handed out before the record is confirmed.
void Core::Impl::RecordGroup(Group& group) {
  group.config.version = metadata_version_ + 1;
  group.usable_turn = turn_;
  std::string body;
  Encode(group.config, body);
  AddMetadataRecord(MetadataKind::kGroup, body);
  Wait usable;
  usable.kind = WaitKind::kGroupUsable;
  usable.id = group.config.id;
  WaitForTurn(usable);
}

// Needs no record: a dead letter's own record brings it into being.
Topic* Core::Impl::EnsureDeadLetterTopic(Group& group) {
  const std::uint64_t id = group.config.id | kDeadLetterBit;
  Topic* topic = FindTopic(id);
  if (topic != nullptr) return topic;
  topic = AddTopic(DeadLetterTopic(group.config));
  AdoptReceivers(*topic);
  Wait changed;
  changed.kind = WaitKind::kTopicChanged;
  changed.id = id;
  WaitForTurn(changed);
  return topic;
}

TopicConfig Core::Impl::DeadLetterTopic(const GroupConfig& group) {
  TopicConfig config;
  config.id = group.id | kDeadLetterBit;
  config.name = absl::StrCat(kDeadLetterPrefix, group.name);
  config.queues = 1;
  return config;
}

void Core::Impl::OnPutTopic(const PutTopic& event, const EventBatch& batch) {
  auto config = DecodeTopic(Text(batch, event.config));
  if (!config) return AnswerError(event.reply, code::kBadRequest, "the topic does not decode");
  if (log_failed_) {
    return AnswerError(event.reply, code::kInternalServerError, "the commit log has failed; restart the broker");
  }
  if (config->name.empty() || absl::StartsWith(config->name, kDeadLetterPrefix)) {
    return AnswerError(event.reply, code::kIllegalTopic,
                       absl::StrCat("topic name \"", config->name, "\" is empty or begins with ", kDeadLetterPrefix));
  }
  if (config->queues == 0 || config->queues > kTopicQueuesMax) {
    return AnswerError(event.reply, code::kBadRequest,
                       absl::StrCat("topic ", config->name, " with ", config->queues, " queues; 1 to ", kTopicQueuesMax,
                                    " are allowed"));
  }
  Topic* topic = FindTopic(config->name);
  if (topic != nullptr && event.update == 0) {
    return AnswerError(event.reply, code::kPreconditionFailed,
                       absl::StrCat("topic ", config->name, " exists already; update it instead"));
  }
  if (topic == nullptr && event.update != 0) {
    return AnswerError(event.reply, code::kTopicNotFound,
                       absl::StrCat("topic ", config->name, " does not exist; create it first"));
  }
  if (topic == nullptr) {
    topic = CreateTopic(*std::move(config));
  } else {
    if (config->queues < topic->config.queues || config->type != topic->config.type) {
      return AnswerError(
          event.reply, code::kBadRequest,
          absl::StrCat("topic ", config->name, " has ", topic->config.queues, " queues and type ",
                       static_cast<int>(topic->config.type), "; queues can only be added and the type stays"));
    }
    topic->config.queues = config->queues;
    topic->config.access = config->access;
    topic->queues.resize(config->queues);
    for (Subscription* subscription : topic->subscriptions) AddCursors(*subscription);
    RecordTopic(*topic);
  }
  Wait wait;
  wait.kind = WaitKind::kTopicReply;
  wait.reply = event.reply;
  wait.id = topic->config.id;
  WaitForTurn(wait);
}

void Core::Impl::OnDeleteTopic(const DeleteTopic& event, const EventBatch& batch) {
  const absl::string_view name = Text(batch, event.name);
  Topic* topic = FindTopic(name);
  if (topic == nullptr) {
    return AnswerError(event.reply, code::kTopicNotFound, absl::StrCat("topic ", name, " does not exist"));
  }
  const std::uint64_t id = topic->config.id;
  RemoveTopic(id);
  std::string body;
  base::PutVarint(body, id);
  base::PutString(body, name);
  AddMetadataRecord(MetadataKind::kTopicDeleted, body);
  Wait wait;
  wait.reply = event.reply;
  WaitForTurn(wait);
}

void Core::Impl::OnPutGroup(const PutGroup& event, const EventBatch& batch) {
  auto config = DecodeGroup(Text(batch, event.config));
  if (!config) return AnswerError(event.reply, code::kBadRequest, "the group does not decode");
  if (log_failed_) {
    return AnswerError(event.reply, code::kInternalServerError, "the commit log has failed; restart the broker");
  }
  if (config->name.empty() || config->max_attempts == 0) {
    return AnswerError(event.reply, code::kIllegalConsumerGroup,
                       absl::StrCat("group \"", config->name, "\" with ", config->max_attempts,
                                    " attempts; it needs a name and at least one attempt"));
  }
  Group* group = FindGroup(config->name);
  if (group != nullptr && event.update == 0) {
    return AnswerError(event.reply, code::kPreconditionFailed,
                       absl::StrCat("group ", config->name, " exists already; update it instead"));
  }
  if (group == nullptr && event.update != 0) {
    return AnswerError(event.reply, code::kConsumerGroupNotFound,
                       absl::StrCat("group ", config->name, " does not exist; create it first"));
  }
  const bool created = group == nullptr;
  config->id = created ? next_group_++ : group->config.id;
  config->created_millis = created ? now_ : group->config.created_millis;
  if (created) {
    group = AddGroup(*std::move(config));
  } else {
    group->config = *std::move(config);
  }
  RecordGroup(*group);
  Wait wait;
  wait.kind = WaitKind::kGroupReply;
  wait.reply = event.reply;
  wait.id = group->config.id;
  WaitForTurn(wait);
}

void Core::Impl::OnDeleteGroup(const DeleteGroup& event, const EventBatch& batch) {
  const absl::string_view name = Text(batch, event.name);
  Group* group = FindGroup(name);
  if (group == nullptr) {
    return AnswerError(event.reply, code::kConsumerGroupNotFound, absl::StrCat("group ", name, " does not exist"));
  }
  std::string cursors;
  std::uint64_t count = 0;
  for (const auto& [topic, subscription] : group->subscriptions) {
    for (const auto& cursor : subscription->cursors) {
      base::PutVarint(cursors, topic);
      base::PutVarint(cursors, cursor->queue);
      ++count;
    }
  }
  std::string body;
  base::PutVarint(body, group->config.id);
  base::PutVarint(body, count);
  body += cursors;
  const std::string text = absl::StrCat("group ", name, " was deleted");
  EndReceiversOf(nullptr, group, code::kConsumerGroupNotFound, text);
  RemoveTopic(group->config.id | kDeadLetterBit);
  while (!group->subscriptions.empty()) {
    RemoveSubscription(group->subscriptions.begin()->second.get(), code::kConsumerGroupNotFound, text);
  }
  ForgetSums(*group);
  group_names_.erase(group->config.name);
  groups_.erase(group->config.id);
  AddMetadataRecord(MetadataKind::kGroupDeleted, body);
  Wait wait;
  wait.reply = event.reply;
  WaitForTurn(wait);
}

// Does nothing when there is no such topic. The record is the caller's.
void Core::Impl::RemoveTopic(std::uint64_t id) {
  Topic* topic = FindTopic(id);
  if (topic == nullptr) return;
  const std::string text = absl::StrCat("topic ", topic->config.name, " was deleted");
  while (!topic->subscriptions.empty()) {
    RemoveSubscription(topic->subscriptions.front(), code::kTopicNotFound, text);
  }
  std::erase_if(letter_plans_, [&](const LetterPlan& plan) {
    if (plan.record.topic_id != id) return false;
    out_->Add(ActionType::kReleaseBody, ReleaseBody{plan.record.body.slot, 0});
    return true;
  });
  ForgetSums(*topic);
  deleted_names_[id] = topic->config.name;
  topic_names_.erase(topic->config.name);
  topics_.erase(id);
  Wait deleted;
  deleted.kind = WaitKind::kTopicDeleted;
  deleted.id = id;
  WaitForTurn(deleted);
}

void Core::Impl::RemoveSubscription(Subscription* subscription, std::uint32_t code, absl::string_view text) {
  EndReceiversOf(subscription, nullptr, code, text);
  for (const auto& cursor : subscription->cursors) RemoveCursor(cursor.get());
  sums_.ready -= subscription->topic->visible_sum - subscription->next_sum;
  ForgetSums(*subscription);
  std::erase(to_serve_, subscription);
  std::erase(subscription->topic->subscriptions, subscription);
  subscription->group->subscriptions.erase(subscription->topic->config.id);
}

void Core::Impl::RemoveCursor(Cursor* cursor) {
  for (Block* block : cursor->blocks) {
    for (Entry* entry : block->entries) {
      if (entry != nullptr) FreeEntry(*entry);
    }
    blocks_.Give(block);
  }
  cursor->blocks.clear();
  std::erase(to_record_, cursor);
  std::erase(late_progress_, cursor);
  for (LetterPlan& plan : letter_plans_) {
    if (plan.cursor == cursor) plan.cursor = nullptr;  // the copy has its offset already and is written
  }
}

void Core::Impl::WakeReceiversOf(const Topic& topic) {
  for (Subscription* subscription : topic.subscriptions) Wake(*subscription);
}

void Core::Impl::OnQueueMinimum(const QueueMinimum& event) {
  Topic* topic = FindTopic(event.topic_id);
  if (topic == nullptr || event.queue >= topic->queues.size()) return;
  Queue& queue = topic->queues[event.queue];
  queue.minimum = std::max(queue.minimum, std::min(event.minimum, queue.visible));
  for (Subscription* subscription : topic->subscriptions) {
    ExpireBelow(*subscription->cursors[event.queue], queue.minimum);
  }
}

}  // namespace millrace::core
