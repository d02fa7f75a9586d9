#include "store/batch_scanner.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace millrace::store {
namespace {
constexpr std::size_t kReadAheadBytes = 256 << 10;
}  // namespace

absl::StatusOr<absl::string_view> SegmentWindow::Read(const SegmentSet::Ref& segment, std::uint64_t offset,
                                                      std::size_t size) {
  const std::uint64_t at = offset - segment.first;
  if (segment.file != file_ || at < start_ || at + size > start_ + buffer_.size()) {
    file_ = segment.file;
    start_ = at;
    // A forged length must not make the buffer larger than the file.
    MR_ASSIGN_OR_RETURN(const std::uint64_t file_bytes, file_->Size());
    const std::uint64_t left = file_bytes > at ? file_bytes - at : 0;
    buffer_.resize(std::min<std::uint64_t>(std::max(size, kReadAheadBytes), left));
    MR_ASSIGN_OR_RETURN(const std::size_t got, file_->Read(at, buffer_.size(), buffer_.data()));
    buffer_.resize(got);
  }
  return absl::string_view(buffer_).substr(at - start_, size);
}

bool BatchScanner::KnowsChain(const LogPosition& position) const {
  return check_chain_ && (position.previous_checksum != 0 || position.offset == 0);
}

absl::Status BatchScanner::ReadAt(const SegmentSet::Ref& segment, std::uint64_t offset, const LogPosition& position,
                                  LogBatch& batch) {
  MR_ASSIGN_OR_RETURN(absl::string_view bytes, window_.Read(segment, offset, kBatchHeaderBytes));
  BatchCodec::Header header;
  MR_RETURN_IF_ERROR(codec_.ParseHeader(bytes, offset, header));
  if (KnowsChain(position) && header.previous_checksum != position.previous_checksum) {
    return absl::DataLossError("a batch does not follow the one before it");
  }
  if (header.bytes > segment.end - offset) return absl::DataLossError("a batch is longer than its segment");
  MR_ASSIGN_OR_RETURN(bytes, window_.Read(segment, offset, header.bytes));
  if (bytes.size() < header.bytes) return absl::DataLossError("the file ends inside a batch");
  MR_RETURN_IF_ERROR(codec_.ParseBatch(bytes, header, batch));
  raw_ = bytes;
  segment_ = segment;
  return absl::OkStatus();
}

// With the chain, the next header proves that nothing stood here. Without it, at least nothing may stand here.
absl::StatusOr<bool> BatchScanner::MayContinueInNext(const SegmentSet::Ref& segment, const LogPosition& position) {
  if (KnowsChain(position)) return true;
  MR_ASSIGN_OR_RETURN(const absl::string_view bytes, window_.Read(segment, position.offset, kBatchHeaderBytes));
  return bytes.find_first_not_of('\0') == absl::string_view::npos;
}

absl::Status BatchScanner::Next(LogPosition& position, LogBatch& batch) {
  MR_ASSIGN_OR_RETURN(const SegmentSet::Ref segment, segments_.Find(position.offset));
  absl::Status here = ReadAt(segment, position.offset, position, batch);
  if (absl::IsDataLoss(here)) {
    const absl::StatusOr<SegmentSet::Ref> next = segments_.Next(segment.first);
    if (!next.ok()) return absl::IsNotFound(next.status()) ? here : next.status();
    MR_ASSIGN_OR_RETURN(const bool may_continue, MayContinueInNext(segment, position));
    if (!may_continue) return here;
    const absl::Status there = ReadAt(*next, next->first, position, batch);
    if (absl::IsDataLoss(there)) return here;
    here = there;
  }
  MR_RETURN_IF_ERROR(here);
  position = {batch.offset + batch.bytes, batch.header_checksum};
  return absl::OkStatus();
}

}  // namespace millrace::store
