#include "cli/message_id.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/strings/escaping.h"
#include "absl/strings/str_replace.h"
#include "base/bytes.h"
#include "base/digest.h"

namespace millrace::cli {
namespace {

constexpr std::int64_t kEpochSeconds = 1'609'459'200;  // 2021-01-01T00:00:00Z
constexpr std::size_t kMachineBytes = 6;

void PutBigEndian(std::string& out, std::uint32_t value, int bytes) {
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
}

// The address of the first network card that has one; empty when there is none.
std::string MacAddress() {
  std::error_code error;
  for (const auto& card : std::filesystem::directory_iterator("/sys/class/net", error)) {
    std::ifstream file(card.path() / "address");
    std::string text;
    if (!std::getline(file, text) || text.size() != kMachineBytes * 3 - 1) continue;
    const std::string bytes = absl::HexStringToBytes(absl::StrReplaceAll(text, {{":", ""}}));
    if (std::any_of(bytes.begin(), bytes.end(), [](char c) { return c != 0; })) return bytes;
  }
  return "";
}

std::string Machine() {
  std::string machine = MacAddress();
  if (machine.size() == kMachineBytes) return machine;
  machine = base::RandomBytes(kMachineBytes);
  machine[0] = static_cast<char>(machine[0] | 0x03);  // locally administered, multicast: no real card has it
  return machine;
}

}  // namespace

std::string MessageIds::Next(std::int64_t wall_millis) {
  std::string bytes(1, '\x01');
  bytes += machine_;
  PutBigEndian(bytes, process_, 2);
  PutBigEndian(bytes, static_cast<std::uint32_t>(wall_millis / 1'000 - kEpochSeconds), 4);
  PutBigEndian(bytes, sequence_++, 4);
  return base::HexUpper(bytes);
}

MessageIds MakeMessageIds() {
  const std::string random = base::RandomBytes(sizeof(std::uint32_t));
  return MessageIds(Machine(), static_cast<std::uint32_t>(getpid()), base::Load<std::uint32_t>(random.data()));
}

}  // namespace millrace::cli
