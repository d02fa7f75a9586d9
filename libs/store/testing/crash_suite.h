#pragma once

#include <cstdint>
#include <string>

#include "store/testing/broker_life.h"

namespace millrace::store::testing {

struct SuiteOptions {
  std::uint64_t seed = 1;
  LogRules rules;
  StartRules start_rules;
  bool async_flush = false;
  bool only_inside_writes = false;  // of the ways to die: killed inside a write
  // Crash points tried in the life after a crash; 0: all of them.
  std::size_t second_crashes = 6;
  int random_cuts = 2;
};

struct SuiteResult {
  std::string violation;  // of the first one found, with how to find it again; empty: none
  std::uint64_t recoveries = 0;
};

// Lives a broker's life once, then again and again up to each of its disk operations; there it is killed, also when a
// part of the next write is done, or the power is cut in each way, it starts again, and in what it does then it is
// killed or cut a second time. Then bytes of confirmed batches are flipped. Every start must find what was acknowledged
// (with async flush and a power cut: what was flushed, and metadata that was answered), nothing that was not appended,
// and no damage but the one that was done; and it must not use again what was shown, in the same epoch. With async
// flush nothing may stay unflushed for longer than the interval.
SuiteResult RunCrashSuite(const SuiteOptions& options);

}  // namespace millrace::store::testing
