#pragma once

#include <string>
#include <utility>
#include <vector>

#include "grpcpp/support/byte_buffer.h"

// std::string to gRPC's bytes and back. For server.cc and channel.cc only: nobody else sees a gRPC header.
namespace millrace::rpc {

// Up to here one copy costs less than handing over the string.
inline constexpr std::size_t kCopiedBytesMax = 2048;

inline grpc::ByteBuffer ToByteBuffer(std::string bytes) {
  if (bytes.size() <= kCopiedBytesMax) {
    const grpc::Slice slice(bytes.data(), bytes.size());
    return grpc::ByteBuffer(&slice, 1);
  }
  auto* owned = new std::string(std::move(bytes));
  const grpc::Slice slice(
      owned->data(), owned->size(), [](void* p) { delete static_cast<std::string*>(p); }, owned);
  return grpc::ByteBuffer(&slice, 1);
}

inline std::string ToString(const grpc::ByteBuffer& buffer) {
  grpc::Slice single;
  if (buffer.TrySingleSlice(&single).ok()) {
    return std::string(reinterpret_cast<const char*>(single.begin()), single.size());
  }
  std::string bytes;
  std::vector<grpc::Slice> slices;
  if (!buffer.Dump(&slices).ok()) return bytes;
  bytes.reserve(buffer.Length());
  for (const grpc::Slice& slice : slices) bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return bytes;
}

}  // namespace millrace::rpc
