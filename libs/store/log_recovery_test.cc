#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "io/testing/faulty_file_system.h"
#include "io/testing/memory_file_system.h"
#include "store/batch_codec.h"
#include "store/testing/log_fixture.h"

namespace millrace::store {
namespace {

using io::testing::FaultyFileSystem;
using io::testing::MemoryFileSystem;
using io::testing::Survival;
using ::testing::HasSubstr;
using testing::KnownBatch;
using testing::OpenLog;
using testing::SmallLog;

const std::string kFirst = "commitlog/00000000000000000000";
const std::string kSecond = "commitlog/00000000000000004096";

class LogRecoveryTest : public ::testing::Test {
 protected:
  std::unique_ptr<OpenLog> TryOpen(const LogOptions& options = SmallLog(), LogPosition from = {}) {
    return testing::TryOpen(fs_, clock_, options, from, status_);
  }
  std::unique_ptr<OpenLog> Open(const LogOptions& options = SmallLog(), LogPosition from = {}) {
    auto open = TryOpen(options, from);
    EXPECT_TRUE(status_.ok()) << status_;
    return open;
  }
  // Each payload a batch of its own, each flushed before the next.
  std::vector<KnownBatch> Fill(const std::vector<std::string>& payloads) {
    auto open = Open();
    for (const std::string& payload : payloads) {
      open->Append({payload});
      EXPECT_TRUE(open->log->Drain().ok());
    }
    position_ = open->log->flushed_position();
    return open->appender->known();
  }
  // Refused as damage, and the disk is as it was.
  void ExpectDamage(const LogOptions& options, LogPosition from, const std::string& text) {
    const auto before = disk_.Contents();
    EXPECT_EQ(TryOpen(options, from), nullptr);
    EXPECT_TRUE(absl::IsDataLoss(status_)) << status_;
    EXPECT_THAT(std::string(status_.message()), HasSubstr(text));
    EXPECT_EQ(disk_.Contents(), before);
  }
  void Write(const std::string& path, std::uint64_t offset, const std::string& bytes) {
    auto file = disk_.Open(path, io::OpenMode::kCreate);
    ASSERT_TRUE((*file)->Write(offset, bytes).ok());
    ASSERT_TRUE((*file)->Sync().ok());
    ASSERT_TRUE(disk_.SyncDirectory("commitlog").ok());
  }

  MemoryFileSystem disk_{512};
  FaultyFileSystem fs_{disk_};
  base::ManualClock clock_;
  absl::Status status_;
  LogPosition position_;
};

TEST_F(LogRecoveryTest, AnEmptyDirectoryIsAnEmptyLog) {
  auto open = Open();
  EXPECT_EQ(open->recovery.end.offset, 0u);
  EXPECT_EQ(open->recovery.end.previous_checksum, 0u);
  EXPECT_FALSE(open->recovery.tail_may_be_lost);
  EXPECT_TRUE(open->recovered.empty());
}

TEST_F(LogRecoveryTest, EverythingFromThePositionOnIsHandedOutInOrder) {
  const auto known = Fill({"a", "b", std::string(3900, 'c'), "d"});
  auto all = Open();
  ASSERT_EQ(all->recovered.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(all->recovered[i].content, known[i].content);
  EXPECT_EQ(all->recovery.end.offset, known[3].end);
  EXPECT_EQ(all->recovery.end.previous_checksum, position_.previous_checksum);

  LogPosition middle;
  int seen = 0;
  ASSERT_TRUE(all->log
                  ->ReadBatches({}, 1 << 20,
                                [&](const LogBatch& batch) {
                                  if (++seen == 2) middle = {batch.offset + batch.bytes, batch.header_checksum};
                                  return absl::OkStatus();
                                })
                  .ok());
  all.reset();
  auto rest = Open(SmallLog(), middle);
  ASSERT_EQ(rest->recovered.size(), 2u);
  EXPECT_EQ(rest->recovered[0].content, known[2].content);
}

TEST_F(LogRecoveryTest, TheLogGoesOnWhereItEnded) {
  Fill({"a", "b"});
  {
    auto open = Open();
    open->Append({"c"});
    ASSERT_TRUE(open->log->Drain().ok());
  }
  EXPECT_EQ(Open()->recovered.size(), 3u);
}

TEST_F(LogRecoveryTest, ATornTailIsCutForGood) {
  const auto known = Fill({"a", "b"});
  Write(kFirst, known[1].end, "MRB1 half a batch");
  Write(kSecond, 0, "and more in a later segment");
  {
    auto open = Open();
    EXPECT_EQ(open->recovered.size(), 2u);
    EXPECT_EQ(open->recovery.end.offset, known[1].end);
    EXPECT_EQ(open->recovery.cut_bytes, 4096 + 27 - known[1].end);
    EXPECT_TRUE(open->recovery.tail_may_be_lost);
  }
  std::mt19937_64 random(1);
  disk_.PowerCut(Survival::kNothing, random);
  EXPECT_EQ(disk_.Contents().at(kFirst).size(), known[1].end);
  EXPECT_FALSE(disk_.Exists(kSecond));
  EXPECT_FALSE(Open()->recovery.tail_may_be_lost);
}

TEST_F(LogRecoveryTest, ATornVeryFirstBatchLeavesAnEmptyLogThatIsUsable) {
  ASSERT_TRUE(disk_.CreateDirectories("commitlog").ok());
  Write(kFirst, 0, "MRB1");
  {
    auto open = Open();
    EXPECT_EQ(open->recovery.end.offset, 0u);
    open->Append({"a"});
    ASSERT_TRUE(open->log->Drain().ok());
  }
  EXPECT_EQ(Open()->recovered.size(), 1u);
}

TEST_F(LogRecoveryTest, AFlippedByteInAConfirmedBatchIsDamageAndNamesThePlace) {
  const auto known = Fill({"first", "second", "third"});
  for (std::uint64_t at = known[0].offset; at < known[1].end; ++at) {
    disk_.Damage(kFirst, at);
    const std::uint64_t batch = at < known[1].offset ? known[0].offset : known[1].offset;
    ExpectDamage(SmallLog(), {}, absl::StrCat(kFirst, ", byte ", batch, " (physical offset ", batch, ")"));
    disk_.Damage(kFirst, at);
  }
  EXPECT_NE(TryOpen(), nullptr) << "the flips are taken back";
}

TEST_F(LogRecoveryTest, TheHeaderOfATornBatchStillProvesWhatWasDurable) {
  const auto known = Fill({"first", "second"});
  disk_.Damage(kFirst, known[1].end - 8);  // a record of the second batch, whose header says that the first is durable
  EXPECT_NE(TryOpen(), nullptr) << "alone it is a torn tail";
  Fill({"second again", "third"});
  disk_.Damage(kFirst, known[0].end - 8);
  ExpectDamage(SmallLog(), {}, kFirst);
}

TEST_F(LogRecoveryTest, TheCheckpointProvesTheLastBatch) {
  const auto known = Fill({"first", "second"});
  disk_.Damage(kFirst, known[1].offset + 70);
  LogOptions options = SmallLog();
  options.recorded_end = known[1].end;
  ExpectDamage(options, {}, absl::StrCat("durable up to ", known[1].end));
  EXPECT_NE(TryOpen(), nullptr);
}

TEST_F(LogRecoveryTest, WhatTheImageHasButTheLogHasNotIsDamage) {
  Fill({std::string(3000, 'a'), std::string(3000, 'b')});
  ExpectDamage(SmallLog(), {.offset = 1 << 20, .previous_checksum = 5}, "must reach to physical offset 1048576");
  ASSERT_TRUE(disk_.Remove(kFirst).ok());
  ExpectDamage(SmallLog(), {}, "it begins at 4096, behind the state image's position 0");
  ASSERT_TRUE(disk_.Remove(kSecond).ok());
  ExpectDamage(SmallLog(), position_, "it is empty");
}

TEST_F(LogRecoveryTest, AMissingSegmentInTheMiddleIsDamage) {
  Fill({std::string(3000, 'a'), std::string(3000, 'b'), std::string(3000, 'c'), "d"});
  ASSERT_TRUE(disk_.Remove(kSecond).ok());
  ExpectDamage(SmallLog(), {}, kFirst);
}

TEST_F(LogRecoveryTest, TheRestOfASegmentIsSkippedOnlyWhenTheChainGoesOn) {
  const auto known = Fill({std::string(3000, 'a'), "b", std::string(3000, 'c'), "d"});
  ASSERT_EQ(known[2].offset, 4096u);
  // The small batch in front of the roll is gone as if its page had never been written.
  const std::uint64_t bytes = known[1].end - known[1].offset;
  Write(kFirst, known[1].offset, std::string(bytes, '\0'));
  ExpectDamage(SmallLog(), {}, absl::StrCat("byte ", known[1].offset));
}

TEST_F(LogRecoveryTest, AStaleBatchBehindTheCutNeverJoinsTheChainAgain) {
  const auto known = Fill({"first", "second", "third"});
  const std::string old_tail = disk_.Contents().at(kFirst).substr(known[1].offset);
  Write(kFirst, known[1].offset, std::string(old_tail.size(), '\0'));
  {
    auto open = Open();
    ASSERT_EQ(open->recovered.size(), 1u);
    open->Append({"SECOND"});  // as long as the old one
    ASSERT_TRUE(open->log->Drain().ok());
    ASSERT_EQ(open->appender->end(), known[1].end);
  }
  Write(kFirst, known[2].offset, old_tail.substr(known[2].offset - known[1].offset));
  auto open = Open();
  EXPECT_EQ(open->recovered.size(), 2u);
  EXPECT_EQ(open->recovery.end.offset, known[1].end);
}

TEST_F(LogRecoveryTest, AHeaderInsideABodyCountsForNothing) {
  const auto known = Fill({"first"});
  std::string forged;
  const std::uint64_t payload_at = known[0].end + kBatchHeaderBytes + kRecordHeaderBytes;
  BatchCodec(0).Encode({.offset = payload_at, .records = {{}}}, 1 << 20, 0, forged);
  {
    auto open = Open();
    open->Append({forged});
    ASSERT_TRUE(open->log->Drain().ok());
  }
  disk_.Damage(kFirst, known[0].end + kBatchHeaderBytes + 8);
  auto open = Open();
  EXPECT_EQ(open->recovered.size(), 1u) << "a torn tail like any other";
}

TEST_F(LogRecoveryTest, ANewerFormatVersionIsRefusedAndNothingIsChanged) {
  const auto known = Fill({"first", "second"});
  std::string header = disk_.Contents().at(kFirst).substr(known[1].offset, kBatchHeaderBytes);
  header[4] = 2;
  char seed[8];
  base::Store(seed, testing::kTestSeed);
  base::Store(header.data() + 60,
              base::Crc32c(absl::string_view(header).substr(0, 60), base::Crc32c(absl::string_view(seed, 8))));
  Write(kFirst, known[1].offset, header);
  const auto before = disk_.Contents();
  EXPECT_EQ(TryOpen(), nullptr);
  EXPECT_TRUE(absl::IsFailedPrecondition(status_)) << status_;
  EXPECT_THAT(std::string(status_.message()), HasSubstr(absl::StrCat(kFirst, ", byte ", known[1].offset)));
  EXPECT_THAT(std::string(status_.message()), HasSubstr("format version 2"));
  EXPECT_EQ(disk_.Contents(), before);
}

TEST_F(LogRecoveryTest, AfterACleanStopNothingBehindTheEndIsRead) {
  const auto known = Fill({"first"});
  Write(kFirst, 4000, "never looked at");
  LogOptions options = SmallLog();
  options.recorded_end = known[0].end;
  options.clean_stop = true;
  EXPECT_EQ(Open(options)->recovery.cut_bytes, 0u);
  options.recorded_end = 0;
  EXPECT_GT(Open(options)->recovery.cut_bytes, 0u) << "the end is another one: looked at after all";
}

TEST_F(LogRecoveryTest, WithAsyncFlushAnUncleanStopMayHaveLostATail) {
  const auto known = Fill({"first"});
  LogOptions options = SmallLog();
  options.async_flush = true;
  EXPECT_TRUE(Open(options)->recovery.tail_may_be_lost);
  options.clean_stop = true;
  options.recorded_end = known[0].end;
  EXPECT_FALSE(Open(options)->recovery.tail_may_be_lost);
}

TEST_F(LogRecoveryTest, WhatAFailedSyncLeftInThePageCacheOnlyIsDurableAfterAStart) {
  fs_.OnSyncFailure([&](const std::string& path) { disk_.LoseUnsynced(path); });
  {
    auto open = Open();
    open->Append({std::string(600, 'a')});
    ASSERT_TRUE(open->log->Drain().ok());
    fs_.FailNth(FaultyFileSystem::Operation::kSync, 1, absl::UnavailableError("Input/output error"));
    open->Append({std::string(600, 'b')});
    ASSERT_FALSE(open->log->Drain().ok());
  }
  EXPECT_EQ(Open()->recovered.size(), 2u);
  std::mt19937_64 random(1);
  disk_.PowerCut(Survival::kNothing, random);
  EXPECT_EQ(Open()->recovered.size(), 2u) << "the start has counted it, so it must stay";
}

TEST_F(LogRecoveryTest, ADiskThatFailsInTheStartIsReportedAsThat) {
  const auto known = Fill({"first"});
  Write(kFirst, known[0].end, "torn");
  using Operation = FaultyFileSystem::Operation;
  for (const Operation operation : {Operation::kRead, Operation::kTruncate, Operation::kSync, Operation::kWrite}) {
    fs_.FailNth(operation, 1, absl::UnavailableError("Input/output error"), true);
    EXPECT_EQ(TryOpen(), nullptr);
    EXPECT_TRUE(absl::IsUnavailable(status_)) << status_;
  }
  fs_.FailNth(Operation::kSync, 0, absl::OkStatus());
  EXPECT_EQ(Open()->recovered.size(), 1u);
}

TEST_F(LogRecoveryTest, TheCallersErrorEndsTheStart) {
  Fill({"first"});
  testing::RecordingListener listener;
  CommitLog::Recovery recovery;
  const auto log = CommitLog::Open(fs_, clock_, "commitlog", testing::kTestSeed, SmallLog(), {}, listener, recovery,
                                   [](const LogBatch&) { return absl::InternalError("unknown record"); });
  EXPECT_EQ(log.status().code(), absl::StatusCode::kInternal);
}

// Whatever stands in a segment, a start ends: with an empty or shorter log, or a refusal.
TEST_F(LogRecoveryTest, AnyBytesInASegmentAreSurvived) {
  const std::uint64_t seed = std::random_device()();
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  std::mt19937_64 random(seed);
  const auto known = Fill({"first", std::string(500, 'x'), "third", std::string(3500, 'y'), "fifth"});
  for (int i = 0; i < 2000; ++i) {
    const auto copy = disk_.Clone();
    for (const std::string& path : {kFirst, kSecond}) {
      auto file = copy->Open(path, io::OpenMode::kReadWrite);
      std::string bytes(random() % 600, '\0');
      const int kind = random() % 3;
      for (char& byte : bytes) byte = static_cast<char>(kind == 0 ? random() : kind == 1 ? 0 : 0xff);
      if (kind == 0 && bytes.size() > 8) base::Store(bytes.data(), kBatchMagic);
      ASSERT_TRUE((*file)->Write(random() % 512 * 8, bytes).ok());
      const std::uint64_t size = random() % 4 == 0 ? random() % 5000 : 4096;
      ASSERT_TRUE((*file)->Truncate(size).ok());
    }
    absl::Status status;
    const auto open = testing::TryRecover(*copy, SmallLog(), {}, status);
    if (open == nullptr) {
      EXPECT_TRUE(absl::IsDataLoss(status)) << status;
      continue;
    }
    for (std::size_t k = 0; k < open->recovered.size(); ++k) EXPECT_EQ(open->recovered[k].content, known[k].content);
  }
}

}  // namespace
}  // namespace millrace::store
