// Tag expressions of clients.
#include <string>

#include "model/tag_filter.h"
#include "tests/fuzz/fuzz.h"

namespace millrace {
namespace {

void Run(absl::string_view expression) {
  const auto filter = model::TagFilter::Parse(expression);
  if (!filter.ok()) {
    MR_CHECK(filter.error().code == model::ErrorCode::kIllegalFilterExpression && !filter.error().text.empty());
    return;
  }
  const auto again = model::TagFilter::Parse(filter->text());
  MR_CHECK(again.ok() && again->text() == filter->text() && again->tags() == filter->tags());
  MR_CHECK(filter->matches_all() == filter->tags().empty());
  for (const std::string& tag : filter->tags()) MR_CHECK(filter->Matches(tag) && filter->MayMatch(model::TagHash(tag)));
  MR_CHECK(filter->Matches(std::nullopt) == filter->matches_all());
  // A tag that matches can never be excluded by its hash.
  if (filter->Matches(expression)) MR_CHECK(filter->MayMatch(model::TagHash(expression)));
}

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  millrace::Run(millrace::fuzz::View(data, size));
  return 0;
}
