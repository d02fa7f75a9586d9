#include "model/error.h"

#include <algorithm>
#include <iterator>

namespace millrace::model {
namespace {

// Rises with the number, as the table in the header does.
constexpr ErrorInfo kErrors[] = {
#define MILLRACE_ROW(name, absl_code, number, label) {ErrorCode::k##name, #name, absl::StatusCode::absl_code, label},
    MILLRACE_MODEL_ERRORS(MILLRACE_ROW)
#undef MILLRACE_ROW
};

static_assert(std::is_sorted(std::begin(kErrors), std::end(kErrors),
                             [](const ErrorInfo& a, const ErrorInfo& b) { return a.code < b.code; }),
              "looked up by binary search");

const ErrorInfo* Find(ErrorCode code) {
  const auto* row = std::lower_bound(std::begin(kErrors), std::end(kErrors), code,
                                     [](const ErrorInfo& info, ErrorCode wanted) { return info.code < wanted; });
  return row != std::end(kErrors) && row->code == code ? row : nullptr;
}

}  // namespace

const ErrorInfo& InfoOf(ErrorCode code) {
  const ErrorInfo* row = Find(code);
  return row != nullptr ? *row : *Find(ErrorCode::kInternalServerError);
}

}  // namespace millrace::model
