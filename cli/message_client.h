#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "apache/rocketmq/v2/service.pb.h"
#include "cli/command.h"
#include "rpc/transport.h"

namespace millrace::cli {

// What came of a call: an exit code and, unless it is kExitOk, a text for the user.
struct Outcome {
  int exit_code = 0;
  std::string text;
};

// A small client of apache.rocketmq.v2 at one proxy, one call at a time.
class MessageClient {
 public:
  explicit MessageClient(Session& session);

  // On success `offset` is the queue offset.
  Outcome Send(const apache::rocketmq::v2::Message& message, std::int64_t& offset);

  // Waits up to `wait_millis` for messages and hands them to `each` in order; none in time is kExitOk without a call of
  // `each`. A server polls for 5 s at least; a shorter wait ends on this side.
  Outcome Receive(const std::string& topic, const std::string& group, int batch, std::int64_t wait_millis,
                  const std::function<void(const apache::rocketmq::v2::Message&)>& each);

  Outcome Acknowledge(const std::string& topic, const std::string& group,
                      const std::vector<apache::rocketmq::v2::AckMessageEntry>& entries);

  // Makes a received message visible to others again; it does not count as an attempt.
  Outcome GiveBack(const std::string& topic, const std::string& group,
                   const apache::rocketmq::v2::AckMessageEntry& entry);

  // Says goodbye.
  Outcome Terminate(const std::string& group);

 private:
  // Fills `response` and judges its status.
  template <typename Response>
  Outcome Call(const std::string& method, const std::string& request, Response& response);
  Outcome Unreachable(const absl::Status& status) const;

  Session& session_;
  const std::string client_id_;
  const std::unique_ptr<rpc::Channel> channel_;
};

// The text of a status of the v2 service that is not OK.
std::string StatusText(const apache::rocketmq::v2::Status& status);

}  // namespace millrace::cli
