#include "store/segment_preparer.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "store/segment_set.h"

namespace millrace::store {
namespace {
constexpr std::uint64_t kStepBytes = 1 << 20;
}  // namespace

SegmentPreparer::SegmentPreparer(io::FileSystem& fs, std::string directory, std::uint64_t segment_bytes)
    : fs_(fs), directory_(std::move(directory)), segment_bytes_(segment_bytes), thread_([this] { Run(); }) {}

SegmentPreparer::~SegmentPreparer() {
  std::optional<std::uint64_t> unused;
  {
    base::MutexLock lock(mu_);
    stop_ = true;
    if (ready_ != nullptr) unused = wanted_;
    wake_.NotifyAll();
  }
  thread_.join();
  // What stays is removed by the next start.
  if (unused.has_value()) fs_.Remove(PreparedPath(directory_, *unused)).IgnoreError();
}

void SegmentPreparer::Prepare(std::uint64_t first) {
  base::MutexLock lock(mu_);
  if (wanted_ == first) return;
  wanted_ = first;
  started_ = false;
  ready_.reset();
  wake_.NotifyAll();
}

std::unique_ptr<io::File> SegmentPreparer::Take(std::uint64_t first) {
  base::MutexLock lock(mu_);
  if (wanted_ != first) return nullptr;
  wanted_.reset();
  return std::move(ready_);
}

bool SegmentPreparer::Abandoned(std::uint64_t first) {
  base::MutexLock lock(mu_);
  return stop_ || wanted_ != first;
}

absl::StatusOr<std::unique_ptr<io::File>> SegmentPreparer::WriteZeros(std::uint64_t first) {
  MR_ASSIGN_OR_RETURN(const io::Space space, fs_.SpaceOf(directory_));
  if (space.free_bytes / 2 < segment_bytes_) {
    return absl::ResourceExhaustedError(absl::StrCat(space.free_bytes, " bytes are free, twice the segment's ",
                                                     segment_bytes_, " are needed to prepare it"));
  }
  MR_ASSIGN_OR_RETURN(auto file, fs_.Open(PreparedPath(directory_, first), io::OpenMode::kCreate));
  MR_RETURN_IF_ERROR(file->Truncate(0));
  const std::string zeros(std::min(kStepBytes, segment_bytes_), '\0');
  for (std::uint64_t at = 0; at < segment_bytes_; at += zeros.size()) {
    if (Abandoned(first)) return absl::CancelledError("no longer needed");
    const std::uint64_t size = std::min<std::uint64_t>(zeros.size(), segment_bytes_ - at);
    MR_RETURN_IF_ERROR(file->Write(at, absl::string_view(zeros).substr(0, size)));
    MR_RETURN_IF_ERROR(file->Sync());
  }
  return file;
}

void SegmentPreparer::Run() {
  while (true) {
    std::uint64_t first;
    {
      base::MutexLock lock(mu_);
      while (!stop_ && (!wanted_.has_value() || started_)) wake_.Wait(mu_);
      if (stop_) return;
      started_ = true;
      first = *wanted_;
    }
    absl::StatusOr<std::unique_ptr<io::File>> file = WriteZeros(first);
    {
      base::MutexLock lock(mu_);
      if (file.ok() && !stop_ && wanted_ == first) {
        ready_ = *std::move(file);
        continue;
      }
    }
    if (!file.ok() && !absl::IsCancelled(file.status())) {
      MR_LOG(Warn, "commit log: the next segment could not be prepared",
             {{"directory", directory_}, {"segment", first}, {"cause", file.status().message()}});
    }
    fs_.Remove(PreparedPath(directory_, first)).IgnoreError();
  }
}

}  // namespace millrace::store
