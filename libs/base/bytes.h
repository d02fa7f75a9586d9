#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>

#include "absl/strings/string_view.h"

// Little-endian fixed-width integers and LEB128 varints in strings. All formats of ours on disk and on links use
// these; a reader never runs past its end and says so instead.
namespace millrace::base {

static_assert(std::endian::native == std::endian::little, "formats are written with plain stores");

template <typename T>
void Store(char* at, T value) {
  static_assert(std::is_integral_v<T>);
  std::memcpy(at, &value, sizeof(T));
}

template <typename T>
T Load(const char* at) {
  static_assert(std::is_integral_v<T>);
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

template <typename T>
void Put(std::string& out, T value) {
  static_assert(std::is_integral_v<T>);
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

inline void PutVarint(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

// Length as a varint, then the bytes.
inline void PutString(std::string& out, absl::string_view text) {
  PutVarint(out, text.size());
  out.append(text.data(), text.size());
}

// Reads what Put wrote. After the first read past the end ok() is false, and every later value is zero.
class ByteReader {
 public:
  explicit ByteReader(absl::string_view bytes) : rest_(bytes) {}

  template <typename T>
  T Read() {
    if (rest_.size() < sizeof(T)) return Fail<T>();
    const T value = Load<T>(rest_.data());
    rest_.remove_prefix(sizeof(T));
    return value;
  }

  std::uint64_t ReadVarint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) return Fail<std::uint64_t>();
      const auto byte = static_cast<std::uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    return Fail<std::uint64_t>();
  }

  // `size` bytes; the view lives as long as what the reader was made of.
  absl::string_view ReadBytes(std::size_t size) {
    if (rest_.size() < size) {
      Fail<int>();
      return {};
    }
    const absl::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }

  absl::string_view ReadString() { return ReadBytes(ReadVarint()); }

  bool ok() const { return ok_; }
  bool AtEnd() const { return ok_ && rest_.empty(); }
  absl::string_view rest() const { return rest_; }

 private:
  template <typename T>
  T Fail() {
    ok_ = false;
    rest_ = {};
    return T{};
  }

  absl::string_view rest_;
  bool ok_ = true;
};

}  // namespace millrace::base
