#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/events.h"
#include "store/log_format.h"

// What the core wants done, in this order. Flat structs like events; text and arrays lie in ActionBatch::text.
namespace millrace::core {

// One record of the turn's write batch. Its payload is `head`, then `body` if it has one.
struct RecordPlan {
  store::RecordType type = store::RecordType::kSeal;
  std::uint8_t flags = 0;
  std::uint16_t has_body = 0;
  std::uint32_t queue = 0;
  std::uint64_t topic_id = 0;
  std::int64_t queue_offset = 0;
  std::uint64_t tag_field = 0;
  std::int64_t time_millis = 0;
  TextRef keys;  // std::uint64_t[]
  TextRef head;  // bytes in ActionBatch::text
  BodyRef body;  // taken over by the writer when has_body
};

// A write batch: the records of AppendPlan from where the one before ended.
struct BatchPlan {
  std::uint64_t offset = 0;       // physical offset of its header
  std::uint32_t bytes = 0;        // header, records, padding
  std::uint32_t records_end = 0;  // index behind its last record
};

// One write batch per turn; more only when a segment does not hold all that the turn appends. Both vectors are empty
// when it appends nothing.
struct AppendPlan {
  std::uint32_t flush_first = 0;  // 1: metadata or an epoch: flushed before anything is answered, in async mode too
  std::int64_t log_time_millis = 0;
  std::uint64_t epoch = 0;
  std::vector<RecordPlan> records;
  std::vector<BatchPlan> batches;  // in order
};

enum class ActionType : std::uint16_t {
  kReply = 1,
  kSendReply,
  kClaim,
  kDeliver,
  kReceiveDone,
  kReadBody,
  kReleaseBody,
  kTopicChanged,
  kTopicDeleted,
};

// Answers everything that has no action of its own.
struct Reply {
  ReplyTo reply;
  std::uint32_t code = 0;  // v2 Code
  std::uint32_t reserved = 0;
  TextRef text;     // of an error
  TextRef payload;  // of a query; changed handle: Handle
};

struct SendReply {
  ReplyTo reply;
  std::uint32_t code = 0;
  std::uint32_t queue = 0;
  std::int64_t first_offset = 0;  // of the first message, the others follow
  TextRef text;
};

struct ClaimEntry {
  std::int64_t queue_offset = 0;
  std::uint32_t queue = 0;
  std::uint32_t reserved = 0;
};

// Look at these entries: read, filter, keep the bodies under `claim`, and come back with Verdicts.
struct Claim {
  std::uint64_t claim = 0;
  std::uint64_t topic_id = 0;
  TextRef entries;  // ClaimEntry[]
  TextRef filter;
  ReplyTo reply;  // of the receive: deliveries come out of its link's credit
};

struct DeliverEntry {
  std::uint32_t claim_index = 0;  // position in the claim
  std::uint32_t attempt = 0;      // delivery_attempt that the client sees
  Handle handle;
};

// Frame these entries of the claim for the client, in this order, then forget the claim. An empty list only forgets it.
struct Deliver {
  ReplyTo reply;
  std::uint64_t claim = 0;
  std::uint64_t answer = 0;  // names this answer in AnswerWritten and AnswerEnded
  std::int64_t invisible_millis = 0;
  TextRef entries;  // DeliverEntry[]
};

// A receive ends without messages: MESSAGE_NOT_FOUND, TOO_MANY_REQUESTS, an error.
struct ReceiveDone {
  ReplyTo reply;
  std::uint32_t code = 0;
  std::uint32_t reserved = 0;
  TextRef text;
};

// Read one whole message for a dead letter; come back with BodyRead.
struct ReadBody {
  std::uint64_t token = 0;
  std::uint64_t topic_id = 0;
  std::int64_t queue_offset = 0;
  std::uint32_t queue = 0;
  std::uint32_t reserved = 0;
};

struct ReleaseBody {
  std::uint32_t slot = 0;
  std::uint32_t reserved = 0;
};

// Confirmed: the route of this topic is now so. `config`: an encoded TopicConfig.
struct TopicChanged {
  TextRef config;
};

// Confirmed: its queues may be removed.
struct TopicDeleted {
  std::uint64_t topic_id = 0;
  TextRef name;
};

// One turn's output: first `append` (if it has records), then `actions`, laid out like EventBatch::events.
class ActionBatch {
 public:
  AppendPlan append;
  std::string actions;
  std::string text;

  template <typename T>
  void Add(ActionType type, const T& action) {
    static_assert(std::is_trivially_copyable_v<T> && std::has_unique_object_representations_v<T>,
                  "actions are flat, without padding");
    const std::uint16_t head[4] = {static_cast<std::uint16_t>(type), sizeof(T), 0, 0};
    actions.append(reinterpret_cast<const char*>(head), sizeof head);
    actions.append(reinterpret_cast<const char*>(&action), sizeof(T));
  }

  TextRef AddText(const char* data, std::size_t size) {
    const TextRef ref{static_cast<std::uint32_t>(text.size()), static_cast<std::uint32_t>(size)};
    text.append(data, size);
    return ref;
  }

  void Clear() {
    append.records.clear();
    append.batches.clear();
    actions.clear();
    text.clear();
  }
};

}  // namespace millrace::core
