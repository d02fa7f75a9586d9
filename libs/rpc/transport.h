#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

// What our services see of a transport: bytes and metadata in, bytes or a stream of bytes out. No gRPC type crosses
// this header, so another HTTP/2 transport fits under the same handlers.
namespace millrace::rpc {

// How a call ended, seen from the server.
enum class CallEnd {
  kFinished,   // everything written and the final status have been given to the client's side of the connection
  kCancelled,  // the client cancelled, its deadline passed, or the connection broke
};

// One call in flight on the server.
// Threads.  Every method may be called from any thread. Finish() wins over whatever comes later.
// Lifetime. Shared by the transport and the handler; after the end every method is a harmless no-op.
class ServerCall {
 public:
  virtual ~ServerCall() = default;
  virtual absl::string_view method() const = 0;  // "/apache.rocketmq.v2.MessagingService/SendMessage"
  // The value of a request header (lower-case key); empty when it is absent.
  virtual absl::string_view Header(absl::string_view key) const = 0;
  virtual absl::string_view authority() const = 0;  // what the client dialled: "host:port"
  virtual absl::string_view peer() const = 0;       // "127.0.0.1:41234" or "[::1]:41234"
  virtual bool tls() const = 0;
  // Milliseconds until the client's deadline, never negative; nullopt when it gave none.
  virtual std::optional<std::int64_t> RemainingMillis() const = 0;
  virtual void SendInitialMetadata() = 0;
  // Queues one message. False: the call has ended, stop producing.
  virtual bool Write(std::string message) = 0;
  // Bytes queued by Write() that the transport has not taken yet.
  virtual std::size_t UnsentBytes() const = 0;
  virtual void Finish(const absl::Status& status) = 0;
  // The last message (a unary answer) and an OK status in one go.
  virtual void WriteAndFinish(std::string message) = 0;
  // `then` runs exactly once when the call is over, at once if it already is. Set at most once, before Finish().
  virtual void OnEnded(std::function<void(CallEnd)> then) = 0;
};

// The receiving half of one bidirectional call. Called by one thread at a time, in order.
// Lifetime. Owned by the transport, destroyed after OnEnded of the call.
class StreamHandler {
 public:
  virtual ~StreamHandler() = default;
  virtual void OnMessage(std::string message) = 0;
  // The client will send nothing more; the handler finishes the call. Not called when the call breaks.
  virtual void OnHalfClose() = 0;
};

enum class CallKind { kUnary, kServerStream, kBidi };

// A set of methods. Called from transport threads, several at once; never blocks.
class Service {
 public:
  virtual ~Service() = default;
  // nullopt: the transport answers UNIMPLEMENTED.
  virtual std::optional<CallKind> Kind(absl::string_view method) const = 0;
  // Of its unary methods those that most calls are of. They cost a server less, but their calls know no authority(),
  // and learn of a cancellation only with their answer. Asked once, when a server starts.
  virtual std::vector<std::string> FrequentMethods() const { return {}; }
  // kUnary and kServerStream: the one request has arrived. The service finishes the call, now or later.
  // `message` lives during OnRequest.
  virtual void OnRequest(std::shared_ptr<ServerCall> call, absl::string_view message) = 0;
  // kBidi.
  virtual std::unique_ptr<StreamHandler> OnStream(std::shared_ptr<ServerCall> call) = 0;
};

// One bidirectional call in flight on the client. Thread-safe; no-ops after its end. Destruction cancels it.
class ClientStream {
 public:
  virtual ~ClientStream() = default;
  virtual void Write(std::string message) = 0;
  virtual void WritesDone() = 0;
  virtual void Cancel() = 0;
  // From a handler on the thread that also runs this stream's: `run` comes there once nothing else is ready. False, and
  // `run` never comes: this is another thread.
  virtual bool Soon([[maybe_unused]] std::function<void()> run) { return false; }
};

// Called by one thread at a time, in order. OnEnded is the last call, and comes exactly once. It must not block: all
// streams of a channel share one thread.
class ClientStreamHandler {
 public:
  virtual ~ClientStreamHandler() = default;
  virtual void OnMessage(std::string message) = 0;
  virtual void OnEnded(const absl::Status& status) = 0;
};

using HeaderList = absl::Span<const std::pair<absl::string_view, absl::string_view>>;

// A client's connection to one target; reconnects by itself. Thread-safe.
// Lifetime. Destruction cancels the calls in flight and waits for their OnEnded, so it must not happen inside a
//           handler; handlers must not open further streams then. A ClientStream may outlive its channel.
class Channel {
 public:
  virtual ~Channel() = default;
  // Never blocks: a target that cannot be reached shows as OnEnded(kUnavailable). The handler lives until OnEnded.
  virtual std::unique_ptr<ClientStream> OpenStream(absl::string_view method, HeaderList headers,
                                                   std::shared_ptr<ClientStreamHandler> handler) = 0;
  // One request, one answer; blocks at most `timeout_millis`. For command lines and tests.
  virtual absl::StatusOr<std::string> CallAndWait(absl::string_view method, HeaderList headers, std::string request,
                                                  std::int64_t timeout_millis) = 0;
};

}  // namespace millrace::rpc
