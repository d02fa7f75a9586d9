#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "base/log.h"
#include "store/testing/crash_suite.h"

namespace millrace::store {
namespace {

using testing::RunCrashSuite;
using testing::SuiteOptions;
using testing::SuiteResult;

// Every second recovery cuts a tail and warns.
const bool kQuiet = base::SetUpLog("error", "text");

bool Long() { return std::getenv("MILLRACE_LONG") != nullptr; }

// MILLRACE_SEED repeats a run.
std::uint64_t Seed() {
  const char* given = std::getenv("MILLRACE_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
}

void RunLives(bool async_flush) {
  ASSERT_TRUE(kQuiet);
  std::uint64_t seed = Seed();
  std::uint64_t recoveries = 0;
  for (int life = 0; life < (Long() ? 20 : 1); ++life, ++seed) {
    SuiteOptions options{.seed = seed, .async_flush = async_flush};
    if (Long()) options.second_crashes = 0;
    const SuiteResult result = RunCrashSuite(options);
    ASSERT_EQ(result.violation, "");
    recoveries += result.recoveries;
  }
  ::testing::Test::RecordProperty("recoveries", static_cast<int>(recoveries));
  std::printf("%llu recoveries, seed %llu\n", static_cast<unsigned long long>(recoveries),
              static_cast<unsigned long long>(seed));
  EXPECT_GT(recoveries, 1000u);
}

TEST(LogCrash, NothingAcknowledgedIsLostNothingAppearsAndNothingIsCalledDamage) { RunLives(false); }

TEST(LogCrash, WithAsyncFlushAKillLosesNothingAndAPowerCutTheIntervalWithoutUsingAnythingTwice) { RunLives(true); }

struct Mutant {
  const char* name;
  void (*switch_off)(LogRules&);
};

// Each rule alone (or with the one in brackets in the model's table), switched off.
const Mutant kMutants[] = {
    {"Sync", [](LogRules& rules) { rules.sync = false; }},
    {"Chain", [](LogRules& rules) { rules.chain = false; }},
    {"StoreId", [](LogRules& rules) { rules.store_id = false; }},
    {"ChainAndTruncate", [](LogRules& rules) { rules.chain = rules.truncate = false; }},
    {"StartRewrite", [](LogRules& rules) { rules.start_rewrite = false; }},
    {"StartSync", [](LogRules& rules) { rules.start_sync = false; }},
    {"RollDirsync", [](LogRules& rules) { rules.roll_dirsync = false; }},
    {"OneSync", [](LogRules& rules) { rules.one_sync = false; }},
    {"SyncAllFiles", [](LogRules& rules) { rules.sync_all_files = false; }},
    {"WriterDurableEnd", [](LogRules& rules) { rules.writer_durable_end = false; }},
    {"FsyncStop", [](LogRules& rules) { rules.fsync_stop = false; }},
};

class RuleIsNeeded : public ::testing::TestWithParam<Mutant> {};

TEST_P(RuleIsNeeded, TheSuiteFindsAViolationWithoutIt) {
  SuiteOptions options;
  GetParam().switch_off(options.rules);
  std::string found;
  for (options.seed = 1; found.empty() && options.seed <= 20; ++options.seed) found = RunCrashSuite(options).violation;
  EXPECT_NE(found, "") << "switched off, and 20 runs of the suite saw nothing";
  std::printf("%s\n", found.c_str());
}

// Those of async flush, and of a process that is killed inside a write.
struct OptionsMutant {
  const char* name;
  void (*switch_off)(SuiteOptions&);
};

const OptionsMutant kOptionsMutants[] = {
    {"AsyncSync", [](SuiteOptions& options) { options.rules.sync = false; }},
    {"AsyncStartRewrite", [](SuiteOptions& options) { options.rules.start_rewrite = false; }},
    {"AsyncStartSync", [](SuiteOptions& options) { options.rules.start_sync = false; }},
    {"WriteFirst", [](SuiteOptions& options) { options.rules.write_first = false; }},
    {"FlushInterval", [](SuiteOptions& options) { options.rules.flush_interval = false; }},
    {"FlushFirst", [](SuiteOptions& options) { options.rules.flush_first = false; }},
    {"NewEpoch", [](SuiteOptions& options) { options.start_rules.new_epoch = false; }},
    {"NoteBoot", [](SuiteOptions& options) { options.start_rules.note_boot = false; }},
    {"CheckRecords",
     [](SuiteOptions& options) {
       options.async_flush = false;
       options.only_inside_writes = true;
       options.rules.check_records = false;
     }},
};

class OptionIsNeeded : public ::testing::TestWithParam<OptionsMutant> {};

TEST_P(OptionIsNeeded, TheSuiteFindsAViolationWithoutIt) {
  SuiteOptions options{.async_flush = true};
  GetParam().switch_off(options);
  std::string found;
  for (options.seed = 1; found.empty() && options.seed <= 20; ++options.seed) found = RunCrashSuite(options).violation;
  EXPECT_NE(found, "") << "switched off, and 20 runs of the suite saw nothing";
  std::printf("%s\n", found.c_str());
}

INSTANTIATE_TEST_SUITE_P(, OptionIsNeeded, ::testing::ValuesIn(kOptionsMutants),
                         [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(, RuleIsNeeded, ::testing::ValuesIn(kMutants),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace millrace::store
