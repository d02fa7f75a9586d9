#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/codes.h"
#include "core/core.h"
#include "core/metadata.h"

// A core with everything around it simulated: log, image, reader, clock. Nothing happens by itself: tests move time,
// flush and crash.
namespace millrace::core::testing {

class MapImage : public ImageReader, public ImageWriter {
 public:
  void Scan(absl::string_view prefix,
            absl::FunctionRef<void(absl::string_view, absl::string_view)> each) const override;
  void Put(absl::string_view key, absl::string_view value) override;
  void Delete(absl::string_view key) override;
  void DeletePrefix(absl::string_view prefix) override;

  std::map<std::string, std::string> pairs;
};

struct Delivered {
  Handle handle;
  std::uint32_t attempt = 0;
  std::string body;
};

struct Received {
  std::uint32_t code = 0;  // kOk with messages, 0 while nothing has come
  std::string text;
  std::uint64_t answer = 0;
  std::vector<Delivered> messages;
};

struct Sent {
  std::uint32_t code = 0;  // 0: not answered yet
  std::uint32_t queue = 0;
  std::int64_t offset = 0;
  std::string text;
};

struct Replied {
  std::uint32_t code = 0;
  std::string text, payload;
};

struct LoggedRecord {
  store::RecordType type;
  std::uint32_t queue;
  std::uint64_t topic_id;
  std::int64_t queue_offset;
  std::string head, body;
  std::uint32_t bytes = 0;
};

struct LoggedBatch {
  std::uint64_t offset = 0, end = 0;
  std::int64_t log_time = 0;
  bool flush_first = false;
  std::vector<LoggedRecord> records;
};

struct ReceiveOptions {
  std::uint32_t batch = 32;
  std::int64_t invisible = 30'000;
  std::int64_t wait = 20'000;
  bool renew = false;
  bool create = true;
  std::int32_t queue = -1;
  std::string attempt_id;
  std::string filter = "*";
  std::uint32_t link = 1;
  std::uint32_t bytes = 8u << 20;
};

class World {
 public:
  explicit World(const Options& options = {}, bool start = true, bool keep_trace = false);

  // --- time and turns ---
  std::int64_t time = 1'000'000;
  void Turn();                        // one Step() with what was added since
  void Settle();                      // turns until nothing is under way any more, without flushing
  void Flush();                       // everything appended is durable, then Settle()
  void Written();                     // async flush: everything appended is written
  void Advance(std::int64_t millis);  // time, in turns of at most a second, with Flush() in each
  void AdvanceUnflushed(std::int64_t millis);

  // --- faults ---
  // The process dies; of the batches that are not durable the first `keep` survive. Everything that survives is folded.
  void Crash(std::size_t keep = 1'000'000, bool power_cut = false);
  std::size_t UnflushedBatches() const;

  // --- requests: each returns its correlation ---
  std::uint64_t Send(absl::string_view topic, std::vector<std::string> bodies, bool create = true,
                     std::uint32_t type = 1);
  std::uint64_t Receive(absl::string_view client, absl::string_view group, absl::string_view topic,
                        const ReceiveOptions& options = {});
  std::uint64_t Ack(const Handle& handle, absl::string_view group, absl::string_view topic);
  std::uint64_t Change(const Handle& handle, absl::string_view group, absl::string_view topic, std::int64_t millis,
                       bool suspend = false);
  std::uint64_t Forward(const Handle& handle, absl::string_view group, absl::string_view topic);
  std::uint64_t Terminate(absl::string_view client, absl::string_view group);
  std::uint64_t PutTopic(const TopicConfig& topic, bool update = false);
  std::uint64_t PutGroup(const GroupConfig& group, bool update = false);
  std::uint64_t DeleteTopic(absl::string_view name);
  std::uint64_t DeleteGroup(absl::string_view name);
  std::uint64_t Query(QueryKind kind, absl::string_view name);
  void Cancel(std::uint64_t correlation, std::uint32_t link = 1);
  void AnswerEnded(std::uint64_t answer, bool well);
  void AnswerWritten(std::uint64_t answer);
  void LinkDown(std::uint32_t link);
  void Register(absl::string_view client, absl::string_view group, std::uint32_t number, std::uint32_t link = 1);
  void Alive(std::vector<std::uint32_t> numbers, std::uint32_t link = 1);
  void StreamsEnded(std::uint32_t number, std::uint32_t link = 1);
  void Minimum(std::uint64_t topic, std::uint32_t queue, std::int64_t minimum);

  // --- whole steps that work: asserted inside ---
  void Make(absl::string_view topic, absl::string_view group, std::uint32_t queues = 1, std::uint32_t attempts = 17);
  void MakeGroup(absl::string_view group);
  void Deposit(absl::string_view topic, std::vector<std::string> bodies);  // each sent alone and confirmed
  // Receives, and tells that the stream ended well. Nothing: an empty list.
  std::vector<Delivered> Take(absl::string_view client, absl::string_view group, absl::string_view topic,
                              ReceiveOptions options = {});
  // Receives; the answer is still under way.
  Received Offer(absl::string_view client, absl::string_view group, absl::string_view topic,
                 ReceiveOptions options = {});
  QueueProgress Progress(absl::string_view group, absl::string_view topic, std::uint32_t queue = 0);
  std::vector<QueueProgress> AllProgress(absl::string_view group);

  // --- what came back ---
  std::map<std::uint64_t, Sent> sent;
  std::map<std::uint64_t, Received> received;
  std::map<std::uint64_t, Replied> replied;
  std::vector<std::string> topics_changed, topics_deleted;
  std::set<std::uint32_t> slots;  // bodies that the core holds
  std::uint64_t claims = 0;
  std::string trace;       // every turn's actions, when `keep_trace`
  std::string event_file;  // every turn's events, when `keep_trace`
  bool keep_trace = false;
  // Everything that an ActionBatch says, as bytes.
  static void AppendTrace(const ActionBatch& actions, std::string& trace);

  // What a reader says to a message: (filter, body) -> result. Default: everything matches.
  std::function<VerdictResult(const std::string&, const std::string&)> judge;
  bool hold_claims = false;              // verdicts wait for ReleaseClaims()
  bool hold_bodies = false;              // dead letters wait for their bodies
  bool check = true;                     // CheckInvariants() after every turn
  void ReleaseClaims();                  // adds the verdicts of everything that was claimed to the next turn
  void ReleaseBodies();                  // ... and the bodies that dead letters ask for
  void FlushBatches(std::size_t count);  // adds the news that this many more are durable

  // What a test wants to see of the last turns; it clears them.
  struct ClaimSeen {
    std::uint64_t claim, topic;
    std::string filter;
    std::vector<ClaimEntry> entries;
  };
  struct DeliverSeen {
    std::uint64_t claim, answer;
    std::uint64_t correlation;
    std::vector<std::uint32_t> delivered;  // positions in the claim
  };
  std::vector<ClaimSeen> claims_seen;
  std::vector<DeliverSeen> delivers_seen;

  Core& core() { return *core_; }
  EventBatch events;             // of the next turn
  ActionBatch actions;           // of the last turn
  std::vector<LoggedBatch> log;  // since the last start, and what is not folded
  MapImage image;
  std::map<std::tuple<std::uint64_t, std::uint32_t, std::int64_t>, std::string> stored;  // bodies by position
  std::map<std::tuple<std::uint64_t, std::uint32_t, std::int64_t>, std::int64_t> store_times;

 private:
  void Start(bool may_be_lost);
  void Handle(ActionType type, const char* at);
  void Append();
  void AppendBatch(const AppendPlan& plan, const BatchPlan& batch_plan, std::size_t first);
  void Judge(const ClaimSeen& claim);
  TextRef Text(absl::string_view text);
  ReplyTo To(std::uint32_t link = 1);
  std::string OutText(TextRef ref) const { return actions.text.substr(ref.at, ref.size); }

  Options options_;
  std::unique_ptr<Core> core_;
  std::size_t durable_ = 0;  // batches of `log`
  std::uint64_t correlation_ = 0;
  std::uint32_t next_slot_ = 0;
  std::map<std::uint32_t, std::string> bodies_;  // by slot
  std::map<std::uint64_t, ClaimSeen> claims_;    // told to the shell and not forgotten
  std::vector<std::uint64_t> claims_to_judge_;
  std::vector<ReadBody> reads_;
};

}  // namespace millrace::core::testing
