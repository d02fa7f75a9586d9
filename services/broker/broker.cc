#include "services/broker/broker.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/status.h"
#include "services/broker/receipt_handle.h"

namespace millrace::broker {
namespace {

constexpr std::int64_t kTickMillis = 250;
constexpr std::int64_t kSumsMillis = 100;  // between two looks at what has changed for scrapes
constexpr std::size_t kSumsPerTurn = 512;  // topics, groups and queues looked at in one turn
constexpr std::size_t kLabelBytes = 45;    // of cluster, node_type and node_id, beside the names

absl::string_view Text(const core::ActionBatch& actions, core::TextRef ref) {
  return absl::string_view(actions.text).substr(ref.at, ref.size);
}

template <typename T>
std::vector<T> Array(const core::ActionBatch& actions, core::TextRef ref) {
  std::vector<T> items(ref.size / sizeof(T));
  // memcpy takes no null pointer, not even for no bytes.
  if (!items.empty()) std::memcpy(items.data(), actions.text.data() + ref.at, items.size() * sizeof(T));
  return items;
}

// Calls `each(ActionType, const char* struct)` for every action.
template <typename Each>
void ForEachAction(const core::ActionBatch& actions, Each&& each) {
  for (std::size_t at = 0; at < actions.actions.size();) {
    const auto type = static_cast<core::ActionType>(base::Load<std::uint16_t>(actions.actions.data() + at));
    const auto size = base::Load<std::uint16_t>(actions.actions.data() + at + 2);
    each(type, actions.actions.data() + at + 8);
    at += 8 + size;
  }
}

template <typename T>
T Read(const char* at) {
  T action;
  std::memcpy(&action, at, sizeof action);
  return action;
}

}  // namespace

// Hands the log writer's progress to the inbox.
class Broker::Listener final : public store::LogListener {
 public:
  explicit Listener(Inbox& inbox) : inbox_(inbox) {}
  void OnWritten(std::uint64_t end) override {
    progress_.written = end;
    inbox_.Report(progress_);
  }
  void OnFlushed(std::uint64_t end) override {
    progress_.flushed = end;
    inbox_.Report(progress_);
  }
  void OnFailed(const absl::Status& status) override {
    MR_LOG(Error, "the commit log failed: nothing is acknowledged any more; restart the broker on a healthy disk",
           {{"error", status.message()}});
    progress_.failed = true;
    inbox_.Report(progress_);
  }

 private:
  Inbox& inbox_;
  LogProgress progress_;
};

Broker::Broker(const BrokerOptions& options, io::FileSystem& fs, const base::Clock& clock, TopicListener& topics)
    : options_(options),
      fs_(fs),
      clock_(clock),
      topics_(topics),
      links_(clock, inbox_, bodies_, gate_,
             [this](core::ReplyTo reply, const link::GetMessage& request) { GetMessage(reply, request); }),
      sums_([this](const core::StoreTimeWanted& wanted) { reader_->TellStoreTime(wanted); }),
      named_rows_(options.metrics_page_bytes, options.cluster.size() + options.broker_set.size() + kLabelBytes) {}

Broker::~Broker() { StopThreads(); }

absl::StatusOr<std::unique_ptr<Broker>> Broker::Open(const BrokerOptions& options, io::FileSystem& fs,
                                                     const base::Clock& clock, TopicListener& topics) {
  std::unique_ptr<Broker> broker(new Broker(options, fs, clock, topics));
  MR_RETURN_IF_ERROR(broker->Recover());
  broker->thread_ = std::thread([raw = broker.get()] { raw->Run(); });
  return broker;
}

absl::Status Broker::Recover() {
  const std::string& directory = options_.data_directory;
  store::Identity expected{.cluster = options_.cluster, .broker_set = options_.broker_set};
  MR_ASSIGN_OR_RETURN(opened_, store::OpenStoreFiles(fs_, directory, expected, options_.holder, store::BootId()));
  MR_RETURN_IF_ERROR(fs_.CreateDirectories(directory + "/config"));
  MR_ASSIGN_OR_RETURN(image_, store::OpenRocksImage(directory + "/config"));

  listener_ = std::make_unique<Listener>(inbox_);
  store::LogOptions log_options = options_.log;
  log_options.recorded_end = opened_.checkpoint.flushed_end;
  log_options.clean_stop = !opened_.unclean && !opened_.fresh;
  store::CommitLog::Recovery recovery;
  MR_ASSIGN_OR_RETURN(log_, store::CommitLog::Open(
                                fs_, clock_, directory + "/commitlog", store::StoreSeed(opened_.identity), log_options,
                                image_->applied(), *listener_, recovery, [this](const store::LogBatch& batch) {
                                  absl::Status folded;
                                  MR_RETURN_IF_ERROR(image_->Apply(
                                      {batch.offset + batch.bytes, batch.header_checksum},
                                      [&](store::ImageChanges& image) { folded = FoldInto(batch, image); }));
                                  return folded;
                                }));
  MR_RETURN_IF_ERROR(RebuildQueues(recovery.end.offset));

  core::Options core_options = options_.core;
  core_options.segment_bytes = options_.log.segment_bytes;
  core_options.async_flush = options_.log.async_flush;
  core_ = std::make_unique<core::Core>(core_options);
  MR_RETURN_IF_ERROR(core_->Load(ImageOfStore(*image_), recovery.end.offset));
  if (core_->NeedsInitialise() && options_.home.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(directory,
                     " is empty and metadata.home is not set: nobody knows which broker set keeps topics and "
                     "groups; set metadata.home to ",
                     options_.broker_set, " for the first set of a cluster"));
  }
  // After a power cut, whatever the flush mode is now: the run before may have had another one.
  const bool tail_may_be_lost = opened_.unclean && opened_.power_cut;
  const bool initialise = core_->NeedsInitialise();
  inbox_.Post([&](core::EventBatch& batch) {
    batch.Add(core::EventType::kStarted, core::Started{tail_may_be_lost, 0});
    if (!initialise) return;
    const std::string key = base::RandomBytes(16);
    const core::TextRef cluster = batch.AddText(options_.cluster.data(), options_.cluster.size());
    const core::TextRef home = batch.AddText(options_.home.data(), options_.home.size());
    batch.Add(core::EventType::kInitialise, core::Initialise{cluster, home, base::Load<std::uint64_t>(key.data()),
                                                             base::Load<std::uint64_t>(key.data() + 8)});
  });

  keeper_ = std::make_unique<Keeper>(Keeper::Options{.data_directory = directory, .retention = options_.retention}, fs_,
                                     clock_, *log_, *image_, *queues_, inbox_);
  reader_ = std::make_unique<Reader>(
      *log_, *queues_, inbox_, bodies_, gate_,
      Reader::Options{.threads = options_.reader_threads, .answer_bytes_max = options_.core.answer_bytes_max});
  confirmed_ = flushed_ = recovery.end.offset;
  MR_LOG(Info, "store recovered",
         {{"dir", directory},
          {"log_end", recovery.end.offset},
          {"unclean", opened_.unclean},
          {"power_cut", opened_.power_cut},
          {"cut_bytes", recovery.cut_bytes}});

  // The first turn is taken here: start number, epoch and key are known before anybody connects.
  core::EventBatch turn;
  core::ActionBatch actions;
  LogProgress progress;
  inbox_.Take(turn, progress, 0);
  turn.time_millis = std::max(core_->log_time_millis(), clock_.WallMillis());
  core_->Step(turn, actions);
  Execute(actions);
  if (opened_.power_cut) {
    MR_RETURN_IF_ERROR(log_->Drain());
    MR_RETURN_IF_ERROR(store::NoteBoot(fs_, directory, store::BootId()));
  }
  start_number_ = core_->start_number();
  epoch_ = core_->epoch();
  links_.SetUp({.cluster = options_.cluster,
                .broker_set = options_.broker_set,
                .start_number = start_number_,
                .epoch = epoch_,
                .mac_key = core_->mac_key(),
                .auto_create_topics = options_.auto_create_topics,
                .auto_create_groups = options_.auto_create_groups});
  actions.Clear();
  core_->DescribeTopics(actions);
  Execute(actions);
  TellMinima(actions);
  totals_ = core_->totals();
  log_time_millis_ = core_->log_time_millis();
  while (sums_.Update(*core_, kSumsPerTurn)) {
  }
  return absl::OkStatus();
}

// What retention took before this start: the consume queues know, the image does not.
void Broker::TellMinima(const core::ActionBatch& topics) {
  inbox_.Post([&](core::EventBatch& batch) {
    ForEachAction(topics, [&](core::ActionType type, const char* at) {
      if (type != core::ActionType::kTopicChanged) return;
      const auto topic = core::DecodeTopic(Text(topics, Read<core::TopicChanged>(at).config));
      if (!topic) return;
      for (std::uint32_t queue = 0; queue < topic->queues; ++queue) {
        const auto range = queues_->RangeOf({topic->id, queue});
        if (range.minimum == 0) continue;
        batch.Add(core::EventType::kQueueMinimum, core::QueueMinimum{topic->id, range.minimum, queue, 0});
      }
    });
  });
}

absl::Status Broker::RebuildQueues(std::uint64_t log_end) {
  const std::string directory = options_.data_directory + "/consumequeue";
  MR_RETURN_IF_ERROR(fs_.CreateDirectories(directory));
  MR_ASSIGN_OR_RETURN(queues_, store::OpenQueueStore(fs_, directory, log_end));
  const std::uint64_t from = std::max(queues_->applied(), log_->first_offset());
  return log_->ReadBatches({.offset = from}, log_end, [this](const store::LogBatch& batch) {
    for (const store::LogRecord& record : batch.records) {
      if (record.type != store::RecordType::kMessage && record.type != store::RecordType::kDeadLetter) continue;
      MR_RETURN_IF_ERROR(queues_->Append({record.topic_id, record.queue}, record.queue_offset,
                                         {.physical_offset = record.offset,
                                          .bytes = record.bytes,
                                          .tag_field = record.tag_field,
                                          .store_time_millis = batch.log_time_millis}));
    }
    return absl::OkStatus();
  });
}

void Broker::Run() {
  LogClock log_clock(core_->log_time_millis(), clock_.WallMillis(), clock_.MonotonicMillis());
  core::EventBatch turn;
  core::ActionBatch actions;
  LogProgress progress;
  std::int64_t next_tick = 0, next_sums = 0;
  bool hurry = false, more_sums = false;
  while (true) {
    const std::int64_t until_wake = core_->NextWakeMillis() - core_->log_time_millis();
    const std::int64_t wait = hurry || more_sums ? 1 : std::clamp<std::int64_t>(until_wake, 0, kTickMillis);
    if (!inbox_.Take(turn, progress, wait)) return;
    const auto begin = std::chrono::steady_clock::now();
    turn.time_millis = log_clock.Advance(clock_.WallMillis(), clock_.MonotonicMillis());
    Confirm(progress, turn);
    core_->Step(turn, actions);
    Execute(actions);
    hurry = links_.FlushTurn();
    const std::int64_t now = clock_.MonotonicMillis();
    if (more_sums || now >= next_sums) {
      more_sums = sums_.Update(*core_, kSumsPerTurn);
      next_sums = now + kSumsMillis;
    }
    if (now >= next_tick) {
      next_tick = now + kTickMillis;
      links_.Tick();
      log_time_millis_ = core_->log_time_millis();
      base::MutexLock lock(mu_);
      totals_ = core_->totals();
    }
    turns_.Record((std::chrono::steady_clock::now() - begin).count());
  }
}

// An entry that the index does not take would look like one that retention took.
bool Broker::Index(const PendingEntry& pending) {
  const absl::Status status = queues_->Append(pending.key, pending.queue_offset, pending.entry);
  if (status.ok()) return true;
  if (!absl::IsDataLoss(status)) {
    MR_LOG(Warn, "a consume queue cannot be written; it stays in memory", {{"error", status.message()}});
    return true;
  }
  MR_LOG(Error,
         "a consume queue is damaged: nothing is acknowledged or delivered any more; restart the broker, which "
         "builds it anew",
         {{"error", status.message()}});
  return false;
}

void Broker::Confirm(LogProgress progress, core::EventBatch& turn) {
  const std::uint64_t end = options_.log.async_flush ? std::max(progress.written, progress.flushed) : progress.flushed;
  // An entry can be read before the core hears that it is confirmed.
  while (!index_failed_ && !pending_.empty() && pending_.front().end <= end) {
    index_failed_ = !Index(pending_.front());
    if (!index_failed_) pending_.pop_front();
  }
  if (index_failed_) {
    progress.failed = true;
    progress.written = std::min(progress.written, confirmed_);
    progress.flushed = std::min(progress.flushed, flushed_);
  }
  if (progress.written > confirmed_ && options_.log.async_flush) {
    turn.Add(core::EventType::kWritten, core::Written{progress.written});
  }
  if (progress.flushed > flushed_) {
    flushed_ = progress.flushed;
    turn.Add(core::EventType::kFlushed, core::Flushed{flushed_});
    keeper_->Wake();
  }
  confirmed_ = std::max(confirmed_, options_.log.async_flush ? progress.written : progress.flushed);
  if (progress.failed && !told_failure_) {
    told_failure_ = true;
    failed_ = true;
    turn.Add(core::EventType::kLogFailed, core::LogFailed{progress.flushed});
  }
}

void Broker::Append(const core::ActionBatch& actions) {
  std::size_t first = 0;
  for (const core::BatchPlan& batch : actions.append.batches) {
    AppendBatch(actions, batch, first);
    first = batch.records_end;
  }
}

void Broker::AppendBatch(const core::ActionBatch& actions, const core::BatchPlan& batch_plan, std::size_t first) {
  const core::AppendPlan& plan = actions.append;
  store::AppendBatch batch{.offset = batch_plan.offset,
                           .epoch = plan.epoch,
                           .log_time_millis = plan.log_time_millis,
                           .flush_first = plan.flush_first != 0};
  FoldBatch fold{.end = batch_plan.offset + batch_plan.bytes, .log_time_millis = plan.log_time_millis};
  batch.records.reserve(batch_plan.records_end - first);
  std::uint64_t at = batch_plan.offset + store::kBatchHeaderBytes;
  for (std::size_t i = first; i < batch_plan.records_end; ++i) {
    const core::RecordPlan& record = plan.records[i];
    const bool in_queue = record.type == store::RecordType::kMessage || record.type == store::RecordType::kDeadLetter;
    const absl::string_view head = Text(actions, record.head);
    store::AppendRecord& out = batch.records.emplace_back();
    out.type = record.type;
    out.flags = record.flags;
    out.queue = record.queue;
    out.topic_id = record.topic_id;
    out.queue_offset = record.queue_offset;
    out.tag_field = record.tag_field;
    out.time_millis = in_queue ? plan.log_time_millis : record.time_millis;
    out.keys = Array<std::uint64_t>(actions, record.keys);
    out.head.assign(head.data(), head.size());
    if (record.has_body) out.body = bodies_.Take(record.body.slot);
    const std::uint32_t payload = record.head.size + (record.has_body ? record.body.size : 0);
    const std::uint32_t bytes = store::RecordBytes(static_cast<std::uint32_t>(out.keys.size()), payload);
    if (in_queue) {
      pending_.push_back({fold.end,
                          {record.topic_id, record.queue},
                          record.queue_offset,
                          {.physical_offset = at,
                           .bytes = bytes,
                           .tag_field = record.tag_field,
                           .store_time_millis = plan.log_time_millis}});
    }
    fold.records.push_back({record.type, record.queue, record.topic_id, record.queue_offset, out.head});
    at += bytes;
  }
  MR_CHECK(at == fold.end);
  keeper_->Add(std::move(fold));
  log_->Append(std::move(batch));
}

void Broker::Execute(const core::ActionBatch& actions) {
  Append(actions);
  ForEachAction(actions, [&](core::ActionType type, const char* at) {
    switch (type) {
      case core::ActionType::kReply: AnswerReply(actions, Read<core::Reply>(at)); break;
      case core::ActionType::kSendReply: {
        const auto reply = Read<core::SendReply>(at);
        links_.Answer(reply.reply,
                      link::SendReply{reply.code, reply.queue, reply.first_offset, Text(actions, reply.text)});
        break;
      }
      case core::ActionType::kClaim: {
        const auto claim = Read<core::Claim>(at);
        const absl::string_view filter = Text(actions, claim.filter);
        reader_->LookAt(claim, Array<core::ClaimEntry>(actions, claim.entries),
                        std::string(filter.data(), filter.size()));
        break;
      }
      case core::ActionType::kDeliver: Deliver(actions, Read<core::Deliver>(at)); break;
      case core::ActionType::kReceiveDone: {
        const auto done = Read<core::ReceiveDone>(at);
        links_.EndDelivery(done.reply, {.code = done.code, .text = Text(actions, done.text)});
        break;
      }
      case core::ActionType::kReadBody: reader_->ReadBody(Read<core::ReadBody>(at)); break;
      case core::ActionType::kReleaseBody: bodies_.Take(Read<core::ReleaseBody>(at).slot); break;
      case core::ActionType::kTopicChanged: {
        const auto topic = core::DecodeTopic(Text(actions, Read<core::TopicChanged>(at).config));
        MR_CHECK(topic.has_value());
        {
          base::MutexLock lock(mu_);
          topic_ids_[topic->name] = topic->id;
        }
        topics_.OnTopic(*topic);
        break;
      }
      case core::ActionType::kTopicDeleted: {
        const auto deleted = Read<core::TopicDeleted>(at);
        const absl::string_view name = Text(actions, deleted.name);
        {
          base::MutexLock lock(mu_);
          topic_ids_.erase(std::string(name.data(), name.size()));
        }
        topics_.OnTopicDeleted(deleted.topic_id, name);
        if (const absl::Status status = queues_->RemoveTopic(deleted.topic_id); !status.ok()) {
          MR_LOG(Warn, "the queues of a deleted topic stay on disk", {{"error", status.message()}});
        }
        break;
      }
    }
  });
}

void Broker::AnswerReply(const core::ActionBatch& actions, const core::Reply& reply) {
  absl::string_view payload = Text(actions, reply.payload);
  std::string handle;
  if (LinkHub::OpOf(reply.reply) == link::Op::kChangeInvisible && payload.size() == sizeof(core::Handle)) {
    handle = EncodeHandle(Read<core::Handle>(payload.data()), options_.broker_set, core_->mac_key());
    payload = handle;
  }
  links_.Answer(reply.reply, link::Reply{reply.code, Text(actions, reply.text), payload});
}

void Broker::Deliver(const core::ActionBatch& actions, const core::Deliver& deliver) {
  const ReadClaim claim = reader_->TakeClaim(deliver.claim);
  const auto entries = Array<core::DeliverEntry>(actions, deliver.entries);
  std::uint64_t sent = 0;
  for (const core::DeliverEntry& entry : entries) sent += claim.messages.at(entry.claim_index).stored_bytes;
  MR_CHECK(sent <= claim.granted);
  gate_.GiveBack(claim.link, claim.granted - sent);
  if (entries.empty()) return;
  for (const core::DeliverEntry& entry : entries) {
    const FoundMessage& found = claim.messages[entry.claim_index];
    const std::string handle = EncodeHandle(entry.handle, options_.broker_set, core_->mac_key());
    links_.Deliver(deliver.reply, {.answer = deliver.answer,
                                   .handle = handle,
                                   .queue = entry.handle.queue,
                                   .queue_offset = entry.handle.queue_offset,
                                   .attempt = entry.attempt,
                                   .store_millis = found.store_millis,
                                   .invisible_millis = deliver.invisible_millis,
                                   .origin_topic = found.origin_topic,
                                   .stored = found.stored()});
  }
  if (links_.EndDelivery(deliver.reply, {.code = 20000, .answer = deliver.answer})) return;
  // The link went down after the core had heard of its last receive.
  inbox_.Post([&](core::EventBatch& batch) {
    batch.Add(core::EventType::kAnswerEnded, core::AnswerEnded{deliver.answer, 0, 0});
  });
}

void Broker::GetMessage(core::ReplyTo reply, const link::GetMessage& request) {
  std::uint64_t topic_id = 0;
  {
    base::MutexLock lock(mu_);
    const auto at = topic_ids_.find(std::string(request.topic.data(), request.topic.size()));
    if (at != topic_ids_.end()) topic_id = at->second;
  }
  reader_->Get(topic_id, request.queue, request.queue_offset, [this, reply, request](const FoundMessage* found) {
    std::string payload;
    if (found != nullptr) {
      Encode(link::Delivery{.queue = request.queue,
                            .queue_offset = request.queue_offset,
                            .store_millis = found->store_millis,
                            .origin_topic = found->origin_topic,
                            .stored = found->stored()},
             payload);
    }
    links_.AnswerNow(reply, found != nullptr
                                ? link::Reply{.code = 20000, .payload = payload}
                                : link::Reply{.code = 40401, .text = "no message at that topic, queue and offset"});
  });
}

void Broker::StopThreads() {
  links_.CloseAll(absl::UnavailableError("the broker stops"));
  inbox_.Stop();
  if (thread_.joinable()) thread_.join();
  if (reader_ != nullptr) reader_->Stop();
}

absl::Status Broker::Stop() {
  StopThreads();
  MR_RETURN_IF_ERROR(log_->Drain());
  // The core is at rest: what the last flush confirmed only needs to reach queues and image.
  core::EventBatch last;
  LogProgress progress;
  inbox_.Take(last, progress, 0);
  last.Clear();
  Confirm({.written = log_->written_end(), .flushed = log_->flushed_end()}, last);
  MR_ASSIGN_OR_RETURN(const store::Checkpoint checkpoint, keeper_->Finish());
  keeper_.reset();
  return store::CloseStoreFiles(fs_, options_.data_directory, checkpoint);
}

void Broker::CollectNamed(http::MetricFamilies& families) const {
  named_rows_.Collect(sums_, {.log_millis = log_time_millis_, .monotonic_millis = clock_.MonotonicMillis()}, families);
}

core::Core::Totals Broker::totals() const {
  base::MutexLock lock(mu_);
  return totals_;
}

}  // namespace millrace::broker
