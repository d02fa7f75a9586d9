// Every input of the corpus goes through its target once: what fuzzing found stays found.
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"

// MILLRACE_FUZZ_TARGETS is TARGET(name) for each file of targets/, where LLVMFuzzerTestOneInput is called Fuzz_name.
#define TARGET(name) extern "C" int Fuzz_##name(const std::uint8_t* data, std::size_t size);
MILLRACE_FUZZ_TARGETS
#undef TARGET

namespace millrace::fuzz {
namespace {

using Target = int (*)(const std::uint8_t*, std::size_t);

const std::map<std::string, Target>& Targets() {
#define TARGET(name) {#name, Fuzz_##name},
  static const std::map<std::string, Target> targets = {MILLRACE_FUZZ_TARGETS};
#undef TARGET
  return targets;
}

std::string Content(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

TEST(FuzzCorpus, EveryInputOfEveryTargetIsHandled) {
  for (const auto& [name, target] : Targets()) {
    int inputs = 0;
    for (const auto& entry : std::filesystem::directory_iterator(MILLRACE_FUZZ_CORPUS "/" + name)) {
      SCOPED_TRACE(entry.path().string());
      const std::string content = Content(entry.path());
      // A copy of its own size, so that a sanitizer sees a read behind the end.
      const std::vector<std::uint8_t> bytes(content.begin(), content.end());
      EXPECT_EQ(target(bytes.data(), bytes.size()), 0);
      ++inputs;
    }
    EXPECT_GT(inputs, 0) << name;
  }
}

TEST(FuzzCorpus, EveryFolderBelongsToATarget) {
  std::set<std::string> folders, targets;
  for (const auto& entry : std::filesystem::directory_iterator(MILLRACE_FUZZ_CORPUS)) {
    folders.insert(entry.path().filename().string());
  }
  for (const auto& [name, target] : Targets()) targets.insert(name);
  EXPECT_EQ(folders, targets);
}

}  // namespace
}  // namespace millrace::fuzz
