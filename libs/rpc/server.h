#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "rpc/transport.h"

namespace millrace::rpc {

// PEM text. TLS is offered when both are set.
struct TlsIdentity {
  std::string certificate_chain;
  std::string private_key;
};

// The thread that serves a server and channels. Threads of a process that wait for its sockets cost each other CPU
// (they take turns at polling and hand over what they find), so a process shares one loop. One server per loop; whoever
// uses it keeps it, and the last one to let go must not do so inside a handler.
class EventLoop;
std::shared_ptr<EventLoop> MakeEventLoop();

struct ServerOptions {
  std::string address;              // "127.0.0.1:8081", "[::]:8081"; port 0 picks a free one
  TlsIdentity tls;                  // set: plaintext and TLS on the same port, told apart by the first byte
  std::shared_ptr<EventLoop> loop;  // the first of `threads`; null: one of its own
  int threads = 1;                  // more than one cost more CPU per call: for machines with cores to spare
  int message_bytes_max = 16 << 20;
  int connections_max = 10'000;
  std::int64_t first_byte_timeout_millis = 10'000;  // a connection that says nothing is closed
  // Asked at the start of every call but those of gRPC health; a call that is not let in ends with the answer and
  // reaches no service. From transport threads, several at once; never blocks. Null: all are let in.
  std::function<absl::Status(const ServerCall&)> admit;
};

// Of a port, since it listens.
struct ConnectionCounts {
  std::uint64_t accepted = 0;
  std::uint64_t refused = 0;  // because of connections_max
  std::uint64_t open = 0;
};

// A listening port that serves `services` (asked in order for a method) plus gRPC health (grpc.health.v1).
// Clients may ping every 10 s and more without calls; no connection is closed for age or idleness.
class Server {
 public:
  virtual ~Server() = default;  // shuts down at once
  virtual int port() const = 0;
  virtual ConnectionCounts connections() const = 0;  // any thread
  // grpc.health.v1 for "" and every service: SERVING or NOT_SERVING. Starts as SERVING.
  virtual void SetServing(bool serving) = 0;
  // Stops accepting, then waits up to `grace_millis` for calls in flight, then cancels what is left.
  virtual void Shutdown(std::int64_t grace_millis) = 0;
};

// Errors: kInvalidArgument  the address cannot be parsed, or the TLS identity cannot be used
//         kAlreadyExists    the port is taken; the text names it
absl::StatusOr<std::unique_ptr<Server>> StartServer(const ServerOptions& options, std::vector<Service*> services);

// `target`: "host:port". `loop`: runs its handlers; null: one of its own.
std::unique_ptr<Channel> MakeChannel(const std::string& target, int message_bytes_max = 16 << 20,
                                     std::shared_ptr<EventLoop> loop = nullptr);

// A self-signed ECDSA P-256 certificate for `names` (DNS names or IP addresses), valid ten years.
absl::StatusOr<TlsIdentity> MakeSelfSignedIdentity(const std::vector<std::string>& names);

}  // namespace millrace::rpc
