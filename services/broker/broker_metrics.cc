#include "services/broker/broker_metrics.h"

#include <algorithm>

namespace millrace::broker {
namespace {

constexpr const char* kTypeNames[core::kTopicTypes] = {"normal", "fifo",     "delay", "transaction",
                                                       "lite",   "priority", "mixed"};

void CollectSizes(const core::Core::Totals& totals, http::MetricFamilies& families) {
  constexpr char kName[] = "rocketmq_message_size_bytes", kHelp[] = "Size of stored messages.";
  families.Declare(kName, kHelp, prometheus::MetricType::Histogram);
  for (std::size_t i = 0; i < core::kTopicTypes; ++i) {
    const auto& buckets = totals.sizes[i].buckets;
    if (std::all_of(buckets.begin(), buckets.end(), [](std::uint64_t count) { return count == 0; })) continue;
    families.Histogram(kName, kHelp, core::kSizeBytes, totals.sizes[i], 1, {{"message_type", kTypeNames[i]}});
  }
}

void CollectStorage(const Broker& broker, http::MetricFamilies& families) {
  const auto number = [](auto value) { return static_cast<double>(value); };
  const http::Labels disk{{"storage_type", "local"}, {"storage_medium", "disk"}};
  const store::RetentionPolicy& policy = broker.retention();
  int watermark = 0;
  if (const auto space = broker.space(); space.ok() && space->total_bytes > 0) {
    const std::uint64_t used = space->total_bytes - std::min(space->free_bytes, space->total_bytes);
    const double percent = number(used) * 100 / number(space->total_bytes);
    watermark = percent >= policy.refuse_percent  ? 3
                : percent >= policy.force_percent ? 2
                                                  : percent >= policy.clean_percent;
    families.Gauge("rocketmq_storage_size_bytes", "Used on the volume.", number(used), disk);
    families.Gauge("millrace_storage_capacity_bytes", "Size of the volume.", number(space->total_bytes));
    families.Gauge("millrace_storage_free_bytes", "Free on the volume.", number(space->free_bytes));
    families.Gauge("millrace_storage_watermark", "0: room; 1: clean; 2: force; 3: refuse.", watermark);
  }
  const auto level = [&](const char* name, int percent) {
    families.Gauge("millrace_storage_watermark_ratio", "Used part of the volume at which a level begins.",
                   percent / 100.0, {{"level", name}});
  };
  level("clean", policy.clean_percent);
  level("force", policy.force_percent);
  level("refuse", policy.refuse_percent);
  families.Gauge("rocketmq_broker_permission", "6: read and write; 4: read only.",
                 watermark == 3 || broker.failed() ? 4 : 6);
  const store::CommitLog& log = broker.log();
  const std::uint64_t flushed = log.flushed_end(), written = std::max(log.written_end(), flushed);
  families.Gauge("rocketmq_storage_flush_behind_bytes", "Written and not yet durable.", number(written - flushed),
                 disk);
  families.Gauge("rocketmq_storage_dispatch_behind_bytes", "Durable and not yet folded into the state image.",
                 number(flushed - std::min(flushed, broker.image_offset())), disk);
  families.Gauge("millrace_retention_age_seconds", "retention.age.", number(policy.age_millis) / 1e3);
  for (const auto reason :
       {store::RetentionReason::kAge, store::RetentionReason::kSize, store::RetentionReason::kWatermark}) {
    families.Counter("millrace_retention_removed_bytes_total", "Segments removed by retention.",
                     number(broker.removed_bytes(reason)),
                     {{"reason", std::string(store::RetentionReasonName(reason))}});
  }
  if (const auto segments = log.segments(); !segments.empty() && segments.front().last_log_time_millis > 0) {
    families.Gauge("rocketmq_storage_message_reserve_time_milliseconds", "Age of the oldest segment.",
                   number(std::max<std::int64_t>(broker.log_millis() - segments.front().last_log_time_millis, 0)),
                   disk);
  }
}

}  // namespace

http::Labels BrokerLabels(const Broker& broker) {
  return http::ServiceLabels(broker.cluster(), "broker", broker.broker_set());
}

void CollectBroker(const Broker& broker, http::MetricFamilies& families) {
  const auto number = [](auto value) { return static_cast<double>(value); };
  const core::Core::Totals totals = broker.totals();
  broker.CollectNamed(families);
  CollectSizes(totals, families);
  families.Gauge("millrace_clients", "Registered clients.", number(totals.clients));
  families.Gauge("millrace_waiting_receives", "Long polls that wait.", number(totals.waiting_receives));
  families.Gauge("rocketmq_topic_number", "Topics.", number(totals.topics));
  families.Gauge("rocketmq_consumer_group_number", "Consumer groups.", number(totals.groups));

  const store::LogMetrics log = broker.log_metrics();
  families.Counter("millrace_commitlog_batches_total", "Write batches.", number(log.batches));
  families.Counter("millrace_commitlog_records_total", "Records.", number(log.records));
  families.Counter("millrace_commitlog_bytes_total", "Bytes appended.", number(log.bytes));
  families.Counter("millrace_commitlog_writes_total", "Write calls.", number(log.writes));
  families.Counter("millrace_commitlog_syncs_total", "fdatasync calls.", number(log.syncs));
  families.Histogram("millrace_commitlog_sync_seconds", "fdatasync calls.", log.sync, 1e9);
  families.Histogram("millrace_commitlog_write_seconds", "Write calls.", log.write, 1e9);
  families.Histogram("millrace_commitlog_flush_seconds", "From the hand-over of a write batch until it is durable.",
                     log.flush, 1e9);
  families.Histogram("millrace_commitlog_batch_records", "Records in a write batch.", log.batch, 1);
  families.Gauge("millrace_commitlog_size_bytes", "Size of all segments.", number(broker.log().size_bytes()));
  families.Gauge("millrace_store_flush_sync", "1: store.flush is sync; 0: async.", broker.async_flush() ? 0 : 1);
  families.Gauge("millrace_store_failed", "1: the log has failed and nothing is acknowledged.", broker.failed());

  CollectStorage(broker, families);
  families.Histogram("millrace_core_turn_seconds", "Turns of the core's thread.", broker.turns(), 1e9);
  families.Gauge("millrace_log_time_ahead_seconds", "Log time minus wall clock.",
                 number(broker.log_millis() - broker.wall_millis()) / 1e3);

  const link::Session::Counters links = broker.link_counters();
  families.Counter("millrace_link_frames_in_total", "Frames with records from proxies.", number(links.frames_in));
  families.Counter("millrace_link_records_in_total", "Records in them.", number(links.records_in));
  families.Counter("millrace_link_frames_out_total", "Frames with records to proxies.", number(links.frames_out));
  families.Counter("millrace_link_records_out_total", "Records in them.", number(links.records_out));
  families.Gauge("millrace_links", "Links of proxies.", number(broker.link_count()));
  families.Gauge("millrace_link_queued_bytes", "Records that no frame has taken yet.",
                 number(broker.link_queued_bytes()));
  families.Gauge("millrace_link_claims_waiting", "Deliveries that wait for credit of their link.",
                 number(broker.claims_waiting()));
}

}  // namespace millrace::broker
