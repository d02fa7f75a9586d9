#pragma once

#include <cstdint>
#include <functional>

#include "base/clock.h"
#include "millrace/v1/admin.pb.h"
#include "services/proxy/broker_link.h"

namespace millrace::proxy {

// Fills in how old the oldest open message of each queue, topic and the group is: asks for those messages one after
// the other, so that a group with many queues costs the broker one read at a time. Stops when all are known, at
// `deadline_millis` (monotonic), or when the link fails; what is not known by then stays absent. `then` is called once.
void FillAges(BrokerLink& link, const base::Clock& clock, std::int64_t deadline_millis,
              admin::v1::DescribeGroupResponse response, std::function<void(admin::v1::DescribeGroupResponse)> then);

}  // namespace millrace::proxy
