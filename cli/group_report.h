#pragma once

#include <string>

#include "cli/output.h"
#include "millrace/v1/admin.pb.h"

// How `millrace group` shows groups. An age or offset that is not known is absent from JSON and "-" in a table.
namespace millrace::cli {

Json ToJson(const admin::v1::Group& group);
Table GroupTable();
void AddRow(const admin::v1::Group& group, Table& table);

Json ToJson(const admin::v1::DescribeGroupResponse& response);
std::string ToTables(const admin::v1::DescribeGroupResponse& response);

}  // namespace millrace::cli
