#pragma once

#include <memory>

#include "io/file_system.h"

namespace millrace::io {

// The kernel's file system: pread and pwrite, fdatasync, flock. Descriptors are not inherited by children. Stateless,
// so any number of them may exist.
std::unique_ptr<FileSystem> MakePosixFileSystem();

}  // namespace millrace::io
