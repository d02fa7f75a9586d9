#include "core/core.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "core/codes.h"
#include "core/impl.h"

namespace millrace::core {
namespace {

template <typename T>
T As(const char* event) {
  T value;
  std::memcpy(&value, event, sizeof value);
  return value;
}

constexpr std::int64_t kTurnMillisMax = 1'000;

}  // namespace

Core::Core(const Options& options) : impl_(std::make_unique<Impl>(options)) {}
Core::~Core() = default;
absl::Status Core::Load(const ImageReader& image, std::uint64_t log_end) { return impl_->Load(image, log_end); }
bool Core::NeedsInitialise() const { return impl_->cluster_.mac_key.empty(); }
void Core::Step(const EventBatch& events, ActionBatch& actions) { impl_->Step(events, actions); }
std::int64_t Core::NextWakeMillis() const { return impl_->NextWakeMillis(); }
std::int64_t Core::log_time_millis() const { return impl_->now_; }
std::uint32_t Core::start_number() const { return impl_->start_number_; }
std::uint64_t Core::epoch() const { return impl_->epoch_; }
std::string Core::cluster() const { return impl_->cluster_.cluster; }
std::string Core::home() const { return impl_->cluster_.home; }
std::string Core::mac_key() const { return impl_->cluster_.mac_key; }
void Core::DescribeTopics(ActionBatch& actions) const { impl_->DescribeTopics(actions); }
Core::Totals Core::totals() const { return impl_->totals(); }
bool Core::PublishSums(std::size_t limit, SumsListener& listener) { return impl_->PublishSums(limit, listener); }
void Core::CheckInvariants() const { impl_->CheckInvariants(); }

Core::Impl::Impl(const Options& options) : options_(options) { MR_CHECK(options.segment_bytes >= 4096); }

void Core::Impl::Step(const EventBatch& events, ActionBatch& actions) {
  actions.Clear();
  actions.append.flush_first = 0;
  out_ = &actions;
  ++turn_;
  MoveTime(events);
  if (started_) {
    TakeDeferredSends();
    TakeReadLetters();
  }
  const char* at = events.events.data();
  const char* end = at + events.events.size();
  while (at < end) {
    const auto type = As<std::uint16_t>(at);
    const auto size = As<std::uint16_t>(at + 2);
    MR_CHECK(at + 8 + size <= end);
    MR_CHECK(started_ || static_cast<EventType>(type) == EventType::kStarted);
    Handle(static_cast<EventType>(type), at + 8, events);
    at += 8 + size;
  }
  if (started_) {
    FireTimers();
    EndTurn();
  }
  out_ = nullptr;
}

// A pause of the process must not end leases and clients whose acknowledgements wait in the inbox, so time moves in
// small steps; the first turn after a load may jump.
void Core::Impl::MoveTime(const EventBatch& batch) {
  std::int64_t next = std::max(now_, batch.time_millis);
  if (started_ && options_.rules.pace) next = std::min(next, now_ + kTurnMillisMax);
  if (started_ && (batch.inbox_emptied || !options_.rules.pace)) silence_ += next - now_;
  now_ = next;
}

void Core::Impl::FireTimers() {
  wheel_.Advance(now_, [this](Timer* timer) {
    switch (timer->kind) {
      case kEntryTimer: return OnEntryTimer(*static_cast<Entry*>(timer));
      case kAnswerTimer: return OnAnswerTimer(*static_cast<Answer*>(timer));
      case kReceiverTimer: return OnReceiverDeadline(*static_cast<Receiver*>(timer));
      case kClientTimer: return OnClientTimer(*static_cast<Client*>(timer));
      default: MR_CHECK(false);
    }
  });
}

void Core::Impl::Handle(EventType type, const char* event, const EventBatch& batch) {
  switch (type) {
    case EventType::kStarted: return OnStarted(As<Started>(event));
    case EventType::kInitialise: return OnInitialise(As<Initialise>(event), batch);
    case EventType::kLinkUp: return;
    case EventType::kLinkDown: return OnLinkDown(As<LinkDown>(event));
    case EventType::kSend: return OnSend(As<Send>(event), batch);
    case EventType::kReceive: return OnReceive(As<Receive>(event), batch);
    case EventType::kReceiveCancelled: return OnReceiveCancelled(As<ReceiveCancelled>(event));
    case EventType::kVerdicts: return OnVerdicts(As<Verdicts>(event), batch);
    case EventType::kAnswerWritten: return OnAnswerWritten(As<AnswerWritten>(event));
    case EventType::kAnswerEnded: return OnAnswerEnded(As<AnswerEnded>(event));
    case EventType::kAck: return OnAck(As<Ack>(event), batch);
    case EventType::kChangeInvisible: return OnChangeInvisible(As<ChangeInvisible>(event), batch);
    case EventType::kForwardDeadLetter: return OnForwardDeadLetter(As<ForwardDeadLetter>(event), batch);
    case EventType::kBodyRead: read_letters_.push(As<BodyRead>(event)); return TakeReadLetters();
    case EventType::kClientRegistered: return OnClientRegistered(As<ClientRegistered>(event), batch);
    case EventType::kClientsAlive: return OnClientsAlive(As<ClientsAlive>(event), batch);
    case EventType::kClientStreamsEnded: return OnClientStreamsEnded(As<ClientStreamsEnded>(event));
    case EventType::kClientTerminated: return OnClientTerminated(As<ClientTerminated>(event), batch);
    case EventType::kFlushed: {
      const auto end = As<Flushed>(event).end;
      if (end > flushed_end_) idle_since_ = now_;
      flushed_end_ = std::max(flushed_end_, end);
      return OnConfirmed(end);
    }
    case EventType::kWritten: return options_.async_flush ? OnConfirmed(As<Written>(event).end) : void();
    case EventType::kLogFailed: log_failed_ = true; return;
    case EventType::kQueueMinimum: return OnQueueMinimum(As<QueueMinimum>(event));
    case EventType::kSpace: {
      const auto space = As<Space>(event);
      writes_refused_ = space.refuse_writes != 0;
      used_percent_ = space.used_percent;
      return;
    }
    case EventType::kPutTopic: return OnPutTopic(As<PutTopic>(event), batch);
    case EventType::kDeleteTopic: return OnDeleteTopic(As<DeleteTopic>(event), batch);
    case EventType::kPutGroup: return OnPutGroup(As<PutGroup>(event), batch);
    case EventType::kDeleteGroup: return OnDeleteGroup(As<DeleteGroup>(event), batch);
    case EventType::kQuery: return OnQuery(As<Query>(event), batch);
    case EventType::kStoreTime: return OnStoreTime(As<StoreTime>(event));
  }
  MR_CHECK(false);
}

void Core::Impl::OnStarted(const Started& event) {
  MR_CHECK(!started_);
  started_ = true;
  wheel_.Reset(now_);
  ArmLoadedEntries();
  for (std::uint32_t slot = 0; slot < clients_.slots(); ++slot) {
    if (Client* client = clients_.Slot(slot)) {
      client->sign = options_.rules.grace ? silence_ : silence_ - options_.client_silence_millis;
      ArmClient(*client);
    }
  }
  if (event.tail_may_be_lost != 0) BeginEpoch();
  ++start_number_;
  std::string head;
  base::PutVarint(head, start_number_);
  AddRecord(store::RecordType::kStart, head);
  flush_first_ = options_.rules.metadata_sync;
  serving_turn_ = turn_;
  Wait usable;
  usable.kind = WaitKind::kGroupUsable;  // id 0: all of them
  WaitForTurn(usable);
}

void Core::Impl::ArmLoadedEntries() {
  for (const auto& [id, group] : groups_) {
    for (const auto& [topic, subscription] : group->subscriptions) {
      for (const auto& cursor : subscription->cursors) {
        for (const Block* block : cursor->blocks) {
          for (Entry* entry : block->entries) {
            if (entry == nullptr || entry->state == EntryState::kReady) continue;
            const bool delay_over = entry->state == EntryState::kWaiting && !entry->nacked && entry->end <= now_;
            delay_over ? MakeReady(*entry) : ArmLease(*entry);
          }
        }
      }
    }
  }
}

// Confirmed messages may be gone: their offsets will mean others. What stands behind each queue's end of now is refused
// to every handle of before.
void Core::Impl::BeginEpoch() {
  ++epoch_;
  std::string ends;
  std::uint64_t count = 0;
  for (auto& [id, topic] : topics_) {
    for (std::uint32_t i = 0; i < topic->queues.size(); ++i) {
      Queue& queue = topic->queues[i];
      if (queue.appended == 0) continue;
      queue.epoch_ends.emplace_back(epoch_, queue.appended);
      base::PutVarint(ends, id);
      base::PutVarint(ends, i);
      base::PutVarint(ends, static_cast<std::uint64_t>(queue.appended));
      ++count;
    }
  }
  std::string head;
  base::PutVarint(head, epoch_);
  base::PutVarint(head, count);
  AddRecord(store::RecordType::kEpoch, head + ends);
}

void Core::Impl::OnInitialise(const Initialise& event, const EventBatch& batch) {
  if (!cluster_.mac_key.empty()) return;
  const absl::string_view cluster = Text(batch, event.cluster), home = Text(batch, event.home);
  cluster_.cluster.assign(cluster.data(), cluster.size());
  cluster_.home.assign(home.data(), home.size());
  base::Put(cluster_.mac_key, event.mac_key_low);
  base::Put(cluster_.mac_key, event.mac_key_high);
  std::string body;
  Encode(cluster_, body);
  AddMetadataRecord(MetadataKind::kInitialise, body);
}

void Core::Impl::AnswerError(const ReplyTo& reply, std::uint32_t code, absl::string_view text) {
  out_->Add(ActionType::kReply, Reply{reply, code, 0, OutText(text), {}});
}

void Core::Impl::AnswerOk(const ReplyTo& reply, absl::string_view payload) {
  out_->Add(ActionType::kReply, Reply{reply, code::kOk, 0, {}, OutText(payload)});
}

std::int64_t Core::Impl::NextWakeMillis() const {
  if (!started_) return now_;
  if (!deferred_.empty() || !read_letters_.empty() || !to_record_.empty() || !late_progress_.empty()) return now_;
  std::int64_t next = wheel_.Next();
  if (timed_out_ < waits_.size()) next = std::min(next, waits_.at(timed_out_).deadline);
  if (!sealed_ && !log_failed_ && flushed_end_ >= log_end_) {
    next = std::min(next, idle_since_ + options_.seal_idle_millis);
  }
  return next;
}

}  // namespace millrace::core
