#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "rpc/transport.h"

namespace millrace::auth {

// Says which headers a call has to carry. Thread-safe.
class CallSigner {
 public:
  using Headers = std::vector<std::pair<std::string, std::string>>;
  virtual ~CallSigner() = default;
  virtual Headers HeadersFor(absl::string_view method) const = 0;
};

// `channel` with the headers of `signer` on every call; a call that the other side refuses for them is logged with
// `target`, at most every ten seconds. Null signer: the channel as it is.
std::unique_ptr<rpc::Channel> Signed(std::unique_ptr<rpc::Channel> channel, std::shared_ptr<const CallSigner> signer,
                                     const std::string& target);

}  // namespace millrace::auth
