#include "io/testing/faulty_file_system.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "io/testing/memory_file_system.h"

namespace millrace::io::testing {
namespace {

using Operation = FaultyFileSystem::Operation;

class FaultyFileSystemTest : public ::testing::Test {
 protected:
  FaultyFileSystemTest() : fs_(memory_) {
    EXPECT_TRUE(fs_.CreateDirectories("d").ok());
    file_ = *fs_.Open("d/f", OpenMode::kCreate);
    EXPECT_TRUE(fs_.SyncDirectory("d").ok());
  }
  std::string AfterPowerCut() {
    std::mt19937_64 random(1);
    memory_.PowerCut(Survival::kNothing, random);
    return *ReadFile(memory_, "d/f");
  }

  MemoryFileSystem memory_;
  FaultyFileSystem fs_;
  std::unique_ptr<File> file_;
};

TEST_F(FaultyFileSystemTest, TheNthWriteFailsOnceAndDoesNothing) {
  fs_.FailNth(Operation::kWrite, 2, absl::ResourceExhaustedError("No space left on device"));
  EXPECT_TRUE(file_->Write(0, "a").ok());
  EXPECT_TRUE(absl::IsResourceExhausted(file_->Write(1, "b")));
  EXPECT_TRUE(file_->Write(2, "c").ok());
  EXPECT_EQ(*ReadFile(fs_, "d/f"), std::string("a\0c", 3));
}

TEST_F(FaultyFileSystemTest, AFaultMayStay) {
  fs_.FailNth(Operation::kSync, 1, absl::UnavailableError("Input/output error"), true);
  EXPECT_FALSE(file_->Sync().ok());
  EXPECT_FALSE(file_->Sync().ok());
  EXPECT_TRUE(file_->Write(0, "a").ok()) << "other operations go on";
}

TEST_F(FaultyFileSystemTest, AFailedSyncTellsTheTestSoThatItCanLoseThePages) {
  fs_.OnSyncFailure([&](const std::string& path) { memory_.LoseUnsynced(path); });
  fs_.FailNth(Operation::kSync, 1, absl::UnavailableError("Input/output error"));
  EXPECT_TRUE(file_->Write(0, "a").ok());
  EXPECT_FALSE(file_->Sync().ok());
  EXPECT_TRUE(file_->Sync().ok());
  EXPECT_EQ(AfterPowerCut(), "");
}

TEST_F(FaultyFileSystemTest, ALyingSyncSaysOkAndKeepsNothing) {
  EXPECT_TRUE(file_->Write(0, "a").ok());
  fs_.LieInSync(true);
  EXPECT_TRUE(file_->Sync().ok());
  EXPECT_EQ(AfterPowerCut(), "");
}

TEST_F(FaultyFileSystemTest, AHeldSyncReturnsWhenItIsReleased) {
  EXPECT_TRUE(file_->Write(0, "a").ok());
  fs_.HoldSyncs(1);
  std::atomic<bool> done = false;
  std::thread syncing([&] {
    EXPECT_TRUE(file_->Sync().ok());
    done = true;
  });
  fs_.WaitForHeldSync();
  EXPECT_FALSE(done);
  fs_.ReleaseSyncs();
  syncing.join();
  EXPECT_TRUE(done);
  EXPECT_EQ(AfterPowerCut(), "a");
}

}  // namespace
}  // namespace millrace::io::testing
