#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

// The protobuf wire format, just enough to walk over messages and to write fields without decoding them.
// Origin: https://protobuf.dev/programming-guides/encoding; accepts and refuses what the C++ parser does.
namespace millrace::proxy {

enum class WireType : std::uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kGroup = 3, kEndGroup = 4, kFixed32 = 5 };

struct WireField {
  std::uint32_t number = 0;
  WireType type = WireType::kVarint;
  std::uint64_t varint = 0;  // kVarint only
  absl::string_view bytes;   // kBytes only: the content
  absl::string_view raw;     // tag and content

  bool Is(std::uint32_t wanted, WireType wanted_type) const { return number == wanted && type == wanted_type; }
};

// Walks over the fields of one serialised message. Views live as long as those bytes.
class WireReader {
 public:
  explicit WireReader(absl::string_view message) : rest_(message) {}

  // False at the end and at the first malformed byte; ok() tells which.
  bool Next(WireField& field);
  bool ok() const { return ok_; }

 private:
  bool ReadVarint(int bytes_max, std::uint64_t& value);
  bool Take(std::uint64_t size, absl::string_view& bytes);
  bool ReadContent(WireField& field, int depth);
  bool ReadField(WireField& field, int depth);

  absl::string_view rest_;
  bool ok_ = true;
};

std::size_t VarintBytes(std::uint64_t value);

void AppendVarintField(std::string& out, std::uint32_t number, std::uint64_t value);
void AppendBytesField(std::string& out, std::uint32_t number, absl::string_view bytes);
// Tag and length; `size` bytes of content are to follow.
void AppendBytesHeader(std::string& out, std::uint32_t number, std::size_t size);
// A google.protobuf.Timestamp or Duration.
void AppendTimeField(std::string& out, std::uint32_t number, std::int64_t millis);

}  // namespace millrace::proxy
