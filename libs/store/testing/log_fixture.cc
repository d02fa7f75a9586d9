#include "store/testing/log_fixture.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "store/batch_codec.h"
#include "store/log_recovery.h"
#include "store/segment_set.h"

namespace millrace::store::testing {

void RecordingListener::Add(std::string event) {
  events_.push_back(std::move(event));
  changed_.NotifyAll();
}

void RecordingListener::OnWritten(std::uint64_t end) {
  if (hook_) hook_("written", end);
  base::MutexLock lock(mu_);
  written_ = end;
  Add(absl::StrCat("written ", end));
}

void RecordingListener::OnFlushed(std::uint64_t end) {
  if (hook_) hook_("flushed", end);
  base::MutexLock lock(mu_);
  flushed_ = std::max(flushed_, end);
  Add(absl::StrCat("flushed ", end));
}

void RecordingListener::OnFailed(const absl::Status&) {
  base::MutexLock lock(mu_);
  failed_ = true;
  Add("failed");
}

void RecordingListener::WaitUntilFlushed(std::uint64_t end) {
  base::MutexLock lock(mu_);
  while (flushed_ < end) changed_.Wait(mu_);
}

void RecordingListener::WaitUntilWritten(std::uint64_t end) {
  base::MutexLock lock(mu_);
  while (written_ < end) changed_.Wait(mu_);
}

void RecordingListener::WaitUntilFailed() {
  base::MutexLock lock(mu_);
  while (!failed_) changed_.Wait(mu_);
}

std::vector<std::string> RecordingListener::events() const {
  base::MutexLock lock(mu_);
  return events_;
}

std::uint64_t RecordingListener::written() const {
  base::MutexLock lock(mu_);
  return written_;
}

std::uint64_t RecordingListener::flushed() const {
  base::MutexLock lock(mu_);
  return flushed_;
}

namespace {
KnownBatch KnownOf(const LogBatch& batch) {
  return {batch.offset, batch.offset + batch.bytes, ContentOf(batch), batch.epoch};
}
}  // namespace

std::string ContentOf(const LogBatch& batch) {
  std::string content;
  for (const LogRecord& record : batch.records) absl::StrAppend(&content, record.payload.size(), ":", record.payload);
  return content;
}

std::uint64_t Appender::PlaceOf(const std::vector<std::string>& payloads) const {
  std::uint64_t bytes = kBatchHeaderBytes;
  for (const std::string& payload : payloads) bytes += RecordBytes(0, static_cast<std::uint32_t>(payload.size()));
  return end_ % segment_bytes_ + bytes > segment_bytes_ ? (end_ / segment_bytes_ + 1) * segment_bytes_ : end_;
}

AppendBatch Appender::Make(const std::vector<std::string>& payloads, bool flush_first) {
  AppendBatch batch{
      .offset = PlaceOf(payloads), .epoch = epoch_, .log_time_millis = ++log_time_, .flush_first = flush_first};
  KnownBatch known{.offset = batch.offset, .epoch = epoch_, .flush_first = flush_first};
  for (const std::string& payload : payloads) {
    batch.records.push_back({.type = RecordType::kMessage, .body = std::make_shared<const std::string>(payload)});
    absl::StrAppend(&known.content, payload.size(), ":", payload);
  }
  end_ = known.end = batch.offset + BatchBytes(batch);
  known_.push_back(std::move(known));
  return batch;
}

LogOptions SmallLog() { return {.segment_bytes = 4096, .prepare_segments = false}; }

std::unique_ptr<OpenLog> TryOpen(io::FileSystem& fs, const base::Clock& clock, const LogOptions& options,
                                 LogPosition from, absl::Status& status) {
  auto open = std::make_unique<OpenLog>();
  auto log = CommitLog::Open(fs, clock, "commitlog", kTestSeed, options, from, open->listener, open->recovery,
                             [&](const LogBatch& batch) {
                               open->recovered.push_back(KnownOf(batch));
                               return absl::OkStatus();
                             });
  status = log.status();
  if (!log.ok()) return nullptr;
  open->log = *std::move(log);
  open->appender = std::make_unique<Appender>(options.segment_bytes, open->recovery.end.offset);
  return open;
}

std::unique_ptr<OpenLog> TryRecover(io::FileSystem& fs, const LogOptions& options, LogPosition from,
                                    absl::Status& status) {
  auto open = std::make_unique<OpenLog>();
  const auto segments = SegmentSet::Open(fs, "commitlog");
  status = segments.status();
  if (!segments.ok()) return nullptr;
  const BatchCodec codec(options.rules.store_id ? kTestSeed : 0, options.rules.check_records);
  status = RecoverLog(**segments, codec, options, from, open->recovery, [&](const LogBatch& batch) {
    open->recovered.push_back(KnownOf(batch));
    return absl::OkStatus();
  });
  return status.ok() ? std::move(open) : nullptr;
}

}  // namespace millrace::store::testing
