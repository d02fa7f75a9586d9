#include "services/proxy/broker_query.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "apache/rocketmq/v2/definition.pb.h"
#include "link/messages.h"

namespace millrace::proxy {

void AskBroker(BrokerLink& link, link::Op op, std::string payload, std::int64_t timeout_millis, BrokerAnswer then) {
  link.Call(op, std::move(payload), timeout_millis, [then = std::move(then)](const link::Record& record) {
    const auto reply = link::Decode<link::Reply>(record.payload);
    if (!reply) {
      return then(model::Error{model::ErrorCode::kInternalServerError,
                               absl::StrCat("the broker's answer of ", record.payload.size(),
                                            " bytes does not decode; "
                                            "run broker and proxy of the same or adjacent releases")});
    }
    if (reply->code != apache::rocketmq::v2::OK) {
      return then(model::Error{static_cast<model::ErrorCode>(reply->code),
                               std::string(reply->text.data(), reply->text.size())});
    }
    then(std::string(reply->payload.data(), reply->payload.size()));
  });
}

void QueryBroker(BrokerLink& link, core::QueryKind kind, absl::string_view name, std::int64_t timeout_millis,
                 BrokerAnswer then) {
  std::string payload;
  link::Encode(link::MetadataRequest{static_cast<std::uint32_t>(kind), name, {}}, payload);
  AskBroker(link, link::Op::kQuery, std::move(payload), timeout_millis, std::move(then));
}

}  // namespace millrace::proxy
