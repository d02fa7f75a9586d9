#include <utility>

#include "base/check.h"
#include "core/testing/world.h"

// Requests and whole steps of World.
namespace millrace::core::testing {
namespace {

std::string Copy(absl::string_view text) { return std::string(text.data(), text.size()); }

}  // namespace

std::uint64_t World::Send(absl::string_view topic, std::vector<std::string> bodies, bool create, std::uint32_t type) {
  std::string messages;
  for (std::string& body : bodies) {
    SendMessage message;
    message.body = {++next_slot_, static_cast<std::uint32_t>(body.size())};
    slots.insert(next_slot_);
    bodies_[next_slot_] = std::move(body);
    messages.append(reinterpret_cast<const char*>(&message), sizeof message);
  }
  core::Send event;
  event.reply = To();
  event.topic = Text(topic);
  event.messages = Text(messages);
  event.message_type = type;
  event.auto_create = create ? 1 : 0;
  events.Add(EventType::kSend, event);
  return correlation_;
}

std::uint64_t World::Receive(absl::string_view client, absl::string_view group, absl::string_view topic,
                             const ReceiveOptions& options) {
  core::Receive event;
  event.reply = To(options.link);
  event.topic = Text(topic);
  event.group = Text(group);
  event.client = Text(client);
  event.attempt_id = Text(options.attempt_id);
  event.filter = Text(options.filter);
  event.invisible_millis = options.invisible;
  event.wait_millis = options.wait;
  event.queue = options.queue;
  event.batch = options.batch;
  event.bytes_max = options.bytes;
  event.auto_renew = options.renew ? 1 : 0;
  event.auto_create = options.create ? 1 : 0;
  events.Add(EventType::kReceive, event);
  return correlation_;
}

std::uint64_t World::Ack(const core::Handle& handle, absl::string_view group, absl::string_view topic) {
  events.Add(EventType::kAck, core::Ack{To(), Text(topic), Text(group), handle});
  return correlation_;
}

std::uint64_t World::Change(const core::Handle& handle, absl::string_view group, absl::string_view topic,
                            std::int64_t millis, bool suspend) {
  events.Add(EventType::kChangeInvisible,
             ChangeInvisible{To(), Text(topic), Text(group), handle, millis, suspend ? 1u : 0u, 0});
  return correlation_;
}

std::uint64_t World::Forward(const core::Handle& handle, absl::string_view group, absl::string_view topic) {
  events.Add(EventType::kForwardDeadLetter, ForwardDeadLetter{To(), Text(topic), Text(group), handle});
  return correlation_;
}

std::uint64_t World::Terminate(absl::string_view client, absl::string_view group) {
  events.Add(EventType::kClientTerminated, ClientTerminated{To(), Text(client), Text(group)});
  return correlation_;
}

std::uint64_t World::PutTopic(const TopicConfig& topic, bool update) {
  std::string bytes;
  Encode(topic, bytes);
  events.Add(EventType::kPutTopic, core::PutTopic{To(), Text(bytes), update ? 1u : 0u, 0});
  return correlation_;
}

std::uint64_t World::PutGroup(const GroupConfig& group, bool update) {
  std::string bytes;
  Encode(group, bytes);
  events.Add(EventType::kPutGroup, core::PutGroup{To(), Text(bytes), update ? 1u : 0u, 0});
  return correlation_;
}

std::uint64_t World::DeleteTopic(absl::string_view name) {
  events.Add(EventType::kDeleteTopic, core::DeleteTopic{To(), Text(name)});
  return correlation_;
}

std::uint64_t World::DeleteGroup(absl::string_view name) {
  events.Add(EventType::kDeleteGroup, core::DeleteGroup{To(), Text(name)});
  return correlation_;
}

std::uint64_t World::Query(QueryKind kind, absl::string_view name) {
  events.Add(EventType::kQuery, core::Query{To(), Text(name), kind, 0});
  return correlation_;
}

void World::Cancel(std::uint64_t correlation, std::uint32_t link) {
  events.Add(EventType::kReceiveCancelled, ReceiveCancelled{ReplyTo{correlation, link, 0}});
}
void World::AnswerEnded(std::uint64_t answer, bool well) {
  events.Add(EventType::kAnswerEnded, core::AnswerEnded{answer, well ? 1u : 0u, 0});
}
void World::AnswerWritten(std::uint64_t answer) { events.Add(EventType::kAnswerWritten, core::AnswerWritten{answer}); }
void World::LinkDown(std::uint32_t link) { events.Add(EventType::kLinkDown, core::LinkDown{link, 0}); }

void World::Register(absl::string_view client, absl::string_view group, std::uint32_t number, std::uint32_t link) {
  events.Add(EventType::kClientRegistered, ClientRegistered{Text(client), Text(group), link, number});
}

void World::Alive(std::vector<std::uint32_t> numbers, std::uint32_t link) {
  const TextRef ref = events.AddText(reinterpret_cast<const char*>(numbers.data()), numbers.size() * 4);
  events.Add(EventType::kClientsAlive, ClientsAlive{ref, link, 0});
}

void World::StreamsEnded(std::uint32_t number, std::uint32_t link) {
  events.Add(EventType::kClientStreamsEnded, ClientStreamsEnded{link, number});
}

void World::Minimum(std::uint64_t topic, std::uint32_t queue, std::int64_t minimum) {
  for (auto at = stored.begin(); at != stored.end();) {
    const auto& [id, of, offset] = at->first;
    at = id == topic && of == queue && offset < minimum ? stored.erase(at) : std::next(at);
  }
  events.Add(EventType::kQueueMinimum, QueueMinimum{topic, minimum, queue, 0});
}

void World::Make(absl::string_view topic, absl::string_view group, std::uint32_t queues, std::uint32_t attempts) {
  TopicConfig topic_config;
  topic_config.name = Copy(topic);
  topic_config.queues = queues;
  GroupConfig group_config;
  group_config.name = Copy(group);
  group_config.max_attempts = attempts;
  const std::uint64_t first = PutTopic(topic_config), second = PutGroup(group_config);
  Flush();
  MR_CHECK(replied.at(first).code == code::kOk && replied.at(second).code == code::kOk);
}

void World::MakeGroup(absl::string_view group) {
  Query(QueryKind::kEnsureGroup, group);
  Flush();
}

void World::Deposit(absl::string_view topic, std::vector<std::string> bodies) {
  for (std::string& body : bodies) {
    const std::uint64_t correlation = Send(topic, {std::move(body)});
    Flush();
    MR_CHECK(sent.at(correlation).code == code::kOk);
  }
}

Received World::Offer(absl::string_view client, absl::string_view group, absl::string_view topic,
                      ReceiveOptions options) {
  const std::uint64_t correlation = Receive(client, group, topic, options);
  Settle();
  if (received[correlation].code == 0) {
    Cancel(correlation, options.link);
    Settle();
  }
  return received[correlation];
}

std::vector<Delivered> World::Take(absl::string_view client, absl::string_view group, absl::string_view topic,
                                   ReceiveOptions options) {
  const Received result = Offer(client, group, topic, options);
  if (result.code != code::kOk) return {};
  AnswerEnded(result.answer, true);
  Settle();
  return result.messages;
}

std::vector<QueueProgress> World::AllProgress(absl::string_view group) {
  const std::uint64_t correlation = Query(QueryKind::kGroupProgress, group);
  Settle();
  const auto progress = DecodeProgress(replied.at(correlation).payload);
  return progress ? progress->queues : std::vector<QueueProgress>{};
}

QueueProgress World::Progress(absl::string_view group, absl::string_view topic, std::uint32_t queue) {
  for (const QueueProgress& each : AllProgress(group)) {
    if (each.topic == Copy(topic) && each.queue == static_cast<std::int32_t>(queue)) return each;
  }
  return {};
}

}  // namespace millrace::core::testing
