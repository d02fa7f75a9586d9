#include <atomic>
#include <cstdlib>
#include <map>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "io/testing/memory_file_system.h"
#include "store/consume_queue_format.h"
#include "store/page_queue_store.h"

namespace millrace::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

constexpr std::uint32_t kRecordBytes = 64;
constexpr absl::string_view kDirectory = "/store/consumequeue";

// A log in memory whose records go to queues, and the store that is its projection.
class QueueStoreTest : public testing::Test {
 protected:
  struct Record {
    QueueKey key;
    std::int64_t offset;
    QueueEntry entry;
  };

  QueueStoreTest() { Open(); }

  void Open() {
    store_.reset();
    auto opened = PageQueueStore::Open(fs(), std::string(kDirectory), log_end(), limits_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
  }
  // A start: open, then replay the log from where the store says.
  void Restart() {
    Open();
    Replay(store_->applied());
  }
  void Replay(std::uint64_t from) {
    for (const Record& record : log_) {
      if (record.entry.physical_offset < from) continue;
      const absl::Status status = store_->Append(record.key, record.offset, record.entry);
      ASSERT_TRUE(status.ok()) << status;
    }
  }
  void Append(QueueKey key, int count = 1) {
    for (int i = 0; i < count; ++i) {
      const std::int64_t offset = next_[key]++;
      log_.push_back({key,
                      offset,
                      {.physical_offset = log_end(),
                       .bytes = kRecordBytes,
                       .tag_field = static_cast<std::uint64_t>(offset) * 3,
                       .store_time_millis = offset + 1000}});
      const absl::Status status = store_->Append(key, offset, log_.back().entry);
      ASSERT_TRUE(status.ok()) << status;
    }
  }
  void Flush() { ASSERT_TRUE(store_->Flush(log_end()).ok()); }
  // An unclean election or an asynchronous flush took the end of the log.
  void LoseRecordsFrom(std::uint64_t physical_offset) {
    while (log_end() > physical_offset) {
      --next_[log_.back().key];
      log_.pop_back();
    }
  }
  void PowerCut(io::testing::Survival survival, std::mt19937_64& random) {
    store_.reset();
    fs_.PowerCut(survival, random);
  }
  // Everything the store says is what the log says from `first_offset` on.
  void ExpectProjectionOfTheLog(std::uint64_t first_offset = 0) {
    std::map<QueueKey, std::int64_t> minimum, maximum;
    for (const Record& record : log_) {
      maximum[record.key] = record.offset + 1;
      if (record.entry.physical_offset < first_offset) minimum[record.key] = record.offset + 1;
    }
    for (const auto& [key, end] : maximum) {
      EXPECT_EQ(store_->RangeOf(key).minimum, minimum[key]) << "topic " << key.topic_id;
      EXPECT_EQ(store_->RangeOf(key).maximum, end) << "topic " << key.topic_id;
    }
    for (const Record& record : log_) {
      const absl::StatusOr<QueueEntry> entry = store_->Get(record.key, record.offset);
      if (record.entry.physical_offset < first_offset) {
        EXPECT_EQ(entry.status().code(), absl::StatusCode::kNotFound);
        continue;
      }
      ASSERT_TRUE(entry.ok()) << entry.status();
      EXPECT_EQ(entry->physical_offset, record.entry.physical_offset);
      EXPECT_EQ(entry->bytes, record.entry.bytes);
      EXPECT_EQ(entry->tag_field, record.entry.tag_field);
      EXPECT_LE(entry->store_time_millis, record.entry.store_time_millis);
      EXPECT_GT(entry->store_time_millis, record.entry.store_time_millis - kPageEntries);
    }
  }
  void FlipBit(const std::string& path, std::uint64_t at) {
    auto file = fs().Open(path, io::OpenMode::kReadWrite);
    ASSERT_TRUE(file.ok()) << file.status();
    char byte = 0;
    ASSERT_TRUE((*file)->Read(at, 1, &byte).ok());
    byte = static_cast<char>(byte ^ 4);
    ASSERT_TRUE((*file)->Write(at, absl::string_view(&byte, 1)).ok());
  }
  static std::string File(QueueKey key, std::int64_t first) {
    return absl::StrFormat("%s/%d/%d/%020d", kDirectory, key.topic_id, key.queue, first);
  }

  std::uint64_t log_end() const { return log_.size() * kRecordBytes; }
  io::FileSystem& fs() { return fs_; }

  PageQueueStore::Limits limits_{.dirty_pages_max = 8, .queues_max = 4, .cached_pages = 2};
  io::testing::MemoryFileSystem fs_;
  std::vector<Record> log_;
  std::map<QueueKey, std::int64_t> next_;
  std::unique_ptr<QueueStore> store_;
};

const QueueKey kA{.topic_id = 1, .queue = 0};
const QueueKey kB{.topic_id = 1, .queue = 1};
const QueueKey kC{.topic_id = 1ull << 63, .queue = 0};

TEST_F(QueueStoreTest, AnUnknownQueueIsEmpty) {
  EXPECT_EQ(store_->RangeOf(kA).maximum, 0);
  EXPECT_EQ(store_->Get(kA, 0).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(QueueStoreTest, AnEntryCanBeReadAsSoonAsItIsAppended) {
  Append(kA, 3);
  Append(kB, 1);
  ExpectProjectionOfTheLog();
  EXPECT_THAT(std::string(store_->Get(kA, 3).status().message()), HasSubstr("it holds [0, 3)"));
}

TEST_F(QueueStoreTest, TheFirstEntryStartsAQueueAnywhere) {
  ASSERT_TRUE(store_->Append(kA, 1000, {.physical_offset = 0, .bytes = 8}).ok());
  EXPECT_EQ(store_->RangeOf(kA).minimum, 1000);
  EXPECT_EQ(store_->RangeOf(kA).maximum, 1001);
}

TEST_F(QueueStoreTest, ARepeatedEntryDoesNothing) {
  Append(kA, 3);
  Replay(0);
  ExpectProjectionOfTheLog();
}

TEST_F(QueueStoreTest, AGapIsRefusedAndTheNextStartBuildsTheStoreAnew) {
  Append(kA, 3);
  Flush();
  const absl::Status status = store_->Append(kA, 4, {.physical_offset = 999, .bytes = 8});
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("offset 4 does not follow 2"));
  ExpectProjectionOfTheLog();
  Open();
  EXPECT_EQ(store_->applied(), 0u);
}

TEST_F(QueueStoreTest, AReplayFromBelowWhatRetentionTookShowsNothingOfIt) {
  Append(kA, 10);
  Flush();
  Append(kA, 300);
  ASSERT_TRUE(store_->RemoveBelow(200 * kRecordBytes, [](QueueKey, std::int64_t) {}).ok());
  Restart();
  ExpectProjectionOfTheLog(200 * kRecordBytes);
}

TEST_F(QueueStoreTest, ARestartReadsWhatWasFlushed) {
  Append(kA, 500);
  Append(kC, 204);  // exactly one page
  Flush();
  Open();
  EXPECT_EQ(store_->applied(), log_end());
  ExpectProjectionOfTheLog();
  Append(kA, 1);
  Append(kC, 1);
  ExpectProjectionOfTheLog();
}

TEST_F(QueueStoreTest, AQueueSpansFiles) {
  Append(kA, static_cast<int>(kFileEntries) + 10);
  Flush();
  EXPECT_TRUE(fs().Exists(File(kA, kFileEntries)));
  Open();
  ExpectProjectionOfTheLog();
}

TEST_F(QueueStoreTest, WhatWasNotFlushedIsReplayed) {
  Append(kA, 300);
  Flush();
  const std::uint64_t flushed = log_end();
  Append(kA, 300);
  Append(kB, 1);
  Open();
  EXPECT_EQ(store_->applied(), flushed);
  EXPECT_EQ(store_->RangeOf(kA).maximum, 300);
  EXPECT_EQ(store_->RangeOf(kB).maximum, 0);
  Replay(flushed);
  ExpectProjectionOfTheLog();
}

TEST_F(QueueStoreTest, PagesWrittenBeyondAppliedAreCutBackAtTheNextStart) {
  Append(kA, 300);
  Flush();
  const std::uint64_t flushed = log_end();
  // More dirty pages than memory takes, so that some are written without a flush.
  Append(kA, static_cast<int>(kFileEntries + 9 * kPageEntries));
  Append(kB, 1);
  ASSERT_TRUE(fs().Exists(File(kA, kFileEntries)));
  Open();
  EXPECT_EQ(store_->applied(), flushed);
  EXPECT_EQ(store_->RangeOf(kA).maximum, 300);
  EXPECT_FALSE(fs().Exists(File(kA, kFileEntries)));
  // The records behind `applied` are others now, as after a failover.
  LoseRecordsFrom(flushed);
  Append(kB, 5);
  Append(kA, 5);
  ExpectProjectionOfTheLog();
  Flush();
  Open();
  ExpectProjectionOfTheLog();
}

TEST_F(QueueStoreTest, AStoreAheadOfTheLogIsThrownAway) {
  Append(kA, 500);
  Append(kB, 10);
  Flush();
  LoseRecordsFrom(log_end() - kRecordBytes);
  Open();
  EXPECT_EQ(store_->applied(), 0u);
  EXPECT_EQ(store_->RangeOf(kA).maximum, 0);
  Replay(0);
  ExpectProjectionOfTheLog();
}

TEST_F(QueueStoreTest, ADamagedPageIsReportedAndTheNextStartBuildsTheStoreAnew) {
  Append(kA, 500);
  Append(kB, 5);
  Flush();
  Open();
  FlipBit(File(kA, 0), kPageBytes + 100);  // offsets 204 to 407
  const absl::Status status = store_->Get(kA, 204).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat(File(kA, 0), ": at byte 4096")));
  EXPECT_EQ(store_->applied(), 0u);
  // What is intact goes on.
  EXPECT_TRUE(store_->Get(kA, 203).ok());
  Append(kA, 1);
  Flush();
  EXPECT_EQ(store_->applied(), 0u);
  Restart();
  ExpectProjectionOfTheLog();
  Flush();
  Open();
  EXPECT_EQ(store_->applied(), log_end());
  ExpectProjectionOfTheLog();
}

TEST_F(QueueStoreTest, ADamagedLastPageStopsAnAppendAndTheNextStartBuildsTheStoreAnew) {
  Append(kA, 10);
  Flush();
  Open();
  FlipBit(File(kA, 0), 0);
  EXPECT_EQ(store_->Append(kA, 10, {.physical_offset = log_end(), .bytes = 8}).code(), absl::StatusCode::kDataLoss);
  Restart();
  ExpectProjectionOfTheLog();
}

TEST_F(QueueStoreTest, ATornPageOfAnInterruptedFlushCostsARebuild) {
  Append(kA, 10);
  Flush();
  Append(kA, 9 * static_cast<int>(kPageEntries));  // written, not flushed
  store_.reset();
  FlipBit(File(kA, 0), 4);
  Open();
  EXPECT_EQ(store_->applied(), 0u);
  Replay(0);
  ExpectProjectionOfTheLog();
}

TEST_F(QueueStoreTest, ADamagedAppliedFileCostsARebuild) {
  Append(kA, 10);
  Flush();
  store_.reset();
  FlipBit(absl::StrCat(kDirectory, "/applied"), 8);
  Open();
  EXPECT_EQ(store_->applied(), 0u);
  Replay(0);
  ExpectProjectionOfTheLog();
}

TEST_F(QueueStoreTest, WithoutTheAppliedFileNothingIsTrusted) {
  Append(kA, 500);
  Flush();
  ASSERT_TRUE(fs().Remove(absl::StrCat(kDirectory, "/applied")).ok());
  Open();
  EXPECT_EQ(store_->applied(), 0u);
  EXPECT_FALSE(fs().Exists(File(kA, 0)));
  Replay(0);
  ExpectProjectionOfTheLog();
}

TEST_F(QueueStoreTest, RetentionMovesTheMinimumAndRemovesWholeFiles) {
  Append(kB, 1);
  Append(kA, static_cast<int>(kFileEntries) + 100);
  Append(kC, 1);
  Flush();
  const std::uint64_t first = (1 + kFileEntries + 50) * kRecordBytes;
  std::vector<std::pair<std::uint64_t, std::int64_t>> moved;
  const auto hear = [&](QueueKey key, std::int64_t minimum) {
    moved.emplace_back(key.topic_id * 10 + key.queue, minimum);
  };
  ASSERT_TRUE(store_->RemoveBelow(first, hear).ok());
  EXPECT_THAT(moved, ElementsAre(Pair(10, kFileEntries + 50), Pair(11, 1)));
  EXPECT_FALSE(fs().Exists(File(kA, 0)));
  EXPECT_TRUE(fs().Exists(File(kA, kFileEntries)));
  EXPECT_TRUE(fs().Exists(File(kB, 0)));  // the last file says where the queue ends
  ExpectProjectionOfTheLog(first);
  moved.clear();
  ASSERT_TRUE(store_->RemoveBelow(first, hear).ok());
  EXPECT_THAT(moved, IsEmpty());
  Open();
  ExpectProjectionOfTheLog(first);
  Append(kB, 1);
  ExpectProjectionOfTheLog(first);
}

TEST_F(QueueStoreTest, RetentionCountsWhatIsInMemoryOnly) {
  Append(kA, 1000);
  std::int64_t minimum = 0;
  ASSERT_TRUE(store_->RemoveBelow(300 * kRecordBytes, [&](QueueKey, std::int64_t at) { minimum = at; }).ok());
  EXPECT_EQ(minimum, 300);
  ExpectProjectionOfTheLog(300 * kRecordBytes);
}

TEST_F(QueueStoreTest, ARebuildAfterRetentionStartsAtTheOldestRecordLeft) {
  Append(kA, 1000);
  Flush();
  ASSERT_TRUE(fs().Remove(absl::StrCat(kDirectory, "/applied")).ok());
  Open();
  Replay(301 * kRecordBytes);
  EXPECT_EQ(store_->RangeOf(kA).minimum, 301);
  Flush();
  Open();
  ExpectProjectionOfTheLog(301 * kRecordBytes);
}

TEST_F(QueueStoreTest, ARemovedTopicIsGoneWithItsFiles) {
  Append(kA, 300);
  Append(kB, 1);
  Append(kC, 1);
  Flush();
  Append(kA, 1);
  ASSERT_TRUE(store_->RemoveTopic(1).ok());
  EXPECT_EQ(store_->RangeOf(kA).maximum, 0);
  EXPECT_EQ(store_->RangeOf(kB).maximum, 0);
  EXPECT_EQ(store_->RangeOf(kC).maximum, 1);
  EXPECT_FALSE(fs().Exists(absl::StrCat(kDirectory, "/1")));
  Flush();
  Open();
  EXPECT_EQ(store_->RangeOf(kA).maximum, 0);
  EXPECT_EQ(store_->RangeOf(kC).maximum, 1);
}

TEST_F(QueueStoreTest, MoreQueuesThanAreKeptInMemory) {
  for (std::uint64_t topic = 1; topic <= 50; ++topic) Append({.topic_id = topic, .queue = 0});
  Flush();
  for (std::uint64_t topic = 1; topic <= 50; topic += 3) Append({.topic_id = topic, .queue = 0});
  ExpectProjectionOfTheLog();
}

TEST_F(QueueStoreTest, ThePublicDoorOpensTheSameFiles) {
  Append(kA, 3);
  Flush();
  store_.reset();
  auto opened = OpenQueueStore(fs(), std::string(kDirectory), log_end());
  ASSERT_TRUE(opened.ok()) << opened.status();
  store_ = *std::move(opened);
  ExpectProjectionOfTheLog();
}

// One thread appends, one flushes, two read: whatever is below the maximum reads back as it was appended.
TEST_F(QueueStoreTest, ReadersSeeWhatIsAppendedWhileItIsFlushed) {
  constexpr std::int64_t kEntries = 20'000;
  std::atomic<std::int64_t> appended = 0;
  std::atomic<std::int64_t> wrong = 0;
  const auto read = [&](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    while (appended < kEntries) {
      const std::int64_t maximum = store_->RangeOf(kA).maximum;
      if (maximum == 0) continue;
      const auto offset = static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(maximum));
      const absl::StatusOr<QueueEntry> entry = store_->Get(kA, offset);
      if (!entry.ok() || entry->physical_offset != static_cast<std::uint64_t>(offset) * kRecordBytes) ++wrong;
    }
  };
  std::thread first(read, 1), second(read, 2);
  std::thread flusher([&] {
    while (appended < kEntries) {
      if (!store_->Flush(static_cast<std::uint64_t>(appended) * kRecordBytes).ok()) ++wrong;
    }
  });
  for (std::int64_t i = 0; i < kEntries; ++i, ++appended) {
    const QueueEntry entry{.physical_offset = static_cast<std::uint64_t>(i) * kRecordBytes, .bytes = kRecordBytes};
    if (!store_->Append(kA, i, entry).ok()) ++wrong;
  }
  first.join();
  second.join();
  flusher.join();
  EXPECT_EQ(wrong, 0);
}

// Whatever a power cut leaves, and wherever it comes: after the replay the store is the projection of the log.
class QueueStorePowerCutTest : public QueueStoreTest, public testing::WithParamInterface<int> {};

TEST_P(QueueStorePowerCutTest, NothingIsLostOrInvented) {
  const char* given = std::getenv("MILLRACE_SEED");
  const std::uint64_t seed = given != nullptr ? std::stoull(given) : std::random_device()();
  SCOPED_TRACE(absl::StrCat("MILLRACE_SEED=", seed));
  std::mt19937_64 random(seed);
  const auto survival = static_cast<io::testing::Survival>(GetParam());
  std::uint64_t removed_below = 0;
  const QueueKey keys[] = {kA, kB, kC, {.topic_id = 5, .queue = 9}, {.topic_id = 6, .queue = 0}};
  for (int step = 0; step < 400; ++step) {
    switch (random() % 8) {
      case 0: Flush(); break;
      case 1: {  // the power is cut; an asynchronous log may lose its tail
        PowerCut(survival, random);
        const std::uint64_t lost = std::min<std::uint64_t>(log_end(), random() % 300 * kRecordBytes);
        if (random() % 3 == 0) LoseRecordsFrom(std::max(removed_below, log_end() - lost));
        Restart();
        break;
      }
      case 2: {  // the process is killed
        Restart();
        break;
      }
      case 3:
        if (random() % 4 == 0 && !log_.empty()) {
          removed_below = std::max(removed_below, random() % log_.size() * kRecordBytes);
          ASSERT_TRUE(store_->RemoveBelow(removed_below, [](QueueKey, std::int64_t) {}).ok());
        }
        break;
      default: Append(keys[random() % 5], static_cast<int>(random() % 300)); break;
    }
    if (HasFatalFailure()) return;
  }
  Restart();
  // A rebuild may have found entries again that retention had taken: the broker says so again after a start.
  ASSERT_TRUE(store_->RemoveBelow(removed_below, [](QueueKey, std::int64_t) {}).ok());
  ExpectProjectionOfTheLog(removed_below);
}

INSTANTIATE_TEST_SUITE_P(Survival, QueueStorePowerCutTest,
                         testing::Values(static_cast<int>(io::testing::Survival::kNothing),
                                         static_cast<int>(io::testing::Survival::kEverything),
                                         static_cast<int>(io::testing::Survival::kRandom),
                                         static_cast<int>(io::testing::Survival::kTornLast)));

}  // namespace
}  // namespace millrace::store
