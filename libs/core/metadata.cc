#include "core/metadata.h"

#include "base/bytes.h"

namespace millrace::core {
namespace {

constexpr std::uint8_t kVersion = 1;

std::string Text(base::ByteReader& reader) {
  const absl::string_view text = reader.ReadString();
  return std::string(text.data(), text.size());
}

std::int64_t Signed(base::ByteReader& reader) { return static_cast<std::int64_t>(reader.ReadVarint()); }
void PutSigned(std::string& out, std::int64_t value) { base::PutVarint(out, static_cast<std::uint64_t>(value)); }

}  // namespace

void Encode(const TopicConfig& topic, std::string& out) {
  base::Put(out, kVersion);
  base::PutVarint(out, topic.id);
  base::PutVarint(out, topic.version);
  base::PutString(out, topic.name);
  base::Put(out, static_cast<std::uint8_t>(topic.type));
  base::Put(out, static_cast<std::uint8_t>(topic.access));
  base::PutVarint(out, topic.queues);
  PutSigned(out, topic.created_millis);
}

std::optional<TopicConfig> DecodeTopic(absl::string_view bytes) {
  base::ByteReader reader(bytes);
  TopicConfig topic;
  const auto version = reader.Read<std::uint8_t>();
  topic.id = reader.ReadVarint();
  topic.version = reader.ReadVarint();
  topic.name = Text(reader);
  const auto type = reader.Read<std::uint8_t>();
  const auto access = reader.Read<std::uint8_t>();
  topic.queues = static_cast<std::uint32_t>(reader.ReadVarint());
  topic.created_millis = Signed(reader);
  if (!reader.ok() || version < kVersion || type < 1 || type > 7 || access < 1 || access > 4) return std::nullopt;
  topic.type = static_cast<TopicType>(type);
  topic.access = static_cast<Access>(access);
  return topic;
}

void Encode(const GroupConfig& group, std::string& out) {
  base::Put(out, kVersion);
  base::PutVarint(out, group.id);
  base::PutVarint(out, group.version);
  base::PutString(out, group.name);
  base::Put<std::uint8_t>(out, (group.fifo ? 1 : 0) | (group.exponential_backoff ? 2 : 0));
  base::PutVarint(out, group.max_attempts);
  base::PutVarint(out, group.backoff_millis.size());
  for (std::int64_t millis : group.backoff_millis) PutSigned(out, millis);
  PutSigned(out, group.renew_limit_millis);
  base::PutString(out, group.lite_topic);
  base::Put(out, group.lite_model);
  base::Put(out, group.lite_quota);
  PutSigned(out, group.created_millis);
}

std::optional<GroupConfig> DecodeGroup(absl::string_view bytes) {
  base::ByteReader reader(bytes);
  GroupConfig group;
  const auto version = reader.Read<std::uint8_t>();
  group.id = reader.ReadVarint();
  group.version = reader.ReadVarint();
  group.name = Text(reader);
  const auto flags = reader.Read<std::uint8_t>();
  group.fifo = (flags & 1) != 0;
  group.exponential_backoff = (flags & 2) != 0;
  group.max_attempts = static_cast<std::uint32_t>(reader.ReadVarint());
  const std::uint64_t steps = reader.ReadVarint();
  if (steps > reader.rest().size()) return std::nullopt;
  for (std::uint64_t i = 0; i < steps; ++i) group.backoff_millis.push_back(Signed(reader));
  group.renew_limit_millis = Signed(reader);
  group.lite_topic = Text(reader);
  group.lite_model = reader.Read<std::uint8_t>();
  group.lite_quota = reader.Read<std::int32_t>();
  group.created_millis = Signed(reader);
  if (!reader.ok() || version < kVersion) return std::nullopt;
  return group;
}

namespace {

void Encode(const QueueProgress& queue, std::string& out) {
  base::PutVarint(out, queue.topic_id);
  base::PutString(out, queue.topic);
  base::Put(out, queue.queue);
  for (std::int64_t value :
       {queue.minimum, queue.maximum, queue.start, queue.next, queue.ready, queue.claimed, queue.in_flight,
        queue.waiting, queue.acknowledged, queue.rejected, queue.dead_lettered, queue.skipped, queue.expired}) {
    PutSigned(out, value);
  }
  base::Put(out, queue.oldest_open_offset);
}

QueueProgress ReadQueue(base::ByteReader& reader) {
  QueueProgress queue;
  queue.topic_id = reader.ReadVarint();
  queue.topic = Text(reader);
  queue.queue = reader.Read<std::int32_t>();
  for (std::int64_t* value :
       {&queue.minimum, &queue.maximum, &queue.start, &queue.next, &queue.ready, &queue.claimed, &queue.in_flight,
        &queue.waiting, &queue.acknowledged, &queue.rejected, &queue.dead_lettered, &queue.skipped, &queue.expired}) {
    *value = Signed(reader);
  }
  queue.oldest_open_offset = reader.Read<std::int64_t>();
  return queue;
}

}  // namespace

void Encode(const GroupProgress& progress, std::string& out) {
  std::string group;
  Encode(progress.group, group);
  base::PutString(out, group);
  base::PutVarint(out, progress.clients);
  base::PutVarint(out, progress.queues.size());
  for (const QueueProgress& queue : progress.queues) Encode(queue, out);
}

std::optional<GroupProgress> DecodeProgress(absl::string_view bytes) {
  base::ByteReader reader(bytes);
  GroupProgress progress;
  const auto group = DecodeGroup(reader.ReadString());
  if (!group) return std::nullopt;
  progress.group = *group;
  progress.clients = static_cast<std::uint32_t>(reader.ReadVarint());
  const std::uint64_t queues = reader.ReadVarint();
  if (queues > reader.rest().size()) return std::nullopt;
  for (std::uint64_t i = 0; i < queues; ++i) progress.queues.push_back(ReadQueue(reader));
  if (!reader.ok()) return std::nullopt;
  return progress;
}

}  // namespace millrace::core
