#include "store/store_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "io/posix_file_system.h"
#include "io/testing/memory_file_system.h"

namespace millrace::store {
namespace {

using io::testing::MemoryFileSystem;
using io::testing::Survival;
using io::testing::TraceStep;
using ::testing::HasSubstr;

// The block "```text NAME" of docs/formats/store_files.md.
std::string Documented(const std::string& name) {
  std::ifstream file(MILLRACE_SOURCE_DIR "/docs/formats/store_files.md");
  std::string line, text;
  bool inside = false;
  while (std::getline(file, line)) {
    if (line == absl::StrCat("```text ", name)) {
      inside = true;
    } else if (line == "```") {
      inside = false;
    } else if (inside) {
      absl::StrAppend(&text, line, "\n");
    }
  }
  return text;
}

std::string ExampleStoreId() {
  std::string id;
  for (char i = 0; i < 16; ++i) id.push_back(i);
  return id;
}

class StoreFilesTest : public ::testing::Test {
 protected:
  absl::StatusOr<Opened> Open(absl::string_view boot_id = "boot-1") {
    return OpenStoreFiles(fs_, "store", names_, "broker-a replica 0, process 7", boot_id);
  }
  void Replace(const std::string& name, const std::string& content) {
    ASSERT_TRUE(io::ReplaceFile(fs_, "store/" + name, content).ok());
  }
  std::string Content(const std::string& name) { return io::ReadFile(fs_, "store/" + name).value_or("(missing)"); }

  MemoryFileSystem fs_;
  Identity names_{.cluster = "DefaultCluster", .broker_set = "broker-a", .replica = 0};
};

TEST_F(StoreFilesTest, TheFirstStartMakesAnIdentityThatLaterStartsFind) {
  std::string store_id;
  {
    const auto first = Open();
    ASSERT_TRUE(first.ok()) << first.status();
    EXPECT_TRUE(first->fresh);
    EXPECT_FALSE(first->unclean);
    EXPECT_EQ(first->identity.cluster, "DefaultCluster");
    EXPECT_EQ(first->identity.broker_set, "broker-a");
    EXPECT_EQ(first->checkpoint.flushed_end, 0u);
    store_id = first->identity.store_id;
    EXPECT_EQ(store_id.size(), 16u);
  }
  const auto second = Open();
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_FALSE(second->fresh);
  EXPECT_EQ(second->identity.store_id, store_id);
}

TEST_F(StoreFilesTest, TwoStoresHaveDifferentIds) {
  const auto one = Open();
  const auto other = OpenStoreFiles(fs_, "other", names_, "h", "b");
  EXPECT_NE(StoreSeed(one->identity), StoreSeed(other->identity));
}

TEST_F(StoreFilesTest, FilesLookAsDocumented) {
  names_.store_id = ExampleStoreId();
  const auto opened = Open();
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(Content("identity"), Documented("identity"));
  EXPECT_EQ(StoreSeed(opened->identity), 0x0808080808080808u);
  EXPECT_EQ(Content("abort"), "boot-1");
  ASSERT_TRUE(WriteCheckpoint(fs_, "store", {.flushed_end = 4096, .image_offset = 1024, .queues_applied = 2048}).ok());
  EXPECT_EQ(Content("checkpoint"), Documented("checkpoint"));
}

TEST_F(StoreFilesTest, ACleanStopLeavesTheCheckpointAndNoAbort) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(CloseStoreFiles(fs_, "store", {.flushed_end = 11, .image_offset = 22, .queues_applied = 33}).ok());
  const auto again = Open();
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_FALSE(again->unclean);
  EXPECT_EQ(again->checkpoint.flushed_end, 11u);
  EXPECT_EQ(again->checkpoint.image_offset, 22u);
  EXPECT_EQ(again->checkpoint.queues_applied, 33u);
}

TEST_F(StoreFilesTest, AnUncleanStopIsAPowerCutWhenTheBootIdIsAnotherOne) {
  ASSERT_TRUE(Open("boot-1").ok());
  {
    const auto killed = Open("boot-1");
    EXPECT_TRUE(killed->unclean);
    EXPECT_FALSE(killed->power_cut);
  }
  const auto cut = Open("boot-2");
  EXPECT_TRUE(cut->unclean);
  EXPECT_TRUE(cut->power_cut);
}

TEST_F(StoreFilesTest, APowerCutIsRememberedUntilTheBootIsNoted) {
  ASSERT_TRUE(Open("boot-1").ok());
  ASSERT_TRUE(Open("boot-2")->power_cut);
  EXPECT_TRUE(Open("boot-2")->power_cut);  // the start before was killed before it had done anything about it
  ASSERT_TRUE(NoteBoot(fs_, "store", "boot-2").ok());
  const auto killed = Open("boot-2");
  EXPECT_TRUE(killed->unclean);
  EXPECT_FALSE(killed->power_cut);
}

TEST_F(StoreFilesTest, AnUnknownBootIdCountsAsAPowerCut) {
  ASSERT_TRUE(Open("").ok());
  EXPECT_TRUE(Open("")->power_cut);
}

TEST_F(StoreFilesTest, ASecondBrokerIsRefusedAndHearsWhoHoldsTheStore) {
  const auto first = Open();
  const auto second = Open();
  EXPECT_TRUE(absl::IsAlreadyExists(second.status())) << second.status();
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("broker-a replica 0, process 7"));
}

TEST_F(StoreFilesTest, AVolumeOfAnotherBrokerIsRefusedAndBothAreNamed) {
  ASSERT_TRUE(Open().ok());
  for (const Identity& other : {Identity{.cluster = "Other", .broker_set = "broker-a"},
                                Identity{.cluster = "DefaultCluster", .broker_set = "broker-b"},
                                Identity{.cluster = "DefaultCluster", .broker_set = "broker-a", .replica = 1}}) {
    names_ = other;
    const absl::Status status = Open().status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("cluster DefaultCluster, broker set broker-a, replica 0"));
    EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("replica ", other.replica)));
  }
}

TEST_F(StoreFilesTest, AVolumeOfAnotherStoreIdIsRefused) {
  ASSERT_TRUE(Open().ok());
  names_.store_id = ExampleStoreId();
  EXPECT_TRUE(absl::IsFailedPrecondition(Open().status()));
}

TEST_F(StoreFilesTest, AnyFlippedBitIsDamageOrANewerFormatAndNothingIsChanged) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(CloseStoreFiles(fs_, "store", {.flushed_end = 1}).ok());
  for (const std::string name : {"identity", "checkpoint"}) {
    const std::string good = Content(name);
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
      std::string bad = good;
      bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
      Replace(name, bad);
      const absl::Status status = Open().status();
      EXPECT_TRUE(absl::IsDataLoss(status) || absl::IsFailedPrecondition(status)) << name << " bit " << bit << status;
      EXPECT_THAT(std::string(status.message()), HasSubstr("store/" + name));
      EXPECT_EQ(Content(name), bad);
    }
    for (const std::string& bad : {std::string(), good.substr(0, good.size() - 1), good + "\n", good + good}) {
      Replace(name, bad);
      EXPECT_TRUE(absl::IsDataLoss(Open().status()));
    }
    Replace(name, good);
  }
  EXPECT_TRUE(Open().ok());
}

TEST_F(StoreFilesTest, ANewerVersionIsNamed) {
  ASSERT_TRUE(Open().ok());
  Replace("identity", "millrace identity 2\nsomething new\n");
  const absl::Status status = Open().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("millrace identity 2"));
}

TEST_F(StoreFilesTest, AMissingIdentityBesideALogIsNotAnEmptyStore) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(fs_.CreateDirectories("store/commitlog").ok());
  ASSERT_TRUE(io::ReplaceFile(fs_, "store/commitlog/00000000000000000000", "log").ok());
  ASSERT_TRUE(fs_.Remove("store/identity").ok());
  EXPECT_TRUE(absl::IsDataLoss(Open().status()));
  EXPECT_FALSE(fs_.Exists("store/identity"));
}

TEST_F(StoreFilesTest, NamesThatDoNotFitALineAreRefused) {
  names_.cluster = "two\nlines";
  EXPECT_TRUE(absl::IsInvalidArgument(Open().status()));
}

TEST_F(StoreFilesTest, APowerCutAnywhereLeavesAStoreThatOpens) {
  ASSERT_TRUE(fs_.CreateDirectories("store").ok());
  const auto start = fs_.Clone();
  fs_.StartTrace();
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(WriteCheckpoint(fs_, "store", {.flushed_end = 1}).ok());
  ASSERT_TRUE(CloseStoreFiles(fs_, "store", {.flushed_end = 2}).ok());
  const std::vector<TraceStep> trace = fs_.TakeTrace();
  std::mt19937_64 random(3);
  for (std::size_t steps = 0; steps <= trace.size(); ++steps) {
    for (int i = 0; i < 20; ++i) {
      const auto copy = start->Clone();
      for (std::size_t k = 0; k < steps; ++k) copy->Apply(trace[k]);
      copy->PowerCut(i == 0 ? Survival::kNothing : Survival::kRandom, random);
      const auto opened = OpenStoreFiles(*copy, "store", names_, "h", "boot-2");
      ASSERT_TRUE(opened.ok()) << opened.status() << " after operation " << steps;
      EXPECT_TRUE(steps < trace.size() || (!opened->unclean && opened->checkpoint.flushed_end == 2));
    }
  }
}

TEST_F(StoreFilesTest, APowerCutIsSeenAlsoWhenTheFirstStartWasKilledAnywhere) {
  ASSERT_TRUE(fs_.CreateDirectories("store").ok());
  const auto start = fs_.Clone();
  fs_.StartTrace();
  ASSERT_TRUE(Open().ok());
  const std::vector<TraceStep> trace = fs_.TakeTrace();
  std::mt19937_64 random(5);
  for (std::size_t steps = 0; steps <= trace.size(); ++steps) {
    for (int i = 0; i < 20; ++i) {
      const auto copy = start->Clone();
      for (std::size_t k = 0; k < steps; ++k) copy->Apply(trace[k]);
      const std::string store_id = OpenStoreFiles(*copy, "store", names_, "h", "boot-1")->identity.store_id;
      copy->PowerCut(i == 0 ? Survival::kNothing : Survival::kRandom, random);
      const auto cut = OpenStoreFiles(*copy, "store", names_, "h", "boot-2");
      ASSERT_TRUE(cut.ok()) << cut.status() << " after operation " << steps;
      EXPECT_TRUE(cut->power_cut) << "after operation " << steps;
      EXPECT_EQ(cut->identity.store_id, store_id);
    }
  }
}

TEST(BootId, IsTheKernels) {
  EXPECT_EQ(BootId(), BootId());
  EXPECT_GE(BootId().size(), 32u);
}

}  // namespace
}  // namespace millrace::store
