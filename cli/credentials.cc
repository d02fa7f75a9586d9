#include "cli/credentials.h"

#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "auth/client_signature.h"
#include "auth/users.h"
#include "base/status.h"
#include "io/posix_file_system.h"

namespace millrace::cli {
namespace {

using SignerOr = absl::StatusOr<std::shared_ptr<const auth::CallSigner>>;

// Other users of the machine must not be able to read it; the group may, as with a mounted Secret of Kubernetes.
absl::Status CheckMode(const std::string& path) {
  struct stat found {};
  if (stat(path.c_str(), &found) != 0) {
    return absl::NotFoundError(absl::StrCat("the key file ", path, " cannot be read; give another with --key-file"));
  }
  if ((found.st_mode & S_IROTH) == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("everybody can read the key file ", path, "; run chmod 600 ", path));
}

SignerOr FromFile(const Session& session, const std::string& path) {
  MR_RETURN_IF_ERROR(CheckMode(path));
  MR_ASSIGN_OR_RETURN(const std::string content, io::ReadFile(*io::MakePosixFileSystem(), path));
  MR_ASSIGN_OR_RETURN(const auth::Users users, auth::Users::Parse(path, content));
  const std::string access_key = session.access_key.empty() ? users.Only() : session.access_key;
  if (access_key.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the key file ", path, " has ", users.size(), " users; choose one with --access-key"));
  }
  const std::string* const secret_key = users.SecretOf(access_key);
  if (secret_key == nullptr) {
    return absl::NotFoundError(absl::StrCat("the key file ", path, " has no user ", access_key));
  }
  return std::make_shared<auth::ClientSigner>(access_key, *secret_key, session.env.clock);
}

}  // namespace

void AddCredentialOptions(CLI::App& command, Session& session) {
  if (command.get_option_no_throw("--key-file") != nullptr) return;
  command.add_option("--access-key", session.access_key, "Who calls, or the variable MILLRACE_ACCESS_KEY")
      ->type_name("NAME");
  command
      .add_option("--key-file", session.key_file,
                  "User file with the caller's secret key, or the variable MILLRACE_KEY_FILE; "
                  "without one the secret key is that of the variable MILLRACE_SECRET_KEY")
      ->type_name("FILE");
  command.parse_complete_callback([&session] { session.calls = true; });
}

SignerOr FindSigner(const Session& session) {
  if (!session.key_file.empty()) return FromFile(session, session.key_file);
  const std::string secret_key = session.env.variable("MILLRACE_SECRET_KEY");
  if (session.access_key.empty() && secret_key.empty()) return std::shared_ptr<const auth::CallSigner>();
  if (session.access_key.empty()) {
    return absl::InvalidArgumentError("MILLRACE_SECRET_KEY is set without an access key; set MILLRACE_ACCESS_KEY too");
  }
  if (secret_key.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the access key ", session.access_key,
                     " comes without a secret key; set MILLRACE_SECRET_KEY or give --key-file"));
  }
  return std::make_shared<auth::ClientSigner>(session.access_key, secret_key, session.env.clock);
}

}  // namespace millrace::cli
