#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "apache/rocketmq/v2/definition.pb.h"
#include "model/error.h"

// In-band results. Every response message of the service, the elements of its streams and TelemetryCommand have their
// Status in field 1, so one set of bytes answers any of them.
namespace millrace::proxy {

inline constexpr int kOk = 20000;
inline constexpr int kMultipleResults = 30000;

// A Status as field `number` of the message that `out` is.
void AppendStatus(std::string& out, std::uint32_t number, int code, absl::string_view text);

std::string OkAnswer();
std::string ErrorAnswer(const model::Error& error);

void SetStatus(apache::rocketmq::v2::Status& status, int code, absl::string_view text);
void SetOk(apache::rocketmq::v2::Status& status);
void SetError(apache::rocketmq::v2::Status& status, const model::Error& error);

// Name of a v2 Code ("TOPIC_NOT_FOUND"); its digits when the enum does not know it.
std::string CodeName(int code);

// The status over the entries of an answer: their code when all are equal, else MULTIPLE_RESULTS.
int AggregateCode(const std::vector<int>& codes);

// A code and text from a broker.
model::Error BrokerError(std::uint32_t code, absl::string_view text);

}  // namespace millrace::proxy
