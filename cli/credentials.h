#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "auth/signing_channel.h"
#include "cli/command.h"

namespace CLI {
class App;
}

namespace millrace::cli {

// Options that say who calls. The secret key is never one of them: other users of the machine see command lines.
void AddCredentialOptions(CLI::App& command, Session& session);

// The caller's credentials: the user of --key-file (or MILLRACE_KEY_FILE), else MILLRACE_ACCESS_KEY and
// MILLRACE_SECRET_KEY. Nullptr: none are given.
// Errors: kInvalidArgument, kNotFound, with a text for the user
absl::StatusOr<std::shared_ptr<const auth::CallSigner>> FindSigner(const Session& session);

}  // namespace millrace::cli
