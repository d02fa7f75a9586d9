// Frames of a link's stream as a session gets them.
//   input := (u8 size / 4, frame)*
#include <algorithm>
#include <memory>
#include <string>

#include "link/session.h"
#include "tests/fuzz/fuzz.h"

namespace millrace {
namespace {

// What the session writes itself must decode.
class CheckedSink final : public link::FrameSink {
 public:
  void Write(std::string frame) override {
    link::FrameReader reader(frame);
    link::Record record;
    while (reader.Next(record)) {
    }
    MR_CHECK(reader.ok());
  }
  void Close() override {}
};

void Run(absl::string_view input) {
  std::size_t bytes_in = 0;
  std::size_t payload_bytes = 0;
  int ended = 0;
  const auto session = std::make_shared<link::Session>(
      link::SessionOptions{}, 0, [&](const link::Record& record) { payload_bytes += record.payload.size(); },
      [&](const absl::Status& status) {
        MR_CHECK(!status.ok());
        ++ended;
      });
  session->Attach(std::make_shared<CheckedSink>());
  std::int64_t now = 0;
  while (!input.empty()) {
    const std::size_t wanted = millrace::fuzz::TakeByte(input) * std::size_t{4};
    const std::string frame(input.substr(0, std::min(wanted, input.size())));
    input.remove_prefix(frame.size());
    bytes_in += frame.size();
    session->OnFrame(frame, now);
    MR_CHECK(payload_bytes <= bytes_in);  // nothing is made up, nothing comes twice
    session->Send({.correlation = bytes_in, .op = link::Op::kPing, .payload = frame});
    now += 100;
    MR_CHECK(session->Tick(now) == !session->ended());
  }
  session->Close(absl::CancelledError("done"));
  MR_CHECK(ended == 1);
}

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  millrace::Run(millrace::fuzz::View(data, size));
  return 0;
}
