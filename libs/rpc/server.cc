#include "rpc/server.h"

#include <array>
#include <atomic>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/check.h"
#include "base/mutex.h"
#include "base/status.h"
#include "grpc/grpc.h"
#include "grpcpp/generic/async_generic_service.h"
#include "grpcpp/grpcpp.h"
#include "rpc/acceptor.h"
#include "rpc/call_queue.h"
#include "rpc/call_state.h"
#include "rpc/event_loop.h"
#include "rpc/grpc_values.h"
#include "rpc/health.h"
#include "rpc/tls.h"
#include "rpc/unary_call.h"

namespace millrace::rpc {
namespace {

// Calls that gRPC may hand out on one queue before its thread asks for more.
constexpr int kPostedPerQueue = 32;
constexpr int kPingIntervalMinMillis = 10'000;

// What calls need of the server. A handler may keep a ServerCall beyond the server, so calls share it.
struct Shared {
  std::vector<Service*> services;
  HealthService health;
  std::function<absl::Status(const ServerCall&)> admit;
  grpc::AsyncGenericService generic;
  std::unique_ptr<UnaryMethods> unary;
  std::vector<std::unique_ptr<CallQueue>> queues;  // outlives `server`, as gRPC wants it
  std::unique_ptr<grpc::Server> server;
};

struct Target {
  Service* service;
  CallKind kind;
};

std::optional<Target> FindTarget(Shared& shared, absl::string_view method) {
  for (Service* service : shared.services) {
    if (const auto kind = service->Kind(method)) return Target{service, *kind};
  }
  return std::nullopt;
}

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()));
}

// Binds gRPC's operations to CallState's rules. It owns itself from Post() until the state is idle.
class GrpcCall final : public ServerCall, public std::enable_shared_from_this<GrpcCall> {
 public:
  GrpcCall(std::shared_ptr<Shared> shared, CallQueue& queue)
      : shared_(std::move(shared)), queue_(queue), stream_(&context_) {}

  // Asks gRPC for the next call of `queue`.
  static void Post(const std::shared_ptr<Shared>& shared, CallQueue& queue) {
    auto call = std::make_shared<GrpcCall>(shared, queue);
    queue.Post();
    GrpcCall& posted = *call;
    posted.self_ = std::move(call);
    posted.context_.AsyncNotifyWhenDone(&posted.done_tag_);
    shared->generic.RequestCall(&posted.context_, &posted.stream_, &queue.completions(), &queue.completions(),
                                &posted.request_tag_);
  }

  absl::string_view method() const override { return context_.method(); }
  absl::string_view authority() const override { return context_.host(); }
  absl::string_view Header(absl::string_view key) const override;
  absl::string_view peer() const override;
  bool tls() const override;
  std::optional<std::int64_t> RemainingMillis() const override;
  void SendInitialMetadata() override;
  bool Write(std::string message) override;
  std::size_t UnsentBytes() const override;
  void Finish(const absl::Status& status) override;
  void WriteAndFinish(std::string message) override;
  void OnEnded(std::function<void(CallEnd)> then) override;

 private:
  // Events, on the thread of the queue.
  void OnRequest(bool ok);
  void OnRead(bool ok);
  void OnHeadersSent(bool ok);
  void OnSent(bool ok);
  void OnDone(bool ok);

  void DispatchRequest(bool ok);
  void DispatchMessage(bool ok);
  void Read();
  void StartSend() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void LetGoIfIdle();
  void LetGo();

  const std::shared_ptr<Shared> shared_;  // before the gRPC objects: they need its library and queues to be destroyed
  CallQueue& queue_;
  mutable grpc::GenericServerContext context_;
  grpc::GenericServerAsyncReaderWriter stream_;
  Tag request_tag_ = TagOf<&GrpcCall::OnRequest>(this);
  Tag read_tag_ = TagOf<&GrpcCall::OnRead>(this);
  Tag headers_tag_ = TagOf<&GrpcCall::OnHeadersSent>(this);
  Tag send_tag_ = TagOf<&GrpcCall::OnSent>(this);
  Tag done_tag_ = TagOf<&GrpcCall::OnDone>(this);

  // The thread of the queue only.
  std::optional<Target> target_;
  bool in_flight_ = false;
  std::unique_ptr<StreamHandler> handler_;
  grpc::ByteBuffer received_;
  std::shared_ptr<GrpcCall> self_;

  mutable base::Mutex mu_;
  CallState state_ ABSL_GUARDED_BY(mu_);
  mutable std::string peer_ ABSL_GUARDED_BY(mu_);  // written once
};

// Under the lock, because gRPC sorts the headers at the first look.
absl::string_view GrpcCall::Header(absl::string_view key) const {
  base::MutexLock lock(mu_);
  const auto& headers = context_.client_metadata();
  const auto found = headers.find(grpc::string_ref(key.data(), key.size()));
  if (found == headers.end()) return {};
  return {found->second.data(), found->second.size()};
}

absl::string_view GrpcCall::peer() const {
  base::MutexLock lock(mu_);
  if (peer_.empty()) peer_ = PlainPeer(context_.peer());
  return peer_;
}

bool GrpcCall::tls() const {
  base::MutexLock lock(mu_);
  for (const grpc::string_ref& type : context_.auth_context()->FindPropertyValues("transport_security_type")) {
    if (type == "ssl") return true;
  }
  return false;
}

std::optional<std::int64_t> GrpcCall::RemainingMillis() const { return MillisUntil(context_.raw_deadline()); }

void GrpcCall::SendInitialMetadata() {
  base::MutexLock lock(mu_);
  if (state_.TakeHeaders()) stream_.SendInitialMetadata(&headers_tag_);
}

bool GrpcCall::Write(std::string message) {
  base::MutexLock lock(mu_);
  if (!state_.Write(std::move(message))) return false;
  StartSend();
  return true;
}

std::size_t GrpcCall::UnsentBytes() const {
  base::MutexLock lock(mu_);
  return state_.UnsentBytes();
}

void GrpcCall::Finish(const absl::Status& status) {
  base::MutexLock lock(mu_);
  if (state_.Finish(status)) StartSend();
}

void GrpcCall::WriteAndFinish(std::string message) {
  base::MutexLock lock(mu_);
  if (state_.Write(std::move(message)) && state_.Finish(absl::OkStatus())) StartSend();
}

void GrpcCall::OnEnded(std::function<void(CallEnd)> then) {
  std::function<void()> ended;
  {
    base::MutexLock lock(mu_);
    state_.OnEnded(std::move(then));
    ended = state_.TakeEnded();
  }
  if (ended) ended();
}

void GrpcCall::StartSend() {
  SendQueue::Next next = state_.TakeSend();
  switch (next.kind) {
    case SendQueue::Kind::kNothing: return;
    case SendQueue::Kind::kMessage: {
      grpc::WriteOptions options;
      if (next.more) options.set_buffer_hint();
      return stream_.Write(ToByteBuffer(std::move(next.message)), options, &send_tag_);
    }
    case SendQueue::Kind::kLastMessage:
      return stream_.WriteAndFinish(ToByteBuffer(std::move(next.message)), grpc::WriteOptions(),
                                    ToGrpc(state_.status()), &send_tag_);
    case SendQueue::Kind::kClose: return stream_.Finish(ToGrpc(state_.status()), &send_tag_);
  }
}

void GrpcCall::OnRequest(bool ok) {
  if (!ok) return LetGo();  // the server is shutting down; gRPC reports nothing more
  queue_.Enter();
  in_flight_ = true;
  Post(shared_, queue_);
  target_ = FindTarget(*shared_, method());
  if (shared_->admit && !(target_ && target_->service == &shared_->health)) {
    if (const absl::Status admitted = shared_->admit(*this); !admitted.ok()) return Finish(admitted);
  }
  if (!target_) {
    return Finish(absl::UnimplementedError(absl::StrCat("method ", method(), " is not served on this port")));
  }
  if (target_->kind == CallKind::kBidi) handler_ = target_->service->OnStream(shared_from_this());
  Read();
}

void GrpcCall::Read() {
  base::MutexLock lock(mu_);
  if (state_.TakeRead()) stream_.Read(&received_, &read_tag_);
}

void GrpcCall::OnRead(bool ok) {
  bool wanted;
  {
    base::MutexLock lock(mu_);
    wanted = state_.OnRead();
  }
  if (wanted) target_->kind == CallKind::kBidi ? DispatchMessage(ok) : DispatchRequest(ok);
  LetGoIfIdle();
}

void GrpcCall::DispatchRequest(bool ok) {
  if (!ok) {
    return Finish(absl::InvalidArgumentError(absl::StrCat("method ", method(), " takes one request, none came")));
  }
  const std::string message = ToString(received_);
  received_.Clear();
  target_->service->OnRequest(shared_from_this(), message);
}

void GrpcCall::DispatchMessage(bool ok) {
  if (!ok) {
    // A broken call reads like a half-closed one; its "done" is about to come.
    if (grpc_call_failed_before_recv_message(context_.c_call()) == 0) handler_->OnHalfClose();
    return;
  }
  std::string message = ToString(received_);
  received_.Clear();
  handler_->OnMessage(std::move(message));
  Read();
}

void GrpcCall::OnHeadersSent(bool) {
  {
    base::MutexLock lock(mu_);
    state_.OnHeadersSent();
  }
  LetGoIfIdle();
}

void GrpcCall::OnSent(bool ok) {
  {
    base::MutexLock lock(mu_);
    state_.OnSent(ok);
    StartSend();
  }
  LetGoIfIdle();
}

void GrpcCall::OnDone(bool) {
  {
    base::MutexLock lock(mu_);
    state_.OnDone(context_.IsCancelled());
  }
  LetGoIfIdle();
}

void GrpcCall::LetGoIfIdle() {
  std::function<void()> ended;
  bool idle;
  {
    base::MutexLock lock(mu_);
    ended = state_.TakeEnded();
    idle = state_.Idle();
  }
  if (ended) ended();
  if (!idle) return;
  handler_.reset();
  LetGo();
}

void GrpcCall::LetGo() {
  queue_.Leave(in_flight_);
  self_.reset();  // may destroy this call
}

class GrpcServer final : public Server {
 public:
  GrpcServer(const ServerOptions& options, std::vector<Service*> services);
  ~GrpcServer() override { Shutdown(0); }

  // The acceptor last, when everything behind it is ready.
  absl::Status Start(const ServerOptions& options);

  int port() const override { return port_; }
  ConnectionCounts connections() const override {
    const std::uint64_t ended = counters_.ended;  // first: a connection ends after it was accepted
    const std::uint64_t accepted = counters_.accepted;
    return {.accepted = accepted, .refused = counters_.refused, .open = accepted - ended};
  }
  void SetServing(bool serving) override { shared_->health.SetServing(serving); }
  void Shutdown(std::int64_t grace_millis) override;

 private:
  using ConnectionAcceptor = grpc::experimental::ExternalConnectionAcceptor;

  // Whoever holds it keeps the server's objects alive.
  std::shared_ptr<UnaryMethods> Unary() { return {shared_, shared_->unary.get()}; }
  void HandOver(int fd, Acceptor::Protocol protocol);
  void UseLoops();
  void UnuseLoops();

  const std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
  std::vector<std::shared_ptr<EventLoop>> loops_;  // of shared_->queues; empty after Shutdown()
  int connections_ = 0;                            // the acceptor's thread
  std::unique_ptr<ConnectionAcceptor> plaintext_;
  std::unique_ptr<ConnectionAcceptor> tls_;  // null without an identity
  int port_ = 0;
  Acceptor::Counters counters_;
  base::Mutex shutdown_mu_;  // Shutdown() may be called twice; the second one waits for the first
  std::unique_ptr<Acceptor> acceptor_ ABSL_GUARDED_BY(shutdown_mu_);
  bool down_ ABSL_GUARDED_BY(shutdown_mu_) = false;
};

GrpcServer::GrpcServer(const ServerOptions& options, std::vector<Service*> services) {
  using Connections = grpc::ServerBuilder::experimental_type::ExternalConnectionType;
  shared_->services = std::move(services);
  shared_->services.push_back(&shared_->health);
  shared_->admit = options.admit;

  loops_.push_back(options.loop != nullptr ? options.loop : std::make_shared<EventLoop>());
  grpc::ServerBuilder& builder = loops_[0]->builder();
  builder.RegisterAsyncGenericService(&shared_->generic);
  shared_->unary = std::make_unique<UnaryMethods>(shared_->services, options.admit);
  builder.RegisterService(&shared_->unary->registration());
  builder.SetMaxReceiveMessageSize(options.message_bytes_max);
  builder.SetMaxSendMessageSize(-1);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kPingIntervalMinMillis);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);  // never GOAWAY too_many_pings
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, static_cast<int>(options.first_byte_timeout_millis));
  plaintext_ =
      builder.experimental().AddExternalConnectionAcceptor(Connections::FROM_FD, grpc::InsecureServerCredentials());
  if (!options.tls.certificate_chain.empty() && !options.tls.private_key.empty()) {
    grpc::SslServerCredentialsOptions identity(GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
    identity.pem_key_cert_pairs.push_back({options.tls.private_key, options.tls.certificate_chain});
    tls_ = builder.experimental().AddExternalConnectionAcceptor(Connections::FROM_FD,
                                                                grpc::SslServerCredentials(identity));
  }
  for (int i = 1; i < options.threads; ++i) loops_.push_back(std::make_shared<EventLoop>(builder.AddCompletionQueue()));
  shared_->server = builder.BuildAndStart();
  MR_CHECK(shared_->server != nullptr);  // it opens no port and the identity has been checked
  for (const auto& loop : loops_) {
    CallQueue& queue = *shared_->queues.emplace_back(std::make_unique<CallQueue>(loop));
    UnaryMethods::Post(Unary(), *shared_->server, queue, kPostedPerQueue);
    for (int i = 0; i < kPostedPerQueue; ++i) GrpcCall::Post(shared_, queue);
  }
}

absl::Status GrpcServer::Start(const ServerOptions& options) {
  auto acceptor = Acceptor::Start(
      {.address = options.address,
       .connections_max = options.connections_max,
       .first_byte_timeout_millis = options.first_byte_timeout_millis,
       .counters = &counters_},
      [this](int fd, Acceptor::Protocol protocol) { HandOver(fd, protocol); },
      [this] {
        --connections_;
        UnuseLoops();
      });
  if (!acceptor.ok()) return acceptor.status();
  base::MutexLock lock(shutdown_mu_);
  acceptor_ = *std::move(acceptor);
  port_ = acceptor_->port();
  return absl::OkStatus();
}

// TLS without an identity goes to the plaintext side, which answers with a protocol error and closes.
void GrpcServer::HandOver(int fd, Acceptor::Protocol protocol) {
  ++connections_;
  UseLoops();
  ConnectionAcceptor::NewConnectionParameters connection;
  connection.fd = fd;
  const bool tls = protocol == Acceptor::Protocol::kTls && tls_ != nullptr;
  (tls ? tls_ : plaintext_)->HandleNewConnection(&connection);
}

void GrpcServer::UseLoops() {
  for (const auto& loop : loops_) loop->Use();
}

void GrpcServer::UnuseLoops() {
  for (const auto& loop : loops_) loop->Unuse();
}

void GrpcServer::Shutdown(std::int64_t grace_millis) {
  base::MutexLock lock(shutdown_mu_);
  if (std::exchange(down_, true)) return;
  UseLoops();
  acceptor_.reset();
  shared_->server->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(grace_millis));
  shared_->unary->EndUnanswered();
  // Not before the last call has ended: a handler's Write() on a queue that is shut down aborts inside gRPC.
  for (const auto& queue : shared_->queues) queue->WaitUntilDrained();
  for (; connections_ >= 0; --connections_) UnuseLoops();
  loops_.clear();  // waits for the threads of those that nobody shares
}

}  // namespace

std::shared_ptr<EventLoop> MakeEventLoop() { return std::make_shared<EventLoop>(); }

absl::StatusOr<std::unique_ptr<Server>> StartServer(const ServerOptions& options, std::vector<Service*> services) {
  // Debian builds Abseil with lock-order checking, which costs every lock of gRPC a look into one global graph.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  if (options.tls.certificate_chain.empty() != options.tls.private_key.empty()) {
    return absl::InvalidArgumentError("TLS needs a certificate chain and a private key, only one of them is set");
  }
  if (!options.tls.private_key.empty()) MR_RETURN_IF_ERROR(CheckIdentity(options.tls));
  auto server = std::make_unique<GrpcServer>(options, std::move(services));
  MR_RETURN_IF_ERROR(server->Start(options));
  return server;
}

}  // namespace millrace::rpc
