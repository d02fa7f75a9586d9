#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "io/posix_file_system.h"
#include "store/commit_log.h"
#include "store/store_files.h"

namespace millrace::cli {
namespace {

namespace stdfs = std::filesystem;
using testing::HasSubstr;
using testing::StartsWith;

class NoListener final : public store::LogListener {
  void OnWritten(std::uint64_t) override {}
  void OnFlushed(std::uint64_t) override {}
  void OnFailed(const absl::Status& status) override { ADD_FAILURE() << status; }
};

constexpr std::uint64_t kSegmentBytes = 8'192;
constexpr std::size_t kPayloadBytes = 900;
constexpr std::uint64_t kBatchBytes =
    store::kBatchHeaderBytes + store::RecordBytes(0, static_cast<std::uint32_t>(kPayloadBytes));

// A store of twelve batches with one record each, eight of them in the first segment.
class StoreTest : public testing::Test {
 protected:
  StoreTest() : directory_(stdfs::path(testing::TempDir()) / absl::StrCat("store_", getpid(), "_", Name())) {
    stdfs::remove_all(directory_);
    Write(12);
  }
  ~StoreTest() override { stdfs::remove_all(directory_); }

  static std::string Name() { return testing::UnitTest::GetInstance()->current_test_info()->name(); }

  void Write(int batches) {
    const auto disk = io::MakePosixFileSystem();
    const store::Identity names{.store_id = "0123456789abcdeF", .cluster = "c", .broker_set = "broker-0"};
    auto opened = store::OpenStoreFiles(*disk, directory_, names, "a test", "boot");
    ASSERT_TRUE(opened.ok()) << opened.status();
    NoListener listener;
    store::CommitLog::Recovery recovery;
    auto log = store::CommitLog::Open(*disk, clock_, directory_ + "/commitlog", store::StoreSeed(opened->identity),
                                      {.segment_bytes = kSegmentBytes, .prepare_segments = false}, {}, listener,
                                      recovery, [](const store::LogBatch&) { return absl::OkStatus(); });
    ASSERT_TRUE(log.ok()) << log.status();
    std::uint64_t offset = recovery.end.offset;
    for (int i = 0; i < batches; ++i) {
      if (offset / kSegmentBytes != (offset + kBatchBytes - 1) / kSegmentBytes) {
        offset = (offset / kSegmentBytes + 1) * kSegmentBytes;
      }
      store::AppendBatch batch{.offset = offset, .epoch = 1, .log_time_millis = 1'700'000'000'000 + i};
      batch.records.push_back({.type = store::RecordType::kMetadata, .head = std::string(kPayloadBytes, 'x')});
      (*log)->Append(std::move(batch));
      offset += kBatchBytes;
    }
    ASSERT_TRUE((*log)->Drain().ok());
    end_ = offset;
    ASSERT_TRUE(store::CloseStoreFiles(*disk, directory_, {.flushed_end = offset}).ok());
  }

  int Run(std::vector<std::string> arguments) {
    out_.str("");
    err_.str("");
    std::istringstream in;
    Environment env{
        .in = in, .out = out_, .err = err_, .clock = clock_, .connect = nullptr, .variable = [](const char*) {
          return std::string();
        }};
    return cli::Run(std::move(arguments), env);
  }

  std::string Segment(std::uint64_t first) const { return directory_ + absl::StrFormat("/commitlog/%020d", first); }

  static void FlipByte(const std::string& path, std::uint64_t at) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(static_cast<std::streamoff>(at));
    const char byte = static_cast<char>(file.get());
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(byte ^ 1));
    ASSERT_TRUE(file.good());
  }

  std::map<std::string, std::string> Contents() const {
    std::map<std::string, std::string> contents;
    for (const auto& entry : stdfs::recursive_directory_iterator(directory_)) {
      if (!entry.is_regular_file()) continue;
      std::ostringstream bytes;
      bytes << std::ifstream(entry.path(), std::ios::binary).rdbuf();
      contents[entry.path().string()] =
          absl::StrCat(entry.last_write_time().time_since_epoch().count(), " ", bytes.str());
    }
    return contents;
  }

  const base::ManualClock clock_;
  const std::string directory_;
  std::uint64_t end_ = 0;
  std::ostringstream out_, err_;
};

TEST_F(StoreTest, VerifyCountsASoundStore) {
  EXPECT_EQ(Run({"store", "verify", directory_}), kExitOk) << err_.str();
  EXPECT_EQ(out_.str(), absl::StrCat("log of broker set broker-0 from 0 to ", end_,
                                     ": segments 2, batches 12, records 12, no damage\n"));
}

TEST_F(StoreTest, VerifyAsJson) {
  EXPECT_EQ(Run({"store", "verify", directory_, "-o", "json"}), kExitOk) << err_.str();
  EXPECT_EQ(out_.str(), absl::StrCat("{\n  \"directory\": \"", directory_, R"(",
  "identity": {
    "store_id": "30313233343536373839616263646546",
    "cluster": "c",
    "broker_set": "broker-0",
    "replica": 0
  },
  "segments": 2,
  "first": 0,
  "end": )",
                                     end_, R"(,
  "batches": 12,
  "records": 12,
  "torn_bytes": 0
}
)"));
}

TEST_F(StoreTest, TheDataDirectoryOfUpWillDo) {
  const std::string up = directory_ + "_up";
  stdfs::create_directories(up);
  stdfs::rename(directory_, up + "/broker");
  EXPECT_EQ(Run({"store", "verify", up}), kExitOk) << err_.str();
  stdfs::remove_all(up);
}

TEST_F(StoreTest, DamageIsNamedWithFileAndOffset) {
  FlipByte(Segment(0), 2 * kBatchBytes + 500);
  EXPECT_EQ(Run({"store", "verify", directory_}), kExitFailed);
  EXPECT_THAT(err_.str(), HasSubstr(absl::StrCat(Segment(0), ", byte ", 2 * kBatchBytes)));
}

TEST_F(StoreTest, DamageInALaterSegmentIsFound) {
  FlipByte(Segment(kSegmentBytes), 10);
  EXPECT_EQ(Run({"store", "verify", directory_}), kExitFailed);
  EXPECT_EQ(out_.str(), "");
}

TEST_F(StoreTest, ATornTailIsNoDamage) {
  const auto disk = io::MakePosixFileSystem();
  const std::uint64_t durable = end_ - kBatchBytes;
  ASSERT_TRUE(store::WriteCheckpoint(*disk, directory_, {.flushed_end = durable}).ok());
  FlipByte(Segment(kSegmentBytes), durable - kSegmentBytes + 300);
  EXPECT_EQ(Run({"store", "verify", directory_}), kExitOk) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr(absl::StrCat("from 0 to ", durable, ": segments 2, batches 11")));
  EXPECT_THAT(out_.str(), HasSubstr("of a write that did not complete"));
}

TEST_F(StoreTest, ASegmentOfAnotherStoreIsDamage) {
  const auto disk = io::MakePosixFileSystem();
  const std::string other = directory_ + "_other";
  ASSERT_TRUE(store::OpenStoreFiles(*disk, other, {.store_id = "another store 16", .cluster = "c", .broker_set = "b"},
                                    "a test", "boot")
                  .ok());
  stdfs::copy_file(other + "/identity", directory_ + "/identity", stdfs::copy_options::overwrite_existing);
  stdfs::remove_all(other);
  EXPECT_EQ(Run({"store", "verify", directory_}), kExitFailed);
}

TEST_F(StoreTest, InspectOfADirectoryListsSegments) {
  EXPECT_EQ(Run({"store", "inspect", directory_}), kExitOk) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("SEGMENT               BATCHES  RECORDS  FIRST-TIME                LAST-TIME\n"
                                    "00000000000000000000  8        8        2023-11-14T22:13:20.000Z  "
                                    "2023-11-14T22:13:20.007Z\n"
                                    "00000000000000008192  4        4        2023-11-14T22:13:20.008Z  "
                                    "2023-11-14T22:13:20.011Z\n"));
}

TEST_F(StoreTest, InspectOfASegmentListsItsBatchesOnly) {
  EXPECT_EQ(Run({"store", "inspect", Segment(kSegmentBytes), "-o", "json"}), kExitOk) << err_.str();
  std::istringstream lines(out_.str());
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line, absl::StrCat(R"({"offset":8192,"bytes":)", kBatchBytes,
                               R"(,"epoch":1,"log_time":"2023-11-14T22:13:20.008Z","durable_end":)",
                               line.substr(line.find("durable_end") + 13,
                                           line.find(",\"records") - line.find("durable_end") - 13),
                               R"(,"records":[{"offset":8256,"bytes":952,"type":"metadata","topic_id":"0","queue":0,)"
                               R"("queue_offset":0,"payload_bytes":900}]})"));
  int count = 1;
  while (std::getline(lines, line)) ++count;
  EXPECT_EQ(count, 4);
}

TEST_F(StoreTest, InspectShowsWhatIsGoodBeforeDamage) {
  FlipByte(Segment(0), 2 * kBatchBytes + 500);
  EXPECT_EQ(Run({"store", "inspect", Segment(0)}), kExitFailed);
  EXPECT_THAT(out_.str(), StartsWith("batch 0: "));
  EXPECT_THAT(err_.str(), HasSubstr(absl::StrCat(", byte ", 2 * kBatchBytes, " (physical offset ")));
}

TEST_F(StoreTest, WhatIsNoStoreIsSaidSo) {
  EXPECT_EQ(Run({"store", "verify", directory_ + "/commitlog"}), kExitNotFound);
  EXPECT_EQ(Run({"store", "inspect", directory_ + "/nothing"}), kExitNotFound);
  EXPECT_EQ(Run({"store", "inspect", directory_ + "/identity"}), kExitUsage);
}

TEST_F(StoreTest, LookingChangesNothing) {
  std::ofstream(Segment(2 * kSegmentBytes) + ".prepared") << "zeros";
  std::ofstream(directory_ + "/abort") << "boot";
  FlipByte(Segment(kSegmentBytes), 10);
  const auto before = Contents();
  Run({"store", "verify", directory_});
  Run({"store", "inspect", directory_});
  Run({"store", "inspect", Segment(0)});
  EXPECT_EQ(Contents(), before);
}

}  // namespace
}  // namespace millrace::cli
