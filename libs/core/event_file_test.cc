#include "core/event_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "absl/strings/escaping.h"
#include "core/testing/world.h"

namespace millrace::core::testing {
namespace {

using ::testing::HasSubstr;

// The example of docs/formats/event_file.md.
TEST(EventFile, HasTheDocumentedForm) {
  EventBatch batch;
  batch.time_millis = 1'000;
  batch.Add(EventType::kFlushed, Flushed{0x1234});
  batch.AddText("ab", 2);
  std::string file;
  AppendEventFileHeader(file);
  AppendEventBatch(batch, file);
  EXPECT_EQ(absl::BytesToHexString(file),
            "4d524556"
            "02000000"
            "26000000"
            "7d9b1bda"
            "e803000000000000"
            "01000000"
            "01000000"
            "10000000"
            "1300080000000000"
            "3412000000000000"
            "6162");
}

TEST(EventFile, GivesBackWhatWasWritten) {
  std::string file;
  AppendEventFileHeader(file);
  EventBatch batch;
  batch.time_millis = 7;
  batch.inbox_emptied = false;
  batch.Add(EventType::kLinkUp, LinkUp{3, 0});
  AppendEventBatch(batch, file);
  AppendEventBatch(EventBatch{}, file);
  EventFileReader reader(file);
  EventBatch read;
  ASSERT_TRUE(*reader.Next(read));
  EXPECT_EQ(read.time_millis, 7);
  EXPECT_FALSE(read.inbox_emptied);
  EXPECT_EQ(read.events, batch.events);
  EXPECT_EQ(read.count, 1u);
  ASSERT_TRUE(*reader.Next(read));
  EXPECT_TRUE(read.inbox_emptied);
  EXPECT_EQ(read.count, 0u);
  EXPECT_FALSE(*reader.Next(read));
}

TEST(EventFile, NamesWhereItIsDamaged) {
  std::string file;
  AppendEventFileHeader(file);
  AppendEventBatch(EventBatch{}, file);
  EventBatch read;
  for (std::size_t cut = 9; cut < file.size(); ++cut) {
    const absl::Status status = EventFileReader(file.substr(0, cut)).Next(read).status();
    EXPECT_THAT(std::string(status.message()), HasSubstr("at byte 8")) << cut;
  }
  for (std::size_t at = 0; at < file.size(); ++at) {
    std::string flipped = file;
    flipped[at] ^= 1;
    EXPECT_EQ(EventFileReader(flipped).Next(read).status().code(), absl::StatusCode::kDataLoss) << at;
  }
}

// A run with a bit of everything; its events are kept by the world.
void Play(World& world, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<Delivered> messages;
  world.Make("T", "G", 3, 2);
  for (int i = 0; i < 400; ++i) {
    switch (random() % 6) {
      case 0: world.Send("T", {"a", "b", "c"}); break;
      case 1:
        world.Receive("c" + std::to_string(random() % 3), "G", "T",
                      ReceiveOptions{.wait = 3'000, .renew = random() % 2 == 0});
        world.Settle();
        break;
      case 2:
        for (auto& [correlation, received] : world.received) {
          if (received.code != code::kOk || received.messages.empty()) continue;
          world.AnswerEnded(received.answer, random() % 3 != 0);
          for (const Delivered& message : received.messages) messages.push_back(message);
          received.messages.clear();
        }
        world.Settle();
        break;
      case 3:
        for (const Delivered& message : messages) {
          if (random() % 2 == 0) {
            world.Ack(message.handle, "G", "T");
          } else {
            world.Change(message.handle, "G", "T", random() % 2 == 0 ? 0 : 5'000);
          }
        }
        messages.clear();
        world.Settle();
        break;
      case 4: world.Flush(); break;
      case 5: world.AdvanceUnflushed(random() % 3'000); break;
    }
  }
}

TEST(Determinism, TheSameEventsGiveTheSameActions) {
  const std::uint32_t seed = std::random_device()();
  SCOPED_TRACE(seed);
  World world({}, true, true);
  Play(world, seed);
  ASSERT_GT(world.core().totals().acknowledged, 0u);
  ASSERT_GT(world.core().totals().dead_lettered, 0u);
  Core core({});
  ASSERT_TRUE(core.Load(MapImage(), 0).ok());
  EventFileReader reader(world.event_file);
  EventBatch events;
  ActionBatch actions;
  std::string trace;
  while (*reader.Next(events)) {
    core.Step(events, actions);
    World::AppendTrace(actions, trace);
  }
  EXPECT_TRUE(trace == world.trace);
}

}  // namespace
}  // namespace millrace::core::testing
