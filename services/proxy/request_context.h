#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "apache/rocketmq/v2/definition.pb.h"
#include "model/error.h"
#include "rpc/transport.h"
#include "services/proxy/method.h"

namespace millrace::proxy {

// One call and what its headers say. Cheap to copy; views live as long as the call, which it keeps.
class RequestContext {
 public:
  // `began_nanos`: monotonic time at which the call came.
  RequestContext(std::shared_ptr<rpc::ServerCall> call, Method method, std::int64_t began_nanos);

  rpc::ServerCall& call() const { return *call_; }
  Method method() const { return method_; }
  std::int64_t began_nanos() const { return began_nanos_; }
  absl::string_view client_id() const { return client_id_; }
  absl::string_view default_namespace() const { return call_->Header("x-mq-namespace"); }
  absl::string_view language() const { return call_->Header("x-mq-language"); }
  absl::string_view client_version() const { return call_->Header("x-mq-client-version"); }
  absl::string_view request_id() const { return call_->Header("x-mq-request-id"); }
  absl::string_view peer_host() const;  // the peer's address without its port

  // kClientIdRequired when x-mq-client-id is missing or blank.
  std::optional<model::Error> CheckClientId() const;

  // Full names: with the resource's namespace, else that of the header.
  model::Result<std::string> Topic(const apache::rocketmq::v2::Resource& resource) const;
  model::Result<std::string> Group(const apache::rocketmq::v2::Resource& resource) const;

  // How long a broker may take with its answer: what the client leaves us less a margin for the way back.
  std::int64_t BrokerMillis() const;

 private:
  std::shared_ptr<rpc::ServerCall> call_;
  absl::string_view client_id_;
  std::int64_t began_nanos_;
  Method method_;
};

inline constexpr std::int64_t kAnswerMarginMillis = 500;
inline constexpr std::int64_t kBrokerMillisMax = 2'500;  // a broker itself gives up after 2 s

// "127.0.0.1:41234" -> "127.0.0.1", 41234; "[::1]:80" -> "::1", 80; a text without a port -> it, 0.
struct HostPort {
  std::string host;
  int port = 0;
};
HostPort SplitHostPort(absl::string_view text);

}  // namespace millrace::proxy
