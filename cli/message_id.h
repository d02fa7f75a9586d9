#pragma once

#include <cstdint>
#include <string>

namespace millrace::cli {

// Makes message ids as RocketMQ 5 clients do: 34 upper-case hex digits = 01, 6 bytes of the machine (a MAC address),
// 2 bytes of the process id, 4 bytes of seconds since 2021-01-01T00:00:00Z, 4 bytes of a sequence, big-endian.
class MessageIds {
 public:
  // `machine`: 6 bytes. The sequence goes on from `first`; a random one keeps two short processes of one second apart.
  MessageIds(std::string machine, std::uint32_t process, std::uint32_t first)
      : machine_(std::move(machine)), process_(process), sequence_(first) {}

  std::string Next(std::int64_t wall_millis);

 private:
  const std::string machine_;
  const std::uint32_t process_;
  std::uint32_t sequence_;
};

// Of this machine and process. Without a network card the machine's bytes are random, marked as no manufacturer's.
MessageIds MakeMessageIds();

}  // namespace millrace::cli
