#include "rpc/acceptor.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/log.h"
#include "base/status.h"

namespace millrace::rpc {
namespace {

constexpr unsigned char kTlsHandshakeRecord = 0x16;
constexpr std::int64_t kPauseMillis = 100;

std::int64_t NowMillis() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

struct AddressInfoFree {
  void operator()(addrinfo* info) const { freeaddrinfo(info); }
};
using AddressInfo = std::unique_ptr<addrinfo, AddressInfoFree>;

absl::StatusOr<AddressInfo> ParseAddress(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("address \"", address, "\" is not host:port; write for example 0.0.0.0:8081 or [::]:8081"));
  }
  std::string host = address.substr(0, colon);
  const std::string port = address.substr(colon + 1);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("address \"", address, "\" names no local address: ", gai_strerror(error)));
  }
  return AddressInfo(found);
}

void SetOption(int fd, int level, int name, int value) { setsockopt(fd, level, name, &value, sizeof value); }

absl::Status ListenError(const std::string& address, int error) {
  const std::string text = absl::StrCat("cannot listen on ", address, ": ", std::strerror(error));
  if (error == EADDRINUSE) {
    return absl::AlreadyExistsError(
        absl::StrCat(text, "; another process has the port, stop it or choose another port"));
  }
  if (error == EACCES) return absl::InvalidArgumentError(absl::StrCat(text, "; ports below 1024 need a privilege"));
  return absl::InvalidArgumentError(text);
}

absl::StatusOr<int> Listen(const std::string& address) {
  MR_ASSIGN_OR_RETURN(const AddressInfo info, ParseAddress(address));
  const int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return ListenError(address, errno);
  SetOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (info->ai_family == AF_INET6) SetOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);  // [::] takes IPv4 too
  if (bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, SOMAXCONN) != 0) {
    const int error = errno;
    close(fd);
    return ListenError(address, error);
  }
  return fd;
}

int LocalPort(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  MR_CHECK(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&address)->sin6_port
                                             : reinterpret_cast<sockaddr_in*>(&address)->sin_port);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Acceptor>> Acceptor::Start(const Options& options, HandOver hand_over, Ended ended) {
  MR_ASSIGN_OR_RETURN(const int listener, Listen(options.address));
  return std::unique_ptr<Acceptor>(
      new Acceptor(options, std::move(hand_over), std::move(ended), listener, LocalPort(listener)));
}

Acceptor::Acceptor(const Options& options, HandOver hand_over, Ended ended, int listener, int port)
    : options_(options),
      hand_over_(std::move(hand_over)),
      ended_(std::move(ended)),
      port_(port),
      listener_(listener),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      stop_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  MR_CHECK(epoll_ >= 0 && stop_ >= 0);
  Watch(stop_, EPOLLIN, EPOLL_CTL_ADD);
  Watch(listener_, EPOLLIN, EPOLL_CTL_ADD);
  thread_ = std::thread([this] { Run(); });
}

Acceptor::~Acceptor() {
  const std::uint64_t one = 1;
  MR_CHECK(write(stop_, &one, sizeof one) == sizeof one);
  thread_.join();
  close(listener_);
  for (const Silent& silent : silent_) close(silent.fd);
  for (const int copy : copies_) close(copy);
  close(epoll_);
  close(stop_);
}

void Acceptor::Run() {
  std::array<epoll_event, 64> events;
  for (;;) {
    const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), TimeoutMillis());
    for (int i = 0; i < count; ++i) {
      if (events[static_cast<std::size_t>(i)].data.fd == stop_) return;
    }
    for (int i = 0; i < count; ++i) OnEvent(events[static_cast<std::size_t>(i)].data.fd);
    CloseOverdue();
  }
}

void Acceptor::OnEvent(int fd) {
  if (fd == listener_) return AcceptAll();
  if (silent_by_fd_.contains(fd)) return LookAtFirstByte(fd);
  if (copies_.erase(fd) > 0) {
    close(fd);
    full_reported_ = false;
    ++options_.counters->ended;
    ended_();
  }
}

void Acceptor::AcceptAll() {
  for (;;) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      Add(fd);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      return PauseAccepting(errno);
    } else if (errno == EAGAIN) {
      return;
    }  // else that one connection failed before it was ours
  }
}

void Acceptor::Add(int fd) {
  const std::size_t open = silent_.size() + copies_.size();
  if (open >= static_cast<std::size_t>(options_.connections_max)) {
    close(fd);
    ++options_.counters->refused;
    if (std::exchange(full_reported_, true)) return;
    MR_LOG(Warn, "connection refused, too many are open",
           {{"address", options_.address}, {"open", open}, {"limit", options_.connections_max}});
    return;
  }
  ++options_.counters->accepted;
  SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);  // gRPC sets it on sockets that it accepts itself only
  silent_.push_back({fd, NowMillis() + options_.first_byte_timeout_millis});
  silent_by_fd_[fd] = std::prev(silent_.end());
  Watch(fd, EPOLLIN | EPOLLRDHUP, EPOLL_CTL_ADD);
}

void Acceptor::LookAtFirstByte(int fd) {
  unsigned char first = 0;
  const ssize_t got = recv(fd, &first, 1, MSG_PEEK);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return CloseSilent(fd);
  GiveAway(fd, first == kTlsHandshakeRecord ? Protocol::kTls : Protocol::kPlaintext);
}

void Acceptor::GiveAway(int fd, Protocol protocol) {
  const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return CloseSilent(fd);  // out of descriptors: gRPC could not serve it either
  Watch(fd, 0, EPOLL_CTL_DEL);
  silent_.erase(silent_by_fd_.at(fd));
  silent_by_fd_.erase(fd);
  copies_.insert(copy);
  Watch(copy, EPOLLRDHUP | EPOLLET, EPOLL_CTL_ADD);
  hand_over_(fd, protocol);
}

void Acceptor::CloseSilent(int fd) {
  silent_.erase(silent_by_fd_.at(fd));
  silent_by_fd_.erase(fd);
  close(fd);
  ++options_.counters->ended;
}

void Acceptor::CloseOverdue() {
  const std::int64_t now = NowMillis();
  while (!silent_.empty() && silent_.front().deadline_millis <= now) CloseSilent(silent_.front().fd);
  if (paused_until_millis_ != 0 && paused_until_millis_ <= now) {
    paused_until_millis_ = 0;
    Watch(listener_, EPOLLIN, EPOLL_CTL_MOD);
  }
}

// The listener stays readable while descriptors are short; waiting for it would spin.
void Acceptor::PauseAccepting(int error) {
  MR_LOG(Warn, "cannot accept connections, trying again",
         {{"address", options_.address}, {"error", std::strerror(error)}, {"open", copies_.size()}});
  paused_until_millis_ = NowMillis() + kPauseMillis;
  Watch(listener_, 0, EPOLL_CTL_MOD);
}

int Acceptor::TimeoutMillis() const {
  std::int64_t until = paused_until_millis_;
  if (!silent_.empty() && (until == 0 || silent_.front().deadline_millis < until)) {
    until = silent_.front().deadline_millis;
  }
  if (until == 0) return -1;
  return static_cast<int>(std::clamp<std::int64_t>(until - NowMillis(), 0, 60'000));
}

void Acceptor::Watch(int fd, std::uint32_t events, int operation) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  MR_CHECK(epoll_ctl(epoll_, operation, fd, &event) == 0);
}

}  // namespace millrace::rpc
