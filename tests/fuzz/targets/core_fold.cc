// Records of a log, folded into an image; then a core loads that image.
//   input := (u8 type, u8 topic (from 0x80 on: dead letters), u8 queue, u8 offset, u8 size, head)*
#include <algorithm>
#include <string>

#include "core/core.h"
#include "core/metadata.h"
#include "core/testing/world.h"
#include "tests/fuzz/fuzz.h"

namespace millrace {
namespace {

void Run(absl::string_view input) {
  core::testing::MapImage image;
  core::FoldBatchTime(1'000, image);
  while (!input.empty()) {
    core::RecordView record{};
    record.type = static_cast<store::RecordType>(fuzz::TakeByte(input));
    const std::uint64_t topic = fuzz::TakeByte(input);
    record.topic_id = topic < 0x80 ? topic : (topic & 0x7f) | core::kDeadLetterBit;
    record.queue = fuzz::TakeByte(input);
    record.queue_offset = fuzz::TakeByte(input);
    record.head = input.substr(0, std::min<std::size_t>(fuzz::TakeByte(input), input.size()));
    input.remove_prefix(record.head.size());
    const absl::Status status = core::Fold(record, image);
    if (!status.ok()) {
      MR_CHECK(absl::IsDataLoss(status));
      return;
    }
  }
  core::Core core(core::Options{});
  const absl::Status loaded = core.Load(image, 0);
  MR_CHECK(loaded.ok() || absl::IsDataLoss(loaded));
}

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  millrace::Run(millrace::fuzz::View(data, size));
  return 0;
}
