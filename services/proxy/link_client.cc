#include "services/proxy/link_client.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/log.h"

namespace millrace::proxy {
namespace {

constexpr std::uint32_t kMessageNotFound = 40401;
constexpr std::uint32_t kTooManyRequests = 42900;
constexpr std::uint32_t kProxyTimeout = 50400;
constexpr std::int64_t kAliveMillis = 1'000;

link::Record ReplyRecord(std::string& payload, std::uint32_t code, absl::string_view text) {
  payload.clear();
  Encode(link::Reply{.code = code, .text = text}, payload);
  return {.op = link::Op::kReply, .payload = payload};
}

void Add(const link::Session::Counters& more, link::Session::Counters& sum) {
  sum.frames_out += more.frames_out;
  sum.records_out += more.records_out;
  sum.frames_in += more.frames_in;
  sum.records_in += more.records_in;
}

}  // namespace

// Callbacks of sessions reach the client through this, and none is under way any more when the client goes.
class LinkClient::Life {
 public:
  explicit Life(LinkClient* client) : client_(client) {}

  template <typename Use>
  void With(Use&& use) {
    {
      base::MutexLock lock(mu_);
      if (over_) return;
      ++inside_;
    }
    use(*client_);
    bool last = false;
    {
      base::MutexLock lock(mu_);
      last = --inside_ == 0 && over_;
    }
    if (last) idle_.NotifyAll();
  }

  void End() {
    base::MutexLock lock(mu_);
    over_ = true;
    while (inside_ > 0) idle_.Wait(mu_);
  }

 private:
  LinkClient* const client_;
  base::Mutex mu_;
  base::CondVar idle_;
  int inside_ ABSL_GUARDED_BY(mu_) = 0;
  bool over_ ABSL_GUARDED_BY(mu_) = false;
};

LinkClient::LinkClient(const Options& options, const base::Clock& clock, OpenStream open)
    : options_(options),
      clock_(clock),
      open_(std::move(open)),
      life_(std::make_shared<Life>(this)),
      attempt_began_(clock.MonotonicMillis() - options.reconnect_millis),
      due_(options.credit_bytes) {
  if (options_.tick_millis > 0) thread_ = std::thread([this] { Run(); });
}

LinkClient::~LinkClient() {
  std::shared_ptr<link::Session> requests, bodies;
  {
    base::MutexLock lock(mu_);
    stopping_ = true;
    requests = requests_;
    bodies = bodies_;
  }
  stop_signal_.NotifyAll();
  if (thread_.joinable()) thread_.join();
  if (requests != nullptr) requests->Close(absl::CancelledError("the proxy stops"));
  if (bodies != nullptr) bodies->Close(absl::CancelledError("the proxy stops"));
  life_->End();
  Late rest;
  {
    base::MutexLock lock(mu_);
    for (auto& [correlation, call] : calls_) rest.calls.push_back(std::move(call));
    for (auto& [correlation, receive] : receives_) rest.receives.push_back(std::move(receive));
    calls_.clear();
    receives_.clear();
  }
  Fail(std::move(rest), "the proxy stops; what was asked may have been done");
}

void LinkClient::Run() {
  while (true) {
    Tick();
    base::MutexLock lock(mu_);
    if (stopping_) return;
    stop_signal_.WaitFor(mu_, std::chrono::milliseconds(options_.tick_millis));
    if (stopping_) return;
  }
}

void LinkClient::Tick() {
  const std::int64_t now = clock_.MonotonicMillis();
  std::shared_ptr<link::Session> requests, bodies;
  Late unsent, sent;
  bool connect = false, stuck = false;
  {
    base::MutexLock lock(mu_);
    TakeLate(now, unsent, sent);
    requests = requests_;
    bodies = bodies_;
    connect = requests == nullptr && now - attempt_began_ >= options_.reconnect_millis;
    stuck = requests != nullptr && !up_ && now - attempt_began_ >= options_.handshake_millis;
    if (up_ && now - last_alive_ >= kAliveMillis) {
      last_alive_ = now;
      const link::ClientsAlive alive{roster_.TakeAlive(now)};
      std::string payload;
      Encode(alive, payload);
      if (!alive.numbers.empty()) requests->Queue({.op = link::Op::kClientsAlive, .payload = payload});
    }
    if (up_) QueueCredit();
  }
  Fail(std::move(unsent), "the link to the broker is down and did not come back in time; send it again later");
  Fail(std::move(sent), "the broker did not answer in time; it may have done what was asked");
  if (connect) return Connect();
  if (requests == nullptr) return;
  if (stuck) return requests->Close(absl::DeadlineExceededError("the broker did not say hello"));
  requests->Tick(now);
  bodies->Tick(now);
}

void LinkClient::TakeLate(std::int64_t now, Late& unsent, Late& sent) {
  for (auto at = calls_.begin(); at != calls_.end();) {
    PendingCall& call = at->second;
    if (now < call.deadline) {
      ++at;
      continue;
    }
    if (!call.sent && call.op == link::Op::kSend) unsent_bytes_ -= call.payload.size();
    (call.sent ? sent : unsent).calls.push_back(std::move(call));
    calls_.erase(at++);
  }
  for (auto at = receives_.begin(); at != receives_.end();) {
    PendingReceive& receive = at->second;
    if (now < receive.deadline) {
      ++at;
      continue;
    }
    // Its messages are for others.
    if (receive.sent && up_) requests_->Queue({.correlation = at->first, .op = link::Op::kReceiveCancel});
    (receive.sent ? sent : unsent).receives.push_back(std::move(receive));
    at = receives_.erase(at);
  }
}

void LinkClient::Connect() {
  const std::int64_t now = clock_.MonotonicMillis();
  const std::string random = base::RandomBytes(8);
  link::Hello hello{
      .cluster = options_.cluster, .name = options_.proxy_name, .process = base::Load<std::uint64_t>(random.data())};
  std::shared_ptr<link::Session> sessions[2];
  {
    base::MutexLock lock(mu_);
    const std::uint64_t attempt = ++attempt_;
    attempt_began_ = now;
    hellos_[0] = hellos_[1] = {};
    // What receivers still hold from older links is not this broker's to fill again.
    allowance_ = options_.credit_bytes - held_;
    due_ = 0;
    hello.credit_bytes = static_cast<std::uint32_t>(allowance_);
    for (const bool bodies : {false, true}) {
      sessions[bodies] = std::make_shared<link::Session>(
          link::SessionOptions{.window = 1}, now,
          [life = life_, attempt, bodies](const link::Record& record) {
            life->With([&](LinkClient& client) { client.OnRecord(attempt, bodies, record); });
          },
          [life = life_, attempt](const absl::Status& status) {
            life->With([&](LinkClient& client) { client.OnStreamEnded(attempt, status); });
          });
    }
    requests_ = sessions[0];
    bodies_ = sessions[1];
  }
  for (const std::uint32_t stream : {0u, 1u}) {
    if (sessions[stream]->ended()) return;
    hello.stream = stream;
    std::string payload;
    Encode(hello, payload);
    sessions[stream]->Queue({.op = link::Op::kHello, .payload = payload});
    open_(sessions[stream]);
  }
}

void LinkClient::OnStreamEnded(std::uint64_t attempt, const absl::Status& status) {
  std::shared_ptr<link::Session> requests, bodies;
  Late broken;
  bool was_up = false;
  {
    base::MutexLock lock(mu_);
    if (attempt != attempt_ || requests_ == nullptr) return;
    requests = std::exchange(requests_, nullptr);
    bodies = std::exchange(bodies_, nullptr);
    was_up = std::exchange(up_, false) && !stopping_;
    if (was_up) ++breaks_;
    Add(requests->counters(), ended_frames_);
    Add(bodies->counters(), ended_frames_);
    open_answers_.clear();
    for (auto at = calls_.begin(); at != calls_.end();) {
      if (at->second.op == link::Op::kSend && at->second.sent) {
        broken.calls.push_back(std::move(at->second));
        calls_.erase(at++);
      } else {
        at->second.sent = false;
        ++at;
      }
    }
    for (auto at = receives_.begin(); at != receives_.end();) {
      if (at->second.sent) {
        broken.receives.push_back(std::move(at->second));
        at = receives_.erase(at);
      } else {
        ++at;
      }
    }
  }
  if (was_up) MR_LOG(Warn, "the link to the broker broke", {{"reason", status.message()}});
  requests->Close(status);
  bodies->Close(status);
  Fail(std::move(broken), "the link to the broker broke; the outcome is unknown, send it again");
}

void LinkClient::Fail(Late late, absl::string_view why) {
  std::string payload;
  for (PendingCall& call : late.calls) call.done(ReplyRecord(payload, kProxyTimeout, why));
  for (PendingReceive& receive : late.receives) receive.receiver->OnEnd({.code = kMessageNotFound, .text = why});
}

void LinkClient::Refuse(std::uint64_t attempt, const std::string& why) {
  MR_LOG(Error, "the link to the broker is ended", {{"reason", why}});
  std::shared_ptr<link::Session> requests;
  {
    base::MutexLock lock(mu_);
    if (attempt != attempt_) return;
    requests = requests_;
  }
  if (requests != nullptr) requests->Close(absl::FailedPreconditionError(why));
}

void LinkClient::OnRecord(std::uint64_t attempt, bool bodies, const link::Record& record) {
  switch (record.op) {
    case link::Op::kHello: return OnHello(attempt, bodies, record);
    case link::Op::kReply:
    case link::Op::kSendReply: return OnReply(attempt, record);
    case link::Op::kDelivery: return OnDelivery(attempt, record);
    case link::Op::kDeliveryEnd: return OnDeliveryEnd(attempt, record);
    default: return;  // a record of a newer broker
  }
}

void LinkClient::OnHello(std::uint64_t attempt, bool bodies, const link::Record& record) {
  const auto hello = link::Decode<link::Hello>(record.payload);
  if (!hello) return Refuse(attempt, "the broker's hello does not decode");
  if (hello->version != link::kLinkVersion) {
    return Refuse(attempt, absl::StrCat("the broker speaks link version ", hello->version, ", this proxy speaks ",
                                        link::kLinkVersion, "; run the same release on both sides"));
  }
  if (!options_.cluster.empty() && hello->cluster != options_.cluster) {
    return Refuse(attempt,
                  absl::StrCat("the broker belongs to cluster ", hello->cluster, ", this proxy to ", options_.cluster));
  }
  bool same_broker = true;
  std::shared_ptr<link::Session> requests;
  {
    base::MutexLock lock(mu_);
    if (attempt != attempt_ || requests_ == nullptr || hellos_[bodies].said) return;
    hellos_[bodies] = {.said = true, .start_number = hello->process, .set = hello->name, .cluster = hello->cluster};
    if (!hellos_[!bodies].said) return;
    same_broker = hellos_[0].set == hellos_[1].set && hellos_[0].start_number == hellos_[1].start_number;
    if (same_broker) BringUp();
    requests = requests_;
  }
  if (!same_broker) return Refuse(attempt, "its two streams reached two brokers, or one that restarted in between");
  MR_LOG(Info, "link to the broker is up", {{"broker_set", hello->name}, {"start_number", hello->process}});
  requests->Flush();
}

// Everything that waited goes out, clients first, in the order of the calls.
void LinkClient::BringUp() {
  up_ = true;
  broker_set_ = hellos_[0].set;
  cluster_ = hellos_[0].cluster;
  const auto queue = [this](const link::ClientRecord& client, bool streams_ended) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    QueueClient(link::Op::kClientRegistered, client);  // mu_ is held
    if (streams_ended) QueueClient(link::Op::kClientStreamsEnded, client);
  };
  roster_.ForEachLiving(clock_.MonotonicMillis(), queue);
  std::vector<std::uint64_t> order;
  for (const auto& [correlation, call] : calls_) order.push_back(correlation);
  std::sort(order.begin(), order.end());
  for (const std::uint64_t correlation : order) {
    PendingCall& call = calls_[correlation];
    call.sent = true;
    QueueRequest(correlation, call.op, call.payload, call.deadline);
    if (call.op == link::Op::kSend) call.payload = {};  // it will never be sent again
  }
  unsent_bytes_ = 0;
  for (auto& [correlation, receive] : receives_) {
    receive.sent = true;
    QueueRequest(correlation, link::Op::kReceive, receive.payload, receive.deadline);
    receive.payload = {};
  }
}

void LinkClient::QueueRequest(std::uint64_t correlation, link::Op op, absl::string_view payload,
                              std::int64_t deadline) {
  const std::int64_t budget = std::max<std::int64_t>(deadline - clock_.MonotonicMillis(), 1);
  requests_->Queue(
      {.correlation = correlation, .op = op, .budget_millis = static_cast<std::uint32_t>(budget), .payload = payload});
}

void LinkClient::QueueClient(link::Op op, const link::ClientRecord& client) {
  std::string payload;
  Encode(client, payload);
  requests_->Queue({.op = op, .payload = payload});
}

void LinkClient::OnDelivery(std::uint64_t attempt, const link::Record& record) {
  const auto delivery = link::Decode<link::Delivery>(record.payload);
  if (!delivery) return Refuse(attempt, "a delivery does not decode");
  const std::size_t bytes = delivery->stored.size();
  std::shared_ptr<Receiver> receiver;
  std::uint64_t allowed = 0;
  bool covered = false;
  {
    base::MutexLock lock(mu_);
    if (attempt != attempt_ || !up_) return;
    allowed = allowance_;
    covered = bytes <= allowance_;
    if (covered) {
      allowance_ -= bytes;
      held_ += bytes;
      open_answers_.insert(delivery->answer);
      const auto at = receives_.find(record.correlation);
      if (at != receives_.end()) receiver = at->second.receiver;
    }
  }
  if (!covered) {
    return Refuse(attempt, absl::StrCat("the broker sent a delivery of ", bytes, " bytes with credit for ", allowed));
  }
  if (receiver != nullptr) return receiver->OnDelivery(*delivery);
  ReturnCredit(bytes);  // its client has gone
  ReportAnswer(delivery->answer, false);
}

void LinkClient::OnDeliveryEnd(std::uint64_t attempt, const link::Record& record) {
  const auto end = link::Decode<link::DeliveryEnd>(record.payload);
  if (!end) return Refuse(attempt, "the end of an answer does not decode");
  std::shared_ptr<Receiver> receiver;
  {
    base::MutexLock lock(mu_);
    const auto at = receives_.find(record.correlation);
    if (attempt != attempt_ || at == receives_.end()) return;
    receiver = std::move(at->second.receiver);
    receives_.erase(at);
  }
  receiver->OnEnd(*end);
}

void LinkClient::OnReply(std::uint64_t attempt, const link::Record& record) {
  link::Record reply = record;
  reply.taken_nanos = clock_.MonotonicNanos();
  Done done;
  {
    base::MutexLock lock(mu_);
    const auto at = calls_.find(record.correlation);
    if (attempt != attempt_ || at == calls_.end()) return;
    forwarded_.Record(at->second.op, reply.taken_nanos - at->second.began_nanos);
    done = std::move(at->second.done);
    calls_.erase(at);
  }
  done(reply);
}

void LinkClient::Call(link::Op op, std::string payload, std::int64_t timeout_millis, Done done) {
  std::shared_ptr<link::Session> session;
  std::size_t waiting = 0;
  {
    base::MutexLock lock(mu_);
    if (op == link::Op::kSend) waiting = up_ ? requests_->queued_bytes() : unsent_bytes_;
    if (waiting == 0 || waiting + payload.size() <= options_.send_bytes_max) {
      if (op == link::Op::kClientTerminated) {
        if (const auto gone = link::Decode<link::ClientRecord>(payload)) roster_.Forget(gone->client, gone->group);
      }
      const std::uint64_t correlation = next_correlation_++;
      PendingCall& call = calls_[correlation];
      const std::int64_t now_nanos = clock_.MonotonicNanos();
      call = {.op = op,
              .deadline = now_nanos / 1'000'000 + timeout_millis,
              .began_nanos = now_nanos,
              .sent = up_,
              .done = std::move(done)};
      if (up_) {
        session = requests_;
        QueueRequest(correlation, op, payload, call.deadline);
      } else if (op == link::Op::kSend) {
        unsent_bytes_ += payload.size();
      }
      // A send is never sent twice, so what went out is not kept.
      if (!up_ || op != link::Op::kSend) call.payload = std::move(payload);
      done = nullptr;
    }
  }
  if (session != nullptr) session->Flush();
  if (done == nullptr) return;
  std::string text;
  done(ReplyRecord(text, kTooManyRequests,
                   absl::StrCat(waiting, " bytes of sends wait for the broker at this proxy, at most ",
                                options_.send_bytes_max, " may; send again later, or more slowly")));
}

std::uint64_t LinkClient::Receive(std::string payload, std::int64_t timeout_millis,
                                  std::shared_ptr<Receiver> receiver) {
  std::shared_ptr<link::Session> session;
  std::uint64_t correlation = 0;
  {
    base::MutexLock lock(mu_);
    correlation = next_correlation_++;
    PendingReceive& receive = receives_[correlation];
    receive = {.deadline = clock_.MonotonicMillis() + timeout_millis, .sent = up_, .receiver = std::move(receiver)};
    if (up_) {
      session = requests_;
      QueueRequest(correlation, link::Op::kReceive, payload, receive.deadline);
    } else {
      receive.payload = std::move(payload);
    }
  }
  if (session != nullptr) session->Flush();
  return correlation;
}

void LinkClient::CancelReceive(std::uint64_t receive) {
  std::shared_ptr<link::Session> session;
  std::shared_ptr<Receiver> receiver;  // goes after the lock
  {
    base::MutexLock lock(mu_);
    const auto at = receives_.find(receive);
    if (at == receives_.end()) return;
    if (at->second.sent && up_) session = requests_;
    receiver = std::move(at->second.receiver);
    receives_.erase(at);
  }
  if (session != nullptr) session->Send({.correlation = receive, .op = link::Op::kReceiveCancel});
}

void LinkClient::ReportAnswer(std::uint64_t answer, bool well) {
  std::shared_ptr<link::Session> session;
  {
    base::MutexLock lock(mu_);
    // Another start of the broker may use the same number for another answer.
    if (open_answers_.erase(answer) == 0) return;
    session = requests_;
  }
  std::string payload;
  Encode(link::AnswerEnded{answer, well}, payload);
  session->Send({.op = link::Op::kAnswerEnded, .payload = payload});
}

void LinkClient::AnswerWritten(std::uint64_t answer) {
  std::shared_ptr<link::Session> session;
  {
    base::MutexLock lock(mu_);
    if (open_answers_.find(answer) == open_answers_.end()) return;
    session = requests_;
  }
  std::string payload;
  Encode(link::AnswerEnded{.answer = answer}, payload);
  session->Send({.op = link::Op::kAnswerWritten, .payload = payload});
}

void LinkClient::ReturnCredit(std::size_t bytes) {
  std::shared_ptr<link::Session> session;
  {
    base::MutexLock lock(mu_);
    const std::uint64_t returned = std::min<std::uint64_t>(bytes, held_);
    held_ -= returned;
    due_ += returned;
    // Small ones gather until the next tick.
    if (!up_ || due_ < options_.credit_bytes / 8) return;
    session = requests_;
    QueueCredit();
  }
  session->Flush();
}

void LinkClient::QueueCredit() {
  if (due_ == 0) return;
  std::string payload;
  Encode(link::Credit{due_}, payload);
  requests_->Queue({.op = link::Op::kCredit, .payload = payload});
  allowance_ += std::exchange(due_, 0);
}

void LinkClient::Sign(absl::string_view client, absl::string_view group) {
  std::shared_ptr<link::Session> session;
  {
    base::MutexLock lock(mu_);
    const bool is_new = roster_.Sign(client, group, clock_.MonotonicMillis());
    if (!is_new || !up_) return;
    session = requests_;
    QueueClient(link::Op::kClientRegistered, roster_.RecordOf(client, group));
  }
  session->Flush();
}

void LinkClient::RegisterClient(absl::string_view client, absl::string_view group) { Sign(client, group); }

void LinkClient::SignOfLife(absl::string_view client, absl::string_view group) { Sign(client, group); }

void LinkClient::ClientStreamsEnded(absl::string_view client, absl::string_view group) {
  std::shared_ptr<link::Session> session;
  {
    base::MutexLock lock(mu_);
    if (!roster_.StreamsEnded(client, group) || !up_) return;
    session = requests_;
    QueueClient(link::Op::kClientStreamsEnded, roster_.RecordOf(client, group));
  }
  session->Flush();
}

bool LinkClient::up() const {
  base::MutexLock lock(mu_);
  return up_;
}

std::string LinkClient::broker_set() const {
  base::MutexLock lock(mu_);
  return broker_set_;
}

std::string LinkClient::cluster() const {
  base::MutexLock lock(mu_);
  return cluster_;
}

LinkClient::Stats LinkClient::stats() const {
  base::MutexLock lock(mu_);
  Stats stats{.frames = ended_frames_, .breaks = breaks_, .calls = calls_.size(), .receives = receives_.size()};
  for (const auto& session : {requests_, bodies_}) {
    if (session == nullptr) continue;
    Add(session->counters(), stats.frames);
    stats.queued_bytes += session->queued_bytes();
  }
  return stats;
}

}  // namespace millrace::proxy
