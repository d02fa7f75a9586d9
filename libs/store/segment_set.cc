#include "store/segment_set.h"

#include <algorithm>
#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/status.h"

namespace millrace::store {
namespace {

constexpr std::size_t kNameDigits = 20;
constexpr absl::string_view kPreparedSuffix = ".prepared";

std::string NameOf(std::uint64_t first) { return absl::StrFormat("%020d", first); }

bool ParseName(const std::string& name, std::uint64_t& first) {
  const bool digits =
      name.size() == kNameDigits && std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
  return digits && absl::SimpleAtoi(name, &first);
}

}  // namespace

std::string PreparedPath(const std::string& directory, std::uint64_t first) {
  return absl::StrCat(directory, "/", NameOf(first), kPreparedSuffix);
}

absl::StatusOr<std::unique_ptr<SegmentSet>> SegmentSet::Open(io::FileSystem& fs, const std::string& directory) {
  MR_ASSIGN_OR_RETURN(const std::vector<std::string> names, fs.List(directory));
  std::unique_ptr<SegmentSet> set(new SegmentSet(fs, directory));
  base::MutexLock lock(set->mu_);
  for (const std::string& name : names) {
    std::uint64_t first = 0;
    if (ParseName(name, first)) {
      set->segments_.try_emplace(first);
    } else if (absl::EndsWith(name, kPreparedSuffix)) {
      MR_RETURN_IF_ERROR(fs.Remove(absl::StrCat(directory, "/", name)));
    }
  }
  return set;
}

std::string SegmentSet::PathOf(std::uint64_t first) const { return absl::StrCat(directory_, "/", NameOf(first)); }

bool SegmentSet::empty() const {
  base::MutexLock lock(mu_);
  return segments_.empty();
}

std::uint64_t SegmentSet::first() const {
  base::MutexLock lock(mu_);
  return segments_.empty() ? 0 : segments_.begin()->first;
}

std::uint64_t SegmentSet::last() const {
  base::MutexLock lock(mu_);
  return segments_.empty() ? 0 : segments_.rbegin()->first;
}

std::vector<SegmentSet::Times> SegmentSet::List() const {
  base::MutexLock lock(mu_);
  std::vector<Times> list;
  for (auto it = segments_.begin(); it != segments_.end(); ++it) {
    const auto next = std::next(it);
    const std::uint64_t end = next == segments_.end() ? std::numeric_limits<std::uint64_t>::max() : next->first;
    list.push_back({it->first, end, it->second.last_log_time_millis});
  }
  return list;
}

absl::StatusOr<SegmentSet::Ref> SegmentSet::RefTo(Segments::iterator segment) const {
  if (segment->second.file == nullptr) {
    MR_ASSIGN_OR_RETURN(segment->second.file, fs_.Open(PathOf(segment->first), io::OpenMode::kReadWrite));
  }
  const auto next = std::next(segment);
  const std::uint64_t end = next == segments_.end() ? std::numeric_limits<std::uint64_t>::max() : next->first;
  return Ref{segment->first, end, segment->second.file};
}

absl::StatusOr<SegmentSet::Ref> SegmentSet::Find(std::uint64_t offset) const {
  base::MutexLock lock(mu_);
  auto it = segments_.upper_bound(offset);
  if (it == segments_.begin()) {
    return absl::NotFoundError(absl::StrCat("commit log ", directory_, ": offset ", offset,
                                            " is not in it; it begins at ",
                                            segments_.empty() ? 0 : segments_.begin()->first));
  }
  return RefTo(std::prev(it));
}

absl::StatusOr<SegmentSet::Ref> SegmentSet::Next(std::uint64_t first) const {
  base::MutexLock lock(mu_);
  auto it = segments_.upper_bound(first);
  if (it == segments_.end()) return absl::NotFoundError(absl::StrCat("no segment behind ", PathOf(first)));
  return RefTo(it);
}

void SegmentSet::Add(std::uint64_t first, std::unique_ptr<io::File> file) {
  base::MutexLock lock(mu_);
  MR_CHECK(segments_.empty() || segments_.rbegin()->first < first);
  segments_[first].file = std::move(file);
}

absl::Status SegmentSet::Remove(std::uint64_t first) {
  MR_RETURN_IF_ERROR(fs_.Remove(PathOf(first)));
  base::MutexLock lock(mu_);
  MR_CHECK(segments_.erase(first) == 1);
  return absl::OkStatus();
}

void SegmentSet::NoteLogTime(std::uint64_t offset, std::int64_t log_time_millis) {
  base::MutexLock lock(mu_);
  auto it = segments_.upper_bound(offset);
  if (it != segments_.begin()) std::prev(it)->second.last_log_time_millis = log_time_millis;
}

}  // namespace millrace::store
