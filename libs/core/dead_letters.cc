#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "core/codes.h"
#include "core/impl.h"

// The way of a message to %DLQ%<group>: its body is read, then one record holds the copy and "original passed".
namespace millrace::core {
namespace {

constexpr std::uint32_t kReadingMax = 4;  // bodies of dead letters in memory at a time

}  // namespace

// `entry` is detached.
DeadLetter* Core::Impl::BeginDeadLetter(Entry& entry) {
  DeadLetter* letter = letters_.Take();
  letter->entry = &entry;
  letter->replies.clear();
  entry.letter = letter->id;
  entry.dying = true;
  SetState(entry, EntryState::kWaiting);
  letters_to_read_.push(letter->id);
  return letter;
}

void Core::Impl::ReadNextLetters() {
  while (letters_reading_ < kReadingMax && !letters_to_read_.empty()) {
    DeadLetter* letter = letters_.Find(letters_to_read_.pop());
    if (letter->entry == nullptr) {
      EndLetter(*letter);
      continue;
    }
    ++letters_reading_;
    const Cursor& cursor = *letter->entry->cursor;
    out_->Add(ActionType::kReadBody,
              ReadBody{letter->id, cursor.subscription->topic->config.id, letter->entry->offset, cursor.queue, 0});
  }
}

// The letters of a turn are one part of its write batch, as large as the sends of a turn may be.
bool Core::Impl::LetterFits(const BodyRead& event) const {
  return event.result != VerdictResult::kMatch || letter_bytes_ == 0 ||
         letter_bytes_ + event.body.size <= TurnSendLimit();
}

void Core::Impl::TakeReadLetters() {
  while (!read_letters_.empty() && LetterFits(read_letters_.front())) OnBodyRead(read_letters_.pop());
}

void Core::Impl::OnBodyRead(const BodyRead& event) {
  DeadLetter* letter = letters_.Find(event.token);
  const bool has_body = event.result == VerdictResult::kMatch;
  if (letter == nullptr || letter->entry == nullptr || log_failed_) {
    if (has_body) out_->Add(ActionType::kReleaseBody, ReleaseBody{event.body.slot, 0});
    if (letter == nullptr) return;
  } else if (has_body) {
    PlanLetter(*letter, event);
  } else {
    const bool unreadable = event.result == VerdictResult::kUnreadable;
    Pass(*letter->entry, unreadable ? &PassedCounters::skipped : &PassedCounters::expired, kBlockForced);
  }
  --letters_reading_;
  EndLetter(*letter);
}

void Core::Impl::EndLetter(DeadLetter& letter) {
  for (const ReplyTo& reply : letter.replies) {
    Wait wait;
    wait.reply = reply;
    WaitForTurn(wait);
  }
  if (letter.entry != nullptr) letter.entry->letter = 0;
  letters_.Give(&letter);
}

void Core::Impl::PlanLetter(DeadLetter& letter, const BodyRead& event) {
  Entry& entry = *letter.entry;
  Cursor& cursor = *entry.cursor;
  Topic* target = EnsureDeadLetterTopic(*cursor.subscription->group);
  Queue& queue = target->queues[0];
  LetterPlan plan;
  plan.cursor = &cursor;
  plan.origin = {cursor.subscription->topic->config.id, cursor.subscription->topic->config.name, cursor.queue,
                 entry.offset, entry.attempt};
  plan.record.type = store::RecordType::kDeadLetter;
  plan.record.has_body = 1;
  plan.record.topic_id = target->config.id;
  plan.record.queue_offset = queue.appended++;
  plan.record.tag_field = event.tag_hash;
  plan.record.time_millis = event.born_millis;
  plan.record.keys = out_->AddText(reinterpret_cast<const char*>(&event.id_hash), sizeof event.id_hash);
  plan.record.body = event.body;
  letter_plans_.push_back(std::move(plan));
  letter_bytes_ += event.body.size;
  pending_ends_.push({turn_, target->config.id, queue.appended, now_, 0});
  ++cursor.subscription->counters.dead_lettered;
  ++sums_.dead_lettered;
  Pass(entry, &PassedCounters::dead_lettered, kBlockForced);
}

// After everything else of the turn, so that the progress inside is the turn's last word.
void Core::Impl::WriteLetters() {
  for (Cursor* cursor : late_progress_) MustRecord(*cursor);
  late_progress_.clear();
  for (LetterPlan& plan : letter_plans_) {
    std::string head(4, '\0');
    Encode(plan.origin, head);
    if (plan.cursor != nullptr && options_.rules.dead_letter_one_record) EncodeProgress(*plan.cursor, head);
    if (plan.cursor != nullptr && !options_.rules.dead_letter_one_record) {
      plan.cursor->must_record = false;
      late_progress_.push_back(plan.cursor);
    }
    base::Store(head.data(), static_cast<std::uint32_t>(head.size() - 4));
    plan.record.head = OutText(head);
    planned_bytes_ += store::RecordBytes(1, static_cast<std::uint32_t>(head.size()) + plan.record.body.size);
    out_->append.records.push_back(plan.record);
  }
  letter_plans_.clear();
  letter_bytes_ = 0;
}

}  // namespace millrace::core
