#include <algorithm>

#include "core/impl.h"

// Offered: from the delivery until the proxy says how the client's stream ended.
namespace millrace::core {

void Core::Impl::Deliver(Receiver& receiver, std::uint64_t claim, const std::vector<std::uint32_t>& matched) {
  Answer& answer = *answers_.Take();
  answer.kind = kAnswerTimer;
  answer.link = receiver.reply.link;
  answer.open = 0;
  answer.newer = 0;
  answer.begun = answer.written = now_;
  answer.latest = now_ + options_.offer_max_millis;
  answer.entries.clear();
  if (!receiver.renewed) answer.latest = std::min(answer.latest, now_ + receiver.invisible);
  Client& client = *FindClient(receiver.client);
  PairCounters& counters = receiver.subscription->counters;
  PairHistograms& histograms = HistogramsOf(*receiver.subscription);
  TextRef entries{static_cast<std::uint32_t>(out_->text.size()), 0};
  for (const std::uint32_t index : matched) {
    Entry& entry = receiver.again ? *AgainEntry(receiver, receiver.again_items[index]) : *receiver.entries[index];
    if (receiver.again) {
      if (entry.answer != nullptr && !options_.rules.answer_id) entry.answer->newer = answer.id;
      Detach(entry);
      if (entry.written) Change(*entry.cursor, entry.offset, kBlockChanged);
    } else {
      entry.receiver = nullptr;
      receiver.entries[index] = nullptr;
      Observe(histograms.delivery_age, entry.since != 0 ? entry.since : entry.store_millis);
      entry.since = now_;
      if (++entry.delivery > 1) ++counters.redelivered;
      entry.suspend = false;
      entry.seen = true;
      entry.start = start_number_;
      entry.client = receiver.client;
    }
    entry.renewed = receiver.renewed;
    entry.invisible = receiver.invisible;
    entry.write_at = now_ + options_.lease_write_millis;
    entry.end = std::min(now_ + options_.offer_millis, answer.latest);
    entry.written = false;
    SetState(entry, EntryState::kOffered);
    client.leases.PushBack(&entry);
    entry.answer = &answer;
    entry.index = answer.open++;
    answer.entries.push_back(&entry);
    ArmLease(entry);
    const Topic& topic = *receiver.subscription->topic;
    const DeliverEntry delivered{
        index, entry.attempt,
        core::Handle{topic.config.id, receiver.group->config.id, entry.offset, entry.cursor->queue, entry.delivery,
                     entry.start, static_cast<std::uint32_t>(epoch_)}};
    entries.size += out_->AddText(reinterpret_cast<const char*>(&delivered), sizeof delivered).size;
  }
  sums_.messages_out += matched.size();
  counters.messages_out += matched.size();
  RememberAnswer(receiver, answer);
  ArmAnswer(answer);
  out_->Add(ActionType::kDeliver, core::Deliver{receiver.reply, claim, answer.id, receiver.invisible, entries});
  DropReceiver(receiver);
}

void Core::Impl::RememberAnswer(const Receiver& receiver, const Answer& answer) {
  if (receiver.attempt_id.empty()) return;
  LastAnswer& last = receiver.subscription->last_answers[receiver.client];
  last.attempt_id = receiver.attempt_id;
  last.queue = receiver.queue;
  last.items.clear();
  for (const Entry* entry : answer.entries) {
    last.items.push_back({entry->cursor->queue, entry->delivery, entry->offset});
  }
}

void Core::Impl::ArmAnswer(Answer& answer) {
  wheel_.Set(&answer, std::min(answer.written + options_.offer_millis, answer.latest));
}

void Core::Impl::OnAnswerWritten(const AnswerWritten& event) {
  // The timer looks at it when it fires: a report costs one store.
  if (Answer* answer = answers_.Find(event.answer)) answer->written = now_;
}

void Core::Impl::OnAnswerTimer(Answer& answer) {
  if (std::min(answer.written + options_.offer_millis, answer.latest) > now_) return ArmAnswer(answer);
  EndAnswer(answer, false, true);
}

void Core::Impl::OnAnswerEnded(const AnswerEnded& event) {
  Answer* answer = answers_.Find(event.answer);
  if (answer == nullptr) return;
  Answer* newer = answers_.Find(answer->newer);
  if (newer != nullptr) EndAnswer(*newer, event.well != 0, false);
  EndAnswer(*answer, event.well != 0, false);
}

void Core::Impl::EndAnswer(Answer& answer, bool well, bool lapsed) {
  ++answer.open;  // it must not go while this loop looks at it
  for (std::size_t i = 0; i < answer.entries.size(); ++i) {
    Entry* entry = answer.entries[i];
    if (entry == nullptr) continue;
    answer.entries[i] = nullptr;
    entry->answer = nullptr;
    --answer.open;
    if (well) {
      Hold(*entry);
    } else if (lapsed && !options_.rules.lapse_free) {
      EndLease(*entry, true, options_.return_millis);
    } else {
      GiveBack(*entry);
    }
  }
  DropAnswer(answer);
}

void Core::Impl::DropAnswer(Answer& answer) {
  TimerWheel::Cancel(&answer);
  answer.entries.clear();
  answers_.Give(&answer);
}

}  // namespace millrace::core
