#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "core/core.h"
#include "core/records.h"

namespace millrace::core {
namespace {

std::string Varint(std::uint64_t value) {
  std::string out;
  base::PutVarint(out, value);
  return out;
}

absl::Status Bad(const RecordView& record, const base::ByteReader& reader, absl::string_view what) {
  return absl::DataLossError(absl::StrCat("record of type ", static_cast<int>(record.type), ": ", what,
                                          " does not decode, at byte ", record.head.size() - reader.rest().size(),
                                          " of ", record.head.size()));
}

void PutQueueEnd(const RecordView& record, ImageWriter& image) {
  image.Put(key::QueueEnd(record.topic_id, record.queue), Varint(static_cast<std::uint64_t>(record.queue_offset) + 1));
}

absl::Status FoldProgress(const RecordView& record, base::ByteReader& reader, std::uint64_t topic, std::uint32_t queue,
                          ImageWriter& image) {
  const ProgressHead head = ReadProgressHead(reader);
  if (!reader.ok()) return Bad(record, reader, "progress");
  std::string value;
  Encode(head.cursor, value);
  image.Put(key::CursorOf(topic, queue, head.group_id), value);
  std::int64_t previous = -1;
  for (std::uint64_t i = 0; i < head.blocks; ++i) {
    const ProgressBlock block = ReadProgressBlock(reader, previous);
    if (!reader.ok()) return Bad(record, reader, "progress block");
    const std::string name = key::BlockOf(topic, queue, head.group_id, block.index);
    if (block.value.empty()) {
      image.Delete(name);
    } else {
      image.Put(name, block.value);
    }
    previous = block.index;
  }
  return absl::OkStatus();
}

absl::Status FoldDeadLetter(const RecordView& record, ImageWriter& image) {
  base::ByteReader whole(record.head);
  base::ByteReader reader(whole.ReadBytes(whole.Read<std::uint32_t>()));
  const std::uint64_t topic = reader.ReadVarint();
  reader.ReadString();
  const auto queue = static_cast<std::uint32_t>(reader.ReadVarint());
  reader.ReadVarint();  // offset of the original
  reader.ReadVarint();  // attempts
  if (!whole.ok() || !reader.ok()) return Bad(record, whole, "origin");
  PutQueueEnd(record, image);
  if (reader.AtEnd()) return absl::OkStatus();  // the progress stands in a record of its own
  return FoldProgress(record, reader, topic, queue, image);
}

void DeleteTopic(std::uint64_t topic, ImageWriter& image) {
  for (char letter : {'t', 'q', 'e', 'c', 'b'}) image.DeletePrefix(key::OfTopic(letter, topic));
}

absl::Status FoldMetadata(const RecordView& record, ImageWriter& image) {
  base::ByteReader reader(record.head);
  const MetadataHead head = ReadMetadataHead(reader);
  if (!reader.ok()) return Bad(record, reader, "head of the change");
  std::string ids;
  base::PutVarint(ids, head.version);
  base::PutVarint(ids, head.next_topic);
  base::PutVarint(ids, head.next_group);
  image.Put(key::kIds, ids);
  switch (head.kind) {
    case MetadataKind::kInitialise: image.Put(key::kCluster, reader.rest()); return absl::OkStatus();
    case MetadataKind::kTopic: {
      const auto topic = DecodeTopic(reader.rest());
      if (!topic) return Bad(record, reader, "topic");
      image.Put(key::Topic(topic->id), reader.rest());
      return absl::OkStatus();
    }
    case MetadataKind::kTopicDeleted: {
      const std::uint64_t topic = reader.ReadVarint();
      if (!reader.ok()) return Bad(record, reader, "id of the topic");
      DeleteTopic(topic, image);
      return absl::OkStatus();
    }
    case MetadataKind::kGroup: {
      const auto group = DecodeGroup(reader.rest());
      if (!group) return Bad(record, reader, "group");
      image.Put(key::Group(group->id), reader.rest());
      return absl::OkStatus();
    }
    case MetadataKind::kGroupDeleted: {
      const std::uint64_t group = reader.ReadVarint();
      const std::uint64_t cursors = reader.ReadVarint();
      for (std::uint64_t i = 0; i < cursors && reader.ok(); ++i) {
        const std::uint64_t topic = reader.ReadVarint();
        const auto queue = static_cast<std::uint32_t>(reader.ReadVarint());
        image.Delete(key::CursorOf(topic, queue, group));
        image.DeletePrefix(key::BlockPrefix(topic, queue, group));
      }
      if (!reader.ok()) return Bad(record, reader, "cursors of the group");
      image.Delete(key::Group(group));
      DeleteTopic(group | kDeadLetterBit, image);
      return absl::OkStatus();
    }
  }
  return Bad(record, reader, absl::StrCat("change of kind ", static_cast<int>(head.kind)));
}

absl::Status FoldEpoch(const RecordView& record, ImageWriter& image) {
  base::ByteReader reader(record.head);
  const std::uint64_t epoch = reader.ReadVarint();
  const std::uint64_t queues = reader.ReadVarint();
  image.Put(key::kEpoch, Varint(epoch));
  for (std::uint64_t i = 0; i < queues && reader.ok(); ++i) {
    const std::uint64_t topic = reader.ReadVarint();
    const auto queue = static_cast<std::uint32_t>(reader.ReadVarint());
    const std::uint64_t end = reader.ReadVarint();
    image.Put(key::EpochEnd(topic, queue, epoch), Varint(end));
  }
  return reader.ok() ? absl::OkStatus() : Bad(record, reader, "epoch");
}

}  // namespace

absl::Status Fold(const RecordView& record, ImageWriter& image) {
  base::ByteReader reader(record.head);
  switch (record.type) {
    case store::RecordType::kMessage: PutQueueEnd(record, image); return absl::OkStatus();
    case store::RecordType::kProgress: return FoldProgress(record, reader, record.topic_id, record.queue, image);
    case store::RecordType::kDeadLetter: return FoldDeadLetter(record, image);
    case store::RecordType::kMetadata: return FoldMetadata(record, image);
    case store::RecordType::kStart: {
      const std::uint64_t start = reader.ReadVarint();
      if (!reader.ok()) return Bad(record, reader, "start number");
      image.Put(key::kStart, Varint(start));
      return absl::OkStatus();
    }
    case store::RecordType::kEpoch: return FoldEpoch(record, image);
    case store::RecordType::kSeal: return absl::OkStatus();
    case store::RecordType::kVisible:
    case store::RecordType::kRemoved:
    case store::RecordType::kCarried: break;
  }
  return absl::DataLossError(absl::StrCat("record of type ", static_cast<int>(record.type),
                                          " is not known to this version; start a newer one"));
}

void FoldBatchTime(std::int64_t log_time_millis, ImageWriter& image) {
  image.Put(key::kLogTime, Varint(static_cast<std::uint64_t>(log_time_millis)));
}

}  // namespace millrace::core
