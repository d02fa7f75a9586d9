#include "store/retention.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace millrace::store {
namespace {

constexpr std::int64_t kHourMillis = 3600LL * 1000;

bool InHour(const RetentionPolicy& policy, std::int64_t log_time_millis) {
  if (policy.hour < 0) return true;
  const std::int64_t hours = (log_time_millis + policy.utc_offset_minutes * 60'000LL) / kHourMillis;
  return hours % 24 == policy.hour;
}

std::uint64_t UsedBytes(const io::Space& space) {
  return space.total_bytes - std::min(space.free_bytes, space.total_bytes);
}

// Without dividing: a volume of unknown size (0) reaches no watermark.
bool AtOrAbove(std::uint64_t used, std::uint64_t total, int percent) {
  return total > 0 && used / static_cast<double>(total) * 100 >= percent;
}

std::uint64_t SizeLimit(const RetentionPolicy& policy, const io::Space& space) {
  if (policy.size_bytes_max > 0) return policy.size_bytes_max;
  if (space.total_bytes == 0) return UINT64_MAX;
  return space.total_bytes / 100 * static_cast<std::uint64_t>(policy.volume_percent);
}

}  // namespace

absl::string_view RetentionReasonName(RetentionReason reason) {
  switch (reason) {
    case RetentionReason::kNone: return "none";
    case RetentionReason::kAge: return "age";
    case RetentionReason::kSize: return "size";
    case RetentionReason::kWatermark: return "watermark";
  }
  return "none";
}

RetentionPlan PlanRetention(const RetentionPolicy& policy, const RetentionInput& input) {
  RetentionPlan plan;
  const std::uint64_t total = input.space.total_bytes;
  std::uint64_t used = UsedBytes(input.space);
  std::uint64_t size = 0;
  for (const CommitLog::Segment& segment : input.segments) size += segment.end - segment.first;

  if (AtOrAbove(used, total, policy.refuse_percent)) {
    plan.refuse_writes = true;
    plan.refusal = absl::StrCat("the broker's volume is ", used * 100 / total, " % full (", used, " of ", total,
                                " bytes), writes are refused from ", policy.refuse_percent,
                                " % on; make the volume bigger, or keep messages for a shorter time");
  }
  const bool by_age = InHour(policy, input.log_time_millis) || AtOrAbove(used, total, policy.clean_percent);
  const std::uint64_t limit = SizeLimit(policy, input.space);
  const std::int64_t oldest = input.log_time_millis - policy.age_millis - policy.late_visible_millis;
  for (std::size_t i = 0; i + 1 < input.segments.size(); ++i) {
    const CommitLog::Segment& segment = input.segments[i];
    RetentionReason reason = RetentionReason::kNone;
    if (by_age && segment.last_log_time_millis < oldest)
      reason = RetentionReason::kAge;
    else if (size > limit)
      reason = RetentionReason::kSize;
    else if (AtOrAbove(used, total, policy.force_percent))
      reason = RetentionReason::kWatermark;
    if (reason == RetentionReason::kNone) break;
    if (segment.end > input.image_offset) {
      plan.waits_for_image = true;
      break;
    }
    const std::uint64_t bytes = segment.end - segment.first;
    plan.remove_below = segment.end;
    plan.remove_bytes += bytes;
    plan.reason = reason;
    size -= bytes;
    used -= std::min(used, bytes);
  }
  return plan;
}

}  // namespace millrace::store
