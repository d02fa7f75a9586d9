#include "services/broker/named_rows.h"

#include <algorithm>

#include "absl/strings/match.h"

namespace millrace::broker {
namespace {

constexpr char kOther[] = "other";
constexpr double kRateWeight = 60;  // a message per second counts as much as this many that lag
constexpr double kNewest = 0.3;     // of the moving average of rates
// Bytes of a sample beside constant labels and names, rounded up.
constexpr std::size_t kSampleBytes = 135, kBucketBytes = 130;
constexpr std::size_t kTopicSamples = 2, kPairSamples = 15;
constexpr std::size_t kHistogramSamples = 3 * (core::kAgeMillis.buckets() + 2);

double Number(std::uint64_t value) { return static_cast<double>(value); }
double Signed(std::int64_t value) { return static_cast<double>(value); }

const char* TypeName(core::TopicType type) {
  switch (type) {
    case core::TopicType::kNormal: return "normal";
    case core::TopicType::kFifo: return "fifo";
    case core::TopicType::kDelay: return "delay";
    case core::TopicType::kTransaction: return "transaction";
    case core::TopicType::kLite: return "lite";
    case core::TopicType::kPriority: return "priority";
    case core::TopicType::kMixed: return "mixed";
  }
  return "unknown";
}

std::string IsSystem(const std::string& group, const std::string& topic) {
  return absl::StartsWith(topic, "rmq_sys_") || absl::StartsWith(group, "CID_RMQ_SYS_") ? "true" : "false";
}

void EmitTopic(const std::string& topic, const char* type, const RowBudget::Counters& counters,
               http::MetricFamilies& families) {
  const http::Labels labels{{"topic", topic}, {"message_type", type}, {"is_system", IsSystem({}, topic)}};
  families.Counter("rocketmq_messages_in_total", "Messages stored.", Number(counters[0]), labels);
  families.Counter("rocketmq_throughput_in_total", "Bytes of messages stored.", Number(counters[1]), labels);
}

struct PairGauges {
  std::int64_t ready = 0, in_flight = 0, waiting = 0, dead_lettered = 0, expired = 0;
  void Add(const core::PairSums& sums) {
    ready += sums.ready;
    in_flight += sums.in_flight;
    waiting += sums.waiting;
    dead_lettered += sums.dead_lettered_ever;
    expired += sums.expired_ever;
  }
};

RowBudget::Counters CountersOf(const core::PairCounters& of) {
  return {of.messages_out, of.bytes_out, of.acknowledged, of.redelivered, of.expired, of.returned, of.dead_lettered};
}

void EmitPair(const std::string& group, const std::string& topic, const PairGauges& gauges,
              const RowBudget::Counters& counters, http::MetricFamilies& families) {
  const http::Labels ours{{"consumer_group", group}, {"topic", topic}, {"is_system", IsSystem(group, topic)}};
  http::Labels theirs = ours;
  theirs.emplace_back("is_retry", "false");
  families.Gauge("rocketmq_consumer_lag_messages", "Messages that are not finished.",
                 Signed(gauges.ready + gauges.in_flight + gauges.waiting), theirs);
  families.Gauge("rocketmq_consumer_ready_messages", "Messages that wait for a receive.", Signed(gauges.ready), theirs);
  families.Gauge("rocketmq_consumer_inflight_messages", "Messages in flight.", Signed(gauges.in_flight), theirs);
  families.Gauge("millrace_consumer_waiting_messages", "Messages that wait for a delay to end.", Signed(gauges.waiting),
                 ours);
  families.Gauge("millrace_consumer_dead_lettered_messages", "Messages that became dead letters, ever.",
                 Signed(gauges.dead_lettered), ours);
  families.Gauge("millrace_consumer_expired_messages", "Messages that retention took before they were finished, ever.",
                 Signed(gauges.expired), ours);
  families.Counter("rocketmq_messages_out_total", "Messages delivered.", Number(counters[0]), theirs);
  families.Counter("rocketmq_throughput_out_total", "Bytes of messages delivered.", Number(counters[1]), theirs);
  families.Counter("millrace_messages_acknowledged_total", "Messages acknowledged.", Number(counters[2]), ours);
  families.Counter("millrace_messages_redelivered_total", "Deliveries of messages that had been delivered before.",
                   Number(counters[3]), ours);
  families.Counter("millrace_deliveries_expired_total", "Deliveries whose lease ended by itself.", Number(counters[4]),
                   ours);
  families.Counter("millrace_deliveries_returned_total", "Deliveries whose stream did not end well.",
                   Number(counters[5]), ours);
  families.Counter("rocketmq_send_to_dlq_messages_total", "Dead letters.", Number(counters[6]), ours);
}

void EmitAge(const char* name, const char* help, std::int64_t since, std::int64_t now, const PairRow& row,
             http::MetricFamilies& families) {
  if (since == core::kSinceUnknown) return;
  const double age = since == core::kSinceNothing ? 0 : Signed(std::max<std::int64_t>(now - since, 0));
  families.Gauge(name, help, age,
                 {{"consumer_group", row.group},
                  {"topic", row.topic},
                  {"is_system", IsSystem(row.group, row.topic)},
                  {"is_retry", "false"}});
}

RowBudget::Counters CountersOf(const core::PairHistograms& histograms) {
  RowBudget::Counters counters;
  for (const auto* one : {&histograms.delivery_age, &histograms.ack_latency, &histograms.end_to_end}) {
    counters.insert(counters.end(), one->buckets.begin(), one->buckets.begin() + core::kAgeMillis.buckets());
    counters.push_back(one->sum);
  }
  return counters;
}

void EmitHistograms(const std::string& group, const std::string& topic, const RowBudget::Counters& counters,
                    http::MetricFamilies& families) {
  const http::Labels labels{{"consumer_group", group}, {"topic", topic}, {"is_system", IsSystem(group, topic)}};
  auto at = counters.begin();
  const auto emit = [&](const char* name, const char* help) {
    base::HistogramCounts counts;
    std::copy(at, at + core::kAgeMillis.buckets(), counts.buckets.begin());
    at += core::kAgeMillis.buckets();
    counts.sum = *at++;
    families.Histogram(name, help, core::kAgeMillis, counts, 1e3, labels);
  };
  emit("millrace_message_delivery_age_seconds", "Age of messages at delivery.");
  emit("millrace_message_ack_latency_seconds", "From delivery to acknowledgement.");
  emit("millrace_message_end_to_end_seconds", "From being stored to the acknowledgement.");
}

void EmitRows(const char* kind, const RowBudget& budget, http::MetricFamilies& families) {
  families.Gauge("millrace_metrics_rows", "Rows that are shown by name.", Number(budget.shown()), {{"kind", kind}});
  families.Gauge("millrace_metrics_rows_dropped", "Rows that are summed up as other.", Number(budget.dropped()),
                 {{"kind", kind}});
}

}  // namespace

void NamedRows::Look(ScrapeNotes& notes, std::uint64_t messages) {
  if (notes.looked && seconds_ > 0) {
    notes.rate += kNewest * (Number(messages - notes.messages) / seconds_ - notes.rate);
  }
  if (!notes.looked || seconds_ > 0) notes.messages = messages;
  notes.looked = true;
}

void NamedRows::Collect(SumsTable& table, const Now& now, http::MetricFamilies& families) {
  const base::MutexLock lock(mu_);
  const std::int64_t passed = now.monotonic_millis - reckoned_millis_;
  seconds_ = passed >= 1'000 ? static_cast<double>(passed) / 1e3 : 0;
  if (seconds_ > 0) reckoned_millis_ = now.monotonic_millis;
  topics_.Begin();
  groups_.Begin();
  pairs_.Begin();
  histograms_.Begin();
  table.ForEachTopic([&](TopicRow& row) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    Look(row.notes, row.counters.messages_in);
    topics_.Offer({row.id, 0}, row.notes.rate, row.counters.messages_in,
                  kTopicSamples * (kSampleBytes + constant_bytes_ + row.name.size()));
  });
  table.ForEachGroup([&](GroupRow& row) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    groups_.Offer({row.id, 0}, row.clients, 0, kSampleBytes + constant_bytes_ + row.name.size());
  });
  table.ForEachPair([&](PairRow& row) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    const core::PairSums& sums = row.sums;
    Look(row.notes, sums.counters.messages_out);
    const double score = Signed(sums.ready + sums.in_flight + sums.waiting) + kRateWeight * row.notes.rate;
    const std::size_t names = constant_bytes_ + row.group.size() + row.topic.size();
    pairs_.Offer({sums.group_id, sums.topic_id}, score, sums.counters.messages_out,
                 kPairSamples * (kSampleBytes + names));
    if (row.histograms == nullptr) return;
    histograms_.Offer({sums.group_id, sums.topic_id}, score, sums.counters.messages_out,
                      kHistogramSamples * (kBucketBytes + names));
  });
  // A twentieth stays for the samples without names; what one kind leaves the next may use.
  const std::size_t page = page_bytes_max_ / 20;
  std::size_t used = groups_.Choose(page);
  used += topics_.Choose(5 * page - used);
  used += pairs_.Choose(15 * page - used);
  histograms_.Choose(19 * page - used);
  CollectTopics(table, families);
  CollectGroups(table, families);
  CollectPairs(table, now.log_millis, families);
  CollectHistograms(table, families);
  families.Gauge("millrace_metrics_page_bytes_max", "metrics.page-bytes.", Number(page_bytes_max_));
  EmitRows("topic", topics_, families);
  EmitRows("group", groups_, families);
  EmitRows("group_topic", pairs_, families);
  EmitRows("histogram", histograms_, families);
}

void NamedRows::CollectTopics(SumsTable& table, http::MetricFamilies& families) {
  table.ForEachTopic([&](TopicRow& row) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    RowBudget::Counters counters{row.counters.messages_in, row.counters.bytes_in};
    if (!topics_.chosen({row.id, 0})) return topics_.Hide(counters, row.notes.in_other);
    topics_.Show({row.id, 0}, counters, row.notes.in_other);
    EmitTopic(row.name, TypeName(row.type), counters, families);
  });
  if (!topics_.has_other()) return;
  const core::TopicCounters gone = table.gone().topics;
  EmitTopic(kOther, kOther, topics_.Other({gone.messages_in, gone.bytes_in}), families);
}

void NamedRows::CollectGroups(SumsTable& table, http::MetricFamilies& families) {
  std::uint64_t others = 0;
  const auto emit = [&](const std::string& name, std::uint64_t clients) {
    families.Gauge("millrace_consumer_group_online_clients", "Consumers that are alive.", Number(clients),
                   {{"consumer_group", name}, {"is_system", IsSystem(name, {})}});
  };
  table.ForEachGroup([&](GroupRow& row) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (groups_.chosen({row.id, 0})) return emit(row.name, row.clients);
    others += row.clients;
  });
  if (groups_.dropped() > 0) emit(kOther, others);
}

void NamedRows::CollectPairs(SumsTable& table, std::int64_t log_millis, http::MetricFamilies& families) {
  PairGauges others;
  table.ForEachPair([&](PairRow& row) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    const core::PairSums& sums = row.sums;
    const RowBudget::Key key{sums.group_id, sums.topic_id};
    RowBudget::Counters counters = CountersOf(sums.counters);
    if (!pairs_.chosen(key)) {
      others.Add(sums);
      return pairs_.Hide(counters, row.notes.in_other);
    }
    pairs_.Show(key, counters, row.notes.in_other);
    PairGauges gauges;
    gauges.Add(sums);
    EmitPair(row.group, row.topic, gauges, counters, families);
    EmitAge("rocketmq_consumer_queueing_latency_milliseconds", "How long the oldest ready message has been ready.",
            sums.ready_since, log_millis, row, families);
    EmitAge("rocketmq_consumer_lag_latency_milliseconds", "Age of the oldest message that is not finished.",
            sums.unfinished_since, log_millis, row, families);
  });
  if (pairs_.has_other()) EmitPair(kOther, kOther, others, pairs_.Other(CountersOf(table.gone().pairs)), families);
}

void NamedRows::CollectHistograms(SumsTable& table, http::MetricFamilies& families) {
  table.ForEachPair([&](PairRow& row) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (row.histograms == nullptr) return;
    const RowBudget::Key key{row.sums.group_id, row.sums.topic_id};
    RowBudget::Counters counters = CountersOf(*row.histograms);
    if (!histograms_.chosen(key)) return histograms_.Hide(counters, row.notes.histograms_in_other);
    histograms_.Show(key, counters, row.notes.histograms_in_other);
    EmitHistograms(row.group, row.topic, counters, families);
  });
  if (!histograms_.has_other()) return;
  EmitHistograms(kOther, kOther, histograms_.Other(CountersOf(table.gone().histograms)), families);
}

}  // namespace millrace::broker
