#include "store/log_recovery.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/status.h"
#include "store/batch_scanner.h"

namespace millrace::store {
namespace {

class Recoverer {
 public:
  Recoverer(SegmentSet& segments, const BatchCodec& codec, const LogOptions& options, LogPosition from)
      : segments_(segments), codec_(codec), options_(options), from_(from), end_(from) {
    durable_end_ = std::max(from.offset, options.recorded_end);
  }

  absl::Status Run(CommitLog::Recovery& recovery, absl::FunctionRef<absl::Status(const LogBatch&)> each) {
    MR_RETURN_IF_ERROR(CheckStart());
    MR_RETURN_IF_ERROR(FindEnd());
    const bool exact = options_.clean_stop && end_.offset == options_.recorded_end;
    if (!exact) MR_RETURN_IF_ERROR(SearchBehindEnd());
    if (end_.offset < durable_end_) return Damage();
    recovery.end = end_;
    recovery.cut_bytes = used_end_ > end_.offset ? used_end_ - end_.offset : 0;
    recovery.tail_may_be_lost = recovery.cut_bytes > 0 || (options_.async_flush && !exact);
    if (options_.rules.truncate) MR_RETURN_IF_ERROR(Cut());
    MR_RETURN_IF_ERROR(MakeDurable());
    return Replay(each);
  }

 private:
  // Everything below the image's position was durable once, so it must be there.
  absl::Status CheckStart() const {
    if (segments_.empty()) {
      if (durable_end_ == 0) return absl::OkStatus();
      return absl::DataLossError(absl::StrCat("commit log ", segments_.directory(),
                                              ": it is empty and the log was durable up to ", durable_end_,
                                              "; nothing was changed; restore its segments"));
    }
    if (from_.offset < segments_.first()) {
      return absl::DataLossError(absl::StrCat("commit log ", segments_.directory(), ": it begins at ",
                                              segments_.first(), ", behind the state image's position ", from_.offset,
                                              "; nothing was changed; restore the older segments or a newer image"));
    }
    MR_ASSIGN_OR_RETURN(const SegmentSet::Ref segment, segments_.Find(from_.offset));
    MR_ASSIGN_OR_RETURN(const std::uint64_t size, segment.file->Size());
    if (segment.first + size >= from_.offset) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat("commit log ", segments_.PathOf(segment.first), ": it has ", size,
                                            " bytes and must reach to physical offset ", from_.offset,
                                            ", the state image's position; nothing was changed; restore the file"));
  }

  // X, and the batches that are not known to be durable.
  absl::Status FindEnd() {
    if (segments_.empty()) return absl::OkStatus();
    BatchScanner scanner(segments_, codec_, options_.rules.chain);
    LogBatch batch;
    while (true) {
      const LogPosition before = end_;
      const absl::Status status = scanner.Next(end_, batch);
      if (absl::IsDataLoss(status)) {
        why_ = std::string(status.message());
        return absl::OkStatus();
      }
      if (!status.ok()) return Located(status, end_.offset);
      durable_end_ = std::max(durable_end_, batch.durable_end);
      unproven_.push_back({before, end_.offset});
      while (!unproven_.empty() && unproven_.front().end <= durable_end_) unproven_.pop_front();
    }
  }

  // Headers behind X count although their records may be torn.
  absl::Status SearchBehindEnd() {
    used_end_ = end_.offset;
    SegmentWindow window;
    for (const SegmentSet::Times& listed : segments_.List()) {
      if (listed.end <= end_.offset) continue;
      MR_ASSIGN_OR_RETURN(const SegmentSet::Ref segment, segments_.Find(listed.first));
      MR_RETURN_IF_ERROR(SearchSegment(segment, window));
    }
    return absl::OkStatus();
  }

  absl::Status SearchSegment(const SegmentSet::Ref& segment, SegmentWindow& window) {
    constexpr std::size_t kStep = 128 << 10;
    std::uint64_t at = std::max(segment.first, end_.offset);
    while (true) {
      MR_ASSIGN_OR_RETURN(const absl::string_view bytes, window.Read(segment, at, kStep + kBatchHeaderBytes));
      if (bytes.empty()) return absl::OkStatus();
      const std::size_t used = bytes.find_last_not_of('\0');
      if (used != absl::string_view::npos) {
        used_end_ = std::max(used_end_, at + used + 1);
        MR_RETURN_IF_ERROR(SearchBytes(bytes, at));
      }
      at += kStep;
    }
  }

  absl::Status SearchBytes(absl::string_view bytes, std::uint64_t offset) {
    BatchCodec::Header header;
    for (std::size_t i = 0; i + kBatchHeaderBytes <= bytes.size(); i += kAlignment) {
      if (base::Load<std::uint32_t>(bytes.data() + i) != kBatchMagic) continue;
      const absl::Status status = codec_.ParseHeader(bytes.substr(i), offset + i, header);
      if (absl::IsFailedPrecondition(status)) return Located(status, offset + i);
      if (status.ok()) durable_end_ = std::max(durable_end_, header.durable_end);
    }
    return absl::OkStatus();
  }

  absl::Status Located(const absl::Status& status, std::uint64_t offset) const {
    const absl::StatusOr<SegmentSet::Ref> segment = segments_.Find(offset);
    const std::uint64_t first = segment.ok() ? segment->first : segments_.last();
    return absl::Status(status.code(), absl::StrCat("commit log ", segments_.PathOf(first), ", byte ", offset - first,
                                                    " (physical offset ", offset, "): ", status.message()));
  }

  absl::Status Damage() const {
    const std::string text = absl::StrCat(why_, ", and the log was durable up to ", durable_end_,
                                          ": this is damage, not a torn tail; nothing was changed; restore the file "
                                          "from a replica or a backup");
    return Located(absl::DataLossError(text), end_.offset);
  }

  // Truncates at X and removes what lies behind, before anything new is written.
  absl::Status Cut() {
    std::vector<std::uint64_t> behind;
    for (const SegmentSet::Times& segment : segments_.List()) {
      if (segment.first > end_.offset) behind.push_back(segment.first);
    }
    if (used_end_ <= end_.offset && behind.empty()) return absl::OkStatus();
    MR_LOG(Warn, "commit log: what stands behind its end is cut",
           {{"directory", segments_.directory()},
            {"end", end_.offset},
            {"used_end", used_end_},
            {"segments_removed", behind.size()},
            {"cause", why_}});
    for (auto first = behind.rbegin(); first != behind.rend(); ++first) MR_RETURN_IF_ERROR(segments_.Remove(*first));
    MR_ASSIGN_OR_RETURN(const SegmentSet::Ref segment, segments_.Find(end_.offset));
    MR_ASSIGN_OR_RETURN(const std::uint64_t size, segment.file->Size());
    const bool sync = options_.rules.cut_sync && options_.rules.sync;
    // Zeros alone stay: they are prepared space.
    if (used_end_ > end_.offset && segment.first + size > end_.offset) {
      MR_RETURN_IF_ERROR(segment.file->Truncate(end_.offset - segment.first));
      if (sync) MR_RETURN_IF_ERROR(segment.file->Sync());
    }
    return sync ? segments_.fs().SyncDirectory(segments_.directory()) : absl::OkStatus();
  }

  // Bytes that were only read from the page cache may never have reached the disk, and after a failed fsync the kernel
  // would not write them any more: so they are written again, then synced.
  absl::Status MakeDurable() {
    std::vector<std::shared_ptr<io::File>> files;
    if (!unproven_.empty()) {
      BatchScanner scanner(segments_, codec_, options_.rules.chain);
      LogPosition position = unproven_.front().before;
      LogBatch batch;
      while (position.offset < end_.offset) {
        const absl::Status status = scanner.Next(position, batch);
        if (!status.ok()) return Located(status, position.offset);
        const SegmentSet::Ref& segment = scanner.segment();
        if (options_.rules.start_rewrite) {
          MR_RETURN_IF_ERROR(segment.file->Write(batch.offset - segment.first, scanner.raw()));
        }
        if (files.empty() || files.back() != segment.file) files.push_back(segment.file);
      }
    }
    if (!options_.rules.start_sync || !options_.rules.sync) return absl::OkStatus();
    for (const auto& file : files) MR_RETURN_IF_ERROR(file->Sync());
    return segments_.fs().SyncDirectory(segments_.directory());
  }

  absl::Status Replay(absl::FunctionRef<absl::Status(const LogBatch&)> each) {
    BatchScanner scanner(segments_, codec_, options_.rules.chain);
    LogPosition position = from_;
    LogBatch batch;
    while (position.offset < end_.offset) {
      const absl::Status status = scanner.Next(position, batch);
      if (!status.ok()) return Located(status, position.offset);
      segments_.NoteLogTime(batch.offset, batch.log_time_millis);
      MR_RETURN_IF_ERROR(each(batch));
    }
    return absl::OkStatus();
  }

  struct Unproven {
    LogPosition before;
    std::uint64_t end = 0;
  };

  SegmentSet& segments_;
  const BatchCodec& codec_;
  const LogOptions& options_;
  const LogPosition from_;
  LogPosition end_;                // X
  std::uint64_t durable_end_ = 0;  // D
  std::uint64_t used_end_ = 0;     // behind the last byte that is not zero
  std::string why_;                // what is at X does not validate
  std::deque<Unproven> unproven_;  // batches that reach into [D, X)
};

}  // namespace

absl::Status RecoverLog(SegmentSet& segments, const BatchCodec& codec, const LogOptions& options, LogPosition from,
                        CommitLog::Recovery& recovery, absl::FunctionRef<absl::Status(const LogBatch&)> each) {
  return Recoverer(segments, codec, options, from).Run(recovery, each);
}

}  // namespace millrace::store
