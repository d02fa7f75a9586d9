#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <new>
#include <random>
#include <vector>

#include "core/codes.h"
#include "core/core.h"
#include "core/metadata.h"

namespace {

std::uint64_t allocations = 0;

}  // namespace

// At lower levels of optimisation GCC does not see that these belong together.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
void* operator new(std::size_t size) {
  ++allocations;
  void* memory = std::malloc(size);
  if (memory == nullptr) std::abort();
  return memory;
}
void* operator new[](std::size_t size) { return operator new(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

namespace millrace::core {
namespace {

class NoImage : public ImageReader {
 public:
  void Scan(absl::string_view, absl::FunctionRef<void(absl::string_view, absl::string_view)>) const override {}
};

template <typename T>
T As(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// The smallest shell: every batch is flushed before the next turn, every claim matches, every answer ends well, and
// every message is acknowledged. Its own buffers are reserved, so what is counted is the core's.
class Shell {
 public:
  Shell() : core_(Options{}) {
    for (std::string* text :
         {&events_.events, &events_.text, &next_.events, &next_.text, &actions_.actions, &actions_.text}) {
      text->reserve(4 << 20);
    }
    actions_.append.records.reserve(100'000);
    EXPECT_TRUE(core_.Load(NoImage(), 0).ok());
    events_.Add(EventType::kStarted, Started{});
    events_.Add(EventType::kInitialise, Initialise{{}, {}, 1, 2});
    Turn();
  }

  void Turn() {
    events_.time_millis = ++time_;
    events_count += events_.count;
    core_.Step(events_, actions_);
    next_.Clear();
    if (!actions_.append.records.empty()) {
      for (const BatchPlan& batch : actions_.append.batches) log_bytes += batch.bytes;
      for (const RecordPlan& record : actions_.append.records) {
        if (record.type == store::RecordType::kMessage) log_bytes -= store::RecordBytes(1, record.body.size);
      }
      next_.Add(EventType::kFlushed,
                Flushed{actions_.append.batches.back().offset + actions_.append.batches.back().bytes});
    }
    const char* at = actions_.actions.data();
    const char* end = at + actions_.actions.size();
    for (; at < end; at += 8 + As<std::uint16_t>(at + 2)) {
      Handle(static_cast<ActionType>(As<std::uint16_t>(at)), at + 8);
    }
    std::swap(events_, next_);
  }

  void Send(int count) {
    for (int i = 0; i < count; ++i) {
      const SendMessage message{{static_cast<std::uint32_t>(i), 1'024}, 0, 0, 7, 0};
      core::Send event;
      event.reply.correlation = ++correlation_;
      event.topic = Text("topic");
      event.messages = events_.AddText(reinterpret_cast<const char*>(&message), sizeof message);
      event.message_type = 1;
      event.auto_create = 1;
      events_.Add(EventType::kSend, event);
    }
  }

  void Receive(std::uint32_t client) {
    core::Receive event;
    event.reply.correlation = ++correlation_;
    event.topic = Text("topic");
    event.group = Text("group");
    event.client = Text(client == 0 ? "client-0" : "client-1");
    event.filter = Text("*");
    event.invisible_millis = 30'000;
    event.wait_millis = 20'000;
    event.batch = 32;
    event.bytes_max = 8u << 20;
    event.auto_renew = 1;
    event.auto_create = 1;
    events_.Add(EventType::kReceive, event);
  }

  std::uint64_t events_count = 0, delivered = 0, acknowledged = 0;
  std::uint64_t log_bytes = 0;  // without the messages themselves

 private:
  TextRef Text(const char* text) { return events_.AddText(text, std::strlen(text)); }
  TextRef NextText(const char* text) { return next_.AddText(text, std::strlen(text)); }

  void Handle(ActionType type, const char* at) {
    if (type == ActionType::kClaim) {
      const auto claim = As<Claim>(at);
      TextRef verdicts{static_cast<std::uint32_t>(next_.text.size()), 0};
      for (std::uint32_t i = 0; i < claim.entries.size; i += sizeof(ClaimEntry)) {
        const Verdict verdict{VerdictResult::kMatch, 1'024};
        verdicts.size += next_.AddText(reinterpret_cast<const char*>(&verdict), sizeof verdict).size;
      }
      next_.Add(EventType::kVerdicts, Verdicts{claim.claim, verdicts});
    } else if (type == ActionType::kDeliver) {
      const auto deliver = As<Deliver>(at);
      next_.Add(EventType::kAnswerEnded, AnswerEnded{deliver.answer, 1, 0});
      for (std::uint32_t i = 0; i < deliver.entries.size; i += sizeof(DeliverEntry)) {
        const auto entry = As<DeliverEntry>(actions_.text.data() + deliver.entries.at + i);
        next_.Add(EventType::kAck,
                  Ack{ReplyTo{++correlation_, 1, 0}, NextText("topic"), NextText("group"), entry.handle});
        ++delivered;
      }
    } else if (type == ActionType::kReply) {
      acknowledged += As<Reply>(at).code == code::kOk;
    }
  }

  Core core_;
  EventBatch events_, next_;
  ActionBatch actions_;
  std::int64_t time_ = 1'000'000;
  std::uint64_t correlation_ = 0;
};

TEST(Allocations, AreRareInASteadyMix) {
  Shell shell;
  const auto round = [&](int i) {
    shell.Send(32);
    shell.Receive(i % 2);
    shell.Receive((i + 1) % 2);
    shell.Turn();
  };
  for (int i = 0; i < 1'000; ++i) round(i);
  const std::uint64_t before = allocations, events = shell.events_count;
  const std::uint64_t wanted = std::getenv("MILLRACE_LONG") != nullptr ? 1'000'000 : 200'000;
  for (int i = 0; shell.events_count < events + wanted; ++i) round(i);
  const double each = static_cast<double>(allocations - before) / static_cast<double>(shell.events_count - events);
  std::printf("%.5f allocations per event over %llu events\n", each,
              static_cast<unsigned long long>(shell.events_count - events));
  EXPECT_LE(each, 0.05);
  EXPECT_GT(shell.delivered, wanted / 4);
  EXPECT_GT(shell.acknowledged, wanted / 4);
}

TEST(LogBudget, IsKeptByMessagesDeliveredAndAcknowledgedInBatches) {
  Shell shell;
  for (int i = 0; i < 100; ++i) {
    shell.Send(32);
    shell.Turn();
  }
  const std::uint64_t bytes = shell.log_bytes, count = shell.delivered;
  for (int i = 0; i < 100; ++i) {
    shell.Receive(i % 2);
    for (int turn = 0; turn < 4; ++turn) shell.Turn();
  }
  const double each = static_cast<double>(shell.log_bytes - bytes) / static_cast<double>(shell.delivered - count);
  std::printf("%.1f bytes of log per message\n", each);
  EXPECT_GT(shell.delivered - count, 3'000u);
  EXPECT_LE(each, 24);
}

}  // namespace
}  // namespace millrace::core
