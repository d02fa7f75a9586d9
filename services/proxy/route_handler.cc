#include "services/proxy/route_handler.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "apache/rocketmq/v2/service.pb.h"
#include "services/proxy/answers.h"

namespace millrace::proxy {
namespace {

namespace v2 = apache::rocketmq::v2;
using model::Error;
using model::ErrorCode;

constexpr int kPortMax = 65'535;
constexpr int kAllQueues = -1;

v2::AddressScheme SchemeOf(absl::string_view host) {
  if (host.find(':') != absl::string_view::npos) return v2::IPv6;
  const bool digits = host.find_first_not_of("0123456789.") == absl::string_view::npos;
  return digits && !host.empty() ? v2::IPv4 : v2::DOMAIN_NAME;
}

v2::Endpoints MakeEndpoints(const std::string& host, int port) {
  v2::Endpoints endpoints;
  endpoints.set_scheme(SchemeOf(host));
  endpoints.add_addresses()->set_host(host);
  endpoints.mutable_addresses(0)->set_port(port);
  return endpoints;
}

v2::Permission PermissionOf(const SetRoute& set) {
  if (set.readable() && set.writable()) return v2::READ_WRITE;
  if (set.readable()) return v2::READ;
  return set.writable() ? v2::WRITE : v2::NONE;
}

void AddTypes(core::TopicType type, v2::MessageQueue& queue) {
  if (type == core::TopicType::kMixed) {
    for (const auto each : {v2::NORMAL, v2::FIFO, v2::DELAY, v2::TRANSACTION}) queue.add_accept_message_types(each);
  } else {
    queue.add_accept_message_types(static_cast<v2::MessageType>(type));
  }
}

// Everything of a queue but its number and types.
v2::MessageQueue QueueOn(const SetRoute& set, const v2::Resource& topic, const v2::Endpoints& endpoints) {
  v2::MessageQueue queue;
  *queue.mutable_topic() = topic;
  queue.set_permission(PermissionOf(set));
  queue.mutable_broker()->set_name(set.broker);
  queue.mutable_broker()->set_id(0);
  *queue.mutable_broker()->mutable_endpoints() = endpoints;
  return queue;
}

std::string RouteAnswer(const TopicRoute& route, const v2::Resource& topic, const v2::Endpoints& endpoints) {
  v2::QueryRouteResponse response;
  SetOk(*response.mutable_status());
  for (const SetRoute& set : route.sets) {
    v2::MessageQueue queue = QueueOn(set, topic, endpoints);
    AddTypes(route.config.type, queue);
    for (std::uint32_t id = 0; id < set.queues; ++id) {
      queue.set_id(static_cast<std::int32_t>(id));
      *response.add_message_queues() = queue;
    }
  }
  return response.SerializeAsString();
}

// Ordered groups poll each queue, others a whole broker at a time. Every member of the group gets the same list.
std::string AssignmentAnswer(const TopicRoute& route, bool fifo, const v2::Resource& topic,
                             const v2::Endpoints& endpoints) {
  v2::QueryAssignmentResponse response;
  SetOk(*response.mutable_status());
  for (const SetRoute& set : route.sets) {
    if (!set.readable()) continue;
    const auto add = [&](std::int32_t id) {
      v2::MessageQueue& queue = *response.add_assignments()->mutable_message_queue();
      queue = QueueOn(set, topic, endpoints);
      queue.set_id(id);
    };
    if (!fifo) add(kAllQueues);
    for (std::uint32_t id = 0; fifo && id < set.queues; ++id) add(static_cast<std::int32_t>(id));
  }
  return response.SerializeAsString();
}

bool HasReadableQueue(const TopicRoute& route) {
  for (const SetRoute& set : route.sets) {
    if (set.readable()) return true;
  }
  return false;
}

}  // namespace

model::Result<v2::Endpoints> RouteHandler::EndpointsFor(const RequestContext& context,
                                                        const v2::Endpoints& asked) const {
  for (const v2::Address& address : asked.addresses()) {
    if (!address.host().empty() && address.port() > 0 && address.port() <= kPortMax) continue;
    return Error{ErrorCode::kIllegalAccessPoint,
                 absl::StrCat("the endpoint '", address.host(), "' port ", address.port(),
                              " cannot be dialled: give a host and a port between 1 and ", kPortMax)};
  }
  if (!asked.addresses().empty()) {
    v2::Endpoints endpoints = asked;
    if (asked.scheme() == v2::ADDRESS_SCHEME_UNSPECIFIED) endpoints.set_scheme(SchemeOf(asked.addresses(0).host()));
    return endpoints;
  }
  const HostPort dialled = SplitHostPort(context.call().authority());
  if (dialled.host.empty()) return MakeEndpoints(parts_.options.host, parts_.options.port);
  return MakeEndpoints(dialled.host, dialled.port == 0 ? parts_.options.port : dialled.port);
}

void RouteHandler::HandleRoute(const RequestContext& context, absl::string_view bytes) {
  auto request = std::make_shared<v2::QueryRouteRequest>();
  if (!Decode(parts_, context, bytes, *request)) return;
  const auto topic = context.Topic(request->topic());
  if (!topic.ok()) return Refuse(parts_, context, topic.error());
  auto endpoints = EndpointsFor(context, request->endpoints());
  if (!endpoints.ok()) return Refuse(parts_, context, endpoints.error());
  parts_.clients.Saw(context.client_id(), "");
  parts_.directory.FindTopic(
      *topic, [this, context, request, endpoints = *endpoints](const model::Result<Directory::RoutePtr>& route) {
        if (!route.ok()) return Refuse(parts_, context, route.error());
        Answer(parts_, context, kOk, RouteAnswer(**route, request->topic(), endpoints));
      });
}

void RouteHandler::HandleAssignment(const RequestContext& context, absl::string_view bytes) {
  auto request = std::make_shared<v2::QueryAssignmentRequest>();
  if (!Decode(parts_, context, bytes, *request)) return;
  const auto topic = context.Topic(request->topic());
  if (!topic.ok()) return Refuse(parts_, context, topic.error());
  const auto group = context.Group(request->group());
  if (!group.ok()) return Refuse(parts_, context, group.error());
  auto endpoints = EndpointsFor(context, request->endpoints());
  if (!endpoints.ok()) return Refuse(parts_, context, endpoints.error());
  parts_.clients.Saw(context.client_id(), *group);

  const auto with_route = [this, context, request, group = *group,
                           endpoints = *endpoints](const model::Result<Directory::RoutePtr>& route) {
    if (!route.ok()) return Refuse(parts_, context, route.error());
    if (!HasReadableQueue(**route)) {
      return Refuse(parts_, context,
                    {ErrorCode::kForbidden, absl::StrCat("topic ", (*route)->config.name,
                                                         " has no readable queue: set read access on the topic")});
    }
    const bool fifo_if_new = (*route)->config.type == core::TopicType::kFifo;
    parts_.directory.FindGroup(
        group, fifo_if_new,
        [this, context, request, route = *route, endpoints](const model::Result<Directory::GroupPtr>& config) {
          if (!config.ok()) return Refuse(parts_, context, config.error());
          Answer(parts_, context, kOk, AssignmentAnswer(*route, (*config)->fifo, request->topic(), endpoints));
        });
  };
  parts_.directory.FindTopic(*topic, with_route);
}

}  // namespace millrace::proxy
