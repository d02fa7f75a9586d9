#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

namespace millrace::http {

using Labels = std::vector<std::pair<std::string, std::string>>;

// Families of one scrape, made from sums that are kept elsewhere.
class MetricFamilies {
 public:
  void Counter(const std::string& name, const std::string& help, double value, const Labels& labels = {}) {
    Add(name, help, prometheus::MetricType::Counter, labels).counter.value = value;
  }
  void Gauge(const std::string& name, const std::string& help, double value, const Labels& labels = {}) {
    Add(name, help, prometheus::MetricType::Gauge, labels).gauge.value = value;
  }
  std::vector<prometheus::MetricFamily> Take() { return std::move(families_); }

 private:
  // Samples of one name follow each other.
  prometheus::ClientMetric& Add(const std::string& name, const std::string& help, prometheus::MetricType type,
                                const Labels& labels) {
    if (families_.empty() || families_.back().name != name) families_.push_back({name, help, type, {}});
    prometheus::ClientMetric& metric = families_.back().metric.emplace_back();
    for (const auto& [key, value] : labels) metric.label.push_back({key, value});
    return metric;
  }

  std::vector<prometheus::MetricFamily> families_;
};

// A scrape that asks a function.
class CollectedBy final : public prometheus::Collectable {
 public:
  explicit CollectedBy(std::function<void(MetricFamilies&)> collect) : collect_(std::move(collect)) {}
  std::vector<prometheus::MetricFamily> Collect() const override {
    MetricFamilies families;
    collect_(families);
    return families.Take();
  }

 private:
  const std::function<void(MetricFamilies&)> collect_;
};

// Resident memory, CPU time, open files and threads of this process, under Prometheus' usual names.
void CollectProcess(MetricFamilies& families);

}  // namespace millrace::http
