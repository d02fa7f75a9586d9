#include "store/commit_log.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "store/batch_codec.h"
#include "store/batch_scanner.h"
#include "store/log_recovery.h"
#include "store/log_writer.h"
#include "store/segment_set.h"

namespace millrace::store {
namespace {

class FileCommitLog final : public CommitLog {
 public:
  FileCommitLog(std::unique_ptr<SegmentSet> segments, std::unique_ptr<BatchCodec> codec, const base::Clock& clock,
                const LogOptions& options, LogListener& listener, LogPosition end)
      : options_(options),
        segments_(std::move(segments)),
        codec_(std::move(codec)),
        start_offset_(end.offset),
        writer_(*segments_, *codec_, clock, options, listener, end) {}

  void Append(AppendBatch batch) override { writer_.Append(std::move(batch)); }
  absl::Status Drain() override { return writer_.Drain(); }

  absl::StatusOr<LogRecord> ReadRecord(std::uint64_t offset, std::uint32_t bytes, std::string& buffer) const override {
    MR_ASSIGN_OR_RETURN(const SegmentSet::Ref segment, segments_->Find(offset));
    const auto error = [&](absl::string_view why) {
      return absl::DataLossError(absl::StrCat("commit log ", segments_->PathOf(segment.first), ", byte ",
                                              offset - segment.first, ", record of ", bytes, " bytes: ", why));
    };
    if (bytes > options_.segment_bytes || bytes > segment.end - offset) return error("it would leave its segment");
    buffer.resize(bytes);
    MR_ASSIGN_OR_RETURN(const std::size_t got, segment.file->Read(offset - segment.first, bytes, buffer.data()));
    if (got < bytes) return error("the file ends inside it");
    LogRecord record;
    const absl::Status status = codec_->ParseRecord(buffer, offset, record);
    if (!status.ok()) return error(status.message());
    return record;
  }

  absl::Status ReadBatches(LogPosition from, std::uint64_t to,
                           absl::FunctionRef<absl::Status(const LogBatch&)> each) const override {
    BatchScanner scanner(*segments_, *codec_, options_.rules.chain);
    LogBatch batch;
    const std::uint64_t end = std::min(to, written_end());
    while (from.offset < end) {
      const std::uint64_t at = from.offset;
      const absl::Status status = scanner.Next(from, batch);
      if (absl::IsNotFound(status)) return status;
      // Segments between this one and the next that is left went in the meantime.
      if (absl::IsDataLoss(status) && at < first_offset()) {
        return absl::NotFoundError(absl::StrCat("commit log ", segments_->directory(), ": offset ", at,
                                                " is not in it; it begins at ", first_offset()));
      }
      if (!status.ok()) {
        return absl::Status(status.code(), absl::StrCat("commit log ", segments_->directory(), ", physical offset ", at,
                                                        ": ", status.message()));
      }
      if (batch.offset >= end) break;
      MR_RETURN_IF_ERROR(each(batch));
    }
    return absl::OkStatus();
  }

  std::uint64_t first_offset() const override { return segments_->empty() ? start_offset_ : segments_->first(); }
  std::uint64_t flushed_end() const override { return writer_.flushed_end(); }
  std::uint64_t written_end() const override { return writer_.written_end(); }
  LogPosition flushed_position() const override { return writer_.flushed_position(); }
  std::uint64_t size_bytes() const override { return written_end() - first_offset(); }
  LogMetrics metrics() const override { return writer_.metrics(); }

  absl::StatusOr<std::uint64_t> RemoveBelow(std::uint64_t offset) override {
    const std::uint64_t limit = std::min(offset, flushed_end());
    bool removed = false;
    for (const SegmentSet::Times& segment : segments_->List()) {
      if (segment.end > limit) break;  // always so for the last one
      MR_RETURN_IF_ERROR(segments_->Remove(segment.first));
      removed = true;
    }
    if (removed && options_.rules.roll_dirsync && options_.rules.sync) {
      MR_RETURN_IF_ERROR(segments_->fs().SyncDirectory(segments_->directory()));
    }
    return first_offset();
  }

  std::vector<Segment> segments() const override {
    std::vector<Segment> list;
    for (const SegmentSet::Times& segment : segments_->List()) {
      list.push_back(
          {segment.first, std::min(segment.end, std::max(written_end(), segment.first)), segment.last_log_time_millis});
    }
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (list[i].last_log_time_millis == 0) list[i].last_log_time_millis = FirstLogTimeFrom(list, i);
    }
    return list;
  }

 private:
  // The log time of the first batch behind segment `i`; of its own first batch when it is the last one.
  std::int64_t FirstLogTimeFrom(const std::vector<Segment>& list, std::size_t i) const {
    const std::uint64_t at = i + 1 < list.size() ? list[i + 1].first : list[i].first;
    const absl::StatusOr<SegmentSet::Ref> segment = segments_->Find(at);
    if (!segment.ok()) return 0;
    std::string bytes(kBatchHeaderBytes, '\0');
    const absl::StatusOr<std::size_t> got = segment->file->Read(at - segment->first, bytes.size(), bytes.data());
    BatchCodec::Header header;
    if (!got.ok() || !codec_->ParseHeader(absl::string_view(bytes).substr(0, *got), at, header).ok()) return 0;
    if (i + 1 < list.size()) segments_->NoteLogTime(list[i].first, header.log_time_millis);
    return header.log_time_millis;
  }

  const LogOptions options_;
  const std::unique_ptr<SegmentSet> segments_;
  const std::unique_ptr<BatchCodec> codec_;
  const std::uint64_t start_offset_;
  LogWriter writer_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<CommitLog>> CommitLog::Open(io::FileSystem& fs, const base::Clock& clock,
                                                           const std::string& directory, std::uint64_t store_seed,
                                                           const LogOptions& options, LogPosition from,
                                                           LogListener& listener, Recovery& recovery,
                                                           absl::FunctionRef<absl::Status(const LogBatch&)> each) {
  MR_CHECK(options.segment_bytes > 0 && options.segment_bytes % kAlignment == 0);
  MR_RETURN_IF_ERROR(fs.CreateDirectories(directory));
  MR_ASSIGN_OR_RETURN(auto segments, SegmentSet::Open(fs, directory));
  auto codec = std::make_unique<BatchCodec>(options.rules.store_id ? store_seed : 0, options.rules.check_records);
  recovery = {};
  MR_RETURN_IF_ERROR(RecoverLog(*segments, *codec, options, from, recovery, each));
  return std::make_unique<FileCommitLog>(std::move(segments), std::move(codec), clock, options, listener, recovery.end);
}

}  // namespace millrace::store
