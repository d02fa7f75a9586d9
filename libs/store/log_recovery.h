#pragma once

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "store/batch_codec.h"
#include "store/commit_log.h"
#include "store/segment_set.h"

namespace millrace::store {

// What CommitLog::Open does before a writer starts. docs/formats/commit_log.md, "Start".
absl::Status RecoverLog(SegmentSet& segments, const BatchCodec& codec, const LogOptions& options, LogPosition from,
                        CommitLog::Recovery& recovery, absl::FunctionRef<absl::Status(const LogBatch&)> each);

}  // namespace millrace::store
