#include "services/proxy/request_context.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "model/names.h"
#include "model/text.h"

namespace millrace::proxy {

namespace v2 = apache::rocketmq::v2;

namespace {

constexpr int kPortMax = 65'535;

// Where the host ends; npos: there is no port.
std::size_t PortColon(absl::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) return colon;
  const bool bare_ipv6 = text.front() != '[' && text.find(':') != colon;
  const bool inside_brackets = text.front() == '[' && text.rfind(']') > colon;
  return bare_ipv6 || inside_brackets ? absl::string_view::npos : colon;
}

}  // namespace

RequestContext::RequestContext(std::shared_ptr<rpc::ServerCall> call, Method method, std::int64_t began_nanos)
    : call_(std::move(call)), client_id_(call_->Header("x-mq-client-id")), began_nanos_(began_nanos), method_(method) {}

absl::string_view RequestContext::peer_host() const {
  absl::string_view host = call_->peer();
  if (host.empty()) return host;
  host = host.substr(0, PortColon(host));
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  return host;
}

std::optional<model::Error> RequestContext::CheckClientId() const {
  if (model::IsUtf8(client_id_) && !model::IsBlank(client_id_)) return std::nullopt;
  return model::Error{model::ErrorCode::kClientIdRequired,
                      "the header x-mq-client-id is missing or blank: send the client's unique id with every call"};
}

model::Result<std::string> RequestContext::Topic(const v2::Resource& resource) const {
  const absl::string_view space(resource.resource_namespace());
  return model::FullTopicName(space.empty() ? default_namespace() : space, resource.name());
}

model::Result<std::string> RequestContext::Group(const v2::Resource& resource) const {
  const absl::string_view space(resource.resource_namespace());
  return model::FullConsumerGroupName(space.empty() ? default_namespace() : space, resource.name());
}

std::int64_t RequestContext::BrokerMillis() const {
  const auto remaining = call_->RemainingMillis();
  if (!remaining) return kBrokerMillisMax;
  // A client with less time than the margin still gets an answer, if the broker is quick.
  const std::int64_t left = std::max(*remaining - kAnswerMarginMillis, *remaining / 2);
  return std::clamp<std::int64_t>(left, 1, kBrokerMillisMax);
}

HostPort SplitHostPort(absl::string_view text) {
  HostPort result;
  if (text.empty()) return result;
  const std::size_t colon = PortColon(text);
  absl::string_view host = text.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  result.host = std::string(host.data(), host.size());
  int port = 0;
  if (colon != absl::string_view::npos && absl::SimpleAtoi(text.substr(colon + 1), &port) && port > 0 &&
      port <= kPortMax) {
    result.port = port;
  }
  return result;
}

}  // namespace millrace::proxy
