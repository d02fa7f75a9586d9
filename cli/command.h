#pragma once

#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include "auth/signing_channel.h"
#include "base/clock.h"
#include "rpc/transport.h"

namespace CLI {
class App;
}

namespace millrace::cli {

// Everything outside the process that commands touch (files of `store` and `--file` apart), so that tests can stand in.
struct Environment {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  const base::Clock& clock;
  std::function<std::unique_ptr<rpc::Channel>(const std::string& target)> connect;
  std::function<std::string(const char* name)> variable;  // of the environment; empty when it is not set
};

// One run of the program: what its options said and what is to be done after they were read.
struct Session {
  Environment& env;
  std::string admin;             // --admin
  std::string proxy;             // --proxy
  std::string access_key;        // --access-key
  std::string key_file;          // --key-file
  std::string output = "table";  // --output
  std::int64_t timeout_millis = 5'000;
  bool calls = false;                              // the command calls a server
  std::shared_ptr<const auth::CallSigner> signer;  // null: calls are not signed
  std::function<int()> action;

  std::unique_ptr<rpc::Channel> Connect(const std::string& target) const {
    return auth::Signed(env.connect(target), signer, target);
  }
  bool json() const { return output == "json"; }
};

// Runs `millrace ARGUMENTS...` (without the program's name) and returns the exit code.
int Run(std::vector<std::string> arguments, Environment& env);

// One per noun: adds its verbs, which set Session::action.
void AddTopic(CLI::App& app, Session& session);
void AddGroup(CLI::App& app, Session& session);
void AddMessage(CLI::App& app, Session& session);
void AddStore(CLI::App& app, Session& session);
void AddCheck(CLI::App& app, Session& session);  // has no verbs

// Options that several commands share.
void AddAdminOption(CLI::App& command, Session& session);
void AddProxyOption(CLI::App& command, Session& session);
void AddOutputOption(CLI::App& command, Session& session);

// Prints `millrace: TEXT` on the error stream and returns `code`.
int Fail(Session& session, int code, const std::string& text);

}  // namespace millrace::cli
