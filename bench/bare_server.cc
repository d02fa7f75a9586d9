// The cheapest gRPC C++ server that answers SendMessage: generic service, completion queues, one fixed answer. What it
// costs per call is what gRPC costs; send_bench compares proxy and broker with it in the same run.
//   bare_server PORT THREADS
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"

namespace {

// SendMessageResponse{status OK, one entry with an id of 34 characters}.
std::string FixedAnswer() {
  const std::string status("\x08\xa0\x9c\x01", 4);
  std::string entry = "\x0a\x04" + status + "\x12\x22" + std::string(34, 'A');
  return "\x0a\x04" + status + "\x12" + std::string(1, static_cast<char>(entry.size())) + entry;
}

class Call {
 public:
  Call(grpc::AsyncGenericService& service, grpc::ServerCompletionQueue& queue) : service_(service), queue_(queue) {
    Next();
  }

  void Proceed(bool ok) {
    if (!ok) {
      if (state_ == State::kAccept) return;  // shutting down
      return Next();
    }
    switch (state_) {
      case State::kAccept: state_ = State::kRead; return stream_->Read(&request_, this);
      case State::kRead: {
        state_ = State::kWrite;
        static const std::string kAnswer = FixedAnswer();
        grpc::Slice slice(kAnswer);
        answer_ = grpc::ByteBuffer(&slice, 1);
        return stream_->WriteAndFinish(answer_, grpc::WriteOptions(), grpc::Status::OK, this);
      }
      case State::kWrite: return Next();
    }
  }

 private:
  enum class State { kAccept, kRead, kWrite };

  void Next() {
    state_ = State::kAccept;
    stream_.reset();
    context_ = std::make_unique<grpc::GenericServerContext>();
    stream_ = std::make_unique<grpc::GenericServerAsyncReaderWriter>(context_.get());
    service_.RequestCall(context_.get(), stream_.get(), &queue_, &queue_, this);
  }

  grpc::AsyncGenericService& service_;
  grpc::ServerCompletionQueue& queue_;
  State state_ = State::kAccept;
  std::unique_ptr<grpc::GenericServerContext> context_;
  std::unique_ptr<grpc::GenericServerAsyncReaderWriter> stream_;
  grpc::ByteBuffer request_, answer_;
};

}  // namespace

int main(int argc, char** argv) {
  const std::string port = argc > 1 ? argv[1] : "0";
  const int threads = argc > 2 ? std::atoi(argv[2]) : 2;
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);  // as our servers do
  grpc::AsyncGenericService service;
  grpc::ServerBuilder builder;
  int bound = 0;
  builder.AddListeningPort("127.0.0.1:" + port, grpc::InsecureServerCredentials(), &bound);
  builder.SetMaxReceiveMessageSize(16 << 20);
  builder.RegisterAsyncGenericService(&service);
  std::vector<std::unique_ptr<grpc::ServerCompletionQueue>> queues;
  for (int i = 0; i < threads; ++i) queues.push_back(builder.AddCompletionQueue());
  const auto server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  std::printf("ready: bare grpc=127.0.0.1:%d\n", bound);
  std::fflush(stdout);
  std::vector<std::unique_ptr<Call>> calls;
  std::vector<std::thread> workers;
  for (auto& queue : queues) {
    for (int i = 0; i < 128; ++i) calls.push_back(std::make_unique<Call>(service, *queue));
    workers.emplace_back([&queue] {
      void* tag = nullptr;
      bool ok = false;
      while (queue->Next(&tag, &ok)) static_cast<Call*>(tag)->Proceed(ok);
    });
  }
  for (std::thread& worker : workers) worker.join();
}
