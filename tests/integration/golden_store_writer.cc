// Writes a small store with everything that a store can hold: golden_store_writer DIRECTORY
//
// The store in tests/testdata/store/ was written by it once and stays: later versions must read it. A change of format
// adds a store of its own beside it. To write one: ninja golden_store_writer, then run it on an empty directory.
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "io/posix_file_system.h"
#include "tests/integration/store_session.h"

namespace millrace {
namespace {

using testing_support::StoreSession;

constexpr std::uint32_t kOk = 20000;
constexpr std::int64_t kTwelveHours = 12ll * 3'600'000;

void Put(StoreSession& session, link::Op op, const std::string& name, const std::string& config) {
  std::string payload;
  Encode(link::MetadataRequest{.kind = 0, .name = name, .config = config}, payload);
  const auto answer = session.Call(op, payload);
  if (answer.code != kOk) std::cerr << name << ": " << answer.code << " " << answer.text << "\n";
  MR_CHECK(answer.code == kOk);
}

template <typename Config>
void Put(StoreSession& session, link::Op op, const Config& config) {
  std::string bytes;
  Encode(config, bytes);
  Put(session, op, config.name, bytes);
}

void Metadata(StoreSession& session) {
  Put(session, link::Op::kPutTopic, core::TopicConfig{.name = "orders", .queues = 2});
  Put(session, link::Op::kPutTopic,
      core::TopicConfig{.name = "steps", .type = core::TopicType::kFifo, .access = core::Access::kRead, .queues = 1});
  Put(session, link::Op::kPutTopic, core::TopicConfig{.name = "gone", .queues = 1});
  Put(session, link::Op::kPutGroup,
      core::GroupConfig{.name = "billing", .max_attempts = 5, .backoff_millis = {1'000, 5'000}});
  Put(session, link::Op::kPutGroup,
      core::GroupConfig{.name = "audit", .fifo = true, .exponential_backoff = true, .renew_limit_millis = 60'000});
  MR_CHECK(session.Send("gone", "not seen again", "T").code == kOk);
  Put(session, link::Op::kDeleteTopic, "gone", "");
}

void Messages(StoreSession& session, int from, int to) {
  for (int i = from; i < to; ++i) {
    const std::string body = absl::StrCat("order ", i, " ", std::string(i % 7 == 0 ? 3'000 : i, 'x'));
    MR_CHECK(session.Send("orders", body, i % 2 == 0 ? "even" : "odd").code == kOk);
  }
}

// Acknowledged, held, put off, dead: one of each at least. Returns the handle of one that is held.
std::string Deliveries(StoreSession& session) {
  std::vector<StoreSession::Message> messages;
  while (messages.size() < 10) {
    for (auto& message : session.Receive("orders", "billing", kTwelveHours, 10 - messages.size())) {
      messages.push_back(std::move(message));
    }
  }
  for (int i = 0; i < 6; ++i) MR_CHECK(session.OnHandle(link::Op::kAck, messages[i].handle, 0).code == kOk);
  MR_CHECK(session.OnHandle(link::Op::kForwardDeadLetter, messages[6].handle, 0).code == kOk);
  MR_CHECK(session.OnHandle(link::Op::kChangeInvisible, messages[7].handle, kTwelveHours / 2).code == kOk);
  return messages[8].handle;
}

void WriteText(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  MR_CHECK(file.good());
}

int Run(const std::string& directory) {
  if (std::filesystem::exists(directory)) {
    std::cerr << directory << " exists already; name a new directory\n";
    return 2;
  }
  const auto fs = io::MakePosixFileSystem();
  const std::string store = directory + "/broker";
  std::string handle;
  {
    const auto session = *StoreSession::Open(*fs, store);
    Metadata(*session);
    Messages(*session, 0, 20);
    handle = Deliveries(*session);
    // A lease that is open for a second is written to the log.
    std::this_thread::sleep_for(std::chrono::seconds(3));
  }  // as a kill
  {
    const auto session = *StoreSession::Open(*fs, store);
    Messages(*session, 20, 30);
    MR_CHECK(session->Stop().ok());
  }
  std::filesystem::copy(store, directory + "/copy", std::filesystem::copy_options::recursive);
  WriteText(directory + "/expected.txt", (*StoreSession::Open(*fs, directory + "/copy"))->Describe());
  WriteText(directory + "/held_handle.txt", handle);
  std::filesystem::remove_all(directory + "/copy");
  std::filesystem::remove(store + "/lock");
  return 0;
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: golden_store_writer DIRECTORY\n";
    return 2;
  }
  return millrace::Run(argv[1]);
}
