#pragma once

#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

// What the core is told. Events are flat structs without pointers, so a run can be kept as a file and replayed
// (docs/formats/event_file.md). Text and arrays lie in the batch's arena; bodies stay with the shell, in slots.
namespace millrace::core {

// `size` bytes at `at` of EventBatch::text (or ActionBatch::text). Arrays hold flat structs back to back, unaligned.
struct TextRef {
  std::uint32_t at = 0;
  std::uint32_t size = 0;
};

// Body `slot` of the shell, `size` bytes. A slot named in an event belongs to the core until an action names it
// (ReleaseBody, or a record of an append).
struct BodyRef {
  std::uint32_t slot = 0;
  std::uint32_t size = 0;
};

// Who waits for an answer.
struct ReplyTo {
  std::uint64_t correlation = 0;
  std::uint32_t link = 0;
  std::uint32_t reserved = 0;
};

// A receipt handle whose MAC the shell has verified. docs/formats/receipt_handle.md
struct Handle {
  std::uint64_t topic_id = 0;
  std::uint64_t group_id = 0;
  std::int64_t queue_offset = 0;
  std::uint32_t queue = 0;
  std::uint32_t delivery = 0;  // counts every delivery of the entry, from 1
  std::uint32_t start = 0;     // start number of the broker that made it
  std::uint32_t epoch = 0;
};

enum class EventType : std::uint16_t {
  kStarted = 1,
  kInitialise,
  kLinkUp,
  kLinkDown,
  kSend,
  kReceive,
  kReceiveCancelled,
  kVerdicts,
  kAnswerWritten,
  kAnswerEnded,
  kAck,
  kChangeInvisible,
  kForwardDeadLetter,
  kBodyRead,
  kClientRegistered,
  kClientsAlive,
  kClientStreamsEnded,
  kClientTerminated,
  kFlushed,
  kWritten,
  kLogFailed,
  kQueueMinimum,
  kSpace,
  kPutTopic,
  kDeleteTopic,
  kPutGroup,
  kDeleteGroup,
  kQuery,
  kStoreTime,
};

// The first event after Load(). The core appends a start record (start number + 1), and opens a new epoch first when
// confirmed bytes may have been lost (async flush after a power cut).
struct Started {
  std::uint32_t tail_may_be_lost = 0;
  std::uint32_t reserved = 0;
};

// Very first start of a set, right after kStarted: metadata record 1.
struct Initialise {
  TextRef cluster;
  TextRef home;
  std::uint64_t mac_key_low = 0;
  std::uint64_t mac_key_high = 0;
};

struct LinkUp {
  std::uint32_t link = 0;
  std::uint32_t reserved = 0;
};
using LinkDown = LinkUp;  // offers of its answers are returned, its waiting receives and registrations go

// One message of a send; an array of these is Send::messages.
struct SendMessage {
  BodyRef body;                  // a stored message
  std::uint32_t tag_hash = 0;    // 0: no tag
  std::uint32_t group_hash = 0;  // 0: no message group
  std::uint64_t id_hash = 0;     // first key hash
  std::int64_t born_millis = 0;
};

// All messages go to one queue, in order, with contiguous offsets. Answer: SendReply.
struct Send {
  ReplyTo reply;
  TextRef topic;                   // full name
  TextRef messages;                // SendMessage[]
  std::uint32_t message_type = 0;  // v2 MessageType of all of them
  std::uint32_t auto_create = 0;   // 1: create the topic when its name is unknown
};

// Answered by Claim -> Verdicts -> Deliver, or by ReceiveDone.
struct Receive {
  ReplyTo reply;
  TextRef topic;
  TextRef group;
  TextRef client;
  TextRef attempt_id;                 // empty: none
  TextRef filter;                     // normalised tag list "A||B", "*" for all (model/tag_filter.h)
  std::int64_t invisible_millis = 0;  // not used with auto_renew
  std::int64_t wait_millis = 0;       // long poll; 0 answers at once
  std::int32_t queue = -1;            // -1: every queue of the topic
  std::uint32_t batch = 0;            // 1..32
  std::uint32_t bytes_max = 0;        // credit of the link for this answer
  std::uint32_t auto_renew = 0;
  std::uint32_t auto_create = 0;  // 1: create the group (and see Send) when unknown
  std::uint32_t reserved = 0;
};

// The client of a waiting receive has gone; nothing is answered any more.
struct ReceiveCancelled {
  ReplyTo reply;
};

// kUnreadable: what is stored is damaged; it is passed as skipped. kNotRead: the answer was full before it; it stays
// ready, and some verdict before it is kMatch. kDiskFailed: the disk did not answer; it is looked at again after a
// second.
enum class VerdictResult : std::uint32_t {
  kMatch = 1,
  kReject = 2,
  kGone = 3,
  kUnreadable = 4,
  kNotRead = 5,
  kDiskFailed = 6,
};

struct Verdict {
  VerdictResult result = VerdictResult::kGone;
  std::uint32_t bytes = 0;        // of the message as it will be framed
  std::int64_t store_millis = 0;  // 0: not read
};

// What a reader found for a claim: one Verdict per entry, in the claim's order.
struct Verdicts {
  std::uint64_t claim = 0;
  TextRef verdicts;  // Verdict[]
};

// The proxy has written another piece of the answer: its offers live on.
struct AnswerWritten {
  std::uint64_t answer = 0;
};

// The proxy says how the client's stream ended.
struct AnswerEnded {
  std::uint64_t answer = 0;
  std::uint32_t well = 0;
  std::uint32_t reserved = 0;
};

struct Ack {
  ReplyTo reply;
  TextRef topic;
  TextRef group;
  Handle handle;
};

struct ChangeInvisible {
  ReplyTo reply;
  TextRef topic;
  TextRef group;
  Handle handle;
  std::int64_t duration_millis = 0;
  std::uint32_t suspend = 0;
  std::uint32_t reserved = 0;
};

struct ForwardDeadLetter {
  ReplyTo reply;
  TextRef topic;
  TextRef group;
  Handle handle;
};

// Answer to the action ReadBody. result: kMatch (body is set), kGone or kUnreadable; a disk that fails is asked until
// it answers.
struct BodyRead {
  std::uint64_t token = 0;
  BodyRef body;
  std::uint32_t tag_hash = 0;
  VerdictResult result = VerdictResult::kGone;
  std::uint64_t id_hash = 0;
  std::int64_t born_millis = 0;
};

// A proxy names a client by a number of its own from here on. Repeating it is harmless.
struct ClientRegistered {
  TextRef client;
  TextRef group;  // empty for producers
  std::uint32_t link = 0;
  std::uint32_t number = 0;
};

// Signs of life since the last one.
struct ClientsAlive {
  TextRef numbers;  // std::uint32_t[]
  std::uint32_t link = 0;
  std::uint32_t reserved = 0;
};

// All streams of a client at a living proxy have ended: dead after 15 s without another sign.
struct ClientStreamsEnded {
  std::uint32_t link = 0;
  std::uint32_t number = 0;
};

// NotifyClientTermination. Its leases come back after 1 s; its waiting receives end. Answer: Reply.
struct ClientTerminated {
  ReplyTo reply;
  TextRef client;
  TextRef group;
};

// The log writer has made everything below `end` durable (kFlushed) or has written it (kWritten).
struct Flushed {
  std::uint64_t end = 0;
};
using Written = Flushed;

// A write or fsync failed: nothing is acknowledged any more.
struct LogFailed {
  std::uint64_t end = 0;
};

// Retention took everything below `minimum` of one queue.
struct QueueMinimum {
  std::uint64_t topic_id = 0;
  std::int64_t minimum = 0;
  std::uint32_t queue = 0;
  std::uint32_t reserved = 0;
};

struct Space {
  std::uint32_t refuse_writes = 0;  // 1: the volume is too full
  std::uint32_t used_percent = 0;
};

// `config`: an encoded TopicConfig (core/metadata.h); name and settings count, id and version are the core's.
struct PutTopic {
  ReplyTo reply;
  TextRef config;
  std::uint32_t update = 0;  // 0: create, an error when it exists; 1: update, an error when it does not
  std::uint32_t reserved = 0;
};
using PutGroup = PutTopic;  // an encoded GroupConfig

struct DeleteTopic {
  ReplyTo reply;
  TextRef name;
};
using DeleteGroup = DeleteTopic;

enum class QueryKind : std::uint32_t {
  kTopic = 1,      // name -> TopicReply
  kTopics,         // all topics
  kGroup,          // name -> GroupReply
  kGroups,         // all groups
  kGroupProgress,  // name -> counters per topic and queue
  kTopicProgress,  // name -> minimum and maximum of each queue
  kEnsureGroup,    // name -> GroupReply, created on first use
};

// Answer: Reply with a payload of core/metadata.h.
struct Query {
  ReplyTo reply;
  TextRef name;
  QueryKind kind = QueryKind::kTopic;
  std::uint32_t reserved = 0;
};

// Answer to SumsListener::AskStoreTime; 0 when it cannot be told. Only ages that scrapes show depend on it.
struct StoreTime {
  std::uint64_t topic_id = 0;
  std::uint64_t group_id = 0;
  std::int64_t queue_offset = 0;
  std::int64_t store_millis = 0;
  std::uint32_t queue = 0;
  std::uint32_t reserved = 0;
};

// One turn's input. `events` holds, back to back: u16 EventType, u16 size of the struct, u32 zero, the struct.
class EventBatch {
 public:
  // Log time that the shell steers towards, milliseconds; the core moves at most 1 s per turn and never back.
  std::int64_t time_millis = 0;
  // This turn took everything that was waiting in the inbox. Silence of clients counts over such turns only.
  bool inbox_emptied = true;
  std::string events;
  std::string text;
  std::size_t count = 0;

  TextRef AddText(const char* data, std::size_t size) {
    const TextRef ref{static_cast<std::uint32_t>(text.size()), static_cast<std::uint32_t>(size)};
    text.append(data, size);
    return ref;
  }

  template <typename T>
  void Add(EventType type, const T& event) {
    static_assert(std::is_trivially_copyable_v<T> && std::has_unique_object_representations_v<T>,
                  "events are flat, without padding");
    const std::uint16_t head[4] = {static_cast<std::uint16_t>(type), sizeof(T), 0, 0};
    events.append(reinterpret_cast<const char*>(head), sizeof head);
    events.append(reinterpret_cast<const char*>(&event), sizeof(T));
    ++count;
  }

  // Keeps the capacity: no allocation in a steady state.
  void Clear() {
    events.clear();
    text.clear();
    count = 0;
    inbox_emptied = true;
  }
};

}  // namespace millrace::core
