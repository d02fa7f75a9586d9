#include "store/commit_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "absl/strings/str_cat.h"
#include "io/testing/faulty_file_system.h"
#include "io/testing/memory_file_system.h"
#include "store/testing/log_fixture.h"

namespace millrace::store {
namespace {

using io::testing::FaultyFileSystem;
using io::testing::MemoryFileSystem;
using testing::OpenLog;
using testing::SmallLog;
using Operation = FaultyFileSystem::Operation;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CommitLogTest : public ::testing::Test {
 protected:
  std::unique_ptr<OpenLog> Open(const LogOptions& options = SmallLog(), LogPosition from = {}) {
    absl::Status status;
    auto open = testing::TryOpen(fs_, clock_, options, from, status);
    EXPECT_TRUE(status.ok()) << status;
    return open;
  }

  MemoryFileSystem disk_{512};
  FaultyFileSystem fs_{disk_};
  base::ManualClock clock_;
};

TEST_F(CommitLogTest, WhatWasAppendedIsReadBackRecordByRecord) {
  auto open = Open();
  AppendBatch batch{.offset = 0, .epoch = 7, .log_time_millis = 1000};
  batch.records.push_back({.type = RecordType::kProgress,
                           .flags = 3,
                           .queue = 4,
                           .topic_id = 5,
                           .queue_offset = 6,
                           .tag_field = 7,
                           .time_millis = 8,
                           .keys = {9, 10},
                           .head = "head ",
                           .body = std::make_shared<const std::string>("body")});
  batch.records.push_back({.type = RecordType::kSeal});
  const std::uint32_t first_bytes = RecordBytes(2, 9);
  open->log->Append(batch);
  ASSERT_TRUE(open->log->Drain().ok());

  std::string buffer;
  const auto record = open->log->ReadRecord(kBatchHeaderBytes, first_bytes, buffer);
  ASSERT_TRUE(record.ok()) << record.status();
  EXPECT_EQ(record->type, RecordType::kProgress);
  EXPECT_EQ(record->flags, 3);
  EXPECT_EQ(record->queue, 4u);
  EXPECT_EQ(record->topic_id, 5u);
  EXPECT_EQ(record->queue_offset, 6);
  EXPECT_EQ(record->tag_field, 7u);
  EXPECT_EQ(record->time_millis, 8);
  EXPECT_THAT(record->keys, ElementsAre(9, 10));
  EXPECT_EQ(record->payload, "head body");
  const auto seal = open->log->ReadRecord(kBatchHeaderBytes + first_bytes, RecordBytes(0, 0), buffer);
  ASSERT_TRUE(seal.ok()) << seal.status();
  EXPECT_EQ(seal->payload, "");
}

TEST_F(CommitLogTest, ReadingAtAWrongPlaceOrSizeIsAnErrorThatNamesTheFile) {
  auto open = Open();
  open->Append({"hello"});
  ASSERT_TRUE(open->log->Drain().ok());
  std::string buffer;
  for (const auto& [offset, bytes] : std::vector<std::pair<std::uint64_t, std::uint32_t>>{
           {64, 48}, {64, 64}, {72, 56}, {0, 64}, {64, 0}, {64, 0xffffffff}, {1 << 20, 56}}) {
    const absl::Status status = open->log->ReadRecord(offset, bytes, buffer).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << offset << " " << bytes << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("commitlog/00000000000000000000"));
  }
  EXPECT_TRUE(open->log->ReadRecord(64, 56, buffer).ok());
}

TEST_F(CommitLogTest, BatchesRollOverSegmentsAndAreReadInOrder) {
  auto open = Open();
  for (int i = 0; i < 20; ++i) open->Append({std::string(700, static_cast<char>('a' + i)), "x"});
  ASSERT_TRUE(open->log->Drain().ok());
  EXPECT_EQ(disk_.List("commitlog")->size(), 5u);
  EXPECT_EQ(disk_.List("commitlog")->at(1), "00000000000000004096");

  std::vector<std::string> contents, expected;
  for (const auto& known : open->appender->known()) expected.push_back(known.content);
  const auto collect = [&](const LogBatch& batch) {
    contents.push_back(testing::ContentOf(batch));
    return absl::OkStatus();
  };
  ASSERT_TRUE(open->log->ReadBatches({}, open->log->flushed_end(), collect).ok());
  EXPECT_EQ(contents, expected);

  contents.clear();
  const auto& tenth = open->appender->known()[10];
  ASSERT_TRUE(open->log->ReadBatches({.offset = tenth.offset}, open->appender->known()[12].offset, collect).ok());
  EXPECT_EQ(contents, (std::vector<std::string>{expected[10], expected[11]})) << "the checksum before may be unknown";

  const LogPosition wrong{.offset = tenth.offset, .previous_checksum = 1};
  EXPECT_TRUE(absl::IsDataLoss(open->log->ReadBatches(wrong, open->log->flushed_end(), collect)));
  EXPECT_EQ(open->log->ReadBatches({}, 1 << 20, [](const LogBatch&) { return absl::CancelledError("enough"); }).code(),
            absl::StatusCode::kCancelled);
}

TEST_F(CommitLogTest, EverythingThatWaitsBecomesOneWriteAndOneSync) {
  auto open = Open();
  fs_.HoldSyncs(1);
  open->Append({"first"});
  fs_.WaitForHeldSync();
  for (int i = 0; i < 10; ++i) open->Append({absl::StrCat("waiting ", i)});
  fs_.ReleaseSyncs();
  ASSERT_TRUE(open->log->Drain().ok());
  const LogMetrics metrics = open->log->metrics();
  EXPECT_EQ(metrics.batches, 11u);
  EXPECT_EQ(metrics.records, 11u);
  EXPECT_EQ(metrics.bytes, open->appender->end());
  EXPECT_EQ(metrics.writes, 2u);
  EXPECT_EQ(metrics.syncs, 2u);
}

TEST_F(CommitLogTest, HeadersCarryTheFlushedEndOfTheMomentTheyAreWritten) {
  auto open = Open();
  fs_.HoldSyncs(1);
  open->Append({"first"});
  fs_.WaitForHeldSync();
  open->Append({"appended before the first was flushed, written after"});
  fs_.ReleaseSyncs();
  ASSERT_TRUE(open->log->Drain().ok());
  std::vector<std::uint64_t> ends;
  ASSERT_TRUE(open->log
                  ->ReadBatches({}, 1 << 20,
                                [&](const LogBatch& batch) {
                                  ends.push_back(batch.durable_end);
                                  return absl::OkStatus();
                                })
                  .ok());
  EXPECT_THAT(ends, ElementsAre(0, open->appender->known()[0].end));
}

TEST_F(CommitLogTest, SyncFlushSaysFlushedOnly) {
  auto open = Open();
  open->Append({"a"});
  ASSERT_TRUE(open->log->Drain().ok());
  const std::uint64_t end = open->appender->end();
  EXPECT_THAT(open->listener.events(), ElementsAre(absl::StrCat("flushed ", end)));
  EXPECT_EQ(open->log->flushed_end(), end);
  EXPECT_EQ(open->log->written_end(), end);
  EXPECT_EQ(open->log->size_bytes(), end);
}

TEST_F(CommitLogTest, AsyncFlushSaysWrittenAtOnceAndFlushedWhenTheIntervalIsOver) {
  LogOptions options = SmallLog();
  options.async_flush = true;
  options.flush_interval_millis = 60'000;
  auto open = Open(options);
  open->Append({"a"});
  const std::uint64_t first = open->appender->end();
  open->listener.WaitUntilWritten(first);
  EXPECT_EQ(open->log->flushed_end(), 0u);
  clock_.Advance(60'000);
  open->Append({"b"});  // wakes the writer, which would sleep for real otherwise
  open->listener.WaitUntilFlushed(first);
  EXPECT_EQ(open->listener.events().front(), absl::StrCat("written ", first));
}

TEST_F(CommitLogTest, AsyncFlushSyncsAnImportantBatchBeforeItIsReported) {
  LogOptions options = SmallLog();
  options.async_flush = true;
  options.flush_interval_millis = 60'000;
  auto open = Open(options);
  AppendBatch batch = open->appender->Make({"topic created"});
  batch.flush_first = true;
  open->log->Append(batch);
  const std::uint64_t end = open->appender->end();
  open->listener.WaitUntilWritten(end);
  EXPECT_THAT(open->listener.events(), ElementsAre(absl::StrCat("flushed ", end), absl::StrCat("written ", end)));
}

TEST_F(CommitLogTest, DrainFlushesInAsyncModeToo) {
  LogOptions options = SmallLog();
  options.async_flush = true;
  options.flush_interval_millis = 60'000;
  auto open = Open(options);
  open->Append({"a"});
  ASSERT_TRUE(open->log->Drain().ok());
  EXPECT_EQ(open->log->flushed_end(), open->appender->end());
}

TEST_F(CommitLogTest, AppendNeverWaitsForAHangingDisk) {
  auto open = Open();
  fs_.HoldSyncs(1);
  open->Append({"a"});
  fs_.WaitForHeldSync();
  for (int i = 0; i < 100; ++i) open->Append({"b"});
  EXPECT_EQ(open->log->flushed_end(), 0u);
  EXPECT_THAT(open->listener.events(), ElementsAre());
  fs_.ReleaseSyncs();
  ASSERT_TRUE(open->log->Drain().ok());
}

struct DiskFault {
  const char* name;
  Operation operation;
  absl::StatusCode code;
};

class CommitLogFaultTest : public CommitLogTest, public ::testing::WithParamInterface<DiskFault> {};

TEST_P(CommitLogFaultTest, TheLogStopsForGoodAndSaysSoOnce) {
  auto open = Open();
  open->Append({"good"});
  ASSERT_TRUE(open->log->Drain().ok());
  const std::uint64_t good_end = open->appender->end();
  fs_.FailNth(GetParam().operation, 1, absl::Status(GetParam().code, "the disk failed"));
  open->Append({std::string(3900, 'b')});  // in a new segment
  EXPECT_EQ(open->log->Drain().code(), GetParam().code);
  const auto contents = disk_.Contents();
  open->Append({"ignored"});
  EXPECT_EQ(open->log->Drain().code(), GetParam().code);
  EXPECT_THAT(open->listener.events(), ElementsAre(absl::StrCat("flushed ", good_end), "failed"));
  EXPECT_EQ(open->log->flushed_end(), good_end);
  EXPECT_EQ(disk_.Contents(), contents) << "nothing is written after a failure";
  std::string buffer;
  EXPECT_TRUE(open->log->ReadRecord(64, RecordBytes(0, 4), buffer).ok()) << "reading goes on";
}

INSTANTIATE_TEST_SUITE_P(
    , CommitLogFaultTest,
    ::testing::Values(DiskFault{"WriteEio", Operation::kWrite, absl::StatusCode::kUnavailable},
                      DiskFault{"WriteEnospc", Operation::kWrite, absl::StatusCode::kResourceExhausted},
                      DiskFault{"SyncEio", Operation::kSync, absl::StatusCode::kUnavailable},
                      DiskFault{"CreateEnospc", Operation::kCreate, absl::StatusCode::kResourceExhausted},
                      DiskFault{"SyncDirectoryEio", Operation::kSyncDirectory, absl::StatusCode::kUnavailable}),
    [](const auto& info) { return info.param.name; });

TEST_F(CommitLogTest, RetentionRemovesWholeSegmentsOldestFirstAndNeverTheLast) {
  auto open = Open();
  for (int i = 0; i < 8; ++i) open->Append({std::string(1900, 'x')});
  ASSERT_TRUE(open->log->Drain().ok());
  ASSERT_EQ(disk_.List("commitlog")->size(), 4u);
  EXPECT_EQ(*open->log->RemoveBelow(4095), 0u);
  EXPECT_EQ(*open->log->RemoveBelow(4096), 4096u);
  std::string buffer;
  const std::uint32_t bytes = RecordBytes(0, 1900);
  EXPECT_TRUE(absl::IsNotFound(open->log->ReadRecord(64, bytes, buffer).status()));
  EXPECT_TRUE(absl::IsNotFound(open->log->ReadBatches({}, 1 << 20, [](const LogBatch&) { return absl::OkStatus(); })));
  EXPECT_TRUE(open->log->ReadRecord(4096 + 64, bytes, buffer).ok());
  EXPECT_EQ(*open->log->RemoveBelow(1 << 30), 3 * 4096u);
  EXPECT_EQ(open->log->first_offset(), 3 * 4096u);
  EXPECT_EQ(disk_.List("commitlog")->size(), 1u);
  open->Append({"still writable"});
  ASSERT_TRUE(open->log->Drain().ok());
}

TEST_F(CommitLogTest, SegmentsKnowWhenTheirLastBatchWasWritten) {
  LogPosition end;
  {
    auto open = Open();
    for (int i = 0; i < 5; ++i) open->Append({std::string(1900, 'x')});
    ASSERT_TRUE(open->log->Drain().ok());
    const auto segments = open->log->segments();
    ASSERT_EQ(segments.size(), 3u);
    EXPECT_EQ(segments[1].first, 4096u);
    EXPECT_EQ(segments[1].end, 8192u);
    EXPECT_EQ(segments[2].end, open->appender->end());
    EXPECT_EQ(segments[0].last_log_time_millis, 1'700'000'000'002);
    EXPECT_EQ(segments[2].last_log_time_millis, 1'700'000'000'005);
    end = open->log->flushed_position();
  }
  const auto segments = Open(SmallLog(), end)->log->segments();
  EXPECT_EQ(segments[0].last_log_time_millis, 1'700'000'000'003) << "not read: the first batch behind it";
  EXPECT_EQ(segments[2].last_log_time_millis, 1'700'000'000'005);
}

TEST_F(CommitLogTest, APreparedSegmentIsRenamedInAtFullSize) {
  LogOptions options = SmallLog();
  options.prepare_segments = true;
  auto open = Open(options);
  disk_.StartTrace();
  // A segment that is not ready in time is created at once instead, so it may take a few.
  std::size_t batches = 0;
  for (bool renamed = false; !renamed; ++batches) {
    open->Append({std::string(1900, 'x')});
    ASSERT_TRUE(open->log->Drain().ok());
    std::this_thread::yield();
    for (const io::testing::TraceStep& step : disk_.TakeTrace()) {
      if (step.kind != io::testing::TraceStep::Kind::kRename) continue;
      renamed = true;
      EXPECT_EQ(step.path, step.to + ".prepared");
      EXPECT_EQ(disk_.Contents()[step.to].size(), options.segment_bytes);
    }
    disk_.StartTrace();
  }
  open.reset();
  const std::vector<std::string> names = disk_.List("commitlog").value();
  for (const std::string& name : names) {
    EXPECT_EQ(name.size(), 20u) << "what was being prepared goes with the log";
  }
  open = Open(options);
  EXPECT_EQ(open->recovered.size(), batches) << "zeros behind the end are no tail";
  EXPECT_EQ(open->recovery.cut_bytes, 0u);
}

TEST_F(CommitLogTest, WithoutSpaceForItNoSegmentIsPreparedAndTheLogGoesOn) {
  disk_.SetSpace({.total_bytes = 10'000, .free_bytes = 5'000});
  LogOptions options = SmallLog();
  options.prepare_segments = true;
  auto open = Open(options);
  for (int i = 0; i < 6; ++i) open->Append({std::string(1900, 'x')});
  ASSERT_TRUE(open->log->Drain().ok());
  EXPECT_EQ(disk_.List("commitlog")->size(), 3u);
}

TEST_F(CommitLogTest, ReadersRunBesideTheWriterAndRetention) {
  auto open = Open();
  std::atomic<bool> stop = false;
  std::atomic<int> read = 0;
  std::thread reader([&] {
    while (!stop) {
      const auto read_again = [&](const LogBatch& batch) {
        std::string buffer;
        const LogRecord& record = batch.records[0];
        const auto one = open->log->ReadRecord(record.offset, record.bytes, buffer);
        EXPECT_TRUE(one.ok() || absl::IsNotFound(one.status())) << one.status();
        ++read;
        return absl::OkStatus();
      };
      const absl::Status status =
          open->log->ReadBatches({.offset = open->log->first_offset()}, open->log->flushed_end(), read_again);
      EXPECT_TRUE(status.ok() || absl::IsNotFound(status)) << status;
    }
  });
  for (int i = 0; i < 300 || read < 100; ++i) {
    open->Append({std::string(i * 7 % 1500, 'r')});
    if (i % 10 == 9) {
      ASSERT_TRUE(open->log->Drain().ok());
      const std::uint64_t end = open->log->flushed_end();
      ASSERT_TRUE(open->log->RemoveBelow(end > 8192 ? end - 8192 : 0).ok());
    }
  }
  stop = true;
  reader.join();
}

TEST_F(CommitLogTest, TheSegmentSizeMayChangeBetweenStarts) {
  std::vector<testing::KnownBatch> known;
  for (const std::uint64_t segment_bytes : {4096, 16384, 2048, 65536}) {
    LogOptions options = SmallLog();
    options.segment_bytes = segment_bytes;
    auto open = Open(options);
    ASSERT_NE(open, nullptr);
    ASSERT_EQ(open->recovered.size(), known.size());
    for (int i = 0; i < 12; ++i) open->Append({std::string(900, 'x')});
    ASSERT_TRUE(open->log->Drain().ok());
    known.insert(known.end(), open->appender->known().begin(), open->appender->known().end());
  }
}

}  // namespace
}  // namespace millrace::store
