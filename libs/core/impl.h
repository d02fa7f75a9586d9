#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "core/core.h"
#include "core/pool.h"
#include "core/records.h"
#include "core/ring.h"
#include "core/state.h"
#include "core/timer_wheel.h"

// The state machine behind Core, cut into files by what they decide. Nothing here iterates a hash map.
//
// Turns are numbered. What must not be seen before this turn's batch is confirmed carries the turn's number, which is
// known before the batch is laid out; `confirmed_turn_` says how far that has come.
namespace millrace::core {

class Core::Impl {
 public:
  explicit Impl(const Options& options);

  // load.cc
  absl::Status Load(const ImageReader& image, std::uint64_t log_end);
  // core.cc
  void Step(const EventBatch& events, ActionBatch& actions);
  std::int64_t NextWakeMillis() const;
  // query.cc
  void DescribeTopics(ActionBatch& actions) const;
  Totals totals() const;
  // sums.cc
  bool PublishSums(std::size_t limit, SumsListener& listener);
  // invariants.cc
  void CheckInvariants() const;

  Options options_;
  ClusterValue cluster_;
  std::int64_t now_ = 0;  // log time
  std::uint32_t start_number_ = 0;
  std::uint64_t epoch_ = 1;

 private:
  // One answer, or one thing to tell, that waits for a turn.
  enum class WaitKind : std::uint8_t {
    kSend,
    kReply,
    kTopicReply,
    kGroupReply,
    kTopicChanged,
    kTopicDeleted,
    kGroupUsable,
  };
  struct Wait {
    std::uint64_t turn = 0;
    std::int64_t deadline = kNever;
    WaitKind kind = WaitKind::kReply;
    bool answered = false;
    std::uint32_t queue = 0;
    std::int64_t offset = 0;
    std::uint64_t id = 0;  // topic or group
    ReplyTo reply;
  };
  struct PendingEnd {
    std::uint64_t turn = 0;
    std::uint64_t topic_id = 0;
    std::int64_t end = 0;
    std::int64_t store_millis = 0;
    std::uint32_t queue = 0;
  };
  struct TurnEnd {
    std::uint64_t turn = 0;
    std::uint64_t log_end = 0;
  };
  struct DeferredSend {
    ReplyTo reply;
    std::string topic;
    std::vector<SendMessage> messages;
    std::uint32_t message_type = 0;
    std::uint32_t auto_create = 0;
    std::uint64_t bytes = 0;
  };
  struct LetterPlan {  // a dead letter record of this turn
    Cursor* cursor = nullptr;
    DeadLetterOrigin origin;
    RecordPlan record;
  };
  struct Registration {
    std::uint32_t client = 0;
    std::string group;
  };
  using RegistrationKey = std::pair<std::uint32_t, std::uint32_t>;  // link, number

  // --- core.cc: one turn ---
  void Handle(EventType type, const char* event, const EventBatch& batch);
  void OnStarted(const Started& event);
  void ArmLoadedEntries();
  void BeginEpoch();
  void OnInitialise(const Initialise& event, const EventBatch& batch);
  void MoveTime(const EventBatch& batch);
  void FireTimers();
  static absl::string_view Text(const EventBatch& batch, TextRef ref) {
    return absl::string_view(batch.text).substr(ref.at, ref.size);
  }

  // --- turn_log.cc: the turn's batch, confirmation ---
  RecordPlan& AddRecord(store::RecordType type, absl::string_view head);
  void EndTurn();
  void LayOut();
  void LayOutBatches(AppendPlan& plan);
  void LayOutBatch(std::uint64_t records_bytes, std::size_t records_end, AppendPlan& plan);
  void WriteProgress();
  void EncodeProgress(Cursor& cursor, std::string& out);
  void EncodeBlock(const Block& block, std::string& out);
  bool EntrySays(const Entry& entry, EntryValue& value) const;
  void OnConfirmed(std::uint64_t end);
  void Confirm();
  void ConfirmTurns(std::uint64_t complete);
  void FinishWait(Wait& wait, std::uint32_t code, absl::string_view text);
  void TimeOutWaits();
  void Seal();
  void WaitForTurn(Wait wait);
  bool TurnConfirmed(std::uint64_t turn) const { return turn <= confirmed_turn_; }
  std::uint64_t UnconfirmedBytes() const { return log_end_ - confirmed_end_ + planned_bytes_ + deferred_bytes_; }

  // --- answers ---
  void AnswerError(const ReplyTo& reply, std::uint32_t code, absl::string_view text);
  void AnswerOk(const ReplyTo& reply, absl::string_view payload = {});
  TextRef OutText(absl::string_view text) { return out_->AddText(text.data(), text.size()); }

  // --- sends.cc ---
  void OnSend(const Send& event, const EventBatch& batch);
  void TakeSend(const ReplyTo& reply, absl::string_view topic, const char* messages, std::size_t count,
                std::uint32_t message_type, std::uint32_t auto_create);
  void RefuseSend(const ReplyTo& reply, std::uint32_t code, absl::string_view text, const char* messages,
                  std::size_t count);
  void TakeDeferredSends();
  std::uint64_t SendBytes(const char* messages, std::size_t count) const;
  std::uint64_t TurnSendLimit() const;

  // --- metadata_changes.cc ---
  void OnPutTopic(const PutTopic& event, const EventBatch& batch);
  void OnDeleteTopic(const DeleteTopic& event, const EventBatch& batch);
  void OnPutGroup(const PutGroup& event, const EventBatch& batch);
  void OnDeleteGroup(const DeleteGroup& event, const EventBatch& batch);
  void OnQueueMinimum(const QueueMinimum& event);
  Topic* CreateTopic(TopicConfig config);
  Topic* AddTopic(TopicConfig config);
  Group* CreateGroup(absl::string_view name);
  Group* AddGroup(GroupConfig config);
  Topic* EnsureDeadLetterTopic(Group& group);
  static TopicConfig DeadLetterTopic(const GroupConfig& group);
  void AdoptReceivers(Topic& topic);
  void RecordTopic(Topic& topic);
  void RecordGroup(Group& group);
  void AddMetadataRecord(MetadataKind kind, absl::string_view body);
  void RemoveTopic(std::uint64_t id);
  void RemoveSubscription(Subscription* subscription, std::uint32_t code, absl::string_view text);
  void RemoveCursor(Cursor* cursor);
  void WakeReceiversOf(const Topic& topic);
  Topic* FindTopic(absl::string_view name) const;
  Topic* FindTopic(std::uint64_t id) const;
  Group* FindGroup(absl::string_view name) const;
  Group* FindGroup(std::uint64_t id) const;

  // --- query.cc ---
  void OnQuery(const Query& event, const EventBatch& batch);
  QueueProgress Describe(const Cursor& cursor) const;

  // --- sums.cc ---
  void Touch(Topic& topic);
  void Touch(Group& group);
  void Touch(Subscription& subscription);
  void ForgetSums(Topic& topic);
  void ForgetSums(Group& group);
  void ForgetSums(Subscription& subscription);
  PairHistograms& HistogramsOf(Subscription& subscription);
  void Observe(base::HistogramCounts& histogram, std::int64_t since);
  void LearnStoreTime(Cursor& cursor, std::int64_t offset, std::int64_t store_millis);
  void LearnStoreTime(Entry& entry, std::int64_t store_millis);
  void OnStoreTime(const StoreTime& event);
  void AskStoreTime(Cursor& cursor, std::int64_t offset, SumsListener& listener);
  void ScanCursor(Cursor& cursor, SumsListener& listener);
  void PublishPair(const Subscription& pair, SumsListener& listener);

  // --- cursors.cc: cursors, blocks, entries and their counters ---
  Subscription* Subscribe(Group& group, Topic& topic);
  void AddCursors(Subscription& subscription);
  Entry* FindEntry(const Cursor& cursor, std::int64_t offset) const;
  Entry* OpenEntry(Cursor& cursor, std::int64_t offset, std::uint8_t change);
  Block* FindBlock(const Cursor& cursor, std::int64_t index) const;
  Block* MakeBlock(Cursor& cursor, std::int64_t index);
  void DropBlock(Cursor& cursor, std::int64_t index);
  void Change(Cursor& cursor, std::int64_t offset, std::uint8_t change);
  void Count(Cursor& cursor, EntryState state, int by);
  void RoomAgain(Cursor& cursor, int by);
  // Of one group: a quarter of the bytes for all.
  std::uint64_t OpenEntriesMax() const { return options_.open_bytes_max / 4 / sizeof(Entry); }
  void SetState(Entry& entry, EntryState state);
  void Detach(Entry& entry);  // from answer, claim, client, timer, lists
  void Pass(Entry& entry, std::int64_t PassedCounters::*reason, std::uint8_t change);  // frees the entry
  void FreeEntry(Entry& entry);
  void Advance(Cursor& cursor, std::int64_t next);
  void ExpireBelow(Cursor& cursor, std::int64_t minimum);
  void MustRecord(Cursor& cursor);

  // --- receives.cc ---
  void OnReceive(const Receive& event, const EventBatch& batch);
  void OnReceiveCancelled(const ReceiveCancelled& event);
  void OnVerdicts(const Verdicts& event, const EventBatch& batch);
  void WaitFor(Receiver& receiver);
  void Wake(Subscription& subscription);
  void ServeReceivers();
  void Serve(Subscription& subscription);
  bool Claim(Receiver& receiver);
  bool ClaimAgain(Receiver& receiver);
  void Pick(Receiver& receiver);
  void PickRetries(Receiver& receiver, Cursor& cursor, std::uint32_t limit);
  void PickNew(Receiver& receiver, Cursor& cursor);
  void SendClaim(Receiver& receiver);
  void Judge(Receiver& receiver, absl::string_view verdicts);
  void JudgeEntry(Receiver& receiver, std::uint32_t index, const Verdict& verdict, std::uint64_t& bytes);
  void JudgeAgain(Receiver& receiver, std::uint32_t index, const Verdict& verdict, std::uint64_t& bytes);
  Entry* AgainEntry(const Receiver& receiver, const LastAnswer::Item& item) const;
  void TakeEntry(Receiver& receiver, Entry& entry);
  Receiver* AddReceiver(const Receive& event, const EventBatch& batch);
  void EndReceiversOf(const Subscription* subscription, const Group* group, std::uint32_t code, absl::string_view text);
  void EndReceiver(Receiver& receiver, std::uint32_t code, absl::string_view text);
  void DropReceiver(Receiver& receiver);
  void OnReceiverDeadline(Receiver& receiver);
  void ForgetClaim(std::uint64_t claim);
  bool MayHandOut(const Cursor& cursor) const;

  // --- answers.cc: offered, held ---
  void Deliver(Receiver& receiver, std::uint64_t claim, const std::vector<std::uint32_t>& matched);
  void RememberAnswer(const Receiver& receiver, const Answer& answer);
  void OnAnswerWritten(const AnswerWritten& event);
  void OnAnswerEnded(const AnswerEnded& event);
  void EndAnswer(Answer& answer, bool well, bool lapsed);
  void OnAnswerTimer(Answer& answer);
  void ArmAnswer(Answer& answer);
  void DropAnswer(Answer& answer);

  // --- leases.cc ---
  void Hold(Entry& entry);
  void ArmLease(Entry& entry);
  void OnEntryTimer(Entry& entry);
  void EndLease(Entry& entry, bool counted, std::int64_t wait);
  void GiveBack(Entry& entry);
  void LookAgainLater(Entry& entry);
  void MakeReady(Entry& entry);
  void ReleaseBarriers();
  std::int64_t Backoff(const GroupConfig& group, std::uint32_t step) const;

  // --- handles.cc ---
  enum class HandleState { kRefused, kPassed, kOpen };
  struct Judged {
    HandleState state = HandleState::kRefused;
    Cursor* cursor = nullptr;
    Entry* entry = nullptr;  // nullptr: above `next`
    absl::string_view why;
  };
  Judged JudgeHandle(const core::Handle& handle, absl::string_view topic, absl::string_view group);
  bool EpochAllows(const core::Handle& handle, const Queue& queue) const;
  Entry* OpenGap(Cursor& cursor, std::int64_t offset);
  void CountAck(const Entry& entry);
  void OnAck(const Ack& event, const EventBatch& batch);
  void OnChangeInvisible(const ChangeInvisible& event, const EventBatch& batch);
  void OnForwardDeadLetter(const ForwardDeadLetter& event, const EventBatch& batch);
  void AnswerPassed(const ReplyTo& reply);

  // --- dead_letters.cc ---
  DeadLetter* BeginDeadLetter(Entry& entry);
  void ReadNextLetters();
  void OnBodyRead(const BodyRead& event);
  void TakeReadLetters();
  bool LetterFits(const BodyRead& event) const;
  void PlanLetter(DeadLetter& letter, const BodyRead& event);
  void EndLetter(DeadLetter& letter);
  void WriteLetters();

  // --- liveness.cc ---
  std::uint32_t ClientNumber(absl::string_view name);  // creates it
  void Sign(Client& client);
  Client* FindClient(std::uint32_t number) const { return number == 0 ? nullptr : clients_.Slot(number - 1); }
  void OnClientRegistered(const ClientRegistered& event, const EventBatch& batch);
  void OnClientsAlive(const ClientsAlive& event, const EventBatch& batch);
  void OnClientStreamsEnded(const ClientStreamsEnded& event);
  void OnClientTerminated(const ClientTerminated& event, const EventBatch& batch);
  void OnClientTimer(Client& client);
  void OnLinkDown(const LinkDown& event);
  void CountMember(const std::string& group, std::uint32_t client, int by);
  void DropRegistration(absl::btree_map<RegistrationKey, Registration>::iterator place);
  void EndClient(Client& client);
  void ReleaseLeases(Client& client);
  void ForgetClient(Client& client);
  void ArmClient(Client& client);

  // --- invariants.cc ---
  void CheckCursor(const Cursor& cursor) const;
  void CheckEntry(const Entry& entry) const;

  // --- load.cc: the parts of Load ---
  absl::Status LoadMetadata(const ImageReader& image);
  absl::Status LoadCursors(const ImageReader& image);
  bool LoadBlock(Cursor& cursor, std::int64_t index, absl::string_view value);
  void LoadEntry(Entry& entry, const EntryValue& value);

  ActionBatch* out_ = nullptr;  // during Step
  bool started_ = false;
  bool log_failed_ = false;
  bool writes_refused_ = false;
  std::uint32_t used_percent_ = 0;
  std::uint64_t next_topic_ = 1, next_group_ = 1, metadata_version_ = 0;

  // The log.
  std::uint64_t turn_ = 0, confirmed_turn_ = 0;
  std::uint64_t log_end_ = 0, confirmed_end_ = 0, flushed_end_ = 0;
  std::uint64_t planned_bytes_ = 0;  // of this turn's records
  std::uint64_t deferred_bytes_ = 0;
  std::uint64_t serving_turn_ = 0;  // of the start record: nothing is handed out before it is confirmed
  bool flush_first_ = false;
  bool sealed_ = true;
  std::int64_t idle_since_ = 0;
  Ring<TurnEnd> turn_ends_;
  Ring<PendingEnd> pending_ends_;
  Ring<Wait> waits_;
  std::size_t timed_out_ = 0;  // waits at the front that were looked at for their deadline
  Ring<DeferredSend> deferred_;
  std::vector<Cursor*> to_record_;
  std::vector<LetterPlan> letter_plans_;
  std::uint64_t letter_bytes_ = 0;      // of the bodies in letter_plans_
  Ring<BodyRead> read_letters_;         // those that were too much for the turn that they came in
  std::vector<Cursor*> late_progress_;  // rule dead_letter_one_record left out
  std::string scratch_, scratch_block_;
  BlockValue block_value_;

  // Metadata. Iterated in order of id only.
  absl::btree_map<std::uint64_t, std::unique_ptr<Topic>> topics_;
  absl::btree_map<std::uint64_t, std::unique_ptr<Group>> groups_;
  absl::flat_hash_map<std::string, Topic*> topic_names_;
  absl::flat_hash_map<std::string, Group*> group_names_;
  absl::btree_map<std::uint64_t, std::string> deleted_names_;  // of topics whose deletion is not confirmed

  // Delivery.
  TimerWheel wheel_;
  Recycler<Entry> entries_;
  Recycler<Block> blocks_;
  Pool<Receiver> receivers_;
  Pool<Answer> answers_;
  Pool<DeadLetter> letters_;
  List<Receiver, WaitTag> no_topic_;
  List<Entry, QueueTag> barriers_;
  std::vector<Subscription*> to_serve_;
  absl::flat_hash_map<std::pair<std::uint32_t, std::uint64_t>, Receiver*> receiver_of_;
  absl::flat_hash_map<std::uint64_t, Receiver*> receiver_of_claim_;
  std::uint64_t claim_sequence_ = 0;
  Ring<std::uint64_t> letters_to_read_;
  std::uint32_t letters_reading_ = 0;
  std::vector<std::uint32_t> matched_;
  std::vector<Entry*> leftover_;
  std::uint32_t registered_clients_ = 0;

  // Liveness.
  Pool<Client> clients_;
  absl::flat_hash_map<std::string, std::uint32_t> client_names_;
  absl::btree_map<RegistrationKey, Registration> registrations_;
  std::int64_t silence_ = 0;  // log time spent in turns that emptied the inbox

  absl::flat_hash_map<std::pair<std::string, std::uint32_t>, std::uint32_t> members_;  // (group, client) -> times
  absl::flat_hash_map<std::string, std::uint32_t> group_clients_;                      // also of groups to come

  // Sums. The totals are complete but for what is a container's size.
  Totals sums_;
  List<Topic, SumsTag> changed_topics_;
  List<Group, SumsTag> changed_groups_;
  List<Subscription, SumsTag> changed_pairs_;
  List<Subscription, AskTag> unasked_;                         // wait for others' store times to be answered
  std::vector<std::pair<std::uint64_t, std::uint64_t>> gone_;  // (group, topic), 0: none
  std::uint32_t store_times_asked_ = 0;
  struct {
    Subscription* pair = nullptr;  // that is being looked at
    std::size_t queue = 0;         // the next one
    std::int64_t ready_since = kSinceNothing, unfinished_since = kSinceNothing;
  } scan_;
};

}  // namespace millrace::core
