#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "base/histogram.h"
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

namespace millrace::http {

using Labels = std::vector<std::pair<std::string, std::string>>;

// Families of one scrape, made from sums that are kept elsewhere. Samples of one name may come in any order; they end
// up in one family, whose help and type are those of its first mention.
class MetricFamilies {
 public:
  // `constant`: labels of every sample, before its own.
  explicit MetricFamilies(Labels constant = {}) : constant_(std::move(constant)) {}

  void Counter(absl::string_view name, absl::string_view help, double value, const Labels& labels = {}) {
    Add(name, help, prometheus::MetricType::Counter, labels).counter.value = value;
  }
  void Gauge(absl::string_view name, absl::string_view help, double value, const Labels& labels = {}) {
    Add(name, help, prometheus::MetricType::Gauge, labels).gauge.value = value;
  }
  // `divisor`: how many of the bounds' units make one that is shown (1e9 for nanoseconds shown as seconds).
  void Histogram(absl::string_view name, absl::string_view help, const base::HistogramBounds& bounds,
                 const base::HistogramCounts& counts, double divisor, const Labels& labels = {});
  void Histogram(absl::string_view name, absl::string_view help, const base::Histogram& histogram, double divisor,
                 const Labels& labels = {}) {
    Histogram(name, help, histogram.bounds(), histogram.counts(), divisor, labels);
  }
  // A family that may have no sample is on the page all the same.
  void Declare(absl::string_view name, absl::string_view help, prometheus::MetricType type) {
    Family(name, help, type);
  }

  std::vector<prometheus::MetricFamily> Take() { return std::move(families_); }

 private:
  prometheus::MetricFamily& Family(absl::string_view name, absl::string_view help, prometheus::MetricType type);
  prometheus::ClientMetric& Add(absl::string_view name, absl::string_view help, prometheus::MetricType type,
                                const Labels& labels);

  const Labels constant_;
  std::vector<prometheus::MetricFamily> families_;
  absl::flat_hash_map<std::string, std::size_t> places_;
};

// A scrape that asks a function.
class CollectedBy final : public prometheus::Collectable {
 public:
  explicit CollectedBy(std::function<void(MetricFamilies&)> collect, Labels constant = {})
      : collect_(std::move(collect)), constant_(std::move(constant)) {}
  std::vector<prometheus::MetricFamily> Collect() const override {
    MetricFamilies families(constant_);
    collect_(families);
    return families.Take();
  }

 private:
  const std::function<void(MetricFamilies&)> collect_;
  const Labels constant_;
};

// The labels that every sample of a service carries. `cluster` may be empty: no label.
Labels ServiceLabels(absl::string_view cluster, absl::string_view node_type, absl::string_view node_id);
// For what has no name of its own.
std::string HostName();

// One page from several sources: families of one name become one.
std::vector<prometheus::MetricFamily> Merge(const std::vector<const prometheus::Collectable*>& sources);

// Build, memory, CPU time, open files and threads of this process.
void CollectProcess(MetricFamilies& families);

}  // namespace millrace::http
