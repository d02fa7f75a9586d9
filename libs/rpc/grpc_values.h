#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "grpc/slice.h"
#include "grpc/support/time.h"
#include "grpcpp/support/byte_buffer.h"

// gRPC's values and ours. Inside the library only: it includes gRPC.
namespace millrace::rpc {

// Up to here one copy costs less than handing over the string.
inline constexpr std::size_t kCopiedBytesMax = 2048;

// The caller gives its reference back.
inline grpc_slice ToSlice(std::string bytes) {
  if (bytes.size() <= kCopiedBytesMax) return grpc_slice_from_copied_buffer(bytes.data(), bytes.size());
  auto* owned = new std::string(std::move(bytes));
  return grpc_slice_new_with_user_data(
      owned->data(), owned->size(), [](void* p) { delete static_cast<std::string*>(p); }, owned);
}

inline grpc::ByteBuffer ToByteBuffer(std::string bytes) {
  const grpc::Slice slice(ToSlice(std::move(bytes)), grpc::Slice::STEAL_REF);
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

// "ipv6:%5B::1%5D:41234" -> "[::1]:41234"
inline std::string PlainPeer(absl::string_view uri) {
  std::string peer;
  const std::size_t scheme = uri.find(':');
  for (std::size_t i = scheme == absl::string_view::npos ? 0 : scheme + 1; i < uri.size(); ++i) {
    const absl::string_view escape = uri.substr(i, 3);
    if (escape == "%5B" || escape == "%5D") {
      peer += escape[2] == 'B' ? '[' : ']';
      i += 2;
    } else {
      peer += uri[i];
    }
  }
  return peer;
}

// Never negative; nullopt: there is no deadline.
inline std::optional<std::int64_t> MillisUntil(gpr_timespec deadline) {
  if (gpr_time_cmp(deadline, gpr_inf_future(deadline.clock_type)) == 0) return std::nullopt;
  const gpr_timespec left = gpr_time_sub(deadline, gpr_now(deadline.clock_type));
  return std::max<std::int64_t>(0, left.tv_sec * 1000 + left.tv_nsec / 1'000'000);
}

}  // namespace millrace::rpc
