#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "core/core.h"
#include "core/metadata.h"
#include "io/file_system.h"
#include "services/broker/claim_gate.h"
#include "services/broker/inbox.h"
#include "services/broker/keeper.h"
#include "services/broker/link_hub.h"
#include "services/broker/log_clock.h"
#include "services/broker/named_rows.h"
#include "services/broker/reader.h"
#include "services/broker/sums_table.h"
#include "store/commit_log.h"
#include "store/consume_queue.h"
#include "store/state_image.h"
#include "store/store_files.h"

namespace millrace::broker {

struct BrokerOptions {
  std::string data_directory;
  std::string cluster = "DefaultCluster";
  std::string broker_set = "broker-a";
  std::string home;    // metadata.home; needed at the very first start
  std::string holder;  // written into the lock: who holds the directory
  bool auto_create_topics = false;
  bool auto_create_groups = true;
  int reader_threads = 1;
  std::uint64_t metrics_page_bytes = 2'000'000;
  core::Options core;
  store::LogOptions log;
  store::RetentionPolicy retention;
};

// Tells the outside of confirmed changes of topics. Called from the core's thread.
class TopicListener {
 public:
  virtual ~TopicListener() = default;
  virtual void OnTopic(const core::TopicConfig& topic) = 0;
  virtual void OnTopicDeleted(std::uint64_t topic_id, absl::string_view name) = 0;
};

// One broker: the core on a thread of its own, and around it the log writer, readers, the keeper of the image, links.
// Lifetime. `fs`, `clock` and `topics` outlive it. Destruction stops as a kill would: nothing is flushed.
class Broker {
 public:
  // Recovers the store below options.data_directory and starts. Errors are those of OpenStoreFiles and CommitLog::Open;
  // kInvalidArgument  an empty log and no `home`.
  static absl::StatusOr<std::unique_ptr<Broker>> Open(const BrokerOptions& options, io::FileSystem& fs,
                                                      const base::Clock& clock, TopicListener& topics);
  ~Broker();

  LinkHub& links() { return links_; }
  // Ends links, flushes, writes checkpoint and image. The broker does nothing afterwards.
  absl::Status Stop();

  // What a scrape reads; refreshed by the core's thread a few times a second.
  core::Core::Totals totals() const;
  void CollectNamed(http::MetricFamilies& families) const;
  const base::Histogram& turns() const { return turns_; }
  std::int64_t log_millis() const { return log_time_millis_; }
  std::int64_t wall_millis() const { return clock_.WallMillis(); }
  const std::string& broker_set() const { return options_.broker_set; }
  const store::RetentionPolicy& retention() const { return options_.retention; }
  std::uint64_t removed_bytes(store::RetentionReason reason) const { return keeper_->removed_bytes(reason); }
  // The log's end that the image has, and the space on the volume.
  std::uint64_t image_offset() const { return image_->applied().offset; }
  absl::StatusOr<io::Space> space() const { return fs_.SpaceOf(options_.data_directory); }
  store::LogMetrics log_metrics() const { return log_->metrics(); }
  const store::CommitLog& log() const { return *log_; }
  bool failed() const { return failed_; }
  bool async_flush() const { return options_.log.async_flush; }
  link::Session::Counters link_counters() const { return links_.counters(); }
  std::size_t link_count() const { return links_.links(); }
  // Claims whose link has no credit, and bytes that links have not yet taken.
  std::size_t claims_waiting() const { return gate_.waiting(); }
  std::size_t link_queued_bytes() const { return links_.queued_bytes(); }
  std::uint64_t start_number() const { return start_number_; }
  std::uint64_t epoch() const { return epoch_; }
  const std::string& cluster() const { return options_.cluster; }

 private:
  class Listener;
  // Confirmed by the log, not yet in the consume queues.
  struct PendingEntry {
    std::uint64_t end = 0;
    store::QueueKey key;
    std::int64_t queue_offset = 0;
    store::QueueEntry entry;
  };

  Broker(const BrokerOptions& options, io::FileSystem& fs, const base::Clock& clock, TopicListener& topics);
  absl::Status Recover();
  absl::Status RebuildQueues(std::uint64_t log_end);
  void TellMinima(const core::ActionBatch& topics);
  void Run();
  bool Index(const PendingEntry& pending);
  void Confirm(LogProgress progress, core::EventBatch& turn);
  void Execute(const core::ActionBatch& actions);
  void Append(const core::ActionBatch& actions);
  void AppendBatch(const core::ActionBatch& actions, const core::BatchPlan& batch_plan, std::size_t first);
  void Deliver(const core::ActionBatch& actions, const core::Deliver& deliver);
  void AnswerReply(const core::ActionBatch& actions, const core::Reply& reply);
  void GetMessage(core::ReplyTo reply, const link::GetMessage& request);
  void StopThreads();

  const BrokerOptions options_;
  io::FileSystem& fs_;
  const base::Clock& clock_;
  TopicListener& topics_;

  BodySlots bodies_;
  Inbox inbox_;
  ClaimGate gate_;
  LinkHub links_;
  std::unique_ptr<Listener> listener_;
  store::Opened opened_;
  std::unique_ptr<store::StateImage> image_;
  std::unique_ptr<store::CommitLog> log_;
  std::unique_ptr<store::QueueStore> queues_;
  std::unique_ptr<Keeper> keeper_;
  std::unique_ptr<Reader> reader_;
  std::unique_ptr<core::Core> core_;
  std::uint64_t start_number_ = 0;
  std::uint64_t epoch_ = 0;
  std::atomic<bool> failed_{false};
  std::atomic<std::int64_t> log_time_millis_{0};
  base::Histogram turns_{base::kLatencyNanos};
  mutable SumsTable sums_;
  mutable NamedRows named_rows_;

  // The core's thread.
  std::deque<PendingEntry> pending_;
  std::uint64_t confirmed_ = 0, flushed_ = 0;
  bool told_failure_ = false, index_failed_ = false;

  mutable base::Mutex mu_;
  core::Core::Totals totals_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, std::uint64_t> topic_ids_ ABSL_GUARDED_BY(mu_);

  std::thread thread_;
};

}  // namespace millrace::broker
