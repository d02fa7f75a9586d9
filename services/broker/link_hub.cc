#include "services/broker/link_hub.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "model/error.h"
#include "services/broker/receipt_handle.h"

namespace millrace::broker {
namespace {

constexpr absl::string_view kStreamMethod = "/millrace.link.v1.Link/Stream";
constexpr std::uint32_t kBodies = 1;  // Hello::stream

class CallSink final : public link::FrameSink {
 public:
  explicit CallSink(std::shared_ptr<rpc::ServerCall> call) : call_(std::move(call)) {}
  void Write(std::string frame) override { call_->Write(std::move(frame)); }
  void Close() override { call_->Finish(absl::UnavailableError("the broker closed the link")); }

 private:
  const std::shared_ptr<rpc::ServerCall> call_;
};

class CallFrames final : public rpc::StreamHandler {
 public:
  CallFrames(std::shared_ptr<link::Session> session, const base::Clock& clock, Inbox& inbox)
      : session_(std::move(session)), clock_(clock), inbox_(inbox) {}
  void OnMessage(std::string message) override {
    const Inbox::Burst burst(inbox_);  // one turn of the core for a whole frame
    session_->OnFrame(message, clock_.MonotonicMillis());
  }
  void OnHalfClose() override { session_->Close(absl::UnavailableError("the proxy closed the link")); }

 private:
  const std::shared_ptr<link::Session> session_;
  const base::Clock& clock_;
  Inbox& inbox_;
};

core::TextRef AddText(core::EventBatch& batch, absl::string_view text) {
  return batch.AddText(text.data(), text.size());
}

void Add(const link::Session::Counters& one, link::Session::Counters& sum) {
  sum.frames_out += one.frames_out;
  sum.records_out += one.records_out;
  sum.frames_in += one.frames_in;
  sum.records_in += one.records_in;
}

}  // namespace

LinkHub::LinkHub(const base::Clock& clock, Inbox& inbox, BodySlots& bodies, ClaimGate& gate, GetMessage get_message)
    : clock_(clock), inbox_(inbox), bodies_(bodies), gate_(gate), get_message_(std::move(get_message)) {}

void LinkHub::SetUp(Options options) { options_ = std::move(options); }

std::shared_ptr<link::Session> LinkHub::NewStream() {
  auto stream = std::make_shared<Stream>();
  auto session = std::make_shared<link::Session>(
      link::SessionOptions{.answer_after = 1, .delay_answers = true}, clock_.MonotonicMillis(),
      [this, stream](const link::Record& record) { OnRecord(*stream, record); },
      [this, stream](const absl::Status& status) { OnEnded(*stream, status); });
  base::MutexLock lock(mu_);
  stream->number = next_stream_++;
  stream->session = session;
  streams_[stream->number] = std::move(stream);
  return session;
}

std::optional<rpc::CallKind> LinkHub::Kind(absl::string_view method) const {
  if (method != kStreamMethod) return std::nullopt;
  return rpc::CallKind::kBidi;
}

void LinkHub::OnRequest(std::shared_ptr<rpc::ServerCall> call, absl::string_view) {
  call->Finish(absl::UnimplementedError("links are streams"));
}

std::unique_ptr<rpc::StreamHandler> LinkHub::OnStream(std::shared_ptr<rpc::ServerCall> call) {
  auto session = NewStream();
  call->OnEnded([session](rpc::CallEnd) { session->OnTransportEnded(absl::UnavailableError("the connection ended")); });
  call->SendInitialMetadata();
  session->Attach(std::make_shared<CallSink>(call));
  return std::make_unique<CallFrames>(std::move(session), clock_, inbox_);
}

void LinkHub::Refuse(Stream& stream, const std::string& why) {
  MR_LOG(Warn, "a link is refused", {{"reason", why}});
  std::shared_ptr<link::Session> session;
  {
    base::MutexLock lock(mu_);
    session = stream.session;
  }
  if (session != nullptr) session->Close(absl::FailedPreconditionError(why));
}

void LinkHub::OnHello(Stream& stream, const link::Record& record) {
  const auto hello = link::Decode<link::Hello>(record.payload);
  if (!hello) return Refuse(stream, "its hello does not decode");
  if (stream.link != 0) return Refuse(stream, "it said hello twice");
  if (hello->version != link::kLinkVersion) {
    return Refuse(stream, absl::StrCat("it speaks link version ", hello->version, ", this broker speaks ",
                                       link::kLinkVersion, "; run the same release on both sides"));
  }
  if (!hello->cluster.empty() && hello->cluster != options_.cluster) {
    return Refuse(stream,
                  absl::StrCat("the proxy belongs to cluster ", hello->cluster, ", this broker to ", options_.cluster));
  }
  std::shared_ptr<link::Session> session;
  std::uint32_t up = 0;
  {
    base::MutexLock lock(mu_);
    if (stream.session == nullptr) return;  // it ended meanwhile
    session = stream.session;
    stream.bodies = hello->stream == kBodies;
    auto at = std::find_if(links_.begin(), links_.end(), [&](const auto& entry) {
      const auto& taken = stream.bodies ? entry.second.bodies : entry.second.requests;
      return entry.second.process == hello->process && taken == nullptr;
    });
    if (at == links_.end()) at = links_.emplace(next_link_++, Link{.process = hello->process}).first;
    Link& link = at->second;
    stream.link = at->first;
    (stream.bodies ? link.bodies : link.requests) = session;
    if (stream.bodies) link.credit_bytes = hello->credit_bytes;
    if (link.requests != nullptr && link.bodies != nullptr) {
      up = at->first;
      gate_.Open(up, link.credit_bytes);
    }
  }
  std::string payload;
  Encode(link::Hello{.cluster = options_.cluster,
                     .name = options_.broker_set,
                     .process = options_.start_number,
                     .epoch = options_.epoch,
                     .stream = hello->stream},
         payload);
  if (up != 0) {
    MR_LOG(Info, "link up", {{"link", up}, {"proxy", hello->name}});
    inbox_.Post([&](core::EventBatch& batch) { batch.Add(core::EventType::kLinkUp, core::LinkUp{up, 0}); });
  }
  session->Send({.op = link::Op::kHello, .payload = payload});
}

void LinkHub::PostLinkDown(std::uint32_t link) {
  inbox_.Post([&](core::EventBatch& batch) { batch.Add(core::EventType::kLinkDown, core::LinkDown{link, 0}); });
}

void LinkHub::OnEnded(Stream& stream, const absl::Status& status) {
  std::shared_ptr<link::Session> mine, other;
  bool was_up = false;
  stream.ended = true;
  {
    base::MutexLock lock(mu_);
    mine = std::move(stream.session);  // it holds the callbacks that hold the stream
    stream.session = nullptr;
    if (mine != nullptr) Add(mine->counters(), ended_);
    streams_.erase(stream.number);
    const auto link = links_.find(stream.link);
    if (link != links_.end()) {
      was_up = link->second.requests != nullptr && link->second.bodies != nullptr;
      other = stream.bodies ? link->second.requests : link->second.bodies;
      gate_.Close(link->first);
      links_.erase(link);
    }
  }
  if (stream.link == 0) return;
  if (was_up) MR_LOG(Info, "link down", {{"link", stream.link.load()}, {"reason", status.message()}});
  PostLinkDown(stream.link);
  if (other != nullptr) other->Close(absl::UnavailableError("the other stream of the link ended"));
}

void LinkHub::OnRecord(Stream& stream, const link::Record& record) {
  if (record.op == link::Op::kHello) return OnHello(stream, record);
  const std::uint32_t link = stream.link;
  if (link == 0) return Refuse(stream, "its first record is not a hello");
  if (!PostRequest(link, record)) {
    return Refuse(stream, absl::StrCat("a record of op ", static_cast<int>(record.op), " does not decode"));
  }
  // The stream may have ended in another thread while this record was on its way: nothing of it may stay behind.
  if (stream.ended) PostLinkDown(link);
}

void LinkHub::PostSend(core::ReplyTo reply, const link::SendRequest& request) {
  std::vector<core::SendMessage> messages;
  messages.reserve(request.messages.size());
  for (const link::SendMessage& message : request.messages) {
    messages.push_back({.body = bodies_.Put(std::string(message.stored.data(), message.stored.size())),
                        .tag_hash = message.tag_hash,
                        .group_hash = message.group_hash,
                        .id_hash = message.id_hash,
                        .born_millis = message.born_millis});
  }
  inbox_.Post([&](core::EventBatch& batch) {
    core::Send event;
    event.reply = reply;
    event.topic = AddText(batch, request.topic);
    event.messages =
        batch.AddText(reinterpret_cast<const char*>(messages.data()), messages.size() * sizeof(core::SendMessage));
    event.message_type = request.message_type;
    event.auto_create = request.auto_create && options_.auto_create_topics;
    batch.Add(core::EventType::kSend, event);
  });
}

bool LinkHub::PostRequest(std::uint32_t link, const link::Record& record) {
  using core::EventType;
  using link::Op;
  const core::ReplyTo reply{record.correlation, link, static_cast<std::uint32_t>(record.op)};
  switch (record.op) {
    case Op::kSend: {
      const auto request = link::Decode<link::SendRequest>(record.payload);
      if (request) PostSend(reply, *request);
      return request.has_value();
    }
    case Op::kReceive: {
      const auto request = link::Decode<link::ReceiveRequest>(record.payload);
      if (!request) return false;
      inbox_.Post([&](core::EventBatch& batch) {
        core::Receive event;
        event.reply = reply;
        event.topic = AddText(batch, request->topic);
        event.group = AddText(batch, request->group);
        event.client = AddText(batch, request->client);
        event.attempt_id = AddText(batch, request->attempt_id);
        event.filter = AddText(batch, request->filter);
        event.invisible_millis = request->invisible_millis;
        event.wait_millis = request->wait_millis;
        event.queue = request->queue;
        event.batch = std::clamp<std::uint32_t>(request->batch, 1, 32);
        event.bytes_max = request->bytes_max;
        event.auto_renew = request->auto_renew;
        event.auto_create = request->auto_create && options_.auto_create_groups;
        batch.Add(EventType::kReceive, event);
      });
      return true;
    }
    case Op::kCredit: {
      const auto credit = link::Decode<link::Credit>(record.payload);
      if (credit) gate_.GiveBack(link, credit->bytes);
      inbox_.Post([](core::EventBatch&) {});  // its frame is answered by a turn
      return credit.has_value();
    }
    case Op::kReceiveCancel:
      gate_.Cancel(reply);
      inbox_.Post([&](core::EventBatch& batch) {
        core::ReplyTo receive = reply;
        receive.reserved = static_cast<std::uint32_t>(Op::kReceive);
        batch.Add(EventType::kReceiveCancelled, core::ReceiveCancelled{receive});
      });
      return true;
    case Op::kAnswerWritten:
    case Op::kAnswerEnded: {
      const auto ended = link::Decode<link::AnswerEnded>(record.payload);
      if (!ended) return false;
      inbox_.Post([&](core::EventBatch& batch) {
        if (record.op == Op::kAnswerWritten) {
          batch.Add(EventType::kAnswerWritten, core::AnswerWritten{ended->answer});
        } else {
          batch.Add(EventType::kAnswerEnded, core::AnswerEnded{ended->answer, ended->well, 0});
        }
      });
      return true;
    }
    case Op::kAck:
    case Op::kChangeInvisible:
    case Op::kForwardDeadLetter: {
      const auto request = link::Decode<link::HandleRequest>(record.payload);
      if (!request) return false;
      const auto handle = DecodeHandle(request->handle, options_.broker_set, options_.mac_key);
      if (!handle) {
        AnswerNow(reply, {.code = 40013,
                          .text = "the receipt handle was not made by this broker set; use the handle that came with "
                                  "the message"});
        return true;
      }
      inbox_.Post([&](core::EventBatch& batch) {
        const core::TextRef topic = AddText(batch, request->topic), group = AddText(batch, request->group);
        if (record.op == Op::kAck) {
          batch.Add(EventType::kAck, core::Ack{reply, topic, group, *handle});
        } else if (record.op == Op::kChangeInvisible) {
          batch.Add(EventType::kChangeInvisible,
                    core::ChangeInvisible{reply, topic, group, *handle, request->duration_millis, request->suspend, 0});
        } else {
          batch.Add(EventType::kForwardDeadLetter, core::ForwardDeadLetter{reply, topic, group, *handle});
        }
      });
      return true;
    }
    case Op::kClientRegistered:
    case Op::kClientStreamsEnded:
    case Op::kClientTerminated: {
      const auto client = link::Decode<link::ClientRecord>(record.payload);
      if (!client) return false;
      inbox_.Post([&](core::EventBatch& batch) {
        const core::TextRef name = AddText(batch, client->client), group = AddText(batch, client->group);
        if (record.op == Op::kClientRegistered) {
          batch.Add(EventType::kClientRegistered, core::ClientRegistered{name, group, link, client->number});
        } else if (record.op == Op::kClientStreamsEnded) {
          batch.Add(EventType::kClientStreamsEnded, core::ClientStreamsEnded{link, client->number});
        } else {
          batch.Add(EventType::kClientTerminated, core::ClientTerminated{reply, name, group});
        }
      });
      return true;
    }
    case Op::kClientsAlive: {
      const auto alive = link::Decode<link::ClientsAlive>(record.payload);
      if (!alive) return false;
      inbox_.Post([&](core::EventBatch& batch) {
        const core::TextRef numbers = batch.AddText(reinterpret_cast<const char*>(alive->numbers.data()),
                                                    alive->numbers.size() * sizeof(std::uint32_t));
        batch.Add(EventType::kClientsAlive, core::ClientsAlive{numbers, link, 0});
      });
      return true;
    }
    case Op::kPutTopic:
    case Op::kPutGroup:
    case Op::kDeleteTopic:
    case Op::kDeleteGroup:
    case Op::kQuery: {
      const auto request = link::Decode<link::MetadataRequest>(record.payload);
      if (!request) return false;
      inbox_.Post([&](core::EventBatch& batch) {
        const core::TextRef name = AddText(batch, request->name), config = AddText(batch, request->config);
        if (record.op == Op::kQuery) {
          batch.Add(EventType::kQuery, core::Query{reply, name, static_cast<core::QueryKind>(request->kind), 0});
        } else if (record.op == Op::kPutTopic || record.op == Op::kPutGroup) {
          batch.Add(record.op == Op::kPutTopic ? EventType::kPutTopic : EventType::kPutGroup,
                    core::PutTopic{reply, config, request->kind, 0});
        } else {
          batch.Add(record.op == Op::kDeleteTopic ? EventType::kDeleteTopic : EventType::kDeleteGroup,
                    core::DeleteTopic{reply, name});
        }
      });
      return true;
    }
    case Op::kGetMessage: {
      const auto request = link::Decode<link::GetMessage>(record.payload);
      if (request) get_message_(reply, *request);
      return request.has_value();
    }
    default: return true;  // an op of a newer proxy: it gets no answer and times out
  }
}

std::shared_ptr<link::Session> LinkHub::SessionOf(std::uint32_t link, bool bodies) {
  base::MutexLock lock(mu_);
  const auto at = links_.find(link);
  if (at == links_.end()) return nullptr;
  return bodies ? at->second.bodies : at->second.requests;
}

bool LinkHub::QueueTo(core::ReplyTo to, bool bodies, link::Op op, const std::string& payload) {
  const auto session = SessionOf(to.link, bodies);
  if (session == nullptr) return false;
  session->Queue({.correlation = to.correlation, .op = op, .payload = payload});
  if (std::find(touched_.begin(), touched_.end(), session) == touched_.end()) touched_.push_back(session);
  return true;
}

void LinkHub::Answer(core::ReplyTo to, const link::SendReply& reply) {
  scratch_.clear();
  Encode(reply, scratch_);
  QueueTo(to, false, link::Op::kSendReply, scratch_);
}

void LinkHub::Answer(core::ReplyTo to, const link::Reply& reply) {
  scratch_.clear();
  Encode(reply, scratch_);
  QueueTo(to, false, link::Op::kReply, scratch_);
}

void LinkHub::AnswerNow(core::ReplyTo to, const link::Reply& reply) {
  std::string payload;
  Encode(reply, payload);
  if (const auto session = SessionOf(to.link, false)) {
    session->Send({.correlation = to.correlation, .op = link::Op::kReply, .payload = payload});
  }
}

bool LinkHub::Deliver(core::ReplyTo to, const link::Delivery& delivery) {
  scratch_.clear();
  Encode(delivery, scratch_);
  return QueueTo(to, true, link::Op::kDelivery, scratch_);
}

bool LinkHub::EndDelivery(core::ReplyTo to, const link::DeliveryEnd& end) {
  scratch_.clear();
  Encode(end, scratch_);
  return QueueTo(to, true, link::Op::kDeliveryEnd, scratch_);
}

bool LinkHub::FlushTurn() {
  for (const auto& session : touched_) session->Flush();
  touched_.clear();
  std::vector<std::shared_ptr<link::Session>> owing;
  {
    base::MutexLock lock(mu_);
    for (const auto& [number, stream] : streams_) {
      if (stream->session->OwesAnswer()) owing.push_back(stream->session);
    }
  }
  bool again = false;
  for (const auto& session : owing) {
    session->Tick(clock_.MonotonicMillis());
    again = again || session->OwesAnswer();
  }
  return again;
}

void LinkHub::Tick() {
  std::vector<std::shared_ptr<link::Session>> sessions;
  {
    base::MutexLock lock(mu_);
    for (const auto& [number, stream] : streams_) sessions.push_back(stream->session);
  }
  for (const auto& session : sessions) session->Tick(clock_.MonotonicMillis());
}

void LinkHub::CloseAll(const absl::Status& status) {
  std::vector<std::shared_ptr<link::Session>> sessions;
  {
    base::MutexLock lock(mu_);
    for (const auto& [number, stream] : streams_) sessions.push_back(stream->session);
  }
  for (const auto& session : sessions) session->Close(status);
}

std::size_t LinkHub::links() const {
  base::MutexLock lock(mu_);
  return links_.size();
}

link::Session::Counters LinkHub::counters() const {
  base::MutexLock lock(mu_);
  link::Session::Counters sum = ended_;
  for (const auto& [number, stream] : streams_) Add(stream->session->counters(), sum);
  return sum;
}

std::size_t LinkHub::queued_bytes() const {
  std::size_t sum = 0;
  base::MutexLock lock(mu_);
  for (const auto& [number, stream] : streams_) sum += stream->session->queued_bytes();
  return sum;
}

}  // namespace millrace::broker
