#include "services/proxy/wire.h"

#include <limits>

#include "base/bytes.h"

namespace millrace::proxy {
namespace {

constexpr int kTagBytesMax = 5;
constexpr int kVarintBytesMax = 10;
constexpr int kGroupDepthMax = 50;

std::uint32_t TagOf(std::uint32_t number, WireType type) { return number << 3 | static_cast<std::uint32_t>(type); }

}  // namespace

bool WireReader::ReadVarint(int bytes_max, std::uint64_t& value) {
  value = 0;
  for (int i = 0; i < bytes_max && static_cast<std::size_t>(i) < rest_.size(); ++i) {
    const auto byte = static_cast<std::uint8_t>(rest_[i]);
    value |= static_cast<std::uint64_t>(byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      rest_.remove_prefix(i + 1);
      return true;
    }
  }
  return false;
}

bool WireReader::Take(std::uint64_t size, absl::string_view& bytes) {
  if (size > rest_.size()) return false;
  bytes = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return true;
}

bool WireReader::ReadContent(WireField& field, int depth) {
  absl::string_view skipped;
  std::uint64_t size = 0;
  switch (field.type) {
    case WireType::kVarint: return ReadVarint(kVarintBytesMax, field.varint);
    case WireType::kFixed64: return Take(8, skipped);
    case WireType::kFixed32: return Take(4, skipped);
    case WireType::kBytes:
      return ReadVarint(kTagBytesMax, size) && size <= std::numeric_limits<std::int32_t>::max() &&
             Take(size, field.bytes);
    case WireType::kGroup:
      for (WireField inner; depth < kGroupDepthMax && ReadField(inner, depth + 1);) {
        if (inner.type == WireType::kEndGroup) return inner.number == field.number;
      }
      return false;
    case WireType::kEndGroup: return depth > 0;
  }
  return false;
}

bool WireReader::ReadField(WireField& field, int depth) {
  field = {};
  std::uint64_t tag = 0;
  if (!ReadVarint(kTagBytesMax, tag)) return false;
  tag = static_cast<std::uint32_t>(tag);
  field.number = static_cast<std::uint32_t>(tag >> 3);
  field.type = static_cast<WireType>(tag & 7);
  return field.number != 0 && ReadContent(field, depth);
}

bool WireReader::Next(WireField& field) {
  if (rest_.empty() || !ok_) return false;
  const absl::string_view before = rest_;
  ok_ = ReadField(field, 0);
  if (ok_) field.raw = before.substr(0, before.size() - rest_.size());
  return ok_;
}

std::size_t VarintBytes(std::uint64_t value) {
  std::size_t bytes = 1;
  for (; value >= 0x80; value >>= 7) ++bytes;
  return bytes;
}

void AppendVarintField(std::string& out, std::uint32_t number, std::uint64_t value) {
  base::PutVarint(out, TagOf(number, WireType::kVarint));
  base::PutVarint(out, value);
}

void AppendBytesHeader(std::string& out, std::uint32_t number, std::size_t size) {
  base::PutVarint(out, TagOf(number, WireType::kBytes));
  base::PutVarint(out, size);
}

void AppendBytesField(std::string& out, std::uint32_t number, absl::string_view bytes) {
  AppendBytesHeader(out, number, bytes.size());
  out.append(bytes.data(), bytes.size());
}

void AppendTimeField(std::string& out, std::uint32_t number, std::int64_t millis) {
  std::int64_t seconds = millis / 1'000;
  std::int64_t rest = millis % 1'000;
  if (rest < 0) {  // nanos of a timestamp are never negative
    rest += 1'000;
    --seconds;
  }
  std::string time;
  AppendVarintField(time, 1, static_cast<std::uint64_t>(seconds));
  if (rest != 0) AppendVarintField(time, 2, static_cast<std::uint64_t>(rest) * 1'000'000);
  AppendBytesField(out, number, time);
}

}  // namespace millrace::proxy
