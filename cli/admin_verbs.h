#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>
#include <string>
#include <utility>

#include "cli/admin_client.h"
#include "cli/command.h"
#include "cli/output.h"

// What the verbs of `topic` and `group` have in common.
namespace millrace::cli {

// The subcommands of one noun. `Flags` has a `name`. `app` and `session` outlive the parsing.
template <typename Flags>
class AdminVerbs {
 public:
  AdminVerbs(CLI::App& app, Session& session, const std::string& noun, const std::string& what)
      : noun_(noun), session_(session), command_(*app.add_subcommand(noun, what)->require_subcommand(1)) {}

  void Add(const char* verb, const char* what, int (*action)(Session&)) {
    NewVerb(verb, what)->callback([&session = session_, action] {
      session.action = [&session, action] { return action(session); };
    });
  }

  // With a NAME. The flags live as long as the subcommand that is returned with them.
  std::pair<CLI::App*, Flags*> AddNamed(const char* verb, const char* what, int (*action)(Session&, const Flags&)) {
    CLI::App* command = NewVerb(verb, what);
    auto flags = std::make_shared<Flags>();
    command->add_option("NAME", flags->name, "Full name of the " + noun_)->required();
    command->callback([&session = session_, flags, action] {
      session.action = [&session, flags, action] { return action(session, *flags); };
    });
    return {command, flags.get()};
  }

 private:
  CLI::App* NewVerb(const char* verb, const char* what) {
    CLI::App* command = command_.add_subcommand(verb, what);
    AddAdminOption(*command, session_);
    AddOutputOption(*command, session_);
    return command;
  }

  const std::string noun_;
  Session& session_;
  CLI::App& command_;
};

// Calls Delete<what>, and says so.
template <typename Request, typename Response>
int DeleteNamed(Session& session, const std::string& method, const std::string& noun, const std::string& name) {
  Request request;
  request.set_name(name);
  Response response;
  if (const int code = CallAdmin(session, method, request, response); code != kExitOk) return code;
  session.env.out << (session.json() ? Text(Json::object({{"deleted", name}})) : "deleted " + noun + " " + name + "\n");
  return kExitOk;
}

}  // namespace millrace::cli
