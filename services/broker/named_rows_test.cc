#include "services/broker/named_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include <prometheus/text_serializer.h>

namespace millrace::broker {
namespace {

using Counters = RowBudget::Counters;

// Rows with one counter; a page has room for two of them.
class RowBudgetTest : public testing::Test {
 protected:
  struct Row {
    double score = 0;
    std::uint64_t count = 0;
    bool in_other = false;
  };
  // Shown value by row; 0 is `other`.
  std::map<std::uint64_t, std::uint64_t> Scrape() {
    std::map<std::uint64_t, std::uint64_t> page;
    budget_.Begin();
    for (const auto& [key, row] : rows_) budget_.Offer({key, 0}, row.score, row.count, 10);
    budget_.Choose(25);
    for (auto& [key, row] : rows_) {
      Counters counters{row.count};
      if (budget_.chosen({key, 0})) {
        budget_.Show({key, 0}, counters, row.in_other);
        page[key] = counters[0];
      } else {
        budget_.Hide(counters, row.in_other);
      }
    }
    if (budget_.has_other()) page[0] = budget_.Other({gone_})[0];
    return page;
  }
  static std::uint64_t SumOf(const std::map<std::uint64_t, std::uint64_t>& page) {
    std::uint64_t sum = 0;
    for (const auto& [key, value] : page) sum += value;
    return sum;
  }

  RowBudget budget_{1};
  std::map<std::uint64_t, Row> rows_;
  std::uint64_t gone_ = 0;
};

TEST_F(RowBudgetTest, WhatFitsIsShownAsItIs) {
  rows_ = {{1, {5, 100}}, {2, {4, 10}}};
  EXPECT_EQ(Scrape(), (std::map<std::uint64_t, std::uint64_t>{{1, 100}, {2, 10}}));
}

TEST_F(RowBudgetTest, TheMostImportantAreShownAndTheRestIsSummedUp) {
  rows_ = {{1, {1, 100}}, {2, {4, 10}}, {3, {5, 7}}, {4, {0, 1}}};
  EXPECT_EQ(Scrape(), (std::map<std::uint64_t, std::uint64_t>{{0, 101}, {2, 10}, {3, 7}}));
  EXPECT_EQ(budget_.dropped(), 2u);
}

TEST_F(RowBudgetTest, NoCounterGoesBackAndNoneCountsTwiceWhenRowsChangePlaces) {
  rows_ = {{1, {1, 1'000}}, {2, {4, 10}}, {3, {5, 7}}};
  auto before = Scrape();
  for (int round = 0; round < 30; ++round) {
    std::uint64_t added = 0;
    for (auto& [key, row] : rows_) {
      row.count += key * 3;
      added += key * 3;
      row.score = static_cast<double>((key * 7 + static_cast<std::uint64_t>(round) * 5) % 11);
    }
    const auto page = Scrape();
    for (const auto& [key, value] : page) {
      const auto earlier = before.find(key);
      if (earlier == before.end()) continue;
      EXPECT_GE(value, earlier->second) << key;
    }
    EXPECT_EQ(SumOf(page), SumOf(before) + added);
    before = page;
  }
}

TEST_F(RowBudgetTest, ADeletedRowTakesItsValueWithIt) {
  rows_ = {{1, {5, 100}}, {2, {4, 10}}};
  Scrape();
  rows_.erase(1);
  rows_[3] = {1, 2};
  EXPECT_EQ(Scrape(), (std::map<std::uint64_t, std::uint64_t>{{2, 10}, {3, 2}}));
}

class NoImage final : public core::ImageReader {
 public:
  void Scan(absl::string_view, absl::FunctionRef<void(absl::string_view, absl::string_view)>) const override {}
};

// A core with nothing around it: every batch is durable at once.
class Feed {
 public:
  Feed() {
    EXPECT_TRUE(core.Load(NoImage(), 0).ok());
    events_.Add(core::EventType::kStarted, core::Started{});
    events_.Add(core::EventType::kInitialise, core::Initialise{{}, {}, 1, 2});
    Turn();
  }
  void Turn() {
    events_.time_millis = ++time_;
    core.Step(events_, actions_);
    events_.Clear();
    if (actions_.append.records.empty()) return;
    events_.Add(core::EventType::kFlushed,
                core::Flushed{actions_.append.batches.back().offset + actions_.append.batches.back().bytes});
  }
  void Send(const std::string& topic) {
    const core::SendMessage message{{1, 100}, 0, 0, 7, 0};
    core::Send event;
    event.reply.correlation = ++correlation_;
    event.topic = Text(topic);
    event.messages = events_.AddText(reinterpret_cast<const char*>(&message), sizeof message);
    event.message_type = event.auto_create = 1;
    events_.Add(core::EventType::kSend, event);
  }
  void Receive(const std::string& group, const std::string& topic) {
    core::Receive event;
    event.reply.correlation = ++correlation_;
    event.topic = Text(topic);
    event.group = Text(group);
    event.client = Text("client");
    event.filter = Text("*");
    event.batch = event.auto_create = 1;
    events_.Add(core::EventType::kReceive, event);
  }

  core::Core core{core::Options{}};

 private:
  core::TextRef Text(const std::string& text) { return events_.AddText(text.data(), text.size()); }

  core::EventBatch events_;
  core::ActionBatch actions_;
  std::int64_t time_ = 1'000;
  std::uint64_t correlation_ = 0;
};

double SumOf(const std::vector<prometheus::MetricFamily>& page, const std::string& name) {
  double sum = 0;
  for (const auto& family : page) {
    if (family.name != name) continue;
    for (const auto& metric : family.metric) sum += metric.counter.value + metric.gauge.value;
  }
  return sum;
}

TEST(NamedRowsTest, AHundredThousandTopicsMakeAPageBelowTwoMegabytesWhoseSumsAreTheTotals) {
  constexpr int kTopics = 100'000, kPerTurn = 1'000;
  Feed feed;
  for (int i = 0; i < kTopics; ++i) {
    const std::string topic = absl::StrCat("orders-of-the-region-number-", i);
    feed.Receive(absl::StrCat("readers-of-region-", i % 500), topic);
    feed.Send(topic);
    feed.Receive(absl::StrCat("readers-of-region-", i % 500), topic);
    if (i % kPerTurn == kPerTurn - 1) feed.Turn();
  }
  for (int i = 0; i < 10; ++i) feed.Turn();
  SumsTable table([](const core::StoreTimeWanted&) {});
  while (table.Update(feed.core, 4'096)) {
  }
  const http::Labels labels = http::ServiceLabels("DefaultCluster", "broker", "broker-a");
  NamedRows rows(2'000'000, 70);
  for (int scrape = 0; scrape < 2; ++scrape) {
    http::MetricFamilies families(labels);
    rows.Collect(table, {.log_millis = 2'000, .monotonic_millis = scrape * 15'000}, families);
    const auto page = families.Take();
    const std::string text = prometheus::TextSerializer().Serialize(page);
    std::printf("%zu bytes\n", text.size());
    EXPECT_LT(text.size(), 2'000'000u);
    EXPECT_GT(text.size(), 500'000u);
    const core::Core::Totals totals = feed.core.totals();
    EXPECT_EQ(totals.topics, static_cast<std::uint64_t>(kTopics));
    EXPECT_EQ(SumOf(page, "rocketmq_messages_in_total"), kTopics);
    EXPECT_EQ(SumOf(page, "rocketmq_throughput_in_total"), static_cast<double>(totals.bytes_in));
    EXPECT_EQ(SumOf(page, "rocketmq_consumer_ready_messages"), static_cast<double>(totals.ready));
    EXPECT_EQ(SumOf(page, "millrace_metrics_rows") + SumOf(page, "millrace_metrics_rows_dropped"),
              static_cast<double>(kTopics * 2 + totals.groups));
  }
}

}  // namespace
}  // namespace millrace::broker
