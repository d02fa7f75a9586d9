#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "auth/user_file.h"
#include "base/clock.h"
#include "model/error.h"
#include "services/proxy/client_registry.h"
#include "services/proxy/directory.h"
#include "services/proxy/ingress.h"
#include "services/proxy/proxy_metrics.h"
#include "services/proxy/refusal_log.h"
#include "services/proxy/request_context.h"

namespace millrace::proxy {

struct ServiceOptions {
  bool auto_create_topics = false;
  // Endpoints in routes for clients that name neither `endpoints` nor an authority.
  std::string host = "127.0.0.1";
  int port = 8081;
  std::string store_host = "127.0.0.1:8081";  // system_properties.store_host of delivered messages
  IngressLimits limits;
  const auth::UserFile* users = nullptr;  // who may call; null: anybody. Outlives the service.
};

// What the handlers of the service share. Everything outlives the calls.
struct ServiceParts {
  const ServiceOptions& options;
  const base::Clock& clock;
  Directory& directory;
  ClientRegistry& clients;
  ProxyMetrics& metrics;
  RefusalLog& refusals;
};

// Whether the call may go on: it comes from a user (when authentication is on), and it says which client it is.
std::optional<model::Error> Admit(const ServiceParts& parts, const RequestContext& context);

// Logs a refused request, or a refused entry of one.
void NoteRefusal(const ServiceParts& parts, const RequestContext& context, const model::Error& error);

// Counts a call that ends with `code` (a v2 Code). `now_nanos`: the monotonic time if it is at hand, else 0.
void NoteEnd(const ServiceParts& parts, const RequestContext& context, int code, std::int64_t now_nanos = 0);

// Ends a unary call with `answer`, whose status has `code`.
void Answer(const ServiceParts& parts, const RequestContext& context, int code, std::string answer,
            std::int64_t now_nanos = 0);

// Answers a unary call with nothing but the error.
void Refuse(const ServiceParts& parts, const RequestContext& context, const model::Error& error);

// The request's bytes do not decode as what `method` takes.
model::Error Undecodable(const RequestContext& context, std::size_t bytes);

// Decodes the request of a unary call, or refuses it.
template <typename Request>
bool Decode(const ServiceParts& parts, const RequestContext& context, absl::string_view bytes, Request& request) {
  if (request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return true;
  Refuse(parts, context, Undecodable(context, bytes.size()));
  return false;
}

}  // namespace millrace::proxy
