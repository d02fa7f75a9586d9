#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "gtest/gtest.h"
#include "rpc/event_loop.h"
#include "rpc/server.h"

namespace millrace::rpc {
namespace {

// Answers questions for any name: there is none, or, once it appears, 127.0.0.1.
class NameServer {
 public:
  NameServer() : socket_(socket(AF_INET, SOCK_DGRAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Run(); });
  }
  ~NameServer() {
    shutdown(socket_, SHUT_RDWR);
    thread_.join();
    close(socket_);
  }
  int port() const { return port_; }
  // How often, after the next question or a moment without one.
  int AskedNow() {
    base::MutexLock lock(mu_);
    changed_.WaitFor(mu_, std::chrono::milliseconds(20));
    return asked_;
  }
  void Appear() {
    base::MutexLock lock(mu_);
    there_ = true;
  }

 private:
  void Run() {
    char bytes[512];
    sockaddr_in from{};
    while (true) {
      socklen_t size = sizeof from;
      const ssize_t got = recvfrom(socket_, bytes, sizeof bytes, 0, reinterpret_cast<sockaddr*>(&from), &size);
      if (got <= 12) return;
      const std::string answer = Answer(std::string(bytes, static_cast<std::size_t>(got)));
      sendto(socket_, answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
    }
  }

  // The header, the question, and one record at most.
  std::string Answer(const std::string& query) {
    const std::size_t name_end = query.find('\0', 12) + 1;
    const bool wants_ipv4 = query[name_end + 1] == 1;
    std::string answer = query.substr(0, name_end + 4);
    base::MutexLock lock(mu_);
    asked_ += wants_ipv4 ? 1 : 0;
    changed_.NotifyAll();
    answer[2] = static_cast<char>(0x81);
    answer[3] = static_cast<char>(there_ ? 0x80 : 0x83);  // no such name
    answer[7] = there_ && wants_ipv4 ? 1 : 0;
    std::memset(answer.data() + 8, 0, 4);
    if (there_ && wants_ipv4) {
      answer += std::string("\xc0\x0c\0\x01\0\x01\0\0\0\x01\0\x04", 12);
      answer += std::string("\x7f\0\0\x01", 4);
    }
    return answer;
  }

  const int socket_;
  int port_ = 0;
  base::Mutex mu_;
  base::CondVar changed_;
  int asked_ ABSL_GUARDED_BY(mu_) = 0;
  bool there_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

class EchoService final : public Service {
 public:
  std::optional<CallKind> Kind(absl::string_view) const override { return CallKind::kUnary; }
  void OnRequest(std::shared_ptr<ServerCall> call, absl::string_view message) override {
    call->WriteAndFinish(std::string(message.data(), message.size()));
  }
  std::unique_ptr<StreamHandler> OnStream(std::shared_ptr<ServerCall>) override { return nullptr; }
};

// A name that is not there for a while, as that of a pod which is moved, must not be forgotten for long. Left alone,
// gRPC asks for the ninth time after more than a minute.
TEST(LookupTest, ANameThatIsNotThereIsLookedUpAgainSoon) {
  EchoService service;
  const auto loop = MakeEventLoop();
  auto server = StartServer({.address = "127.0.0.1:0", .loop = loop}, {&service});
  ASSERT_TRUE(server.ok()) << server.status();
  NameServer names;
  const auto channel =
      MakeChannel(absl::StrCat("dns://127.0.0.1:", names.port(), "/broker.example:", (*server)->port()), 1 << 20, loop);

  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  int asked = 0;
  while (asked < 9) {
    ASSERT_FALSE(channel->CallAndWait("/t/Echo", {}, "hello", 60'000).ok());
    asked = names.AskedNow();
    ASSERT_LT(std::chrono::steady_clock::now(), give_up) << "asked " << asked << " times";
  }
  names.Appear();
  while (!channel->CallAndWait("/t/Echo", {}, "hello", 60'000).ok()) {
    ASSERT_LT(std::chrono::steady_clock::now(), give_up) << "asked " << names.AskedNow() << " times";
  }
}

}  // namespace
}  // namespace millrace::rpc
