#include "core/records.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace millrace::core {
namespace {

std::int64_t ReadOffset(base::ByteReader& reader) { return static_cast<std::int64_t>(reader.ReadVarint()); }
void PutOffset(std::string& out, std::int64_t value) { base::PutVarint(out, static_cast<std::uint64_t>(value)); }

// Sums and differences of numbers that a damaged record may hold: they wrap.
std::int64_t Plus(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}
std::int64_t Minus(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b));
}

constexpr std::uint8_t kRenewedBit = 4;
constexpr std::uint8_t kSuspendBit = 8;

}  // namespace

void Encode(const CursorValue& value, std::string& out) {
  for (std::int64_t number : {value.start, value.next, value.acknowledged, value.rejected, value.dead_lettered,
                              value.skipped, value.expired}) {
    PutOffset(out, number);
  }
}

CursorValue ReadCursorValue(base::ByteReader& reader) {
  CursorValue value;
  for (std::int64_t* number : {&value.start, &value.next, &value.acknowledged, &value.rejected, &value.dead_lettered,
                               &value.skipped, &value.expired}) {
    *number = ReadOffset(reader);
  }
  return value;
}

void Encode(const BlockValue& block, std::string& out) {
  if (block.open == 0) return;
  base::Put(out, block.open);
  if (block.entries.empty()) return;
  // Clients first, each once; the ends are distances from the smallest.
  absl::string_view clients[kMaxBlockClients];
  std::size_t client_count = 0;
  std::int64_t base = INT64_MAX;
  for (const EntryValue& entry : block.entries) {
    if (entry.lease == LeaseKind::kNone) continue;
    base = std::min(base, entry.end);
    if (std::find(clients, clients + client_count, entry.client) == clients + client_count) {
      clients[client_count++] = entry.client;
    }
  }
  base::PutVarint(out, client_count);
  for (std::size_t i = 0; i < client_count; ++i) base::PutString(out, clients[i]);
  if (client_count > 0) PutOffset(out, base);
  base::PutVarint(out, block.entries.size());
  for (const EntryValue& entry : block.entries) {
    base::Put<std::uint8_t>(out, entry.position);
    base::Put<std::uint8_t>(out, static_cast<std::uint8_t>(entry.lease) | (entry.renewed ? kRenewedBit : 0) |
                                     (entry.suspend ? kSuspendBit : 0));
    base::PutVarint(out, entry.attempt);
    base::PutVarint(out, entry.delivery);
    if (entry.lease == LeaseKind::kNone) continue;
    PutOffset(out, Minus(entry.end, base));
    base::PutVarint(out, entry.start);
    base::PutVarint(out, std::find(clients, clients + client_count, entry.client) - clients);
  }
}

bool DecodeBlock(absl::string_view bytes, BlockValue& block) {
  block.open = 0;
  block.entries.clear();
  if (bytes.empty()) return true;
  base::ByteReader reader(bytes);
  block.open = reader.Read<std::uint64_t>();
  if (reader.AtEnd()) return true;
  absl::string_view clients[kMaxBlockClients];
  const std::uint64_t client_count = reader.ReadVarint();
  if (client_count > kMaxBlockClients) return false;
  for (std::uint64_t i = 0; i < client_count; ++i) clients[i] = reader.ReadString();
  const std::int64_t base = client_count > 0 ? ReadOffset(reader) : 0;
  const std::uint64_t count = reader.ReadVarint();
  if (count > kMaxBlockClients) return false;
  for (std::uint64_t i = 0; i < count; ++i) {
    EntryValue entry;
    entry.position = reader.Read<std::uint8_t>();
    const auto flags = reader.Read<std::uint8_t>();
    entry.lease = static_cast<LeaseKind>(flags & 3);
    entry.renewed = (flags & kRenewedBit) != 0;
    entry.suspend = (flags & kSuspendBit) != 0;
    entry.attempt = static_cast<std::uint32_t>(reader.ReadVarint());
    entry.delivery = static_cast<std::uint32_t>(reader.ReadVarint());
    if (entry.lease != LeaseKind::kNone) {
      entry.end = Plus(base, ReadOffset(reader));
      entry.start = static_cast<std::uint32_t>(reader.ReadVarint());
      const std::uint64_t client = reader.ReadVarint();
      if (client >= client_count) return false;
      entry.client = clients[client];
    }
    if (entry.position >= 64 || (block.open >> entry.position & 1) == 0) return false;
    block.entries.push_back(entry);
  }
  return reader.AtEnd();
}

void EncodeProgressHead(const ProgressHead& head, std::string& out) {
  base::PutVarint(out, head.group_id);
  Encode(head.cursor, out);
  base::PutVarint(out, head.blocks);
}

ProgressHead ReadProgressHead(base::ByteReader& reader) {
  ProgressHead head;
  head.group_id = reader.ReadVarint();
  head.cursor = ReadCursorValue(reader);
  head.blocks = reader.ReadVarint();
  return head;
}

void AppendProgressBlock(std::int64_t previous, std::int64_t index, absl::string_view value, std::string& out) {
  // Low two bits: 0 nothing open, 1 a bitmap only, 2 a longer value with its size before it.
  const std::uint64_t form = value.empty() ? 0 : value.size() == 8 ? 1 : 2;
  base::PutVarint(out, static_cast<std::uint64_t>(index - previous) << 2 | form);
  if (form == 2) base::PutVarint(out, value.size());
  out.append(value.data(), value.size());
}

ProgressBlock ReadProgressBlock(base::ByteReader& reader, std::int64_t previous) {
  const std::uint64_t first = reader.ReadVarint();
  ProgressBlock block;
  block.index = Plus(previous, static_cast<std::int64_t>(first >> 2));
  const std::uint64_t form = first & 3;
  if (form != 0) block.value = reader.ReadBytes(form == 1 ? 8 : reader.ReadVarint());
  return block;
}

void Encode(const DeadLetterOrigin& origin, std::string& out) {
  base::PutVarint(out, origin.topic_id);
  base::PutString(out, origin.topic);
  base::PutVarint(out, origin.queue);
  PutOffset(out, origin.queue_offset);
  base::PutVarint(out, origin.attempts);
}

absl::StatusOr<DeadLetterOrigin> DecodeDeadLetterOrigin(absl::string_view payload, std::uint32_t& prefix_bytes) {
  base::ByteReader reader(payload);
  const auto size = reader.Read<std::uint32_t>();
  prefix_bytes = size + 4;
  base::ByteReader prefix(reader.ReadBytes(size));
  DeadLetterOrigin origin;
  origin.topic_id = prefix.ReadVarint();
  const absl::string_view topic = prefix.ReadString();
  origin.topic.assign(topic.data(), topic.size());
  origin.queue = static_cast<std::uint32_t>(prefix.ReadVarint());
  origin.queue_offset = ReadOffset(prefix);
  origin.attempts = static_cast<std::uint32_t>(prefix.ReadVarint());
  if (!reader.ok() || !prefix.ok()) {
    return absl::DataLossError(absl::StrCat("dead letter record of ", payload.size(), " bytes ends inside its origin"));
  }
  return origin;
}

void Encode(const MetadataHead& head, std::string& out) {
  base::Put<std::uint8_t>(out, static_cast<std::uint8_t>(head.kind));
  base::PutVarint(out, head.version);
  base::PutVarint(out, head.next_topic);
  base::PutVarint(out, head.next_group);
}

MetadataHead ReadMetadataHead(base::ByteReader& reader) {
  MetadataHead head;
  head.kind = static_cast<MetadataKind>(reader.Read<std::uint8_t>());
  head.version = reader.ReadVarint();
  head.next_topic = reader.ReadVarint();
  head.next_group = reader.ReadVarint();
  return head;
}

void Encode(const ClusterValue& value, std::string& out) {
  base::PutString(out, value.cluster);
  base::PutString(out, value.home);
  base::PutString(out, value.mac_key);
}

ClusterValue ReadClusterValue(base::ByteReader& reader) {
  ClusterValue value;
  for (std::string* text : {&value.cluster, &value.home, &value.mac_key}) {
    const absl::string_view read = reader.ReadString();
    text->assign(read.data(), read.size());
  }
  return value;
}

namespace key {
namespace {

template <typename T>
void PutBig(std::string& out, T value) {
  for (int shift = static_cast<int>(sizeof(T)) * 8 - 8; shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(value >> shift));
  }
}

template <typename T>
T ReadBig(absl::string_view text, std::size_t at) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    value = static_cast<T>(value << 8 | static_cast<std::uint8_t>(text[at + i]));
  }
  return value;
}

std::string OfQueue(char letter, std::uint64_t topic, std::uint32_t queue) {
  std::string out = OfTopic(letter, topic);
  PutBig(out, queue);
  return out;
}

}  // namespace

std::string OfTopic(char letter, std::uint64_t topic) {
  std::string out(1, letter);
  PutBig(out, topic);
  return out;
}

std::string Topic(std::uint64_t topic) { return OfTopic('t', topic); }
std::string Group(std::uint64_t group) { return OfTopic('g', group); }
std::string QueueEnd(std::uint64_t topic, std::uint32_t queue) { return OfQueue('q', topic, queue); }

std::string EpochEnd(std::uint64_t topic, std::uint32_t queue, std::uint64_t epoch) {
  std::string out = OfQueue('e', topic, queue);
  PutBig(out, epoch);
  return out;
}

std::string CursorOf(std::uint64_t topic, std::uint32_t queue, std::uint64_t group) {
  std::string out = OfQueue('c', topic, queue);
  PutBig(out, group);
  return out;
}

std::string BlockPrefix(std::uint64_t topic, std::uint32_t queue, std::uint64_t group) {
  std::string out = OfQueue('b', topic, queue);
  PutBig(out, group);
  return out;
}

std::string BlockOf(std::uint64_t topic, std::uint32_t queue, std::uint64_t group, std::int64_t block) {
  std::string out = BlockPrefix(topic, queue, group);
  PutBig(out, static_cast<std::uint64_t>(block));
  return out;
}

std::uint64_t Number64(absl::string_view key, std::size_t at) { return ReadBig<std::uint64_t>(key, at); }
std::uint32_t Number32(absl::string_view key, std::size_t at) { return ReadBig<std::uint32_t>(key, at); }

}  // namespace key
}  // namespace millrace::core
