#pragma once

#include "absl/status/status.h"
#include "rpc/server.h"

namespace millrace::rpc {

// OK: the first certificate of the chain and the key can be read and belong together. Its dates are not looked at: most
// clients accept an expired certificate, none accepts a server that does not start.
// kInvalidArgument names the part that is wrong. Never prints key material.
absl::Status CheckIdentity(const TlsIdentity& identity);

}  // namespace millrace::rpc
