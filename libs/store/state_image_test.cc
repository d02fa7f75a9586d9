#include "store/state_image.h"

#include <filesystem>
#include <functional>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "store/image_position.h"

namespace millrace::store {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

class Twin {
 public:
  virtual ~Twin() = default;
  virtual StateImage& image() = 0;
  virtual void Crash() = 0;  // the process dies
};

class MemoryTwin final : public Twin {
 public:
  StateImage& image() override { return *image_; }
  void Crash() override { image_->Reboot(); }

 private:
  std::unique_ptr<MemoryImage> image_ = MakeMemoryImage();
};

class RocksTwin final : public Twin {
 public:
  RocksTwin() {
    std::filesystem::remove_all(directory_);
    Open();
  }
  ~RocksTwin() override {
    image_.reset();
    std::filesystem::remove_all(directory_);
  }
  StateImage& image() override { return *image_; }
  // Closing writes nothing out, so it leaves what a kill leaves.
  void Crash() override {
    image_.reset();
    Open();
  }

 private:
  void Open() {
    absl::StatusOr<std::unique_ptr<StateImage>> opened = OpenRocksImage(directory_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    image_ = *std::move(opened);
  }
  const std::string directory_ = absl::StrCat(testing::TempDir(), "/state_image_test.", getpid());
  std::unique_ptr<StateImage> image_;
};

class StateImageTest : public testing::TestWithParam<bool> {
 protected:
  void Put(std::uint64_t applied, absl::string_view key, absl::string_view value) {
    ASSERT_TRUE(image().Apply({applied, 9}, [&](ImageChanges& changes) { changes.Put(key, value); }).ok());
  }
  std::vector<std::pair<std::string, std::string>> All(absl::string_view prefix = "") {
    std::vector<std::pair<std::string, std::string>> pairs;
    EXPECT_TRUE(
        image()
            .Scan(prefix, [&](absl::string_view key,
                              absl::string_view value) { pairs.emplace_back(std::string(key), std::string(value)); })
            .ok());
    return pairs;
  }
  StateImage& image() { return twin_->image(); }

  std::unique_ptr<Twin> twin_ =
      GetParam() ? std::unique_ptr<Twin>(std::make_unique<RocksTwin>()) : std::make_unique<MemoryTwin>();
};

TEST_P(StateImageTest, StartsEmptyAtTheLogsStart) {
  EXPECT_THAT(All(), IsEmpty());
  EXPECT_EQ(image().applied().offset, 0u);
}

TEST_P(StateImageTest, ScansInKeyOrderBelowAPrefix) {
  Put(1, "b/2", "x");
  Put(2, "b/1", "y");
  Put(3, "c", "z");
  Put(4, "a", "w");
  EXPECT_THAT(All("b/"), ElementsAre(Pair("b/1", "y"), Pair("b/2", "x")));
  EXPECT_THAT(All(), ElementsAre(Pair("a", "w"), Pair("b/1", "y"), Pair("b/2", "x"), Pair("c", "z")));
}

TEST_P(StateImageTest, ChangesOfOneApplyCountInTheirOrder) {
  Put(1, "p/old", "1");
  ASSERT_TRUE(image()
                  .Apply({2, 0},
                         [](ImageChanges& changes) {
                           changes.Put("p/early", "1");
                           changes.DeletePrefix("p/");
                           changes.Put("p/late", "2");
                           changes.Put("gone", "3");
                           changes.Delete("gone");
                         })
                  .ok());
  EXPECT_THAT(All(), ElementsAre(Pair("p/late", "2")));
}

TEST_P(StateImageTest, DeletePrefixStopsAtTheNextPrefix) {
  const std::string high("p\xff", 2);
  Put(1, absl::StrCat(high, "1"), "in");
  Put(2, absl::StrCat(high, "\xff"), "in");
  Put(3, "q", "out");
  Put(4, "p\xfe", "out");
  ASSERT_TRUE(image().Apply({5, 0}, [&](ImageChanges& changes) { changes.DeletePrefix(high); }).ok());
  EXPECT_THAT(All(), ElementsAre(Pair("p\xfe", "out"), Pair("q", "out")));
}

TEST_P(StateImageTest, ACrashFallsBackToTheLastFlushWithItsPosition) {
  Put(100, "k", "flushed");
  ASSERT_TRUE(image().Flush().ok());
  EXPECT_EQ(image().flushed().offset, 100u);
  Put(200, "k", "later");
  Put(300, "other", "later");
  EXPECT_EQ(image().applied().offset, 300u);
  EXPECT_EQ(image().flushed().offset, 100u);
  twin_->Crash();
  EXPECT_THAT(All(), ElementsAre(Pair("k", "flushed")));
  EXPECT_EQ(image().applied().offset, 100u);
  EXPECT_EQ(image().applied().previous_checksum, 9u);
  EXPECT_EQ(image().flushed().offset, 100u);
}

TEST_P(StateImageTest, AnApplyWithoutChangesMovesThePosition) {
  ASSERT_TRUE(image().Apply({64, 1}, [](ImageChanges&) {}).ok());
  ASSERT_TRUE(image().Flush().ok());
  twin_->Crash();
  EXPECT_EQ(image().applied().offset, 64u);
}

INSTANTIATE_TEST_SUITE_P(Twins, StateImageTest, testing::Values(false, true),
                         [](const auto& info) { return info.param ? "Rocks" : "Memory"; });

// The example of docs/formats/image_store.md.
TEST(ImagePositionTest, HasTheDocumentedBytes) {
  EXPECT_EQ(absl::BytesToHexString(kPositionKey), "00706f736974696f6e");
  EXPECT_EQ(absl::BytesToHexString(EncodePosition({1048576, 0x11223344})), "000010000000000044332211");
  EXPECT_EQ(DecodePosition("short").status().code(), absl::StatusCode::kDataLoss);
}

TEST(RocksImageTest, LeavesNoLogOfItsOwn) {
  const std::string directory = absl::StrCat(testing::TempDir(), "/rocks_image_test.", getpid());
  std::filesystem::remove_all(directory);
  {
    auto image = OpenRocksImage(directory);
    ASSERT_TRUE(image.ok()) << image.status();
    ASSERT_TRUE((*image)->Apply({1, 1}, [](ImageChanges& changes) { changes.Put("k", std::string(1000, 'v')); }).ok());
    ASSERT_TRUE((*image)->Flush().ok());
  }
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    EXPECT_TRUE(!name.starts_with("LOG")) << name;
    EXPECT_TRUE(!name.ends_with(".log") || entry.file_size() == 0) << name;
  }
  std::filesystem::remove_all(directory);
}

TEST(RocksImageTest, SaysWhichDirectoryCannotBeOpened) {
  const auto image = OpenRocksImage("/proc/no-such-directory/config");
  ASSERT_FALSE(image.ok());
  EXPECT_THAT(std::string(image.status().message()), testing::HasSubstr("/proc/no-such-directory/config"));
}

}  // namespace
}  // namespace millrace::store
