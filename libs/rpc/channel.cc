#include <chrono>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/mutex.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/grpcpp.h"
#include "rpc/event_loop.h"
#include "rpc/grpc_values.h"
#include "rpc/send_queue.h"
#include "rpc/server.h"

namespace millrace::rpc {
namespace {

constexpr int kBackoffMinMillis = 100;
constexpr int kBackoffMaxMillis = 1000;
// gRPC's "min reconnect backoff" is the time that one attempt to connect may take, not a pause.
constexpr int kConnectMillis = 2000;
// While nobody answers, calls make gRPC look the name up again this often at most. Left to itself it waits 30 s after a
// lookup that found something, and up to 120 s after several that found nothing: longer than the restart of a peer at
// another address takes.
constexpr int kLookUpMillis = 500;

grpc::ChannelArguments Arguments(int message_bytes_max) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(message_bytes_max);
  arguments.SetMaxSendMessageSize(-1);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a socket of its own
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kBackoffMinMillis);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kBackoffMaxMillis);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectMillis);
  arguments.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, kLookUpMillis);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);  // whether a call may be repeated is for its caller to know
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // peers are never behind the proxy of the environment
  return arguments;
}

absl::Status ToAbsl(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

class ClientCall;

// What the calls of one channel share with it.
struct Shared {
  explicit Shared(std::shared_ptr<EventLoop> used) : loop(std::move(used)) {}
  const std::shared_ptr<EventLoop> loop;
  base::Mutex mu;
  base::CondVar changed;
  std::unordered_map<ClientCall*, std::shared_ptr<ClientCall>> calls ABSL_GUARDED_BY(mu);  // in flight
};

// One call, kept alive by Shared::calls until its handler has seen the end. Completions come on the loop's thread.
class ClientCall {
 public:
  ClientCall(Shared& shared, std::shared_ptr<ClientStreamHandler> handler)
      : shared_(shared), handler_(std::move(handler)) {}

  void Start(grpc::Channel& channel, absl::string_view method, HeaderList headers,
             std::optional<std::int64_t> timeout_millis);
  void Write(std::string message);
  void WritesDone();
  void Cancel();

 private:
  struct Io {
    grpc::ClientContext context;
    std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream;
    grpc::ByteBuffer received;
    grpc::Status status;
  };

  void OnStarted(bool ok);
  void OnRead(bool ok);
  void OnSent(bool ok);
  void OnFinished(bool ok);
  void StartSend() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void AskForStatus() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndIfIdle();

  Shared& shared_;                                // valid until the end
  std::shared_ptr<ClientStreamHandler> handler_;  // null after the end
  Tag started_tag_ = TagOf<&ClientCall::OnStarted>(this);
  Tag read_tag_ = TagOf<&ClientCall::OnRead>(this);
  Tag sent_tag_ = TagOf<&ClientCall::OnSent>(this);
  Tag finished_tag_ = TagOf<&ClientCall::OnFinished>(this);

  base::Mutex mu_;
  std::unique_ptr<Io> io_ ABSL_GUARDED_BY(mu_);  // null after the end
  SendQueue sends_ ABSL_GUARDED_BY(mu_);
  bool started_ ABSL_GUARDED_BY(mu_) = false;  // gRPC takes no message before
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
};

void ClientCall::Start(grpc::Channel& channel, absl::string_view method, HeaderList headers,
                       std::optional<std::int64_t> timeout_millis) {
  base::MutexLock lock(mu_);
  io_ = std::make_unique<Io>();
  for (const auto& [key, value] : headers) io_->context.AddMetadata(std::string(key), std::string(value));
  if (timeout_millis) {
    io_->context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(*timeout_millis));
  }
  // The stub only borrows the channel, which outlives its calls.
  grpc::GenericStub stub(std::shared_ptr<grpc::Channel>(std::shared_ptr<void>(), &channel));
  io_->stream = stub.PrepareCall(&io_->context, std::string(method), shared_.loop->queue().get());
  io_->stream->StartCall(&started_tag_);
}

void ClientCall::Write(std::string message) {
  base::MutexLock lock(mu_);
  if (sends_.Push(std::move(message))) StartSend();
}

void ClientCall::WritesDone() {
  base::MutexLock lock(mu_);
  if (sends_.Close()) StartSend();
}

void ClientCall::Cancel() {
  base::MutexLock lock(mu_);
  if (io_ != nullptr) io_->context.TryCancel();
}

void ClientCall::StartSend() {
  if (!started_) return;
  SendQueue::Next next = sends_.Take();
  grpc::WriteOptions options;
  switch (next.kind) {
    case SendQueue::Kind::kNothing: return;
    case SendQueue::Kind::kMessage:
      if (next.more) options.set_buffer_hint();
      return io_->stream->Write(ToByteBuffer(std::move(next.message)), options, &sent_tag_);
    case SendQueue::Kind::kLastMessage:
      return io_->stream->WriteLast(ToByteBuffer(std::move(next.message)), options, &sent_tag_);
    case SendQueue::Kind::kClose: return io_->stream->WritesDone(&sent_tag_);
  }
}

void ClientCall::AskForStatus() {
  sends_.Drop();
  io_->stream->Finish(&io_->status, &finished_tag_);
}

void ClientCall::OnStarted(bool ok) {
  base::MutexLock lock(mu_);
  if (!ok) return AskForStatus();
  started_ = true;
  io_->stream->Read(&io_->received, &read_tag_);
  StartSend();
}

void ClientCall::OnRead(bool ok) {
  std::string message;
  {
    base::MutexLock lock(mu_);
    if (!ok) return AskForStatus();
    message = ToString(io_->received);
    io_->received.Clear();
  }
  handler_->OnMessage(std::move(message));
  base::MutexLock lock(mu_);
  io_->stream->Read(&io_->received, &read_tag_);
}

void ClientCall::OnSent(bool ok) {
  {
    base::MutexLock lock(mu_);
    sends_.OnSent();
    if (!ok) sends_.Drop();
    StartSend();
  }
  EndIfIdle();
}

void ClientCall::OnFinished(bool) {
  {
    base::MutexLock lock(mu_);
    finished_ = true;
  }
  EndIfIdle();
}

// The status may overtake the completion of a message.
void ClientCall::EndIfIdle() {
  std::unique_ptr<Io> io;
  {
    base::MutexLock lock(mu_);
    if (!finished_ || sends_.outstanding()) return;
    io = std::move(io_);
  }
  const absl::Status status = ToAbsl(io->status);
  io.reset();
  // The handler may own the handle of this call, so the call must not keep the handler.
  std::exchange(handler_, nullptr)->OnEnded(status);
  decltype(shared_.calls)::node_type self;  // destroyed after the lock is released
  base::MutexLock lock(shared_.mu);
  self = shared_.calls.extract(this);
  shared_.loop->Unuse();
  if (shared_.calls.empty()) shared_.changed.NotifyAll();
}

class CallHandle final : public ClientStream {
 public:
  CallHandle(const EventLoop* loop, std::shared_ptr<ClientCall> call) : loop_(loop), call_(std::move(call)) {}
  ~CallHandle() override { call_->Cancel(); }
  void Write(std::string message) override { call_->Write(std::move(message)); }
  void WritesDone() override { call_->WritesDone(); }
  void Cancel() override { call_->Cancel(); }
  bool Soon(std::function<void()> run) override { return EventLoop::Soon(loop_, std::move(run)); }

 private:
  const EventLoop* const loop_;  // only compared, so it may be gone
  const std::shared_ptr<ClientCall> call_;
};

// Keeps the last message and waits for the end.
class OneAnswer final : public ClientStreamHandler {
 public:
  void OnMessage(std::string message) override {
    base::MutexLock lock(mu_);
    answer_ = std::move(message);
  }
  void OnEnded(const absl::Status& status) override {
    base::MutexLock lock(mu_);
    status_ = status;
    changed_.NotifyAll();
  }
  absl::StatusOr<std::string> Wait() {
    base::MutexLock lock(mu_);
    while (!status_) changed_.Wait(mu_);
    if (!status_->ok()) return *status_;
    if (!answer_) return absl::InternalError("the server reported success without an answer");
    return *std::move(answer_);
  }

 private:
  base::Mutex mu_;
  base::CondVar changed_;
  std::optional<std::string> answer_ ABSL_GUARDED_BY(mu_);
  std::optional<absl::Status> status_ ABSL_GUARDED_BY(mu_);
};

class GrpcChannel final : public Channel {
 public:
  GrpcChannel(const std::string& target, int message_bytes_max, std::shared_ptr<EventLoop> loop);
  ~GrpcChannel() override;

  std::unique_ptr<ClientStream> OpenStream(absl::string_view method, HeaderList headers,
                                           std::shared_ptr<ClientStreamHandler> handler) override {
    return std::make_unique<CallHandle>(shared_.loop.get(), Open(method, headers, std::move(handler), std::nullopt));
  }
  absl::StatusOr<std::string> CallAndWait(absl::string_view method, HeaderList headers, std::string request,
                                          std::int64_t timeout_millis) override;

 private:
  std::shared_ptr<ClientCall> Open(absl::string_view method, HeaderList headers,
                                   std::shared_ptr<ClientStreamHandler> handler,
                                   std::optional<std::int64_t> timeout_millis);
  std::shared_ptr<grpc::Channel> Usable();

  Shared shared_;
  const std::string target_;
  const grpc::ChannelArguments arguments_;
  std::shared_ptr<grpc::Channel> channel_ ABSL_GUARDED_BY(shared_.mu);
  std::chrono::steady_clock::time_point made_ ABSL_GUARDED_BY(shared_.mu);
};

GrpcChannel::GrpcChannel(const std::string& target, int message_bytes_max, std::shared_ptr<EventLoop> loop)
    : shared_(std::move(loop)),
      target_(target),
      arguments_(Arguments(message_bytes_max)),
      channel_(grpc::CreateCustomChannel(target_, grpc::InsecureChannelCredentials(), arguments_)),
      made_(std::chrono::steady_clock::now()) {}

// gRPC can be told to forget its pause before the next attempt to connect, but not the one before the next lookup: a
// channel that fails is replaced by a new one. Calls in flight keep theirs.
std::shared_ptr<grpc::Channel> GrpcChannel::Usable() {
  std::shared_ptr<grpc::Channel> replaced;  // ends after the lock
  base::MutexLock lock(shared_.mu);
  const auto now = std::chrono::steady_clock::now();
  if (now - made_ >= std::chrono::milliseconds(kLookUpMillis) &&
      channel_->GetState(false) == GRPC_CHANNEL_TRANSIENT_FAILURE) {
    made_ = now;
    replaced =
        std::exchange(channel_, grpc::CreateCustomChannel(target_, grpc::InsecureChannelCredentials(), arguments_));
  }
  return channel_;
}

GrpcChannel::~GrpcChannel() {
  base::MutexLock lock(shared_.mu);
  for (const auto& [call, owner] : shared_.calls) call->Cancel();
  while (!shared_.calls.empty()) shared_.changed.Wait(shared_.mu);
}

std::shared_ptr<ClientCall> GrpcChannel::Open(absl::string_view method, HeaderList headers,
                                              std::shared_ptr<ClientStreamHandler> handler,
                                              std::optional<std::int64_t> timeout_millis) {
  const std::shared_ptr<grpc::Channel> channel = Usable();
  auto call = std::make_shared<ClientCall>(shared_, std::move(handler));
  {
    base::MutexLock lock(shared_.mu);
    shared_.calls.emplace(call.get(), call);
    shared_.loop->Use();
  }
  call->Start(*channel, method, headers, timeout_millis);
  return call;
}

absl::StatusOr<std::string> GrpcChannel::CallAndWait(absl::string_view method, HeaderList headers, std::string request,
                                                     std::int64_t timeout_millis) {
  auto answer = std::make_shared<OneAnswer>();
  const auto call = Open(method, headers, answer, timeout_millis);
  call->Write(std::move(request));
  call->WritesDone();
  return answer->Wait();
}

}  // namespace

std::unique_ptr<Channel> MakeChannel(const std::string& target, int message_bytes_max,
                                     std::shared_ptr<EventLoop> loop) {
  if (loop == nullptr) loop = MakeEventLoop();
  return std::make_unique<GrpcChannel>(target, message_bytes_max, std::move(loop));
}

}  // namespace millrace::rpc
