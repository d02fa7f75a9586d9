#pragma once

#include <string>

#include "apache/rocketmq/v2/definition.pb.h"
#include "cli/output.h"

// How `millrace message` shows messages.
namespace millrace::cli {

Json ToJson(const apache::rocketmq::v2::Message& message);

// One message on several lines: a name and a value each, then the body.
std::string ToText(const apache::rocketmq::v2::Message& message);

// "<namespace>%<name>", or the name alone.
std::string FullName(const apache::rocketmq::v2::Resource& resource);

}  // namespace millrace::cli
