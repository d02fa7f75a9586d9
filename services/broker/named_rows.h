#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/mutex.h"
#include "http/metric_families.h"
#include "services/broker/row_budget.h"
#include "services/broker/sums_table.h"

namespace millrace::broker {

// The families whose samples bear names of topics and groups, within a budget of bytes; what does not fit is summed up
// under the name `other`. docs/metrics.md, "Budget".
class NamedRows {
 public:
  struct Now {
    std::int64_t log_millis = 0;        // what ages are reckoned from
    std::int64_t monotonic_millis = 0;  // what rates are reckoned with
  };
  // `constant_bytes`: of the labels that every sample carries.
  NamedRows(std::size_t page_bytes_max, std::size_t constant_bytes)
      : page_bytes_max_(page_bytes_max), constant_bytes_(constant_bytes) {}

  void Collect(SumsTable& table, const Now& now, http::MetricFamilies& families);

 private:
  void CollectTopics(SumsTable& table, http::MetricFamilies& families) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void CollectGroups(SumsTable& table, http::MetricFamilies& families) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void CollectPairs(SumsTable& table, std::int64_t log_millis, http::MetricFamilies& families)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void CollectHistograms(SumsTable& table, http::MetricFamilies& families) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Look(ScrapeNotes& notes, std::uint64_t messages) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::size_t page_bytes_max_, constant_bytes_;
  base::Mutex mu_;                           // one scrape at a time
  double seconds_ ABSL_GUARDED_BY(mu_) = 0;  // since the rates were last reckoned; 0: not now
  std::int64_t reckoned_millis_ ABSL_GUARDED_BY(mu_) = 0;
  RowBudget topics_ ABSL_GUARDED_BY(mu_){2}, groups_ ABSL_GUARDED_BY(mu_){0}, pairs_ ABSL_GUARDED_BY(mu_){7};
  RowBudget histograms_ ABSL_GUARDED_BY(mu_){3 * (core::kAgeMillis.buckets() + 1)};
};

}  // namespace millrace::broker
