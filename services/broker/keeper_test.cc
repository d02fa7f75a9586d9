#include "services/broker/keeper.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

#include "gtest/gtest.h"
#include "io/testing/memory_file_system.h"
#include "store/testing/log_fixture.h"

namespace millrace::broker {
namespace {

// An image whose disk can refuse.
class RefusingImage final : public store::StateImage {
 public:
  absl::Status Apply(store::LogPosition applied, absl::FunctionRef<void(store::ImageChanges&)> fill) override {
    if (refuses) {
      ++refused;
      return absl::ResourceExhaustedError("no space left on device");
    }
    const absl::Status status = image_->Apply(applied, fill);
    folded = applied.offset;
    return status;
  }
  absl::Status Flush() override { return image_->Flush(); }
  store::LogPosition applied() const override { return image_->applied(); }
  store::LogPosition flushed() const override { return image_->flushed(); }
  absl::Status Scan(absl::string_view prefix,
                    absl::FunctionRef<void(absl::string_view, absl::string_view)> each) const override {
    return image_->Scan(prefix, each);
  }
  std::size_t Pairs() const {
    std::size_t pairs = 0;
    const absl::Status status = Scan("", [&](absl::string_view, absl::string_view) { ++pairs; });
    EXPECT_TRUE(status.ok()) << status;
    return pairs;
  }

  std::atomic<bool> refuses{false};
  std::atomic<int> refused{0};
  std::atomic<std::uint64_t> folded{0};

 private:
  const std::unique_ptr<store::MemoryImage> image_ = store::MakeMemoryImage();
};

class KeeperTest : public testing::Test {
 protected:
  KeeperTest() {
    EXPECT_TRUE(fs_.CreateDirectories("consumequeue").ok());
    absl::Status status;
    open_ = store::testing::TryOpen(fs_, clock_, store::testing::SmallLog(), {}, status);
    queues_ = *store::OpenQueueStore(fs_, "consumequeue", 0);
    keeper_ = std::make_unique<Keeper>(Keeper::Options{.data_directory = "."}, fs_, clock_, *open_->log, image_,
                                       *queues_, inbox_);
  }

  // A message in a queue of its own, flushed.
  void Append(std::uint32_t queue) {
    const store::AppendBatch batch = open_->appender->Make({"a"});
    FoldBatch fold{.end = open_->appender->end(), .log_time_millis = batch.log_time_millis};
    fold.records.push_back({store::RecordType::kMessage, queue, 1, 0, ""});
    keeper_->Add(std::move(fold));
    open_->log->Append(batch);
    ASSERT_TRUE(open_->log->Drain().ok());
    keeper_->Wake();
  }
  template <typename Condition>
  static bool Until(Condition condition) {
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition() && std::chrono::steady_clock::now() < patience) std::this_thread::yield();
    return condition();
  }

  io::testing::MemoryFileSystem fs_;
  base::ManualClock clock_;
  std::unique_ptr<store::testing::OpenLog> open_;
  RefusingImage image_;
  std::unique_ptr<store::QueueStore> queues_;
  Inbox inbox_;
  std::unique_ptr<Keeper> keeper_;
};

TEST_F(KeeperTest, WhatTheDiskRefusedIsFoldedWhenItCanBe) {
  image_.refuses = true;
  Append(0);
  ASSERT_TRUE(Until([&] { return image_.refused == 1; }));
  Append(1);
  image_.refuses = false;
  // The keeper may still be about to note when it tries again.
  ASSERT_TRUE(Until([&] {
    clock_.Advance(1'000);
    keeper_->Wake();
    return image_.folded == open_->appender->end();
  }));
  const auto checkpoint = keeper_->Finish();
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_EQ(checkpoint->image_offset, open_->appender->end());
  EXPECT_EQ(image_.refused, 1);
  EXPECT_EQ(image_.Pairs(), 3u);  // the end of each queue, and the log time
}

TEST_F(KeeperTest, ACleanStopFoldsWhatWasRefusedBefore) {
  image_.refuses = true;
  Append(0);
  ASSERT_TRUE(Until([&] { return image_.refused == 1; }));
  image_.refuses = false;
  const auto checkpoint = keeper_->Finish();
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_EQ(checkpoint->image_offset, open_->appender->end());
}

}  // namespace
}  // namespace millrace::broker
