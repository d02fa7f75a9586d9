#pragma once

#include <string>

#include "apache/rocketmq/v2/definition.pb.h"
#include "services/proxy/service_parts.h"

namespace millrace::proxy {

// QueryRoute and QueryAssignment. Both name this proxy, by the very host and port that the client dialled, as the
// address of every broker: clients see masters only, and only through proxies.
class RouteHandler {
 public:
  explicit RouteHandler(const ServiceParts& parts) : parts_(parts) {}

  void HandleRoute(const RequestContext& context, absl::string_view bytes);
  void HandleAssignment(const RequestContext& context, absl::string_view bytes);

 private:
  // What goes into routes: the request's endpoints, else :authority, else the configured address.
  model::Result<apache::rocketmq::v2::Endpoints> EndpointsFor(const RequestContext& context,
                                                              const apache::rocketmq::v2::Endpoints& asked) const;

  const ServiceParts& parts_;
};

}  // namespace millrace::proxy
