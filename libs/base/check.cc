#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace millrace::base {

void CheckFailed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "%s:%d: invariant violated: %s\n", file, line, condition);
  std::abort();
}

}  // namespace millrace::base
