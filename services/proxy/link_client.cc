#include "services/proxy/link_client.h"

#include <chrono>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/log.h"

namespace millrace::proxy {
namespace {

constexpr std::int64_t kTickMillis = 100;
constexpr std::uint32_t kProxyTimeout = 50400;
constexpr std::uint32_t kMessageNotFound = 40401;

class ChannelSink final : public link::FrameSink {
 public:
  explicit ChannelSink(std::unique_ptr<rpc::ClientStream> stream) : stream_(std::move(stream)) {}
  void Write(std::string frame) override { stream_->Write(std::move(frame)); }
  void Close() override { stream_->Cancel(); }

 private:
  const std::unique_ptr<rpc::ClientStream> stream_;
};

class ChannelFrames final : public rpc::ClientStreamHandler {
 public:
  ChannelFrames(std::shared_ptr<link::Session> session, const base::Clock& clock)
      : session_(std::move(session)), clock_(clock) {}
  void OnMessage(std::string message) override { session_->OnFrame(message, clock_.MonotonicMillis()); }
  void OnEnded(const absl::Status& status) override {
    session_->OnTransportEnded(status.ok() ? absl::UnavailableError("the broker ended the link") : status);
  }

 private:
  const std::shared_ptr<link::Session> session_;
  const base::Clock& clock_;
};

link::Record ReplyRecord(std::string& payload, std::uint32_t code, absl::string_view text) {
  payload.clear();
  Encode(link::Reply{.code = code, .text = text}, payload);
  return {.op = link::Op::kReply, .payload = payload};
}

}  // namespace

LinkClient::OpenStream OverChannel(std::shared_ptr<rpc::Channel> channel, const base::Clock& clock) {
  return [channel = std::move(channel), &clock](const std::shared_ptr<link::Session>& session) {
    auto stream = channel->OpenStream("/millrace.link.v1.Link/Stream", {},
                                      std::make_shared<ChannelFrames>(session, clock));
    session->Attach(std::make_shared<ChannelSink>(std::move(stream)));
  };
}

LinkClient::LinkClient(const Options& options, const base::Clock& clock, OpenStream open)
    : options_(options), clock_(clock), open_(std::move(open)) {
  thread_ = std::thread([this] { Run(); });
}

LinkClient::~LinkClient() {
  std::shared_ptr<link::Session> requests, bodies;
  std::vector<PendingCall> calls;
  std::vector<PendingReceive> receives;
  {
    base::MutexLock lock(mu_);
    stopping_ = true;
    requests = requests_;
    bodies = bodies_;
  }
  stop_signal_.NotifyAll();
  thread_.join();
  if (requests != nullptr) requests->Close(absl::CancelledError("the proxy stops"));
  if (bodies != nullptr) bodies->Close(absl::CancelledError("the proxy stops"));
  {
    base::MutexLock lock(mu_);
    for (auto& [correlation, call] : calls_) calls.push_back(std::move(call));
    for (auto& [correlation, receive] : receives_) receives.push_back(std::move(receive));
    calls_.clear();
    receives_.clear();
  }
  Fail(std::move(calls), std::move(receives), "the proxy stops");
}

void LinkClient::Run() {
  while (true) {
    Tick();
    base::MutexLock lock(mu_);
    if (stopping_) return;
    stop_signal_.WaitFor(mu_, std::chrono::milliseconds(kTickMillis));
    if (stopping_) return;
  }
}

void LinkClient::Tick() {
  const std::int64_t now = clock_.MonotonicMillis();
  std::shared_ptr<link::Session> requests, bodies;
  std::vector<PendingCall> late_calls;
  std::vector<PendingReceive> late_receives;
  link::ClientsAlive alive;
  bool connect = false, stuck = false;
  {
    base::MutexLock lock(mu_);
    for (auto at = calls_.begin(); at != calls_.end();) {
      if (now < at->second.deadline) {
        ++at;
        continue;
      }
      late_calls.push_back(std::move(at->second));
      at = calls_.erase(at);
    }
    for (auto at = receives_.begin(); at != receives_.end();) {
      if (now < at->second.deadline) {
        ++at;
        continue;
      }
      late_receives.push_back(std::move(at->second));
      at = receives_.erase(at);
    }
    requests = requests_;
    bodies = bodies_;
    connect = requests == nullptr && now - attempt_began_ >= options_.reconnect_millis;
    stuck = requests != nullptr && !up_ && now - attempt_began_ >= options_.handshake_millis;
    if (up_ && now - last_alive_ >= 1'000) {
      last_alive_ = now;
      for (auto& [key, client] : clients_) {
        if (client.alive) alive.numbers.push_back(client.number);
        client.alive = false;
      }
    }
  }
  Fail(std::move(late_calls), std::move(late_receives),
       "the broker did not answer in time; it may have done what was asked");
  if (connect) return Connect();
  if (stuck) return requests->Close(absl::DeadlineExceededError("the broker did not say hello"));
  if (requests == nullptr) return;
  if (!alive.numbers.empty()) {
    std::string payload;
    Encode(alive, payload);
    requests->Queue({.op = link::Op::kClientsAlive, .payload = payload});
  }
  requests->Tick(now);
  bodies->Tick(now);
  requests->Flush();
}

void LinkClient::Connect() {
  const std::int64_t now = clock_.MonotonicMillis();
  const std::string random = base::RandomBytes(8);
  const auto process = base::Load<std::uint64_t>(random.data());
  std::shared_ptr<link::Session> sessions[2];
  std::uint64_t attempt = 0;
  {
    base::MutexLock lock(mu_);
    attempt = ++attempt_;
    attempt_began_ = now;
    hellos_ = 0;
    for (const bool bodies : {false, true}) {
      sessions[bodies] = std::make_shared<link::Session>(
          link::SessionOptions{.window = bodies ? 8u : 3u}, now,
          [this, attempt, bodies](const link::Record& record) { OnRecord(attempt, bodies, record); },
          [this, attempt](const absl::Status& status) { OnStreamEnded(attempt, status); });
    }
    requests_ = sessions[0];
    bodies_ = sessions[1];
  }
  for (const std::uint32_t stream : {0u, 1u}) {
    std::string payload;
    Encode(link::Hello{.cluster = options_.cluster, .name = options_.proxy_name, .process = process,
                       .credit_bytes = options_.credit_bytes, .stream = stream},
           payload);
    sessions[stream]->Queue({.op = link::Op::kHello, .payload = payload});
    open_(sessions[stream]);
  }
}

void LinkClient::OnStreamEnded(std::uint64_t attempt, const absl::Status& status) {
  std::shared_ptr<link::Session> requests, bodies;
  std::vector<PendingCall> calls;
  std::vector<PendingReceive> receives;
  bool was_up = false;
  {
    base::MutexLock lock(mu_);
    if (attempt != attempt_ || requests_ == nullptr) return;
    requests = std::move(requests_);
    bodies = std::move(bodies_);
    requests_ = nullptr;
    bodies_ = nullptr;
    was_up = std::exchange(up_, false);
    for (auto at = calls_.begin(); at != calls_.end();) {
      if (at->second.op == link::Op::kSend && at->second.sent) {
        calls.push_back(std::move(at->second));
        at = calls_.erase(at);
      } else {
        at->second.sent = false;
        ++at;
      }
    }
    for (auto at = receives_.begin(); at != receives_.end();) {
      if (at->second.sent) {
        receives.push_back(std::move(at->second));
        at = receives_.erase(at);
      } else {
        ++at;
      }
    }
  }
  if (was_up) MR_LOG(Warn, "the link to the broker broke", {{"reason", status.message()}});
  requests->Close(status);
  bodies->Close(status);
  Fail(std::move(calls), std::move(receives),
       "the link to the broker broke; the outcome is unknown, send it again");
}

void LinkClient::Fail(std::vector<PendingCall> calls, std::vector<PendingReceive> receives, absl::string_view why) {
  std::string payload;
  for (PendingCall& call : calls) call.done(ReplyRecord(payload, kProxyTimeout, why));
  for (PendingReceive& receive : receives) receive.receiver->OnEnd({.code = kMessageNotFound, .text = why});
}

void LinkClient::OnRecord(std::uint64_t attempt, bool bodies, const link::Record& record) {
  {
    base::MutexLock lock(mu_);
    if (attempt != attempt_) return;  // a late frame of an old link
  }
  switch (record.op) {
    case link::Op::kHello: {
      const auto hello = link::Decode<link::Hello>(record.payload);
      bool up = false;
      {
        base::MutexLock lock(mu_);
        if (hello) broker_set_ = hello->name;
        up = ++hellos_ == 2;
      }
      if (up) OnUp();
      return;
    }
    case link::Op::kReply:
    case link::Op::kSendReply:
      return Answer(record);
    case link::Op::kDelivery:
    case link::Op::kDeliveryEnd: {
      std::shared_ptr<Receiver> receiver;
      {
        base::MutexLock lock(mu_);
        const auto at = receives_.find(record.correlation);
        if (at != receives_.end()) receiver = at->second.receiver;
        if (receiver != nullptr && record.op == link::Op::kDeliveryEnd) receives_.erase(at);
      }
      if (record.op == link::Op::kDelivery) {
        const auto delivery = link::Decode<link::Delivery>(record.payload);
        if (!delivery) return;
        if (receiver != nullptr) return receiver->OnDelivery(*delivery);
        return ReportAnswer(delivery->answer, false);  // its client has gone
      }
      const auto end = link::Decode<link::DeliveryEnd>(record.payload);
      if (end && receiver != nullptr) receiver->OnEnd(*end);
      return;
    }
    default:
      static_cast<void>(bodies);
      return;  // a record of a newer broker
  }
}

void LinkClient::OnUp() {
  std::shared_ptr<link::Session> requests;
  {
    base::MutexLock lock(mu_);
    if (requests_ == nullptr) return;
    up_ = true;
    requests = requests_;
    for (auto& [key, client] : clients_) {
      std::string payload;
      Encode(link::ClientRecord{.number = client.number, .client = key.first, .group = key.second}, payload);
      requests->Queue({.op = link::Op::kClientRegistered, .payload = payload});
    }
    for (auto& [correlation, call] : calls_) {
      if (call.sent) continue;
      call.sent = true;
      requests->Queue({.correlation = correlation, .op = call.op, .payload = call.payload});
    }
    for (auto& [correlation, receive] : receives_) {
      if (receive.sent) continue;
      receive.sent = true;
      requests->Queue({.correlation = correlation, .op = link::Op::kReceive, .payload = receive.payload});
    }
  }
  MR_LOG(Info, "link to the broker is up", {{"broker_set", broker_set()}});
  requests->Flush();
}

void LinkClient::Answer(const link::Record& record) {
  std::function<void(const link::Record&)> done;
  {
    base::MutexLock lock(mu_);
    const auto at = calls_.find(record.correlation);
    if (at == calls_.end()) return;  // its time was over
    done = std::move(at->second.done);
    calls_.erase(at);
  }
  done(record);
}

void LinkClient::Call(link::Op op, std::string payload, std::int64_t timeout_millis,
                      std::function<void(const link::Record&)> done) {
  std::shared_ptr<link::Session> session;
  {
    base::MutexLock lock(mu_);
    if (op == link::Op::kClientTerminated) {
      if (const auto gone = link::Decode<link::ClientRecord>(payload)) {
        clients_.erase({std::string(gone->client.data(), gone->client.size()),
                        std::string(gone->group.data(), gone->group.size())});
      }
    }
    const std::uint64_t correlation = next_correlation_++;
    PendingCall& call = calls_[correlation];
    call.op = op;
    call.deadline = clock_.MonotonicMillis() + timeout_millis;
    call.done = std::move(done);
    call.sent = up_;
    if (up_) {
      session = requests_;
      session->Queue({.correlation = correlation, .op = op,
                      .budget_millis = static_cast<std::uint32_t>(timeout_millis), .payload = payload});
    }
    // A send is never sent twice, so what went out is not kept.
    if (!up_ || op != link::Op::kSend) call.payload = std::move(payload);
  }
  if (session != nullptr) session->Flush();
}

std::uint64_t LinkClient::Receive(std::string payload, std::int64_t timeout_millis,
                                  std::shared_ptr<Receiver> receiver) {
  std::shared_ptr<link::Session> session;
  std::uint64_t correlation = 0;
  {
    base::MutexLock lock(mu_);
    correlation = next_correlation_++;
    PendingReceive& receive = receives_[correlation];
    receive.deadline = clock_.MonotonicMillis() + timeout_millis;
    receive.receiver = std::move(receiver);
    receive.sent = up_;
    if (up_) {
      session = requests_;
      session->Queue({.correlation = correlation, .op = link::Op::kReceive,
                      .budget_millis = static_cast<std::uint32_t>(timeout_millis), .payload = payload});
    } else {
      receive.payload = std::move(payload);
    }
  }
  if (session != nullptr) session->Flush();
  return correlation;
}

void LinkClient::CancelReceive(std::uint64_t receive) {
  std::shared_ptr<link::Session> session;
  {
    base::MutexLock lock(mu_);
    const auto at = receives_.find(receive);
    if (at == receives_.end()) return;
    if (at->second.sent && up_) session = requests_;
    receives_.erase(at);
  }
  if (session != nullptr) session->Send({.correlation = receive, .op = link::Op::kReceiveCancel});
}

void LinkClient::ReportAnswer(std::uint64_t answer, bool well) {
  std::shared_ptr<link::Session> session;
  {
    base::MutexLock lock(mu_);
    session = requests_;  // a broken link has returned its offers already
  }
  if (session == nullptr || answer == 0) return;
  std::string payload;
  Encode(link::AnswerEnded{answer, well}, payload);
  session->Send({.op = link::Op::kAnswerEnded, .payload = payload});
}

void LinkClient::ReturnCredit(std::size_t) {}

std::uint32_t LinkClient::NumberOf(absl::string_view client, absl::string_view group) {
  base::MutexLock lock(mu_);
  const auto at = clients_.find({std::string(client.data(), client.size()), std::string(group.data(), group.size())});
  return at == clients_.end() ? 0 : at->second.number;
}

void LinkClient::RegisterClient(absl::string_view client, absl::string_view group) {
  std::shared_ptr<link::Session> session;
  std::string payload;
  {
    base::MutexLock lock(mu_);
    Client& entry = clients_[{std::string(client.data(), client.size()), std::string(group.data(), group.size())}];
    entry.alive = true;
    if (entry.number != 0) return;
    entry.number = next_client_++;
    if (up_) session = requests_;
    Encode(link::ClientRecord{.number = entry.number, .client = client, .group = group}, payload);
  }
  if (session != nullptr) session->Send({.op = link::Op::kClientRegistered, .payload = payload});
}

void LinkClient::SignOfLife(absl::string_view client, absl::string_view group) {
  base::MutexLock lock(mu_);
  const auto at = clients_.find({std::string(client.data(), client.size()), std::string(group.data(), group.size())});
  if (at != clients_.end()) at->second.alive = true;
}

void LinkClient::ClientStreamsEnded(absl::string_view client, absl::string_view group) {
  const std::uint32_t number = NumberOf(client, group);
  std::shared_ptr<link::Session> session;
  {
    base::MutexLock lock(mu_);
    if (up_) session = requests_;
  }
  if (number == 0 || session == nullptr) return;
  std::string payload;
  Encode(link::ClientRecord{.number = number, .client = client, .group = group}, payload);
  session->Send({.op = link::Op::kClientStreamsEnded, .payload = payload});
}

bool LinkClient::up() const {
  base::MutexLock lock(mu_);
  return up_;
}

std::string LinkClient::broker_set() const {
  base::MutexLock lock(mu_);
  return broker_set_;
}

link::Session::Counters LinkClient::counters() const {
  std::shared_ptr<link::Session> session;
  {
    base::MutexLock lock(mu_);
    session = requests_;
  }
  return session == nullptr ? link::Session::Counters{} : session->counters();
}

}  // namespace millrace::proxy
