#pragma once

// MR_CHECK(condition): our own invariants, always on. Never for bytes from a disk, a peer or a client: those
// are errors that a caller handles.

namespace millrace::base {
// Prints where and what, then aborts.
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition);
}  // namespace millrace::base

#define MR_CHECK(condition)                                          \
  do {                                                               \
    if (!(condition)) [[unlikely]]                                   \
      ::millrace::base::CheckFailed(__FILE__, __LINE__, #condition); \
  } while (false)
