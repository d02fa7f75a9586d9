#include "store/log_writer.h"

#include <algorithm>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"

namespace millrace::store {
namespace {

// A write is filled up with zeros to a multiple of this, so that no page need be read before it is written.
constexpr std::uint64_t kPageBytes = 4096;
constexpr std::size_t kKeptBufferBytes = 4 << 20;

std::uint64_t NextMultiple(std::uint64_t value, std::uint64_t unit) { return (value / unit + 1) * unit; }

// Where a batch of `bytes` goes when the log ends at `end`.
std::uint64_t PlaceFor(std::uint64_t end, std::uint64_t bytes, std::uint64_t segment_bytes) {
  return end % segment_bytes + bytes > segment_bytes ? NextMultiple(end, segment_bytes) : end;
}

}  // namespace

LogWriter::LogWriter(SegmentSet& segments, const BatchCodec& codec, const base::Clock& clock, const LogOptions& options,
                     LogListener& listener, LogPosition end)
    : segments_(segments),
      codec_(codec),
      clock_(clock),
      options_(options),
      listener_(listener),
      written_(end),
      written_end_(end.offset),
      end_(end.offset),
      flushed_(end) {
  if (options_.prepare_segments) {
    preparer_ = std::make_unique<SegmentPreparer>(segments.fs(), segments.directory(), options.segment_bytes);
  }
  thread_ = std::thread([this] { Run(); });
}

LogWriter::~LogWriter() {
  {
    base::MutexLock lock(mu_);
    stop_ = true;
    work_.NotifyAll();
  }
  thread_.join();
  for (std::thread& sync : loose_syncs_) sync.join();
}

void LogWriter::Append(AppendBatch batch) {
  const std::uint64_t bytes = BatchBytes(batch);
  MR_CHECK(bytes <= options_.segment_bytes);
  {
    base::MutexLock lock(mu_);
    if (!failed_.ok()) return;
    MR_CHECK(batch.offset == PlaceFor(end_, bytes, options_.segment_bytes));
    end_ = batch.offset + bytes;
    waiting_.push_back({std::move(batch), flushed_.offset, std::chrono::steady_clock::now()});
  }
  work_.NotifyOne();  // without the lock: it would wake the writer only to wait for it
}

absl::Status LogWriter::Drain() {
  base::MutexLock lock(mu_);
  ++drains_;
  work_.NotifyOne();
  while (failed_.ok() && flushed_.offset < end_) done_.Wait(mu_);
  --drains_;
  return failed_;
}

LogPosition LogWriter::flushed_position() const {
  base::MutexLock lock(mu_);
  return flushed_;
}

LogMetrics LogWriter::metrics() const {
  return {.batches = batches_,
          .records = records_,
          .bytes = bytes_,
          .writes = writes_,
          .syncs = syncs_,
          .write = write_nanos_,
          .sync = sync_nanos_,
          .flush = flush_nanos_,
          .batch = batch_records_};
}

void LogWriter::Run() {
  while (Take()) {
    const bool wrote = !taken_.empty();
    if (!options_.rules.write_first && wrote && options_.async_flush) {
      listener_.OnWritten(taken_.back().batch.offset + BatchBytes(taken_.back().batch));
    }
    absl::Status status = wrote ? WriteTaken() : absl::OkStatus();
    const bool flush_first = !options_.async_flush || flush_now_;
    if (status.ok() && flush_first) status = Flush();
    if (status.ok() && options_.async_flush && wrote) listener_.OnWritten(written_.offset);
    if (status.ok() && !flush_first && FlushIsDue()) status = Flush();
    if (!status.ok()) return Fail(status);
  }
}

// False when the log is being closed. What is taken may be empty: then a flush is due, or somebody drains.
bool LogWriter::Take() {
  taken_.clear();
  base::MutexLock lock(mu_);
  while (!stop_ && waiting_.empty()) {
    const bool unsynced = !unsynced_.files.empty();
    if (unsynced && (drains_ > 0 || FlushIsDue())) break;
    if (unsynced && options_.async_flush) {
      const std::int64_t left = unsynced_since_millis_ + options_.flush_interval_millis - clock_.MonotonicMillis();
      work_.WaitFor(mu_, std::chrono::milliseconds(std::max<std::int64_t>(left, 1)));
    } else {
      work_.Wait(mu_);
    }
  }
  if (stop_) return false;
  taken_.swap(waiting_);
  flush_now_ = drains_ > 0;
  return true;
}

bool LogWriter::FlushIsDue() const {
  return options_.async_flush && options_.rules.flush_interval && !unsynced_.files.empty() &&
         clock_.MonotonicMillis() - unsynced_since_millis_ >= options_.flush_interval_millis;
}

absl::Status LogWriter::WriteTaken() {
  const std::uint64_t own_flushed_end = flushed_end();
  std::uint64_t run_offset = taken_.front().batch.offset;
  std::uint64_t records = 0;
  buffer_.clear();
  for (const Waiting& waiting : taken_) {
    const AppendBatch& batch = waiting.batch;
    // A multiple of the segment size always begins a segment, so a run ends there.
    const bool rolls = batch.offset % options_.segment_bytes == 0;
    if (!buffer_.empty() && (rolls || batch.offset != run_offset + buffer_.size())) {
      MR_RETURN_IF_ERROR(WriteRun(run_offset));
      run_offset = batch.offset;
    }
    const std::uint64_t durable_end = options_.rules.writer_durable_end ? own_flushed_end : waiting.flushed_end;
    written_.previous_checksum = codec_.Encode(batch, durable_end, written_.previous_checksum, buffer_);
    written_.offset = run_offset + buffer_.size();
    run_log_time_millis_ = batch.log_time_millis;
    flush_now_ = flush_now_ || (batch.flush_first && options_.rules.flush_first);
    records += batch.records.size();
    batch_records_.Record(static_cast<std::int64_t>(batch.records.size()));
    unsynced_.appended.push_back(waiting.at);
  }
  MR_RETURN_IF_ERROR(WriteRun(run_offset));
  batches_ += taken_.size();
  records_ += records;
  written_end_ = written_.offset;
  if (buffer_.capacity() > kKeptBufferBytes) std::string().swap(buffer_);
  return absl::OkStatus();
}

// Writes buffer_ at `offset`, and forgets it.
absl::Status LogWriter::WriteRun(std::uint64_t offset) {
  MR_RETURN_IF_ERROR(EnterSegment(offset));
  const std::uint64_t at = offset - segment_.first;
  const std::uint64_t segment_left = NextMultiple(offset, options_.segment_bytes) - offset;
  const std::uint64_t page_end = NextMultiple(at + buffer_.size() - 1, kPageBytes) - at;
  bytes_ += buffer_.size();
  buffer_.resize(std::min(page_end, segment_left), '\0');
  if (unsynced_.files.empty()) unsynced_since_millis_ = clock_.MonotonicMillis();
  const auto begin = std::chrono::steady_clock::now();
  MR_RETURN_IF_ERROR(segment_.file->Write(at, buffer_));
  write_nanos_.Record((std::chrono::steady_clock::now() - begin).count());
  ++writes_;
  buffer_.clear();
  segments_.NoteLogTime(offset, run_log_time_millis_);
  if (unsynced_.files.empty() || unsynced_.files.back() != segment_.file) unsynced_.files.push_back(segment_.file);
  // Late enough that an idle store keeps no second file, early enough to be done in time.
  if (preparer_ != nullptr && segment_left < options_.segment_bytes / 4 * 3) {
    preparer_->Prepare(NextMultiple(offset, options_.segment_bytes));
  }
  return absl::OkStatus();
}

absl::Status LogWriter::EnterSegment(std::uint64_t offset) {
  const bool begins = offset % options_.segment_bytes == 0;
  if (begins && (segments_.empty() || segments_.last() < offset)) MR_RETURN_IF_ERROR(CreateSegment(offset));
  if (segment_.file != nullptr && segment_.first <= offset && offset < segment_.end && !begins) {
    return absl::OkStatus();
  }
  MR_ASSIGN_OR_RETURN(segment_, segments_.Find(offset));
  return absl::OkStatus();
}

absl::Status LogWriter::CreateSegment(std::uint64_t first) {
  io::FileSystem& fs = segments_.fs();
  std::unique_ptr<io::File> file;
  if (preparer_ != nullptr) file = preparer_->Take(first);
  if (file != nullptr) {
    MR_RETURN_IF_ERROR(fs.Rename(PreparedPath(segments_.directory(), first), segments_.PathOf(first)));
  } else {
    MR_ASSIGN_OR_RETURN(file, fs.Open(segments_.PathOf(first), io::OpenMode::kCreate));
  }
  if (options_.rules.roll_dirsync && options_.rules.sync) {
    MR_RETURN_IF_ERROR(fs.SyncDirectory(segments_.directory()));
  }
  segments_.Add(first, std::move(file));
  return absl::OkStatus();
}

absl::Status LogWriter::Flush() {
  if (unsynced_.files.empty()) return absl::OkStatus();
  unsynced_.end = written_;
  Unsynced unsynced;
  std::swap(unsynced, unsynced_);
  if (options_.rules.one_sync) return Sync(unsynced);
  loose_syncs_.emplace_back([this, unsynced = std::move(unsynced)] {
    const absl::Status status = Sync(unsynced);
    if (!status.ok()) Fail(status);
  });
  return absl::OkStatus();
}

absl::Status LogWriter::Sync(const Unsynced& unsynced) {
  const auto begin = std::chrono::steady_clock::now();
  for (const auto& file : unsynced.files) {
    if (!options_.rules.sync || (!options_.rules.sync_all_files && file != unsynced.files.back())) continue;
    const absl::Status status = file->Sync();
    if (!status.ok() && options_.rules.fsync_stop) return status;
    ++syncs_;
  }
  const auto end = std::chrono::steady_clock::now();
  sync_nanos_.Record((end - begin).count());
  for (const auto appended : unsynced.appended) flush_nanos_.Record((end - appended).count());
  {
    base::MutexLock lock(mu_);
    if (unsynced.end.offset > flushed_.offset) flushed_ = unsynced.end;
  }
  listener_.OnFlushed(unsynced.end.offset);
  base::MutexLock lock(mu_);
  done_.NotifyAll();
  return absl::OkStatus();
}

void LogWriter::Fail(const absl::Status& status) {
  {
    base::MutexLock lock(mu_);
    failed_ = status;
    waiting_.clear();
  }
  listener_.OnFailed(status);
  base::MutexLock lock(mu_);
  done_.NotifyAll();
}

}  // namespace millrace::store
