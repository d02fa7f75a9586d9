#pragma once

#include "cli/command.h"

// The verbs of `millrace message`.
namespace millrace::cli {

void AddMessageSend(CLI::App& noun, Session& session);
void AddMessageReceive(CLI::App& noun, Session& session);
void AddMessageGet(CLI::App& noun, Session& session);

}  // namespace millrace::cli
