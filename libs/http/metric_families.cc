#include "http/metric_families.h"

#include <unistd.h>

namespace millrace::http {

prometheus::MetricFamily& MetricFamilies::Family(absl::string_view name, absl::string_view help,
                                                 prometheus::MetricType type) {
  // Most calls name the family of the call before.
  if (!families_.empty() && absl::string_view(families_.back().name) == name) return families_.back();
  const auto [place, added] = places_.try_emplace(std::string(name.data(), name.size()), families_.size());
  if (added) families_.push_back({place->first, std::string(help.data(), help.size()), type, {}});
  return families_[place->second];
}

prometheus::ClientMetric& MetricFamilies::Add(absl::string_view name, absl::string_view help,
                                              prometheus::MetricType type, const Labels& labels) {
  prometheus::ClientMetric& metric = Family(name, help, type).metric.emplace_back();
  metric.label.reserve(constant_.size() + labels.size());
  for (const auto& [key, value] : constant_) metric.label.push_back({key, value});
  for (const auto& [key, value] : labels) metric.label.push_back({key, value});
  return metric;
}

void MetricFamilies::Histogram(absl::string_view name, absl::string_view help, const base::HistogramBounds& bounds,
                               const base::HistogramCounts& counts, double divisor, const Labels& labels) {
  auto& histogram = Add(name, help, prometheus::MetricType::Histogram, labels).histogram;
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    seen += counts.buckets[i];
    histogram.bucket.push_back({seen, static_cast<double>(bounds[i]) / divisor});
  }
  histogram.sample_count = seen + counts.buckets[bounds.size()];
  histogram.sample_sum = static_cast<double>(counts.sum) / divisor;
}

Labels ServiceLabels(absl::string_view cluster, absl::string_view node_type, absl::string_view node_id) {
  Labels labels;
  if (!cluster.empty()) labels.emplace_back("cluster", std::string(cluster.data(), cluster.size()));
  labels.emplace_back("node_type", std::string(node_type.data(), node_type.size()));
  labels.emplace_back("node_id", std::string(node_id.data(), node_id.size()));
  return labels;
}

std::string HostName() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "unknown";
}

std::vector<prometheus::MetricFamily> Merge(const std::vector<const prometheus::Collectable*>& sources) {
  std::vector<prometheus::MetricFamily> page;
  absl::flat_hash_map<std::string, std::size_t> places;
  for (const prometheus::Collectable* source : sources) {
    for (prometheus::MetricFamily& family : source->Collect()) {
      const auto [place, added] = places.try_emplace(family.name, page.size());
      if (added) {
        page.push_back(std::move(family));
        continue;
      }
      auto& metrics = page[place->second].metric;
      for (auto& metric : family.metric) metrics.push_back(std::move(metric));
    }
  }
  return page;
}

}  // namespace millrace::http
