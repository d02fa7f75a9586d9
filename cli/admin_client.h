#pragma once

#include <string>

#include "absl/strings/str_cat.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/message_client.h"

namespace millrace::cli {

// One call of millrace.admin.v1.Admin at --admin.
template <typename Request, typename Response>
Outcome AskAdmin(Session& session, const std::string& method, const Request& request, Response& response) {
  const auto channel = session.Connect(session.admin);
  const auto answer = channel->CallAndWait("/millrace.admin.v1.Admin/" + method, {}, request.SerializeAsString(),
                                           session.timeout_millis);
  if (!answer.ok()) {
    return {ExitCodeOf(answer.status()),
            absl::StrCat("no answer from the admin service at ", session.admin, " (", answer.status().message(),
                         "); start one with `millrace up`, or name another with --admin HOST:PORT")};
  }
  if (!response.ParseFromString(*answer)) {
    return {kExitFailed, absl::StrCat("the answer of ", session.admin, " to ", method,
                                      " does not decode; is that the admin port of a proxy?")};
  }
  return {ExitCodeOf(response.status().code()), response.status().text()};
}

// The same; prints what went wrong and returns the exit code for it.
template <typename Request, typename Response>
int CallAdmin(Session& session, const std::string& method, const Request& request, Response& response) {
  const Outcome outcome = AskAdmin(session, method, request, response);
  return outcome.exit_code == kExitOk ? kExitOk : Fail(session, outcome.exit_code, outcome.text);
}

}  // namespace millrace::cli
