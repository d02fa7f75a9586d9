#pragma once

#include <cstdint>
#include <string>

#include "store/testing/broker_life.h"

namespace millrace::store::testing {

struct SuiteOptions {
  std::uint64_t seed = 1;
  LogRules rules;
  // Crash points tried in the life after a crash; 0: all of them.
  std::size_t second_crashes = 6;
  int random_cuts = 2;
};

struct SuiteResult {
  std::string violation;  // of the first one found, with how to find it again; empty: none
  std::uint64_t recoveries = 0;
};

// Lives a broker's life once, then again and again up to each of its disk operations; there it is killed or the power
// is cut in each way, it starts again, and in what it does then it is killed or cut a second time. Then bytes of
// confirmed batches are flipped. Every start must find what was acknowledged, nothing that was not appended, and no
// damage but the one that was done.
SuiteResult RunCrashSuite(const SuiteOptions& options);

}  // namespace millrace::store::testing
