#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "core/testing/world.h"

// Every rule's trace, played twice: what must hold holds with the rule, and does not without it.
namespace millrace::core::testing {
namespace {

using Trace = std::function<bool(const Options&)>;  // true: what must hold held

void ExpectNeeded(bool Rules::*rule, const Trace& trace, Options options = {}) {
  EXPECT_TRUE(trace(options)) << "with the rule";
  options.rules.*rule = false;
  EXPECT_FALSE(trace(options)) << "without the rule nothing is noticed: the trace tests nothing";
}

ReceiveOptions One(bool renew = false) {
  ReceiveOptions options;
  options.batch = 1;
  options.renew = renew;
  return options;
}

TEST(Rules, PassedWaits) {
  ExpectNeeded(&Rules::passed_waits, [](const Options& options) {
    World world(options);
    world.Make("T", "G");
    world.Deposit("T", {"a"});
    const auto messages = world.Take("c", "G", "T");
    world.Ack(messages[0].handle, "G", "T");
    const auto second = world.Ack(messages[0].handle, "G", "T");
    world.Settle();
    const bool answered = world.replied[second].code == code::kOk;
    world.Crash(0);  // the record is lost
    return !(answered && !world.Take("c", "G", "T").empty());
  });
}

TEST(Rules, AttemptRecord) {
  ExpectNeeded(&Rules::attempt_record, [](const Options& options) {
    World world(options);
    world.Make("T", "G");
    world.Deposit("T", {"a"});
    world.Change(world.Take("c", "G", "T")[0].handle, "G", "T", 0);
    world.Settle();
    const auto second = world.Take("c", "G", "T");
    const std::uint32_t seen = second.empty() ? 1 : second[0].attempt;
    world.Crash(0);
    return world.Take("c", "G", "T")[0].attempt >= seen;
  });
}

TEST(Rules, AnswerId) {
  ExpectNeeded(&Rules::answer_id, [](const Options& options) {
    World world(options);
    world.Make("T", "G");
    world.Deposit("T", {"a"});
    ReceiveOptions receive;
    receive.attempt_id = "x";
    const Received first = world.Offer("c", "G", "T", receive), again = world.Offer("c", "G", "T", receive);
    EXPECT_EQ(again.messages.size(), 1u);
    world.AnswerEnded(again.answer, true);   // the client has it
    world.AnswerEnded(first.answer, false);  // late news of the stream that broke
    world.Settle();
    if (world.Progress("G", "T").in_flight != 1) return false;
    // The other order: the late news comes while the newer answer is on its way.
    const Received third = world.Offer("c", "G", "T", receive), fourth = world.Offer("c", "G", "T", receive);
    world.AnswerEnded(third.answer, false);
    world.Settle();
    return world.Progress("G", "T").in_flight == 1 && fourth.code == code::kOk;
  });
}

TEST(Rules, GapBlocks) {
  ExpectNeeded(&Rules::gap_blocks, [](const Options& options) {
    World world(options);
    world.Make("T", "G");
    std::vector<std::string> bodies(130, "x");
    world.Send("T", bodies);
    world.Flush();
    std::vector<Delivered> messages;
    while (messages.size() < 130) {
      for (Delivered& message : world.Take("c", "G", "T")) messages.push_back(message);
    }
    world.Ack(messages[129].handle, "G", "T");  // two blocks before it were never in a record
    world.Flush();
    world.Crash();
    return world.Progress("G", "T").ready == 129;
  });
}

TEST(Rules, DirtyBlocks) {
  ExpectNeeded(&Rules::dirty_blocks, [](const Options& options) {
    World world(options);
    world.judge = [](const std::string& filter, const std::string& body) {
      return filter == "*" || body == filter ? VerdictResult::kMatch : VerdictResult::kReject;
    };
    world.Make("T", "G");
    world.Send("T", std::vector<std::string>(70, "x"));
    world.Flush();
    std::vector<Delivered> messages;
    while (messages.size() < 70) {
      for (Delivered& message : world.Take("c", "G", "T")) messages.push_back(message);
    }
    world.Ack(messages[69].handle, "G", "T");  // says that everything else is open
    world.Change(messages[0].handle, "G", "T", 0, true);
    world.Change(messages[68].handle, "G", "T", 0, true);
    world.Flush();
    ReceiveOptions other;
    other.filter = "y";
    world.Take("c", "G", "T", other);          // rejects 0 and 68: no record of its own
    world.Ack(messages[67].handle, "G", "T");  // a record about the second block
    world.Flush();
    world.Crash();
    const QueueProgress progress = world.Progress("G", "T");
    return progress.ready + progress.acknowledged + progress.rejected == 70;
  });
}

TEST(Rules, CountersInRecord) {
  ExpectNeeded(&Rules::counters_in_record, [](const Options& options) {
    World world(options);
    world.Make("T", "G");
    world.Deposit("T", {"a"});
    world.Ack(world.Take("c", "G", "T")[0].handle, "G", "T");
    world.Flush();
    world.Crash();
    return world.Progress("G", "T").acknowledged == 1;
  });
}

TEST(Rules, HeldOnly) {
  ExpectNeeded(&Rules::held_only, [](const Options& options) {
    World world(options);
    world.Make("T", "G");
    world.Deposit("T", {"a"});
    world.Offer("c", "G", "T");
    world.Advance(2'000);
    world.Crash();  // an offer that nobody has reported is no attempt, and not held against anybody
    return world.Progress("G", "T").ready == 1;
  });
}

TEST(Rules, LapseFree) {
  ExpectNeeded(&Rules::lapse_free, [](const Options& options) {
    World world(options);
    world.Make("T", "G");
    world.Deposit("T", {"a"});
    world.Offer("c", "G", "T");
    world.Advance(17'000);
    return world.Take("c", "G", "T")[0].attempt == 1;
  });
}

TEST(Rules, Grace) {
  ExpectNeeded(&Rules::grace, [](const Options& options) {
    World world(options);
    world.Make("T", "G");
    world.Deposit("T", {"a"});
    world.Take("c", "G", "T", One(true));
    world.Advance(2'000);
    world.Crash();
    world.Advance(5'000);  // its proxy needs a while to come back
    return world.Progress("G", "T").in_flight == 1;
  });
}

TEST(Rules, PaceOfSilence) {
  ExpectNeeded(&Rules::pace, [](const Options& options) {
    World world(options);
    world.Make("T", "G");
    world.Deposit("T", {"a"});
    world.Register("c", "G", 7);
    world.Take("c", "G", "T", One(true));
    world.time += 90'000;  // the process was stopped; its inbox is longer than one turn
    for (int i = 0; i < 90; ++i) {
      world.events.inbox_emptied = false;
      world.Turn();
    }
    world.Alive({7});
    world.Advance(1'000);
    return world.Progress("G", "T").in_flight == 1;
  });
}

TEST(Rules, PaceOfTime) {
  ExpectNeeded(&Rules::pace, [](const Options& options) {
    World world(options);
    world.Make("T", "G");
    world.Deposit("T", {"a"});
    const auto messages = world.Take("c", "G", "T");
    world.time += 90'000;
    world.events.inbox_emptied = false;
    world.Turn();
    const auto ack = world.Ack(messages[0].handle, "G", "T");
    world.Flush();
    return world.replied[ack].code == code::kOk;
  });
}

TEST(Rules, StartNumber) {
  ExpectNeeded(&Rules::start_number, [](const Options& options) {
    World world(options);
    world.Make("T", "G");
    world.Deposit("T", {"a"});
    // Delivered and returned in the first start: nothing of it is in the log. The second start counts from 1 again.
    const Received lost = world.Offer("c", "G", "T");
    world.AnswerEnded(lost.answer, false);
    world.Settle();
    world.Crash();
    world.Take("c2", "G", "T");
    const auto ack = world.Ack(lost.messages[0].handle, "G", "T");
    world.Flush();
    return world.replied[ack].code == code::kInvalidReceiptHandle;
  });
}

Options Async() {
  Options options;
  options.async_flush = true;
  return options;
}

TEST(Rules, EpochList) {
  ExpectNeeded(
      &Rules::epoch_list,
      [](const Options& options) {
        World world(options);
        world.Make("T", "G");
        world.Send("T", {"lost"});
        world.Settle();
        world.Written();
        const auto messages = world.Take("c", "G", "T");
        EXPECT_EQ(messages.size(), 1u);
        world.Crash(0, true);
        world.Deposit("T", {"another"});  // takes the lost one's offset
        world.Crash(0, true);
        const auto ack = world.Ack(messages[0].handle, "G", "T");
        world.Flush();
        return world.replied[ack].code == code::kInvalidReceiptHandle;
      },
      Async());
}

TEST(Rules, EpochRefusesAfterOneLossToo) {
  World world(Async());
  world.Make("T", "G");
  world.Deposit("T", {"kept"});
  world.Send("T", {"lost"});
  world.Settle();
  world.Written();
  const auto messages = world.Take("c", "G", "T");
  ASSERT_EQ(messages.size(), 2u);
  world.Crash(0, true);
  world.Deposit("T", {"another"});
  const auto kept = world.Ack(messages[0].handle, "G", "T"), lost = world.Ack(messages[1].handle, "G", "T");
  world.Flush();
  EXPECT_EQ(world.replied[kept].code, code::kOk);
  EXPECT_EQ(world.replied[lost].code, code::kInvalidReceiptHandle);
}

TEST(Rules, MetadataSync) {
  ExpectNeeded(
      &Rules::metadata_sync,
      [](const Options& options) {
        World world(options);
        TopicConfig topic;
        topic.name = "A";
        const auto created = world.PutTopic(topic);
        world.Settle();
        // The writer reports a batch as written; what says flush_first it has made durable before.
        std::size_t durable = 0;
        for (const LoggedBatch& batch : world.log) durable += batch.flush_first;
        world.Written();
        EXPECT_EQ(world.replied[created].code, code::kOk);
        const std::uint64_t id = DecodeTopic(world.replied[created].payload)->id;
        world.Crash(durable == world.log.size() ? 1 : 0, true);
        topic.name = "B";
        const auto other = world.PutTopic(topic);
        world.Flush();
        return DecodeTopic(world.replied[other].payload)->id != id;
      },
      Async());
}

TEST(Rules, QueueEnd) {
  ExpectNeeded(&Rules::queue_end, [](const Options& options) {
    World world(options);
    world.Make("T", "G");
    world.Deposit("T", {"a", "b"});
    world.Crash();  // everything is in the image only, as after retention
    const auto send = world.Send("T", {"c"});
    world.Flush();
    return world.sent[send].offset == 2;
  });
}

TEST(Rules, DeadLetterOneRecord) {
  ExpectNeeded(&Rules::dead_letter_one_record, [](const Options& options) {
    // Whatever part of what was appended survives, the message is there once: in the queue or as a letter.
    for (std::size_t keep = 0; keep <= 3; ++keep) {
      World world(options);
      world.Make("T", "G", 1, 1);
      world.Deposit("T", {"a"});
      world.Change(world.Take("c", "G", "T")[0].handle, "G", "T", 0);
      world.Settle();
      world.Crash(keep);
      world.MakeGroup("other");
      const auto letters = static_cast<std::int64_t>(world.Take("c", "other", "%DLQ%G").size());
      if (letters + static_cast<std::int64_t>(world.Take("c", "G", "T").size()) != 1) return false;
    }
    return true;
  });
}

}  // namespace
}  // namespace millrace::core::testing
