#include "link/session.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace millrace::link {
namespace {

constexpr std::size_t kFrameBytes = 1 << 20;        // a frame is closed once it is this long
constexpr std::size_t kPiecesBytesMax = 64u << 20;  // of payloads that have only begun to arrive

}  // namespace

void Session::Attach(std::shared_ptr<FrameSink> sink) {
  bool ended = false;
  {
    base::MutexLock lock(mu_);
    ended = ended_;
    if (!ended) sink_ = sink;
  }
  if (ended) return sink->Close();  // it ended before its transport was there
  Flush();
}

void Session::QueueLocked(const Record& record) {
  if (pending_.empty() || pending_.back().frame.size() >= kFrameBytes) {
    std::string& frame = pending_.emplace_back().frame;
    frame.reserve(next_frame_bytes_);
    frame.assign(kFrameHeaderBytes, '\0');
  }
  AppendRecord(pending_.back().frame, record);
  ++pending_.back().records;
  pending_bytes_ += kRecordHeaderBytes + record.payload.size();
}

void Session::Queue(const Record& record) {
  base::MutexLock lock(mu_);
  if (ended_) return;
  Record piece = record;
  absl::string_view rest = record.payload;
  while (rest.size() > kPieceBytes) {
    piece.payload = rest.substr(0, kPieceBytes);
    piece.flags = record.flags | kMorePieces;
    QueueLocked(piece);
    rest.remove_prefix(kPieceBytes);
  }
  piece.payload = rest;
  piece.flags = record.flags;
  QueueLocked(piece);
}

void Session::Flush() {
  std::shared_ptr<FrameSink> sink;
  {
    base::MutexLock lock(mu_);
    const bool something = answer_now_ || (!pending_.empty() && sent_ - answered_ < options_.window);
    if (!something || writing_ || later_ || ended_ || sink_ == nullptr) return;
    later_ = true;
    sink = sink_;
  }
  if (!sink->Later([session = shared_from_this()] { session->FlushNow(); })) FlushNow();
}

void Session::FlushNow() {
  mu_.Lock();
  later_ = false;
  // One thread writes at a time, so frames keep their order; whoever comes meanwhile leaves its records to it.
  if (writing_ || ended_ || sink_ == nullptr) {
    mu_.Unlock();
    return;
  }
  writing_ = true;
  while (!ended_) {
    std::string frame;
    if (!pending_.empty() && sent_ - answered_ < options_.window) {
      frame = std::move(pending_.front().frame);
      next_frame_bytes_ = std::min(frame.size() + frame.size() / 4, kFrameBytes);
      counters_.records_out += pending_.front().records;
      ++counters_.frames_out;
      pending_bytes_ -= frame.size() - kFrameHeaderBytes;
      pending_.pop_front();
      ++sent_;
    } else if (answer_now_) {
      frame.assign(kFrameHeaderBytes, '\0');
    } else {
      break;
    }
    base::Store<std::uint32_t>(frame.data(), seen_);
    told_ = seen_;
    answer_now_ = false;
    const std::shared_ptr<FrameSink> sink = sink_;
    mu_.Unlock();
    sink->Write(std::move(frame));
    mu_.Lock();
  }
  writing_ = false;
  mu_.Unlock();
}

bool Session::Dispatch(const Record& record) {
  if (record.op == Op::kPing) {
    Queue({.correlation = record.correlation, .op = Op::kPong});
    return true;
  }
  if (record.op == Op::kPong) return true;
  const auto key = std::make_pair(record.correlation, record.op);
  if ((record.flags & kMorePieces) == 0 && pieces_.empty()) {
    passed_on_ = true;
    on_record_(record);
    return true;
  }
  if ((record.flags & kMorePieces) != 0) {
    pieces_bytes_ += record.payload.size();
    if (pieces_bytes_ > kPiecesBytesMax) return false;
    pieces_[key].append(record.payload.data(), record.payload.size());
    return true;
  }
  passed_on_ = true;
  const auto begun = pieces_.find(key);
  if (begun == pieces_.end()) {
    on_record_(record);
    return true;
  }
  std::string whole = std::move(begun->second);
  pieces_.erase(begun);
  pieces_bytes_ -= whole.size();
  whole.append(record.payload.data(), record.payload.size());
  Record complete = record;
  complete.payload = whole;
  on_record_(complete);
  return true;
}

void Session::OnFrame(absl::string_view frame, std::int64_t now_millis) {
  if (ended()) return;
  FrameReader reader(frame);
  bool good = reader.ok();
  {
    // Counted before its records are: what answers them from another thread carries the count.
    base::MutexLock lock(mu_);
    last_heard_millis_ = now_millis;
    if (good && reader.frames_seen() - answered_ <= sent_ - answered_) answered_ = reader.frames_seen();
    if (frame.size() > kFrameHeaderBytes) {
      ++counters_.frames_in;
      if (seen_ == told_) owed_since_millis_ = now_millis;
      ++seen_;
    }
  }
  Record record;
  std::uint64_t records = 0;
  passed_on_ = false;
  while (good && reader.Next(record)) {
    ++records;
    good = Dispatch(record);
  }
  if (!good || !reader.ok()) {
    End(absl::InvalidArgumentError(absl::StrCat("a link frame of ", frame.size(), " bytes does not decode")));
    return;
  }
  {
    base::MutexLock lock(mu_);
    counters_.records_in += records;
    // Pings and pieces give the owner no turn to answer with.
    const bool at_once = !options_.delay_answers || !passed_on_;
    if (records > 0 && at_once && seen_ - told_ >= options_.answer_after) answer_now_ = true;
  }
  Flush();
}

bool Session::OwesAnswer() const {
  base::MutexLock lock(mu_);
  return !ended_ && seen_ - told_ >= options_.answer_after;
}

bool Session::Tick(std::int64_t now_millis) {
  bool silent = false;
  {
    base::MutexLock lock(mu_);
    if (ended_) return false;
    if (now_millis > owed_since_millis_ && seen_ - told_ >= options_.answer_after) answer_now_ = true;
    silent = now_millis - last_heard_millis_ > options_.silence_millis;
    if (!silent && now_millis - last_ping_millis_ >= options_.ping_millis) {
      last_ping_millis_ = now_millis;
      QueueLocked({.op = Op::kPing});
    }
  }
  if (silent) {
    End(absl::UnavailableError(absl::StrCat("the peer was silent for ", options_.silence_millis, " ms")));
    return false;
  }
  Flush();
  return true;
}

void Session::End(const absl::Status& status) {
  std::shared_ptr<FrameSink> sink;
  {
    base::MutexLock lock(mu_);
    if (ended_) return;
    ended_ = true;
    sink = std::move(sink_);
    pending_.clear();
    pending_bytes_ = 0;
  }
  if (sink != nullptr) sink->Close();
  if (on_ended_) on_ended_(status);
}

bool Session::ended() const {
  base::MutexLock lock(mu_);
  return ended_;
}

std::size_t Session::queued_bytes() const {
  base::MutexLock lock(mu_);
  return pending_bytes_;
}

Session::Counters Session::counters() const {
  base::MutexLock lock(mu_);
  return counters_;
}

namespace {

class InProcessSink final : public FrameSink {
 public:
  InProcessSink(std::weak_ptr<Session> peer, std::function<std::int64_t()> now_millis)
      : peer_(std::move(peer)), now_millis_(std::move(now_millis)) {}
  void Write(std::string frame) override {
    if (const auto peer = peer_.lock()) peer->OnFrame(frame, now_millis_());
  }
  void Close() override {
    if (const auto peer = peer_.lock()) peer->OnTransportEnded(absl::UnavailableError("the peer closed the link"));
  }

 private:
  const std::weak_ptr<Session> peer_;
  const std::function<std::int64_t()> now_millis_;
};

}  // namespace

std::pair<std::shared_ptr<FrameSink>, std::shared_ptr<FrameSink>> ConnectInProcess(
    const std::shared_ptr<Session>& first, const std::shared_ptr<Session>& second,
    std::function<std::int64_t()> now_millis) {
  return {std::make_shared<InProcessSink>(second, now_millis), std::make_shared<InProcessSink>(first, now_millis)};
}

}  // namespace millrace::link
