#include "io/testing/memory_file_system.h"

#include <gtest/gtest.h>

#include <set>

namespace millrace::io::testing {
namespace {

constexpr std::size_t kPage = 8;

class MemoryFileSystemTest : public ::testing::Test {
 protected:
  MemoryFileSystemTest() : fs_(kPage) { EXPECT_TRUE(fs_.CreateDirectories("d").ok()); }

  std::unique_ptr<File> Create(const std::string& path, bool named) {
    auto file = fs_.Open(path, OpenMode::kCreate);
    EXPECT_TRUE(file.ok());
    EXPECT_TRUE(!named || fs_.SyncDirectory("d").ok());
    return *std::move(file);
  }
  std::string Content(const std::string& path) { return ReadFile(fs_, path).value_or("(missing)"); }

  MemoryFileSystem fs_;
  std::mt19937_64 random_{1};
};

TEST_F(MemoryFileSystemTest, OnlySyncedBytesAndNamesSurviveTheWorstCut) {
  auto kept = Create("d/kept", true);
  ASSERT_TRUE(kept->Write(0, "old").ok());
  ASSERT_TRUE(kept->Sync().ok());
  ASSERT_TRUE(kept->Write(0, "new and longer").ok());
  auto nameless = Create("d/nameless", false);
  ASSERT_TRUE(nameless->Write(0, "x").ok());
  ASSERT_TRUE(nameless->Sync().ok());
  EXPECT_EQ(Content("d/kept"), "new and longer");
  fs_.PowerCut(Survival::kNothing, random_);
  EXPECT_EQ(Content("d/kept"), "old");
  EXPECT_FALSE(fs_.Exists("d/nameless"));
}

TEST_F(MemoryFileSystemTest, EverythingSurvivesTheBestCut) {
  auto file = Create("d/f", false);
  ASSERT_TRUE(file->Write(20, "x").ok());
  ASSERT_TRUE(fs_.Rename("d/f", "d/g").ok());
  fs_.PowerCut(Survival::kEverything, random_);
  EXPECT_EQ(Content("d/g"), std::string(20, '\0') + "x");
  EXPECT_FALSE(fs_.Exists("d/f"));
}

TEST_F(MemoryFileSystemTest, ARandomCutKeepsAnyVersionOfEachPageByItself) {
  auto file = Create("d/f", true);
  ASSERT_TRUE(file->Write(0, "aaaaaaaaaaaaaaaa").ok());
  ASSERT_TRUE(file->Sync().ok());
  ASSERT_TRUE(file->Write(0, "bbbbbbbbbbbbbbbb").ok());
  ASSERT_TRUE(file->Write(0, "cccccccc").ok());
  std::set<std::string> seen;
  for (int i = 0; i < 200; ++i) {
    const auto copy = fs_.Clone();
    copy->PowerCut(Survival::kRandom, random_);
    seen.insert(*ReadFile(*copy, "d/f"));
  }
  const std::string a(8, 'a'), b(8, 'b'), c(8, 'c');
  EXPECT_EQ(seen, (std::set<std::string>{a + a, a + b, b + a, b + b, c + a, c + b}));
}

TEST_F(MemoryFileSystemTest, ATornCutKeepsAPrefixOfTheLastWriteOnly) {
  auto file = Create("d/f", true);
  ASSERT_TRUE(file->Write(0, "0000").ok());
  ASSERT_TRUE(file->Write(4, "abcd").ok());
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    const auto copy = fs_.Clone();
    copy->PowerCut(Survival::kTornLast, random_);
    seen.insert(*ReadFile(*copy, "d/f"));
  }
  const std::string z(4, '\0');
  EXPECT_EQ(seen, (std::set<std::string>{"0000" + z, "0000a" + z.substr(1), "0000ab" + z.substr(2),
                                         "0000abc" + z.substr(3)}));
}

TEST_F(MemoryFileSystemTest, AfterAFailedSyncPagesAreReadButNeverReachTheDisk) {
  auto file = Create("d/f", true);
  ASSERT_TRUE(file->Write(0, "lost----kept----").ok());
  ASSERT_TRUE(file->Sync().ok());
  ASSERT_TRUE(file->Write(0, "LOST").ok());
  fs_.LoseUnsynced("d/f");
  ASSERT_TRUE(file->Write(8, "KEPT").ok());
  ASSERT_TRUE(file->Sync().ok()) << "a later sync says nothing of it";
  EXPECT_EQ(Content("d/f"), "LOST----KEPT----");
  fs_.PowerCut(Survival::kEverything, random_);
  EXPECT_EQ(Content("d/f"), "lost----KEPT----");
}

TEST_F(MemoryFileSystemTest, AnUnsyncedTruncateMayBeUndone) {
  auto file = Create("d/f", true);
  ASSERT_TRUE(file->Write(0, "aaaaaaaabbbbbbbb").ok());
  ASSERT_TRUE(file->Sync().ok());
  ASSERT_TRUE(file->Truncate(4).ok());
  EXPECT_EQ(Content("d/f"), "aaaa");
  const auto copy = fs_.Clone();
  copy->PowerCut(Survival::kNothing, random_);
  EXPECT_EQ(*ReadFile(*copy, "d/f"), "aaaaaaaabbbbbbbb");
  ASSERT_TRUE(file->Sync().ok());
  fs_.PowerCut(Survival::kNothing, random_);
  EXPECT_EQ(Content("d/f"), "aaaa");
}

TEST_F(MemoryFileSystemTest, ARemovedNameComesBackUnlessTheDirectoryWasSynced) {
  Create("d/f", true);
  ASSERT_TRUE(fs_.Remove("d/f").ok());
  const auto copy = fs_.Clone();
  copy->PowerCut(Survival::kNothing, random_);
  EXPECT_TRUE(copy->Exists("d/f"));
  ASSERT_TRUE(fs_.SyncDirectory("d").ok());
  fs_.PowerCut(Survival::kNothing, random_);
  EXPECT_FALSE(fs_.Exists("d/f"));
}

TEST_F(MemoryFileSystemTest, ReplaceFileLeavesOldOrNewAtEveryPointOfACut) {
  ASSERT_TRUE(ReplaceFile(fs_, "d/f", "old").ok());
  const auto start = fs_.Clone();
  fs_.StartTrace();
  ASSERT_TRUE(ReplaceFile(fs_, "d/f", "the new one").ok());
  const std::vector<TraceStep> trace = fs_.TakeTrace();
  ASSERT_GE(trace.size(), 6u);
  std::set<std::string> seen;
  for (std::size_t steps = 0; steps <= trace.size(); ++steps) {
    for (int i = 0; i < 50; ++i) {
      const auto copy = start->Clone();
      for (std::size_t k = 0; k < steps; ++k) copy->Apply(trace[k]);
      copy->PowerCut(Survival::kRandom, random_);
      const std::string content = ReadFile(*copy, "d/f").value_or("(missing)");
      seen.insert(content);
      EXPECT_TRUE(steps < trace.size() || content == "the new one") << content;
    }
  }
  EXPECT_EQ(seen, (std::set<std::string>{"old", "the new one"}));
}

}  // namespace
}  // namespace millrace::io::testing
