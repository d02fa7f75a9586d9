#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "core/actions.h"
#include "core/sums.h"
#include "model/tag_filter.h"
#include "services/broker/claim_gate.h"
#include "services/broker/inbox.h"
#include "store/commit_log.h"
#include "store/consume_queue.h"

namespace millrace::broker {

// A message that a reader found: a view of its stored message inside the buffer that was read.
struct FoundMessage {
  std::string buffer;
  std::size_t stored_at = 0;
  std::size_t stored_bytes = 0;
  std::string origin_topic;  // of a dead letter
  std::int64_t store_millis = 0;
  std::uint32_t tag_hash = 0;
  std::uint64_t id_hash = 0;

  absl::string_view stored() const { return absl::string_view(buffer).substr(stored_at, stored_bytes); }
};

// A claim whose verdicts were posted. The credit of `messages` is taken from `link`; what of it is not sent goes back.
struct ReadClaim {
  std::uint32_t link = 0;
  std::uint64_t granted = 0;
  std::vector<FoundMessage> messages;  // by position; empty where nothing matched
};

// Reads bodies beside the core: looks at claims (read, filter, keep) and comes back with verdicts, and reads single
// messages. A claim is read when its link has credit, and as far as that goes.
// Threads. Methods from any; work happens on threads of its own.
class Reader {
 public:
  struct Options {
    int threads = 1;
    std::uint64_t answer_bytes_max = 8u << 20;  // one answer is full then, but for a first message
  };
  Reader(const store::CommitLog& log, const store::QueueStore& queues, Inbox& inbox, BodySlots& bodies, ClaimGate& gate,
         const Options& options);
  ~Reader();

  void Stop();  // finishes nothing that still waits; what is asked later is dropped

  void LookAt(const core::Claim& claim, std::vector<core::ClaimEntry> entries, std::string filter);
  void ReadBody(const core::ReadBody& request);
  // `done` runs on a reader thread; nullptr: not there.
  void Get(std::uint64_t topic_id, std::uint32_t queue, std::int64_t queue_offset,
           std::function<void(const FoundMessage*)> done);

  // When the message was stored; comes back as the event StoreTime.
  void TellStoreTime(const core::StoreTimeWanted& wanted);

  // The claim is forgotten.
  ReadClaim TakeClaim(std::uint64_t claim);

 private:
  struct Look;

  void Run();
  void FindEntries(const std::shared_ptr<Look>& look);
  void ReadEntries(Look& look, std::uint64_t granted);
  core::VerdictResult FindEntry(std::uint64_t topic_id, std::uint32_t queue, std::int64_t queue_offset,
                                const model::TagFilter& filter, store::QueueEntry& entry) const;
  core::VerdictResult ReadEntry(std::uint64_t topic_id, std::uint32_t queue, std::int64_t queue_offset,
                                const store::QueueEntry& entry, const model::TagFilter& filter,
                                FoundMessage& found) const;
  core::VerdictResult Find(std::uint64_t topic_id, std::uint32_t queue, std::int64_t queue_offset,
                           FoundMessage& found) const;
  void Add(std::function<void()> job);
  bool WaitForJob(std::function<void()>& job);

  const store::CommitLog& log_;
  const store::QueueStore& queues_;
  Inbox& inbox_;
  BodySlots& bodies_;
  ClaimGate& gate_;
  const Options options_;

  base::Mutex mu_;
  base::CondVar work_;
  std::deque<std::function<void()>> jobs_ ABSL_GUARDED_BY(mu_);
  std::deque<std::function<void()>> later_ ABSL_GUARDED_BY(mu_);  // after a second, when nothing else is to do
  std::map<std::uint64_t, ReadClaim> claims_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace millrace::broker
