#pragma once

#include "absl/status/status.h"
#include "rpc/server.h"

namespace millrace::rpc {

// OK: the chain can be read, its first certificate is not over, and the key belongs to it.
// kInvalidArgument names the part that is wrong. Never prints key material.
absl::Status CheckIdentity(const TlsIdentity& identity);

}  // namespace millrace::rpc
