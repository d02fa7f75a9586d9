#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "io/file_system.h"
#include "store/commit_log.h"

// Which segments of the log go, and whether the volume can take more. Pure.
namespace millrace::store {

struct RetentionPolicy {
  std::int64_t age_millis = 72LL * 3600 * 1000;
  // A body that became visible up to this long after it was stored still lives `age_millis` from then on.
  std::int64_t late_visible_millis = 3600LL * 1000;
  int hour = 4;                      // segments past their age go in this hour of the day only; -1: in any hour
  int utc_offset_minutes = 0;        // of the day that `hour` is one of
  std::uint64_t size_bytes_max = 0;  // of all segments; 0: `volume_percent` of the volume
  int volume_percent = 80;
  int clean_percent = 75;   // volume used: past their age they go in any hour
  int force_percent = 85;   // the oldest go, whatever their age
  int refuse_percent = 90;  // and writes are refused
};

struct RetentionInput {
  std::int64_t log_time_millis = 0;
  std::vector<CommitLog::Segment> segments;  // oldest first; the last is never removed
  std::uint64_t image_offset = 0;            // position of the last flushed state image: nothing behind it goes
  io::Space space;
};

enum class RetentionReason { kNone, kAge, kSize, kWatermark };
absl::string_view RetentionReasonName(RetentionReason reason);

struct RetentionPlan {
  std::uint64_t remove_below = 0;  // for CommitLog::RemoveBelow; 0: nothing to remove
  std::uint64_t remove_bytes = 0;
  RetentionReason reason = RetentionReason::kNone;  // of the youngest segment that goes
  bool waits_for_image = false;                     // more would go: flush the state image and ask again
  bool refuse_writes = false;
  std::string refusal;  // what a client is told: cause, value, limit, fix
};

RetentionPlan PlanRetention(const RetentionPolicy& policy, const RetentionInput& input);

}  // namespace millrace::store
