// Event files of the core.
//   input := flags, file      flags & 1: the checksums of its turns are put right
#include <string>

#include "core/event_file.h"
#include "tests/fuzz/fuzz.h"

namespace millrace {
namespace {

constexpr std::size_t kHeaderBytes = 8;
constexpr std::size_t kTurnHeadBytes = 8;  // size, checksum

void Repair(std::string& file) {
  for (std::size_t at = kHeaderBytes; at + kTurnHeadBytes <= file.size();) {
    const auto size = base::Load<std::uint32_t>(file.data() + at);
    if (size > file.size() - at - kTurnHeadBytes) return;
    base::Store(file.data() + at + 4, base::Crc32c(absl::string_view(file).substr(at + kTurnHeadBytes, size)));
    at += kTurnHeadBytes + size;
  }
}

void Run(const std::string& file) {
  core::EventFileReader reader(file);
  core::EventBatch batch;
  std::string again;
  core::AppendEventFileHeader(again);
  std::size_t turns = 0;
  absl::StatusOr<bool> more = reader.Next(batch);
  for (; more.ok() && *more; more = reader.Next(batch)) {
    core::AppendEventBatch(batch, again);
    ++turns;
  }
  MR_CHECK(more.ok() || absl::IsDataLoss(more.status()));
  core::EventFileReader second(again);
  for (; turns > 0; --turns) MR_CHECK(*second.Next(batch));
  MR_CHECK(!*second.Next(batch));
}

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  absl::string_view input = millrace::fuzz::View(data, size);
  const std::uint8_t flags = millrace::fuzz::TakeByte(input);
  std::string file(input);
  if (flags & 1) millrace::Repair(file);
  millrace::Run(file);
  return 0;
}
