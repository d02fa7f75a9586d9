// The opaque body of a message record.
#include <string>

#include "model/stored_message.h"
#include "tests/fuzz/fuzz.h"

namespace millrace {
namespace {

// Where `part` stands in `whole`; it must be a piece of it.
model::SliceRange RangeIn(absl::string_view whole, absl::string_view part) {
  if (part.empty()) return {};
  MR_CHECK(part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
  return {static_cast<std::uint16_t>(part.data() - whole.data()), static_cast<std::uint16_t>(part.size())};
}

void Run(absl::string_view bytes) {
  const auto view = model::ParseStoredMessage(bytes);
  if (!view) return;
  for (const absl::string_view slice : {view->system, view->user, view->body}) RangeIn(bytes, slice);
  model::StoredMessageParts parts{.compressed = view->compressed,
                                  .message_type = view->message_type,
                                  .tag = RangeIn(view->system, view->tag.value_or("")),
                                  .id = RangeIn(view->system, view->id),
                                  .md5 = view->md5,
                                  .system = view->system,
                                  .user = view->user,
                                  .body = view->body};
  const std::string again = model::EncodeStoredMessage(parts);
  const auto second = model::ParseStoredMessage(again);
  MR_CHECK(second && second->body == view->body && second->user == view->user && second->system == view->system);
  MR_CHECK(second->id == view->id && second->tag.value_or("") == view->tag.value_or("") && second->md5 == view->md5);
}

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  millrace::Run(millrace::fuzz::View(data, size));
  return 0;
}
