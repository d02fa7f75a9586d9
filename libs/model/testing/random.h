#pragma once

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>

#include "absl/strings/numbers.h"

namespace millrace::model {

// Random numbers of a test. The seed is printed, and taken from MILLRACE_SEED when that is set, so a failure can
// be repeated.
class TestRandom {
 public:
  explicit TestRandom(std::uint32_t default_seed) {
    std::uint32_t seed = default_seed;
    const char* given = std::getenv("MILLRACE_SEED");
    if (given != nullptr && !absl::SimpleAtoi(given, &seed)) seed = default_seed;
    std::cout << "MILLRACE_SEED=" << seed << std::endl;
    engine_.seed(seed);
  }

  std::uint32_t Next() { return engine_(); }
  std::uint32_t Below(std::uint32_t end) { return engine_() % end; }
  bool OneIn(std::uint32_t n) { return Below(n) == 0; }

  std::string Letters(std::size_t size) {
    std::string text(size, '\0');
    for (char& c : text) c = static_cast<char>('a' + Below(26));
    return text;
  }
  std::string Bytes(std::size_t size) {
    std::string bytes(size, '\0');
    for (char& c : bytes) c = static_cast<char>(Next());
    return bytes;
  }

 private:
  std::mt19937 engine_;
};

}  // namespace millrace::model
