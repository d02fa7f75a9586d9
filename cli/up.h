#pragma once

namespace millrace::cli {

// `millrace up`: nameserver, broker and proxy in this process, until SIGTERM or SIGINT. `argv[0]` is the program,
// `argv[1]` is "up". Returns the exit code.
int RunUp(int argc, char** argv);

}  // namespace millrace::cli
