#pragma once

#include <string>

#include "absl/strings/str_cat.h"
#include "cli/command.h"
#include "cli/exit_code.h"

namespace millrace::cli {

// One call of millrace.admin.v1.Admin at --admin. Prints what went wrong and returns the exit code for it.
template <typename Request, typename Response>
int CallAdmin(Session& session, const std::string& method, const Request& request, Response& response) {
  const auto channel = session.Connect(session.admin);
  const auto answer = channel->CallAndWait("/millrace.admin.v1.Admin/" + method, {}, request.SerializeAsString(),
                                           session.timeout_millis);
  if (!answer.ok()) {
    return Fail(session, ExitCodeOf(answer.status()),
                absl::StrCat("no answer from the admin service at ", session.admin, " (", answer.status().message(),
                             "); start one with `millrace up`, or name another with --admin HOST:PORT"));
  }
  if (!response.ParseFromString(*answer)) {
    return Fail(session, kExitFailed,
                absl::StrCat("the answer of ", session.admin, " to ", method,
                             " does not decode; is that the admin port of a proxy?"));
  }
  const int code = ExitCodeOf(response.status().code());
  return code == kExitOk ? kExitOk : Fail(session, code, response.status().text());
}

}  // namespace millrace::cli
