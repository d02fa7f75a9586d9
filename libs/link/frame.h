#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "base/bytes.h"

// One message of a link's stream = one frame = any number of records. docs/formats/link.md
//   frame  := u32 frames_seen, record*
//   record := u32 length of payload, u64 correlation, u16 op, u16 flags, u32 budget, payload     little-endian
// frames_seen counts the frames of the other side that this side has handled (it paces the sender); a frame without
// records only carries that count and is not counted itself.
namespace millrace::link {

inline constexpr std::size_t kFrameHeaderBytes = 4;
inline constexpr std::size_t kRecordHeaderBytes = 20;
inline constexpr std::size_t kPieceBytes = 1 << 20;  // a longer payload travels in pieces

enum class Op : std::uint16_t {
  kHello = 1,  // first record of each side on each stream
  kPing = 2,   // each second; answered by kPong
  kPong = 3,
  kCredit = 4,  // bytes of deliveries that the proxy has passed on
  // proxy -> broker
  kSend = 16,
  kReceive = 17,
  kReceiveCancel = 18,
  kAnswerWritten = 19,
  kAnswerEnded = 20,
  kAck = 21,
  kChangeInvisible = 22,
  kForwardDeadLetter = 23,
  kClientRegistered = 24,
  kClientsAlive = 25,
  kClientStreamsEnded = 26,
  kClientTerminated = 27,
  kPutTopic = 32,
  kDeleteTopic = 33,
  kPutGroup = 34,
  kDeleteGroup = 35,
  kQuery = 36,
  kGetMessage = 37,
  // broker -> proxy
  kReply = 64,
  kSendReply = 65,
  kDelivery = 66,     // one message; on the stream `bodies`
  kDeliveryEnd = 67,  // the answer is complete, or ends without a message; on the stream `bodies`
};

enum RecordFlags : std::uint16_t {
  kMorePieces = 1,  // the payload goes on in the next record of the same correlation and op
};

// A view into a frame.
struct Record {
  std::uint64_t correlation = 0;
  Op op = Op::kPing;
  std::uint16_t flags = 0;
  std::uint32_t budget_millis = 0;  // remaining time of the request; 0: none given
  absl::string_view payload;
  std::int64_t taken_nanos = 0;  // not in the frame: when a reply was taken from the link, monotonic; 0: not said
};

inline void AppendRecord(std::string& frame, const Record& record) {
  base::Put<std::uint32_t>(frame, static_cast<std::uint32_t>(record.payload.size()));
  base::Put<std::uint64_t>(frame, record.correlation);
  base::Put<std::uint16_t>(frame, static_cast<std::uint16_t>(record.op));
  base::Put<std::uint16_t>(frame, record.flags);
  base::Put<std::uint32_t>(frame, record.budget_millis);
  frame.append(record.payload.data(), record.payload.size());
}

// Walks the records of a frame; never past its end.
class FrameReader {
 public:
  explicit FrameReader(absl::string_view frame) : reader_(frame), frames_seen_(reader_.Read<std::uint32_t>()) {}

  std::uint32_t frames_seen() const { return frames_seen_; }
  // False at the end, or when the rest does not decode (ok() tells).
  bool Next(Record& record) {
    if (!reader_.ok() || reader_.rest().empty()) return false;
    const auto length = reader_.Read<std::uint32_t>();
    record.correlation = reader_.Read<std::uint64_t>();
    record.op = static_cast<Op>(reader_.Read<std::uint16_t>());
    record.flags = reader_.Read<std::uint16_t>();
    record.budget_millis = reader_.Read<std::uint32_t>();
    record.payload = reader_.ReadBytes(length);
    return reader_.ok();
  }
  bool ok() const { return reader_.ok(); }

 private:
  base::ByteReader reader_;
  std::uint32_t frames_seen_;
};

}  // namespace millrace::link
