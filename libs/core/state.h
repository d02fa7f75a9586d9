#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "core/events.h"
#include "core/list.h"
#include "core/metadata.h"
#include "core/sums.h"
#include "core/timer_wheel.h"

// What the core remembers. See README.md for the picture.
namespace millrace::core {

inline constexpr std::int64_t kBlockEntries = 64;
inline constexpr std::int64_t kUnrecordedEntriesMax = 16'384;  // a record is made when `next` has run this far ahead
inline constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

struct Topic;
struct Group;
struct Subscription;
struct Cursor;
struct Answer;
struct Receiver;

enum TimerKind : std::uint8_t { kEntryTimer = 1, kAnswerTimer, kReceiverTimer, kClientTimer };

// One queue of a topic. Ends are offsets one past the last entry.
struct Queue {
  std::int64_t minimum = 0;
  std::int64_t visible = 0;                                        // confirmed end
  std::int64_t appended = 0;                                       // next offset
  std::vector<std::pair<std::uint64_t, std::int64_t>> epoch_ends;  // (epoch, end when it began), rising; absent: 0
};

struct SumsTag {};  // has changed since its sums were handed over
struct AskTag {};   // the core would like to ask for a store time of it

struct Topic : Node<SumsTag> {
  TopicConfig config;
  std::vector<Queue> queues;
  std::vector<Subscription*> subscriptions;  // by group id
  std::int64_t visible_sum = 0;
  std::uint32_t next_queue = 0;  // of the next send
  TopicCounters counters;
  bool is_dead_letter() const { return (config.id & kDeadLetterBit) != 0; }
};

struct Group : Node<SumsTag> {
  GroupConfig config;
  std::uint64_t usable_turn = 0;  // nothing is handed out before this turn is confirmed
  std::uint64_t open_entries = 0;
  std::uint32_t clients = 0;                                                    // consumers that are alive
  absl::btree_map<std::uint64_t, std::unique_ptr<Subscription>> subscriptions;  // by topic id
};

// An entry below `next` that is not finished.
//   kReady     in the cursor's list of retries
//   kClaimed   a reader looks at it
//   kOffered   delivered, the client's stream has not ended yet
//   kHeld      delivered, the stream ended well
//   kWaiting   for a time, for the record of its attempt, or for its body (dead letter)
enum class EntryState : std::uint8_t { kReady, kClaimed, kOffered, kHeld, kWaiting };

struct QueueTag {};   // the cursor's retries, or the core's list of entries that wait for a record
struct ClientTag {};  // leases of a client

struct Entry : Timer, Node<QueueTag>, Node<ClientTag> {
  Cursor* cursor = nullptr;
  std::int64_t offset = 0;
  EntryState state = EntryState::kReady;
  bool renewed = false;        // the lease lives as long as its client
  bool written = false;        // the lease stands in the log, as it is
  bool suspend = false;        // the end of this delivery does not count
  bool seen = false;           // was delivered, or leased, in this start
  bool alone = false;          // goes out without neighbours
  bool nacked = false;         // kWaiting, and the delivery's handles are good until its end
  bool dying = false;          // kWaiting for its body: becomes a dead letter
  std::uint32_t attempt = 1;   // of the delivery that is open, else of the next one
  std::uint32_t delivery = 0;  // number of the last delivery
  std::uint32_t start = 0;     // start number in which that was
  std::uint32_t client = 0;    // of the lease
  std::uint32_t returns = 0;   // in a row
  std::uint32_t index = 0;     // place in `answer` or `receiver`
  std::int64_t end = 0;        // of what it waits for
  std::int64_t write_at = 0;   // when an open lease goes to the log
  std::int64_t invisible = 0;
  std::int64_t store_millis = 0;   // 0: unknown
  std::int64_t since = 0;          // kReady, kClaimed: when it became ready; else when it was delivered. 0: unknown
  std::uint64_t barrier_turn = 0;  // not handed out before this turn is confirmed
  std::uint64_t letter = 0;        // DeadLetter::id while dying
  Answer* answer = nullptr;        // kOffered
  Receiver* receiver = nullptr;    // kClaimed
};

// What a record must say about a block.
enum BlockChange : std::uint8_t {
  kBlockGap = 1,      // new entries were handed out
  kBlockChanged = 2,  // something that alone is not worth a record
  kBlockForced = 4,   // what this turn's record is about
};

struct Block {
  std::int64_t index = 0;  // of offsets [index * 64, index * 64 + 64)
  std::uint64_t open = 0;
  std::uint8_t changes = 0;
  bool listed = false;  // in Cursor::changed
  Entry* entries[kBlockEntries] = {};
};

struct PassedCounters {
  std::int64_t acknowledged = 0, rejected = 0, dead_lettered = 0, skipped = 0, expired = 0;
  std::int64_t sum() const { return acknowledged + rejected + dead_lettered + skipped + expired; }
  friend bool operator==(const PassedCounters&, const PassedCounters&) = default;
  void operator+=(const PassedCounters& other) {
    acknowledged += other.acknowledged;
    rejected += other.rejected;
    dead_lettered += other.dead_lettered;
    skipped += other.skipped;
    expired += other.expired;
  }
};

// Progress of one group on one queue. Invariant: visible end - start = everything it counts + (visible end - next).
struct Cursor {
  Subscription* subscription = nullptr;
  std::uint32_t queue = 0;
  bool must_record = false;
  bool asked = false;  // a store time of this cursor has been asked for
  std::int64_t start = 0;
  std::int64_t next = 0;          // first entry never handed out
  std::int64_t durable_next = 0;  // `next` of the last record
  PassedCounters passed;
  std::int64_t ready = 0, claimed = 0, in_flight = 0, waiting = 0;
  std::vector<Block*> blocks;   // by index; a block is here while it has something open or to be said
  std::vector<Block*> changed;  // blocks that the next record mentions
  List<Entry, QueueTag> retries;
  std::int64_t known_offset = -1;  // the last entry at or before `next` whose store time is known; -1: none
  std::int64_t known_time = 0;
};

// A client's last answer on one subscription: asked for again with the same attempt id it is the same leases.
struct LastAnswer {
  struct Item {
    std::uint32_t queue;
    std::uint32_t delivery;
    std::int64_t offset;
  };
  std::string attempt_id;
  std::int32_t queue = -1;
  std::vector<Item> items;
};

struct WaitTag {};

// One group on one topic.
struct Subscription : Node<SumsTag>, Node<AskTag> {
  Group* group = nullptr;
  Topic* topic = nullptr;
  std::vector<std::unique_ptr<Cursor>> cursors;  // by queue
  List<Receiver, WaitTag> waiting;
  std::int64_t next_sum = 0;  // of all cursors
  std::int64_t ready = 0, claimed = 0, in_flight = 0, waiting_entries = 0;
  PassedCounters passed;                       // of all cursors
  PairCounters counters;                       // since this start
  std::unique_ptr<PairHistograms> histograms;  // from the first delivery on
  std::uint32_t next_queue = 0;                // where the next claim begins
  bool odd = false;                            // who gets the odd place of an answer: retries or new entries
  bool wake = false;                           // in the core's list of subscriptions to serve
  absl::flat_hash_map<std::uint32_t, LastAnswer> last_answers;  // by client
};

enum class ReceiverState : std::uint8_t { kWaiting, kClaiming, kNoTopic };

// A receive that is not answered yet.
struct Receiver : Timer, Node<WaitTag> {
  std::uint32_t slot = 0;
  std::uint64_t id = 0;     // changes with every use of the slot
  std::uint64_t claim = 0;  // kClaiming: the claim that the shell works on
  ReceiverState state = ReceiverState::kWaiting;
  bool renewed = false;
  bool again = false;  // this claim repeats an earlier answer
  ReplyTo reply;
  Subscription* subscription = nullptr;
  Group* group = nullptr;
  std::uint32_t client = 0;
  std::int32_t queue = -1;
  std::uint32_t batch = 1;
  std::uint32_t bytes_max = 0;
  std::int64_t invisible = 0;
  std::int64_t deadline = 0;
  std::string topic;  // kNoTopic: the name that it waits for
  std::string filter;
  std::string attempt_id;
  std::vector<Entry*> entries;                // of the claim; nullptr: taken away meanwhile
  std::vector<LastAnswer::Item> again_items;  // again: what is asked for, in the claim's order
};

// Messages on their way through one client stream.
struct Answer : Timer {
  std::uint32_t slot = 0;
  std::uint64_t id = 0;
  std::uint32_t link = 0;
  std::uint32_t open = 0;   // entries that are not nullptr
  std::uint64_t newer = 0;  // rule answer_id left out: the answer that took its entries over
  std::int64_t begun = 0;
  std::int64_t written = 0;  // last sign of progress
  std::int64_t latest = 0;   // lapses then at the latest
  std::vector<Entry*> entries;
};

// Whoever receives. Number 0 is nobody.
struct Client : Timer {
  std::uint32_t slot = 0;
  std::uint64_t id = 0;
  std::string name;
  std::int64_t sign = 0;                // silence clock of the last sign of life
  std::int64_t streams_ended = kNever;  // silence clock when a living proxy said that all its streams ended
  std::uint32_t registrations = 0;
  List<Entry, ClientTag> leases;  // every delivery that is open or has handles that are good
};

// A message that is becoming a dead letter.
struct DeadLetter {
  std::uint32_t slot = 0;
  std::uint64_t id = 0;
  Entry* entry = nullptr;  // nullptr: passed otherwise meanwhile
  bool reading = false;
  std::vector<ReplyTo> replies;  // of forward requests
};

}  // namespace millrace::core
