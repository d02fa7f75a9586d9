// Load for benchmarks: keeps N unary calls in flight on one connection and prints what came back, as one JSON line.
//   load HOST:PORT send TOPIC IN_FLIGHT SECONDS [BODY_BYTES]
//   load HOST:PORT consume TOPIC GROUP ACKS_IN_FLIGHT COUNT SECONDS
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "apache/rocketmq/v2/service.pb.h"

namespace {

namespace v2 = apache::rocketmq::v2;
using Clock = std::chrono::steady_clock;

double Seconds(Clock::duration d) { return std::chrono::duration<double>(d).count(); }

grpc::ByteBuffer ToBuffer(const std::string& bytes) {
  grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

std::string ToString(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  static_cast<void>(buffer.Dump(&slices));
  std::string bytes;
  for (const grpc::Slice& slice : slices) bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return bytes;
}

void AddHeaders(grpc::ClientContext& context) {
  context.AddMetadata("x-mq-client-id", "bench");
  context.AddMetadata("x-mq-language", "CPP");
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
}

struct Tally {
  std::uint64_t ok = 0, failed = 0;
  std::string first_error;
  std::vector<double> millis;
};

void Print(const char* what, Tally& tally, double seconds) {
  std::sort(tally.millis.begin(), tally.millis.end());
  const auto at = [&](double q) {
    return tally.millis.empty() ? 0.0 : tally.millis[static_cast<std::size_t>(q * (tally.millis.size() - 1))];
  };
  std::printf(
      "{\"op\":\"%s\",\"ok\":%llu,\"failed\":%llu,\"seconds\":%.3f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,"
      "\"error\":\"%s\"}\n",
      what, static_cast<unsigned long long>(tally.ok), static_cast<unsigned long long>(tally.failed), seconds, at(0.5),
      at(0.99), tally.first_error.c_str());
}

struct Unary {
  grpc::ClientContext context;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
  grpc::ByteBuffer answer;
  grpc::Status status;
  Clock::time_point began;
};

class Load {
 public:
  explicit Load(const std::string& target) {
    grpc::ChannelArguments args;
    args.SetMaxReceiveMessageSize(-1);
    channel_ = grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), args);
    stub_ = std::make_unique<grpc::GenericStub>(channel_);
  }

  void Start(const std::string& method, const grpc::ByteBuffer& request) {
    auto* call = new Unary;
    AddHeaders(call->context);
    call->began = Clock::now();
    call->reader =
        stub_->PrepareUnaryCall(&call->context, "/apache.rocketmq.v2.MessagingService/" + method, request, &queue_);
    call->reader->StartCall();
    call->reader->Finish(&call->answer, &call->status, call);
    ++in_flight_;
  }

  // Waits for one answer and counts it by its in-band status.
  template <typename Response>
  void Finish(Tally& tally) {
    void* tag = nullptr;
    bool ok = false;
    if (!queue_.Next(&tag, &ok)) return;
    std::unique_ptr<Unary> call(static_cast<Unary*>(tag));
    --in_flight_;
    tally.millis.push_back(1000 * Seconds(Clock::now() - call->began));
    Response response;
    if (call->status.ok() && response.ParseFromString(ToString(call->answer)) &&
        response.status().code() == v2::Code::OK) {
      ++tally.ok;
      return;
    }
    ++tally.failed;
    if (tally.first_error.empty()) {
      tally.first_error = call->status.ok() ? response.status().message() : call->status.error_message();
    }
  }

  int in_flight() const { return in_flight_; }

  // One receive; blocks. Handles of the messages that came.
  std::vector<v2::AckMessageEntry> Receive(const std::string& topic, const std::string& group) {
    v2::ReceiveMessageRequest request;
    request.mutable_group()->set_name(group);
    request.mutable_message_queue()->mutable_topic()->set_name(topic);
    request.mutable_message_queue()->set_id(-1);
    request.mutable_filter_expression()->set_type(v2::TAG);
    request.mutable_filter_expression()->set_expression("*");
    request.set_batch_size(32);
    request.mutable_invisible_duration()->set_seconds(60);
    request.mutable_long_polling_timeout()->set_seconds(5);
    grpc::ClientContext context;
    AddHeaders(context);
    grpc::CompletionQueue queue;
    auto stream = stub_->PrepareCall(&context, "/apache.rocketmq.v2.MessagingService/ReceiveMessage", &queue);
    const auto wait = [&queue] {
      void* tag = nullptr;
      bool ok = false;
      return queue.Next(&tag, &ok) && ok;
    };
    stream->StartCall(nullptr);
    wait();
    stream->WriteLast(ToBuffer(request.SerializeAsString()), grpc::WriteOptions(), nullptr);
    wait();
    std::vector<v2::AckMessageEntry> entries;
    grpc::ByteBuffer buffer;
    while (true) {
      stream->Read(&buffer, nullptr);
      if (!wait()) break;
      v2::ReceiveMessageResponse response;
      response.ParseFromString(ToString(buffer));
      if (!response.has_message()) continue;
      auto& entry = entries.emplace_back();
      entry.set_message_id(response.message().system_properties().message_id());
      entry.set_receipt_handle(response.message().system_properties().receipt_handle());
    }
    grpc::Status status;
    stream->Finish(&status, nullptr);
    wait();
    queue.Shutdown();
    return entries;
  }

 private:
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<grpc::GenericStub> stub_;
  grpc::CompletionQueue queue_;
  int in_flight_ = 0;
};

int Send(Load& load, const std::string& topic, int in_flight, double seconds, std::size_t body_bytes) {
  v2::SendMessageRequest request;
  auto& message = *request.add_messages();
  message.mutable_topic()->set_name(topic);
  message.mutable_system_properties()->set_tag("bench");
  message.mutable_system_properties()->add_keys("key-1");
  message.mutable_system_properties()->set_message_id("01A2B3C4D5E6F70000063A1B2C00000001");
  message.mutable_system_properties()->set_message_type(v2::NORMAL);
  message.mutable_system_properties()->set_body_encoding(v2::IDENTITY);
  message.mutable_system_properties()->set_born_host("bench");
  message.mutable_system_properties()->mutable_born_timestamp()->set_seconds(1'700'000'000);
  (*message.mutable_user_properties())["origin"] = "load";
  message.set_body(std::string(body_bytes, 'x'));
  const grpc::ByteBuffer bytes = ToBuffer(request.SerializeAsString());
  Tally tally;
  const auto began = Clock::now();
  while (load.in_flight() < in_flight) load.Start("SendMessage", bytes);
  while (load.in_flight() > 0) {
    load.Finish<v2::SendMessageResponse>(tally);
    if (Seconds(Clock::now() - began) < seconds) load.Start("SendMessage", bytes);
  }
  Print("send", tally, Seconds(Clock::now() - began));
  return tally.failed == 0 ? 0 : 1;
}

int Consume(Load& load, const std::string& topic, const std::string& group, int in_flight, std::uint64_t count,
            double seconds) {
  Tally tally;
  std::uint64_t received = 0;
  const auto began = Clock::now();
  while (received < count && Seconds(Clock::now() - began) < seconds) {
    std::vector<v2::AckMessageEntry> entries = load.Receive(topic, group);
    received += entries.size();
    std::size_t next = 0;
    while (next < entries.size() || load.in_flight() > 0) {
      while (next < entries.size() && load.in_flight() < in_flight) {
        v2::AckMessageRequest ack;
        ack.mutable_group()->set_name(group);
        ack.mutable_topic()->set_name(topic);
        *ack.add_entries() = entries[next++];
        load.Start("AckMessage", ToBuffer(ack.SerializeAsString()));
      }
      load.Finish<v2::AckMessageResponse>(tally);
    }
  }
  Print("consume", tally, Seconds(Clock::now() - began));
  return tally.failed == 0 && received >= count ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() >= 5 && args[1] == "send") {
    Load load(args[0]);
    return Send(load, args[2], std::atoi(args[3].c_str()), std::atof(args[4].c_str()),
                args.size() > 5 ? std::strtoul(args[5].c_str(), nullptr, 10) : 1024);
  }
  if (args.size() >= 7 && args[1] == "consume") {
    Load load(args[0]);
    return Consume(load, args[2], args[3], std::atoi(args[4].c_str()), std::strtoull(args[5].c_str(), nullptr, 10),
                   std::atof(args[6].c_str()));
  }
  std::fprintf(stderr,
               "usage: load HOST:PORT send TOPIC IN_FLIGHT SECONDS [BODY_BYTES]\n"
               "       load HOST:PORT consume TOPIC GROUP ACKS_IN_FLIGHT COUNT SECONDS\n");
  return 2;
}
