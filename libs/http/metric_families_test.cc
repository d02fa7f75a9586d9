#include "http/metric_families.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include <prometheus/text_serializer.h>

namespace millrace::http {
namespace {

using testing::HasSubstr;

constexpr base::HistogramBounds kMillis{1, 10, 100};

std::string Text(std::vector<prometheus::MetricFamily> families) {
  return prometheus::TextSerializer().Serialize(families);
}

TEST(MetricFamiliesTest, ConstantLabelsStandBeforeASamplesOwn) {
  MetricFamilies families(ServiceLabels("c1", "broker", "broker-a"));
  families.Counter("a_total", "Help.", 3, {{"topic", "orders"}});
  EXPECT_THAT(Text(families.Take()),
              HasSubstr("# HELP a_total Help.\n# TYPE a_total counter\n"
                        "a_total{cluster=\"c1\",node_type=\"broker\",node_id=\"broker-a\",topic=\"orders\"} 3"));
}

TEST(MetricFamiliesTest, SamplesOfOneNameAreOneFamilyInWhateverOrderTheyCome) {
  MetricFamilies families;
  for (const char* topic : {"x", "y"}) {
    families.Counter("a_total", "A.", 1, {{"topic", topic}});
    families.Gauge("b", "B.", 2, {{"topic", topic}});
  }
  const auto taken = families.Take();
  ASSERT_EQ(taken.size(), 2u);
  EXPECT_EQ(taken[0].metric.size(), 2u);
  EXPECT_EQ(taken[1].metric.size(), 2u);
}

TEST(MetricFamiliesTest, AFamilyWithoutSamplesIsDeclared) {
  MetricFamilies families;
  families.Declare("rare_total", "Rare.", prometheus::MetricType::Counter);
  EXPECT_EQ(Text(families.Take()), "# HELP rare_total Rare.\n# TYPE rare_total counter\n");
}

TEST(MetricFamiliesTest, AHistogramIsCumulativeAndInTheShownUnit) {
  base::Histogram histogram(kMillis);
  for (const std::int64_t value : {0, 1, 2, 10, 11, 5'000, -7}) histogram.Record(value);
  MetricFamilies families;
  families.Histogram("h_seconds", "H.", histogram, 1e3);
  const std::string text = Text(families.Take());
  EXPECT_THAT(text, HasSubstr("h_seconds_bucket{le=\"0.001\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("h_seconds_bucket{le=\"0.01\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("h_seconds_bucket{le=\"0.1\"} 6\n"));
  EXPECT_THAT(text, HasSubstr("h_seconds_bucket{le=\"+Inf\"} 7\n"));
  EXPECT_THAT(text, HasSubstr("h_seconds_count 7\n"));
  EXPECT_THAT(text, HasSubstr("h_seconds_sum 5.024"));
}

TEST(MetricFamiliesTest, ManyThreadsLoseNothing) {
  base::Histogram histogram(kMillis);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&histogram] {
      for (int value = 0; value < 10'000; ++value) histogram.Record(value % 200);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const base::HistogramCounts counts = histogram.counts();
  EXPECT_EQ(counts.buckets[0] + counts.buckets[1] + counts.buckets[2] + counts.buckets[3], 40'000u);
  EXPECT_EQ(counts.sum, 4u * 50 * (199 * 200 / 2));
}

TEST(MetricFamiliesTest, SourcesOfOneNameShareAFamilyOnThePage) {
  const auto collect = [](MetricFamilies& families) { families.Gauge("up", "Up.", 1); };
  const CollectedBy broker(collect, ServiceLabels("", "broker", "a")), proxy(collect, ServiceLabels("", "proxy", "p"));
  const auto page = Merge({&broker, &proxy});
  ASSERT_EQ(page.size(), 1u);
  EXPECT_THAT(Text(page),
              HasSubstr("up{node_type=\"broker\",node_id=\"a\"} 1\nup{node_type=\"proxy\",node_id=\"p\"} 1"));
}

TEST(MetricFamiliesTest, TheProcessSaysWhatItIs) {
  MetricFamilies families;
  CollectProcess(families);
  const std::string text = Text(families.Take());
  for (const char* sample :
       {"millrace_build_info{version=", "process_cpu_seconds_total ", "process_open_fds ", "process_max_fds ",
        "process_threads ", "process_resident_memory_bytes ", "process_start_time_seconds "}) {
    EXPECT_THAT(text, HasSubstr(absl::StrCat("\n", sample)));
  }
}

}  // namespace
}  // namespace millrace::http
