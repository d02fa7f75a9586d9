#pragma once

#include <cstdint>
#include <string>

#include "cli/output.h"
#include "store/commit_log.h"
#include "store/store_files.h"

// How `millrace store` shows what lies in a broker's directory.
namespace millrace::cli {

std::string TypeName(store::RecordType type);  // "message"

Json ToJson(const store::LogBatch& batch);
// One line for the batch, one for each record.
std::string ToText(const store::LogBatch& batch);

Json ToJson(const store::Identity& identity);
Json ToJson(const store::Checkpoint& checkpoint);

}  // namespace millrace::cli
