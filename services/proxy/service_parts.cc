#include "services/proxy/service_parts.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "services/proxy/answers.h"

namespace millrace::proxy {

std::optional<model::Error> Admit(const ServiceParts& parts, const RequestContext& context) {
  if (parts.options.users != nullptr) {
    if (auto refusal = parts.options.users->Check(context.call())) {
      return model::Error{model::ErrorCode::kUnauthorized, std::move(refusal->text)};
    }
  }
  return context.CheckClientId();
}

void NoteRefusal(const ServiceParts& parts, const RequestContext& context, const model::Error& error) {
  parts.refusals.Note(context, error, parts.clock.MonotonicMillis());
}

void NoteEnd(const ServiceParts& parts, const RequestContext& context, int code, std::int64_t now_nanos) {
  if (now_nanos == 0) now_nanos = parts.clock.MonotonicNanos();
  parts.metrics.rpc.Record(context.method(), code, now_nanos - context.began_nanos());
}

void Answer(const ServiceParts& parts, const RequestContext& context, int code, std::string answer,
            std::int64_t now_nanos) {
  NoteEnd(parts, context, code, now_nanos);
  context.call().WriteAndFinish(std::move(answer));
}

void Refuse(const ServiceParts& parts, const RequestContext& context, const model::Error& error) {
  NoteRefusal(parts, context, error);
  Answer(parts, context, error.number(), ErrorAnswer(error));
}

model::Error Undecodable(const RequestContext& context, std::size_t bytes) {
  return {model::ErrorCode::kBadRequest,
          absl::StrCat("the ", bytes, " bytes of the request do not decode as the message that ",
                       NameOf(context.method()), " takes: use the protos of apache.rocketmq.v2")};
}

}  // namespace millrace::proxy
