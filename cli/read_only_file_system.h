#pragma once

#include <memory>

#include "io/file_system.h"

namespace millrace::cli {

// `base` (which outlives it) for those who only look: files open for reading whatever is asked for, every change is
// refused with kFailedPrecondition, and files that a running broker still prepares (*.prepared) do not show.
std::unique_ptr<io::FileSystem> MakeReadOnly(io::FileSystem& base);

}  // namespace millrace::cli
