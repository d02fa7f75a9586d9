#include "cli/store_log.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "store/batch_codec.h"
#include "store/batch_scanner.h"
#include "store/log_recovery.h"
#include "store/segment_set.h"

namespace millrace::cli {
namespace {

// A recovery that only looks.
store::LogOptions LookOnly(const store::Checkpoint& checkpoint) {
  store::LogOptions options;
  options.recorded_end = checkpoint.flushed_end;
  options.rules.truncate = false;
  options.rules.start_rewrite = false;
  options.rules.start_sync = false;
  return options;
}

// Whether nothing but zeros stands in the file from physical offset `from` on.
absl::StatusOr<bool> IsUnused(const store::SegmentSet::Ref& segment, std::uint64_t from) {
  constexpr std::size_t kStep = 1 << 20;
  std::string buffer(kStep, '\0');
  for (std::uint64_t at = from - segment.first;; at += kStep) {
    MR_ASSIGN_OR_RETURN(const std::size_t got, segment.file->Read(at, kStep, buffer.data()));
    if (absl::string_view(buffer.data(), got).find_first_not_of('\0') != absl::string_view::npos) return false;
    if (got < kStep) return true;
  }
}

}  // namespace

absl::StatusOr<OfflineStore> OfflineStore::Open(io::FileSystem& fs, const std::string& directory) {
  OfflineStore opened(fs, directory);
  MR_ASSIGN_OR_RETURN(opened.identity_, store::ReadIdentity(fs, directory));
  MR_ASSIGN_OR_RETURN(opened.checkpoint_, store::ReadCheckpoint(fs, directory));
  return opened;
}

absl::StatusOr<LogSums> OfflineStore::Verify() const {
  MR_ASSIGN_OR_RETURN(const auto segments, store::SegmentSet::Open(*fs_, log_directory()));
  const store::BatchCodec codec(store::StoreSeed(identity_));
  LogSums sums;
  sums.segments = segments->List().size();
  sums.first = segments->first();
  store::CommitLog::Recovery recovery;
  MR_RETURN_IF_ERROR(store::RecoverLog(*segments, codec, LookOnly(checkpoint_), {sums.first, 0}, recovery,
                                       [&sums](const store::LogBatch& batch) {
                                         ++sums.batches;
                                         sums.records += batch.records.size();
                                         return absl::OkStatus();
                                       }));
  sums.end = recovery.end.offset;
  sums.torn_bytes = recovery.cut_bytes;
  return sums;
}

absl::Status OfflineStore::ReadSegment(std::uint64_t first,
                                       absl::FunctionRef<void(const store::LogBatch&)> each) const {
  MR_ASSIGN_OR_RETURN(const auto segments, store::SegmentSet::Open(*fs_, log_directory()));
  MR_ASSIGN_OR_RETURN(const store::SegmentSet::Ref segment, segments->Find(first));
  if (segment.first != first) return absl::NotFoundError(absl::StrCat(segments->PathOf(first), ": no such segment"));
  const store::BatchCodec codec(store::StoreSeed(identity_));
  store::BatchScanner scanner(*segments, codec, true);
  store::LogPosition position{first, 0};
  store::LogBatch batch;
  while (position.offset < segment.end) {
    const store::LogPosition before = position;
    const absl::Status read = scanner.Next(position, batch);
    if (read.ok()) {
      if (batch.offset >= segment.end) return absl::OkStatus();
      each(batch);
      continue;
    }
    MR_ASSIGN_OR_RETURN(const bool unused, IsUnused(segment, before.offset));
    if (absl::IsDataLoss(read) && unused) return absl::OkStatus();
    return absl::Status(read.code(), absl::StrCat(segments->PathOf(first), ", byte ", before.offset - first,
                                                  " (physical offset ", before.offset, "): ", read.message()));
  }
  return absl::OkStatus();
}

}  // namespace millrace::cli
