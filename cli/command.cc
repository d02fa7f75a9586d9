#include "cli/command.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ostream>

#include "cli/credentials.h"
#include "cli/exit_code.h"

namespace millrace::cli {
namespace {

constexpr char kDescription[] = "Millrace: a message queue for RocketMQ 5 clients";
constexpr char kFooter[] =
    "Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 forbidden, 5 unavailable or timed out, 6 conflict\n"
    "More about a command: millrace help NOUN [VERB]";

std::string VariableOr(const Environment& env, const char* name, const char* otherwise) {
  const std::string value = env.variable(name);
  return value.empty() ? otherwise : value;
}

void AddVersion(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("version", "Print the version");
  command->callback([&session] {
    session.action = [&session] {
      session.env.out << "millrace " << MILLRACE_VERSION << "\n";
      return kExitOk;
    };
  });
}

int PrintHelp(CLI::App& app, const std::vector<std::string>& names, Session& session) {
  CLI::App* command = &app;
  for (const std::string& name : names) {
    const auto verbs = command->get_subcommands(nullptr);
    const auto found = std::find_if(verbs.begin(), verbs.end(), [&](CLI::App* verb) { return verb->check_name(name); });
    if (found == verbs.end()) {
      return Fail(session, kExitUsage, "there is no command `" + name + "` here; millrace help lists them");
    }
    command = *found;
  }
  session.env.out << command->help(command == &app ? "" : "millrace " + (names.size() > 1 ? names[0] : std::string()));
  return kExitOk;
}

void AddHelp(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("help", "Print how a command is used");
  auto names = std::make_shared<std::vector<std::string>>();
  command->add_option("COMMAND", *names, "A noun, or a noun and a verb");
  command->callback([&app, &session, names] {
    session.action = [&app, &session, names] { return PrintHelp(app, *names, session); };
  });
}

}  // namespace

int Fail(Session& session, int code, const std::string& text) {
  session.env.err << "millrace: " << text << "\n";
  return code;
}

void AddAdminOption(CLI::App& command, Session& session) {
  command.add_option("--admin", session.admin, "Admin address of a proxy, or the variable MILLRACE_ADMIN")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  AddCredentialOptions(command, session);
}

void AddProxyOption(CLI::App& command, Session& session) {
  command.add_option("--proxy", session.proxy, "Address of a proxy, or the variable MILLRACE_PROXY_ADDRESS")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  AddCredentialOptions(command, session);
}

void AddOutputOption(CLI::App& command, Session& session) {
  command.add_option("-o,--output", session.output, "How the result is printed")
      ->type_name("table|json")
      ->check(CLI::IsMember({"table", "json"}).description(""))
      ->capture_default_str();
}

int Run(std::vector<std::string> arguments, Environment& env) {
  Session session{.env = env,
                  .admin = VariableOr(env, "MILLRACE_ADMIN", "127.0.0.1:8083"),
                  .proxy = VariableOr(env, "MILLRACE_PROXY_ADDRESS", "127.0.0.1:8081"),
                  .access_key = env.variable("MILLRACE_ACCESS_KEY"),
                  .key_file = env.variable("MILLRACE_KEY_FILE"),
                  .signer = nullptr,
                  .action = nullptr};
  CLI::App app(kDescription, "millrace");
  app.footer(kFooter);
  app.require_subcommand(1);
  // Runs in main() before any other command is looked at; here it only shows in the help.
  app.add_subcommand("up", "Run nameserver, broker and proxy in one process; `millrace up --help` has its keys")
      ->prefix_command();
  AddTopic(app, session);
  AddGroup(app, session);
  AddMessage(app, session);
  AddStore(app, session);
  AddCheck(app, session);
  AddVersion(app, session);
  AddHelp(app, session);
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    return app.exit(error, env.out, env.err) == 0 ? kExitOk : kExitUsage;
  }
  if (!session.action) return Fail(session, kExitFailed, "this build has no `up`");
  if (session.calls) {
    auto signer = FindSigner(session);
    if (!signer.ok()) return Fail(session, ExitCodeOf(signer.status()), std::string(signer.status().message()));
    session.signer = *std::move(signer);
  }
  return session.action();
}

}  // namespace millrace::cli
