#include <csignal>
#include <cstdlib>
#include <iostream>

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/up.h"
#include "rpc/server.h"

int main(int argc, char** argv) {
#ifdef MILLRACE_WITH_UP
  if (argc > 1 && std::string(argv[1]) == "up") return millrace::cli::RunUp(argc, argv);
#endif
  // A reader that goes away (`| head`) ends the output, not the program's exit code in the middle of a call.
  std::signal(SIGPIPE, SIG_IGN);
  const millrace::base::SystemClock clock;
  millrace::cli::Environment env{
      .in = std::cin,
      .out = std::cout,
      .err = std::cerr,
      .clock = clock,
      .connect = [](const std::string& target) { return millrace::rpc::MakeChannel(target); },
      .variable = [](const char* name) { return std::string(std::getenv(name) ? std::getenv(name) : ""); }};
  return millrace::cli::Run({argv + 1, argv + argc}, env);
}
