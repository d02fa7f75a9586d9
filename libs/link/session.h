#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/mutex.h"
#include "link/frame.h"

// One stream of a link: queues records, packs what has gathered into frames, puts pieces together, watches the peer.
//
// Pacing.  At most `window` frames are unanswered; what is queued meanwhile goes out as the next frame. A frame is
//          answered by the frames_seen of any later frame of the other side. That the transport took a frame is no
//          answer: a queue paced by that sends frames of one record.
namespace millrace::link {

// Where frames go: a stream of a transport, or the peer in the same process. Write never blocks.
class FrameSink {
 public:
  virtual ~FrameSink() = default;
  virtual void Write(std::string frame) = 0;
  virtual void Close() = 0;
  // True: `flush` comes in a moment, when what is at hand has been handled, and takes all of it along. False: write
  // now.
  virtual bool Later([[maybe_unused]] const std::function<void()>& flush) { return false; }
};

struct SessionOptions {
  std::uint32_t window = 4;
  // Frames of the peer that are answered on their own, when no record carries the answer: at most the peer's window.
  std::uint32_t answer_after = 2;
  // Answers that ride on no record are sent by the owner's calls of Tick() (1 ms after the frame), not at once: an
  // owner that works in turns answers with its turn's records anyway.
  bool delay_answers = false;
  std::int64_t ping_millis = 1'000;
  std::int64_t silence_millis = 3'000;  // dead after
};

// Threads. Queue, Flush and Send from any; OnFrame and OnTransportEnded from one at a time (the transport's); Tick from
//          one. The record callback runs in OnFrame's thread, without a lock held; the ended callback runs once, last.
class Session : public std::enable_shared_from_this<Session> {
 public:
  using RecordCallback = std::function<void(const Record&)>;
  using EndedCallback = std::function<void(const absl::Status&)>;

  Session(const SessionOptions& options, std::int64_t now_millis, RecordCallback on_record, EndedCallback on_ended)
      : options_(options),
        on_record_(std::move(on_record)),
        on_ended_(std::move(on_ended)),
        last_heard_millis_(now_millis),
        last_ping_millis_(now_millis) {}

  // Frames flow from here on. Before it records are only queued. The sink is closed when the session ends, or at once
  // if it has ended.
  void Attach(std::shared_ptr<FrameSink> sink);

  void Queue(const Record& record);
  void Flush();
  void Send(const Record& record) {
    Queue(record);
    Flush();
  }

  // A frame of the peer. What does not decode ends the session.
  void OnFrame(absl::string_view frame, std::int64_t now_millis);
  void OnTransportEnded(const absl::Status& status) { End(status); }

  // Pings, overdue answers, silence. Returns false once the session has ended.
  bool Tick(std::int64_t now_millis);
  // With delay_answers: a Tick within a millisecond is wanted.
  bool OwesAnswer() const;

  void Close(const absl::Status& status) { End(status); }
  bool ended() const;
  std::size_t queued_bytes() const;

  struct Counters {
    std::uint64_t frames_out = 0, records_out = 0, frames_in = 0, records_in = 0;
  };
  Counters counters() const;

 private:
  void QueueLocked(const Record& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void FlushNow();
  bool Dispatch(const Record& record);
  void End(const absl::Status& status);

  const SessionOptions options_;
  const RecordCallback on_record_;
  EndedCallback on_ended_;

  mutable base::Mutex mu_;
  std::shared_ptr<FrameSink> sink_ ABSL_GUARDED_BY(mu_);
  // Frames that wait, the last one still filling; each starts with room for its header.
  struct Pending {
    std::string frame;
    std::uint32_t records = 0;
  };
  std::deque<Pending> pending_ ABSL_GUARDED_BY(mu_);
  std::size_t pending_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  std::size_t next_frame_bytes_ ABSL_GUARDED_BY(mu_) = 0;  // a guess: as much as the last one and a bit
  std::uint32_t sent_ ABSL_GUARDED_BY(mu_) = 0;            // frames with records
  std::uint32_t answered_ ABSL_GUARDED_BY(mu_) = 0;        // of them
  std::uint32_t seen_ ABSL_GUARDED_BY(mu_) = 0;            // frames of the peer
  std::uint32_t told_ ABSL_GUARDED_BY(mu_) = 0;            // of them answered
  bool answer_now_ ABSL_GUARDED_BY(mu_) = false;
  bool later_ ABSL_GUARDED_BY(mu_) = false;  // the sink has been asked to come back
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
  std::int64_t last_heard_millis_ ABSL_GUARDED_BY(mu_);
  std::int64_t owed_since_millis_ ABSL_GUARDED_BY(mu_) = 0;
  Counters counters_ ABSL_GUARDED_BY(mu_);

  std::int64_t last_ping_millis_;  // Tick's thread
  // The transport's thread: payloads that have begun to arrive.
  std::map<std::pair<std::uint64_t, Op>, std::string> pieces_;
  std::size_t pieces_bytes_ = 0;
  bool passed_on_ = false;  // a record of this frame went to the owner
};

// Two sinks, each writing to the other's session in the caller's thread. `to_first` carries what the second writes.
std::pair<std::shared_ptr<FrameSink>, std::shared_ptr<FrameSink>> ConnectInProcess(
    const std::shared_ptr<Session>& first, const std::shared_ptr<Session>& second,
    std::function<std::int64_t()> now_millis);

}  // namespace millrace::link
