// Values of configuration keys: what is printed is read back.
//   input := kind, text
#include <cstdint>
#include <string>
#include <vector>

#include "config/value.h"
#include "tests/fuzz/fuzz.h"

namespace millrace {
namespace {

template <typename T>
void Check(absl::string_view text) {
  T value{};
  const absl::Status status = config::ParseValue(text, value);
  if (!status.ok()) {
    MR_CHECK(absl::IsInvalidArgument(status) && value == T{});
    return;
  }
  T again{};
  MR_CHECK(config::ParseValue(config::FormatValue(value), again).ok());
  MR_CHECK(again == value);
}

using Checker = void (*)(absl::string_view);
constexpr Checker kCheckers[] = {
    Check<std::string>, Check<bool>,           Check<std::int64_t>,     Check<int>,
    Check<double>,      Check<absl::Duration>, Check<config::ByteSize>, Check<std::vector<std::string>>,
};

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  absl::string_view input = millrace::fuzz::View(data, size);
  const std::uint8_t kind = millrace::fuzz::TakeByte(input);
  millrace::kCheckers[kind % std::size(millrace::kCheckers)](input);
  return 0;
}
