#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/strings/string_view.h"
#include "core/events.h"
#include "link/frame.h"
#include "model/error.h"
#include "services/proxy/broker_link.h"

// Questions about metadata and messages, and changes of them, over the link to a broker set.
namespace millrace::proxy {

// Gets the payload of an OK reply, or what the broker (or the broken link) said instead. Called once, from the caller's
// thread or the link's.
using BrokerAnswer = std::function<void(model::Result<std::string>)>;

void AskBroker(BrokerLink& link, link::Op op, std::string payload, std::int64_t timeout_millis, BrokerAnswer then);
void QueryBroker(BrokerLink& link, core::QueryKind kind, absl::string_view name, std::int64_t timeout_millis,
                 BrokerAnswer then);

}  // namespace millrace::proxy
