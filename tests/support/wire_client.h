#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "apache/rocketmq/v2/service.pb.h"
#include "base/check.h"
#include "base/mutex.h"
#include "rpc/server.h"
#include "rpc/transport.h"

namespace millrace::testing_support {

// A stream of MessagingService as its client sees it: what has come so far, and how it ended.
// Threads. Any. Waiting gives up after 20 s of real time and aborts: a test that hangs is no result.
class WireStream final : public rpc::ClientStreamHandler {
 public:
  void OnMessage(std::string message) override;
  void OnEnded(const absl::Status& status) override;

  // Blocks until there are `count` messages, or the stream has ended.
  std::vector<std::string> WaitForMessages(std::size_t count);
  // Blocks until the stream has ended.
  absl::Status WaitForEnd();
  bool ended() const;
  std::vector<std::string> messages() const;

 private:
  mutable base::Mutex mu_;
  base::CondVar changed_;
  std::vector<std::string> messages_ ABSL_GUARDED_BY(mu_);
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mu_);
};

// What came in one ReceiveMessage stream.
struct Received {
  std::vector<std::string> order;  // "status", "message", "time"
  apache::rocketmq::v2::Status status;
  std::vector<apache::rocketmq::v2::Message> messages;
  absl::Status end;
};

// One client of MessagingService at 127.0.0.1:`port`, in plaintext, below the level of any SDK.
class WireClient {
 public:
  WireClient(int port, const std::string& client_id);

  // Sent with every call from now on. At most eight.
  std::map<std::string, std::string> headers;

  // `method`: "SendMessage". Aborts when the call does not end with gRPC OK: a unary call of the service always does.
  template <typename Response, typename Request>
  Response Call(absl::string_view method, const Request& request) {
    const auto bytes = CallBytes(method, request.SerializeAsString());
    if (!bytes.ok()) Fail(method, bytes.status());
    Response response;
    MR_CHECK(response.ParseFromString(*bytes));
    return response;
  }
  absl::StatusOr<std::string> CallBytes(absl::string_view method, std::string request);

  // A stream in flight; dropping it cancels the call.
  class Stream {
   public:
    Stream(std::shared_ptr<WireStream> heard, std::unique_ptr<rpc::ClientStream> call)
        : heard_(std::move(heard)), call_(std::move(call)) {}
    ~Stream() { Cancel(); }

    WireStream& heard() { return *heard_; }
    void Write(const google::protobuf::MessageLite& message) { call_->Write(message.SerializeAsString()); }
    void WritesDone() { call_->WritesDone(); }
    void Cancel() {
      if (!heard_->ended()) call_->Cancel();
    }

   private:
    const std::shared_ptr<WireStream> heard_;
    const std::unique_ptr<rpc::ClientStream> call_;
  };
  std::unique_ptr<Stream> OpenTelemetry();
  std::unique_ptr<Stream> StartReceive(const apache::rocketmq::v2::ReceiveMessageRequest& request);
  // Waits for the end of a receive.
  static Received Finish(Stream& receive);

 private:
  std::unique_ptr<Stream> Open(absl::string_view method);
  [[noreturn]] static void Fail(absl::string_view method, const absl::Status& status);

  std::unique_ptr<rpc::Channel> channel_;
};

}  // namespace millrace::testing_support
