#include "cli/message.h"

#include <CLI/CLI.hpp>

namespace millrace::cli {

void AddMessage(CLI::App& app, Session& session) {
  CLI::App* message = app.add_subcommand("message", "Send, receive and look at messages")->require_subcommand(1);
  AddMessageSend(*message, session);
  AddMessageReceive(*message, session);
  AddMessageGet(*message, session);
}

}  // namespace millrace::cli
