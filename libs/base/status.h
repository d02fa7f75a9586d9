#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// MR_RETURN_IF_ERROR(expr): returns the status of `expr` from the enclosing function unless it is OK.
#define MR_RETURN_IF_ERROR(expr)                                                 \
  do {                                                                           \
    if (::absl::Status mr_status_ = (expr); !mr_status_.ok()) return mr_status_; \
  } while (false)

#define MR_CONCAT_INNER(a, b) a##b
#define MR_CONCAT(a, b) MR_CONCAT_INNER(a, b)

// MR_ASSIGN_OR_RETURN(auto x, expr): x = value of the StatusOr `expr`, or returns its status.
#define MR_ASSIGN_OR_RETURN(lhs, expr) MR_ASSIGN_OR_RETURN_INNER(MR_CONCAT(mr_value_, __LINE__), lhs, expr)
#define MR_ASSIGN_OR_RETURN_INNER(tmp, lhs, expr) \
  auto tmp = (expr);                              \
  if (!tmp.ok()) return tmp.status();             \
  lhs = *std::move(tmp)
