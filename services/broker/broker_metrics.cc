#include "services/broker/broker_metrics.h"

namespace millrace::broker {

void CollectBroker(const Broker& broker, http::MetricFamilies& families) {
  const auto number = [](auto value) { return static_cast<double>(value); };
  const core::Core::Totals totals = broker.totals();
  families.Counter("rocketmq_messages_in_total", "Messages stored.", number(totals.messages_in));
  families.Counter("rocketmq_throughput_in_total", "Bytes of messages stored.", number(totals.bytes_in));
  families.Counter("rocketmq_messages_out_total", "Messages delivered.", number(totals.messages_out));
  families.Counter("millrace_messages_acknowledged_total", "Acknowledgements confirmed.", number(totals.acknowledged));
  families.Counter("rocketmq_send_to_dlq_messages_total", "Dead letters.", number(totals.dead_lettered));
  families.Counter("millrace_deliveries_returned_total", "Deliveries whose stream did not end well.",
                   number(totals.returned));
  families.Gauge("rocketmq_consumer_ready_messages", "Messages that wait for a receive.", number(totals.ready));
  families.Gauge("rocketmq_consumer_inflight_messages", "Messages in flight.", number(totals.in_flight));
  families.Gauge("millrace_consumer_waiting_messages", "Messages that wait for a delay to end.",
                 number(totals.waiting));
  families.Gauge("rocketmq_consumer_lag_messages", "Messages that are not passed.",
                 number(totals.ready + totals.in_flight + totals.waiting));
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
  families.Counter("millrace_commitlog_sync_seconds_total", "Time in fdatasync.", number(log.sync_nanos) / 1e9);
  families.Gauge("millrace_commitlog_size_bytes", "Size of all segments.", number(broker.log().size_bytes()));
  families.Gauge("millrace_store_flush_sync", "1: store.flush is sync; 0: async.", broker.async_flush() ? 0 : 1);
  families.Gauge("millrace_store_failed", "1: the log has failed and nothing is acknowledged.", broker.failed());

  const link::Session::Counters links = broker.link_counters();
  families.Counter("millrace_link_frames_in_total", "Frames with records from proxies.", number(links.frames_in));
  families.Counter("millrace_link_records_in_total", "Records in them.", number(links.records_in));
  families.Counter("millrace_link_frames_out_total", "Frames with records to proxies.", number(links.frames_out));
  families.Counter("millrace_link_records_out_total", "Records in them.", number(links.records_out));
  families.Gauge("millrace_links", "Links of proxies.", number(broker.link_count()));
}

}  // namespace millrace::broker
