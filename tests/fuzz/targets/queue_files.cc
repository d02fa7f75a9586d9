// Files of the consume queue: pages, `applied`, `writing`.
//   input := kind, bytes        kind & 3: which file; kind & 4: its checksum is put right
#include <string>

#include "store/queue_page.h"
#include "tests/fuzz/fuzz.h"

namespace millrace {
namespace {

const store::PageAddress kAddress = {.key = {.topic_id = 7, .queue = 2}, .first = 408, .generation = 1};

std::string RepairedPage(std::string page) {
  page.resize(store::kPageBytes);
  std::string where;
  base::Put<std::uint64_t>(where, kAddress.key.topic_id);
  base::Put<std::uint32_t>(where, kAddress.key.queue);
  base::Put<std::int64_t>(where, kAddress.first);
  const absl::string_view view(page);
  const std::uint32_t crc = base::Crc32c(view.substr(0, store::kPageCrcAt), base::Crc32c(where));
  base::Store(page.data() + store::kPageCrcAt, base::Crc32c(view.substr(store::kPageGenerationAt), crc));
  return page;
}

void Page(const std::string& bytes) {
  const auto page = store::DecodePage(kAddress, bytes);
  if (!page.ok()) {
    MR_CHECK(absl::IsDataLoss(page.status()));
    return;
  }
  for (std::int64_t i = 0; i < page->size(); ++i) MR_CHECK(page->At(i).bytes > 0);
  const auto again = store::DecodePage(kAddress, store::EncodePage(kAddress, *page));
  MR_CHECK(again.ok() && again->entries == page->entries &&
           again->first_store_time_millis == page->first_store_time_millis);
}

void Applied(absl::string_view bytes) {
  const auto applied = store::DecodeApplied(bytes);
  if (!applied.ok()) {
    MR_CHECK(absl::IsDataLoss(applied.status()) || absl::IsFailedPrecondition(applied.status()));
    return;
  }
  const auto again = store::DecodeApplied(store::EncodeApplied(*applied));
  MR_CHECK(again.ok() && again->applied == applied->applied && again->removed_below == applied->removed_below &&
           again->generation == applied->generation);
}

void Writing(absl::string_view bytes) {
  const auto writing = store::DecodeWriting(bytes);
  if (!writing.ok()) {
    MR_CHECK(absl::IsDataLoss(writing.status()));
    return;
  }
  const auto again = store::DecodeWriting(store::EncodeWriting(*writing));
  MR_CHECK(again.ok() && again->applied == writing->applied && again->marks.size() == writing->marks.size());
}

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  absl::string_view input = millrace::fuzz::View(data, size);
  const std::uint8_t kind = millrace::fuzz::TakeByte(input);
  const bool repair = (kind & 4) != 0;
  switch (kind & 3) {
    case 0: millrace::Page(repair ? millrace::RepairedPage(std::string(input)) : std::string(input)); break;
    case 1: millrace::Applied(repair ? millrace::fuzz::Sealed(input) : std::string(input)); break;
    default: millrace::Writing(repair ? millrace::fuzz::Sealed(input) : std::string(input));
  }
  return 0;
}
