#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "store/batch_codec.h"
#include "store/segment_set.h"

namespace millrace::store {

// A read-ahead window over segment files. Not thread-safe; what it has read it does not read again, so it must not
// outlive a look at bytes that are still being written.
class SegmentWindow {
 public:
  // `size` bytes at physical offset `offset` of `segment`; fewer at the end of its file. The view ends with the next
  // call.
  absl::StatusOr<absl::string_view> Read(const SegmentSet::Ref& segment, std::uint64_t offset, std::size_t size);

 private:
  std::shared_ptr<io::File> file_;
  std::uint64_t start_ = 0;  // in the file
  std::string buffer_;
};

// Walks the batches of a log in order and verifies them. Not thread-safe.
class BatchScanner {
 public:
  BatchScanner(const SegmentSet& segments, const BatchCodec& codec, bool check_chain)
      : segments_(segments), codec_(codec), check_chain_(check_chain) {}

  // Reads the batch at `position`, or the first one of the next segment when the rest of this one is unused; then moves
  // `position` behind it. Views in `batch` end with the next call. On an error nothing moves:
  //   kDataLoss  nothing there validates (or the log ends); the text says why
  //   kFailedPrecondition  a newer format;  others: the disk
  absl::Status Next(LogPosition& position, LogBatch& batch);

  // The bytes and the segment of the batch that Next() returned last.
  absl::string_view raw() const { return raw_; }
  const SegmentSet::Ref& segment() const { return segment_; }

 private:
  absl::Status ReadAt(const SegmentSet::Ref& segment, std::uint64_t offset, const LogPosition& position,
                      LogBatch& batch);
  absl::StatusOr<bool> MayContinueInNext(const SegmentSet::Ref& segment, const LogPosition& position);
  bool KnowsChain(const LogPosition& position) const;

  const SegmentSet& segments_;
  const BatchCodec& codec_;
  const bool check_chain_;
  SegmentWindow window_;
  SegmentSet::Ref segment_;
  absl::string_view raw_;
};

}  // namespace millrace::store
