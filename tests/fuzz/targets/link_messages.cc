// Payloads of link records.
//   input := kind, payload
#include <string>

#include "link/messages.h"
#include "tests/fuzz/fuzz.h"

namespace millrace {
namespace {

// What decodes has one form: encoding it and decoding that changes nothing any more.
template <typename T>
void Check(absl::string_view payload) {
  const auto decoded = link::Decode<T>(payload);
  if (!decoded) return;
  std::string first;
  link::Encode(*decoded, first);
  const auto again = link::Decode<T>(first);
  MR_CHECK(again.has_value());
  std::string second;
  link::Encode(*again, second);
  MR_CHECK(first == second);
  // A field added at the end by a newer peer is ignored.
  MR_CHECK(link::Decode<T>(first + "future").has_value());
}

using Checker = void (*)(absl::string_view);
constexpr Checker kCheckers[] = {
    Check<link::Hello>,           Check<link::Credit>,     Check<link::SendRequest>,  Check<link::SendReply>,
    Check<link::ReceiveRequest>,  Check<link::Delivery>,   Check<link::DeliveryEnd>,  Check<link::AnswerEnded>,
    Check<link::HandleRequest>,   Check<link::Reply>,      Check<link::ClientRecord>, Check<link::ClientsAlive>,
    Check<link::MetadataRequest>, Check<link::GetMessage>,
};

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  absl::string_view input = millrace::fuzz::View(data, size);
  const std::uint8_t kind = millrace::fuzz::TakeByte(input);
  millrace::kCheckers[kind % std::size(millrace::kCheckers)](input);
  return 0;
}
