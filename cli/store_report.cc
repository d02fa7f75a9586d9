#include "cli/store_report.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/bytes.h"
#include "model/stored_message.h"

namespace millrace::cli {
namespace {

// The message inside a record's payload: all of it, or behind the prefix of a dead letter.
std::optional<model::StoredMessageView> MessageOf(const store::LogRecord& record) {
  absl::string_view payload = record.payload;
  if (record.type == store::RecordType::kDeadLetter) {
    base::ByteReader reader(payload);
    reader.ReadBytes(reader.Read<std::uint32_t>());
    if (!reader.ok()) return std::nullopt;
    payload = reader.rest();
  } else if (record.type != store::RecordType::kMessage) {
    return std::nullopt;
  }
  return model::ParseStoredMessage(payload);
}

std::string ToString(absl::string_view text) { return std::string(text.data(), text.size()); }

Json ToJson(const store::LogRecord& record) {
  Json json{{"offset", record.offset},
            {"bytes", record.bytes},
            {"type", TypeName(record.type)},
            {"topic_id", absl::StrCat(record.topic_id)},
            {"queue", record.queue},
            {"queue_offset", record.queue_offset},
            {"payload_bytes", record.payload.size()}};
  if (record.time_millis != 0) json["time"] = TimeText(record.time_millis);
  if (const auto message = MessageOf(record)) {
    json["message_id"] = ToString(message->id);
    if (message->tag) json["tag"] = ToString(*message->tag);
    json["body_bytes"] = message->body.size();
  }
  return json;
}

}  // namespace

std::string TypeName(store::RecordType type) {
  switch (type) {
    case store::RecordType::kMessage: return "message";
    case store::RecordType::kVisible: return "visible";
    case store::RecordType::kRemoved: return "removed";
    case store::RecordType::kCarried: return "carried";
    case store::RecordType::kProgress: return "progress";
    case store::RecordType::kDeadLetter: return "dead-letter";
    case store::RecordType::kMetadata: return "metadata";
    case store::RecordType::kStart: return "start";
    case store::RecordType::kEpoch: return "epoch";
    case store::RecordType::kSeal: return "seal";
  }
  return absl::StrCat("type-", static_cast<int>(type));
}

Json ToJson(const store::LogBatch& batch) {
  Json json{{"offset", batch.offset},
            {"bytes", batch.bytes},
            {"epoch", batch.epoch},
            {"log_time", TimeText(batch.log_time_millis)},
            {"durable_end", batch.durable_end},
            {"records", Json::array()}};
  for (const store::LogRecord& record : batch.records) json["records"].push_back(ToJson(record));
  return json;
}

std::string ToText(const store::LogBatch& batch) {
  std::string text =
      absl::StrFormat("batch %d: %d bytes, epoch %d, %s, durable end %d, records %d\n", batch.offset, batch.bytes,
                      batch.epoch, TimeText(batch.log_time_millis), batch.durable_end, batch.records.size());
  for (const store::LogRecord& record : batch.records) {
    absl::StrAppend(&text, "  ", record.offset, " ", TypeName(record.type), ": ", record.payload.size(), " bytes");
    if (record.topic_id != 0) {
      absl::StrAppend(&text, ", topic ", record.topic_id, " queue ", record.queue, " offset ", record.queue_offset);
    }
    if (const auto message = MessageOf(record)) {
      absl::StrAppend(&text, ", id ", OneLine(message->id), ", body ", message->body.size(), " bytes");
    }
    text += "\n";
  }
  return text;
}

Json ToJson(const store::Identity& identity) {
  return Json{{"store_id", absl::BytesToHexString(identity.store_id)},
              {"cluster", identity.cluster},
              {"broker_set", identity.broker_set},
              {"replica", identity.replica}};
}

Json ToJson(const store::Checkpoint& checkpoint) {
  return Json{{"flushed_end", checkpoint.flushed_end},
              {"image_offset", checkpoint.image_offset},
              {"queues_applied", checkpoint.queues_applied}};
}

}  // namespace millrace::cli
