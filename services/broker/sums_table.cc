#include "services/broker/sums_table.h"

namespace millrace::broker {
namespace {

std::string Copy(absl::string_view text) { return std::string(text.data(), text.size()); }

void Add(const base::HistogramCounts& from, base::HistogramCounts& to) {
  for (std::size_t i = 0; i < to.buckets.size(); ++i) to.buckets[i] += from.buckets[i];
  to.sum += from.sum;
}

}  // namespace

bool SumsTable::Update(core::Core& core, std::size_t limit) {
  if (!mu_.TryLock()) return true;
  const bool more = core.PublishSums(limit, rows_);
  mu_.Unlock();
  return more;
}

SumsTable::Gone SumsTable::gone() const {
  const base::MutexLock lock(mu_);
  return rows_.gone;
}

void SumsTable::Rows::OnTopic(const core::TopicSums& topic) {
  TopicRow& row = topics.At(topic.id);
  if (!row.used) row = {.used = true, .id = topic.id, .name = Copy(topic.name), .type = topic.type};
  row.counters = topic.counters;
}

void SumsTable::Rows::OnGroup(const core::GroupSums& group) {
  GroupRow& row = groups.At(group.id);
  if (!row.used) row = {.used = true, .id = group.id, .name = Copy(group.name)};
  row.clients = group.clients;
}

void SumsTable::Rows::OnPair(const core::PairSums& pair) {
  PairRow& row = pairs.At({pair.group_id, pair.topic_id});
  if (!row.used) row = {.used = true, .group = Copy(pair.group), .topic = Copy(pair.topic)};
  row.sums = pair;
  row.sums.group = row.sums.topic = {};
  row.sums.histograms = nullptr;
  if (pair.histograms == nullptr) return;
  if (row.histograms == nullptr) row.histograms = std::make_unique<core::PairHistograms>();
  *row.histograms = *pair.histograms;
}

void SumsTable::Rows::OnTopicGone(std::uint64_t topic_id) {
  TopicRow* row = topics.Drop(topic_id);
  if (row == nullptr) return;
  if (row->notes.in_other) {
    gone.topics.messages_in += row->counters.messages_in;
    gone.topics.bytes_in += row->counters.bytes_in;
  }
  *row = {};
}

void SumsTable::Rows::OnGroupGone(std::uint64_t group_id) {
  if (GroupRow* row = groups.Drop(group_id)) *row = {};
}

void SumsTable::Rows::OnPairGone(std::uint64_t group_id, std::uint64_t topic_id) {
  PairRow* row = pairs.Drop({group_id, topic_id});
  if (row == nullptr) return;
  if (row->notes.in_other) {
    const core::PairCounters& counters = row->sums.counters;
    gone.pairs.messages_out += counters.messages_out;
    gone.pairs.bytes_out += counters.bytes_out;
    gone.pairs.acknowledged += counters.acknowledged;
    gone.pairs.redelivered += counters.redelivered;
    gone.pairs.expired += counters.expired;
    gone.pairs.returned += counters.returned;
    gone.pairs.dead_lettered += counters.dead_lettered;
  }
  if (row->notes.histograms_in_other && row->histograms != nullptr) {
    Add(row->histograms->delivery_age, gone.histograms.delivery_age);
    Add(row->histograms->ack_latency, gone.histograms.ack_latency);
    Add(row->histograms->end_to_end, gone.histograms.end_to_end);
  }
  *row = {};
}

}  // namespace millrace::broker
