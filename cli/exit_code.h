#pragma once

#include "absl/status/status.h"

namespace millrace::cli {

// What scripts can rely on; docs/operations/command_line.md has the same table.
enum ExitCode : int {
  kExitOk = 0,
  kExitFailed = 1,       // runtime failure; damage found
  kExitUsage = 2,        // the command or one of its values is wrong; nothing was done
  kExitNotFound = 3,     // no such topic, group, message, file
  kExitForbidden = 4,    // not authenticated or not allowed
  kExitUnavailable = 5,  // nobody answered in time; for a send and a change the outcome is unknown
  kExitConflict = 6,     // exists already, is held by another, or does not fit what stands
};

// `code`: a number of the v2 enum Code.
ExitCode ExitCodeOf(int code);
ExitCode ExitCodeOf(const absl::Status& status);

}  // namespace millrace::cli
