#include "link/messages.h"

#include "base/bytes.h"

namespace millrace::link {
namespace {

using base::ByteReader;
using base::Put;
using base::PutString;
using base::PutVarint;

// Zigzag: small negative numbers (queue -1) stay small.
void PutSigned(std::string& out, std::int64_t value) {
  PutVarint(out, (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63));
}

std::int64_t ReadSigned(ByteReader& in) {
  const std::uint64_t value = in.ReadVarint();
  return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1);
}

std::uint32_t Read32(ByteReader& in) { return static_cast<std::uint32_t>(in.ReadVarint()); }

std::string ReadOwned(ByteReader& in) {
  const absl::string_view text = in.ReadString();
  return std::string(text.data(), text.size());
}

template <typename T>
std::optional<T> Done(const ByteReader& in, T value) {
  if (!in.ok()) return std::nullopt;
  return value;
}

}  // namespace

void Encode(const Hello& hello, std::string& out) {
  PutVarint(out, hello.version);
  PutString(out, hello.cluster);
  PutString(out, hello.name);
  Put<std::uint64_t>(out, hello.process);
  PutVarint(out, hello.epoch);
  PutVarint(out, hello.credit_bytes);
  PutVarint(out, hello.stream);
}

template <>
std::optional<Hello> Decode<Hello>(absl::string_view payload) {
  ByteReader in(payload);
  Hello hello;
  hello.version = Read32(in);
  hello.cluster = ReadOwned(in);
  hello.name = ReadOwned(in);
  hello.process = in.Read<std::uint64_t>();
  hello.epoch = in.ReadVarint();
  hello.credit_bytes = Read32(in);
  hello.stream = Read32(in);
  return Done(in, std::move(hello));
}

void Encode(const Credit& credit, std::string& out) { PutVarint(out, credit.bytes); }

template <>
std::optional<Credit> Decode<Credit>(absl::string_view payload) {
  ByteReader in(payload);
  return Done(in, Credit{in.ReadVarint()});
}

void Encode(const SendRequest& request, std::string& out) {
  PutString(out, request.topic);
  PutVarint(out, request.message_type);
  PutVarint(out, request.auto_create);
  PutVarint(out, request.messages.size());
  for (const SendMessage& message : request.messages) {
    Put<std::int64_t>(out, message.born_millis);
    Put<std::uint32_t>(out, message.tag_hash);
    Put<std::uint32_t>(out, message.group_hash);
    Put<std::uint64_t>(out, message.id_hash);
    PutString(out, message.stored);
  }
}

template <>
std::optional<SendRequest> Decode<SendRequest>(absl::string_view payload) {
  ByteReader in(payload);
  SendRequest request;
  request.topic = in.ReadString();
  request.message_type = Read32(in);
  request.auto_create = in.ReadVarint() != 0;
  const std::uint64_t count = in.ReadVarint();
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    SendMessage& message = request.messages.emplace_back();
    message.born_millis = in.Read<std::int64_t>();
    message.tag_hash = in.Read<std::uint32_t>();
    message.group_hash = in.Read<std::uint32_t>();
    message.id_hash = in.Read<std::uint64_t>();
    message.stored = in.ReadString();
  }
  return Done(in, std::move(request));
}

void Encode(const SendReply& reply, std::string& out) {
  PutVarint(out, reply.code);
  PutVarint(out, reply.queue);
  PutSigned(out, reply.first_offset);
  PutString(out, reply.text);
}

template <>
std::optional<SendReply> Decode<SendReply>(absl::string_view payload) {
  ByteReader in(payload);
  SendReply reply;
  reply.code = Read32(in);
  reply.queue = Read32(in);
  reply.first_offset = ReadSigned(in);
  reply.text = in.ReadString();
  return Done(in, reply);
}

void Encode(const ReceiveRequest& request, std::string& out) {
  for (const absl::string_view text :
       {request.topic, request.group, request.client, request.attempt_id, request.filter}) {
    PutString(out, text);
  }
  PutSigned(out, request.invisible_millis);
  PutSigned(out, request.wait_millis);
  PutSigned(out, request.queue);
  PutVarint(out, request.batch);
  PutVarint(out, request.bytes_max);
  PutVarint(out, request.auto_renew);
  PutVarint(out, request.auto_create);
}

template <>
std::optional<ReceiveRequest> Decode<ReceiveRequest>(absl::string_view payload) {
  ByteReader in(payload);
  ReceiveRequest request;
  request.topic = in.ReadString();
  request.group = in.ReadString();
  request.client = in.ReadString();
  request.attempt_id = in.ReadString();
  request.filter = in.ReadString();
  request.invisible_millis = ReadSigned(in);
  request.wait_millis = ReadSigned(in);
  request.queue = static_cast<std::int32_t>(ReadSigned(in));
  request.batch = Read32(in);
  request.bytes_max = Read32(in);
  request.auto_renew = in.ReadVarint() != 0;
  request.auto_create = in.ReadVarint() != 0;
  return Done(in, request);
}

void Encode(const Delivery& delivery, std::string& out) {
  PutVarint(out, delivery.answer);
  PutString(out, delivery.handle);
  PutVarint(out, delivery.queue);
  PutSigned(out, delivery.queue_offset);
  PutVarint(out, delivery.attempt);
  PutSigned(out, delivery.store_millis);
  PutSigned(out, delivery.invisible_millis);
  PutString(out, delivery.origin_topic);
  PutString(out, delivery.stored);
}

template <>
std::optional<Delivery> Decode<Delivery>(absl::string_view payload) {
  ByteReader in(payload);
  Delivery delivery;
  delivery.answer = in.ReadVarint();
  delivery.handle = in.ReadString();
  delivery.queue = Read32(in);
  delivery.queue_offset = ReadSigned(in);
  delivery.attempt = Read32(in);
  delivery.store_millis = ReadSigned(in);
  delivery.invisible_millis = ReadSigned(in);
  delivery.origin_topic = in.ReadString();
  delivery.stored = in.ReadString();
  return Done(in, delivery);
}

void Encode(const DeliveryEnd& end, std::string& out) {
  PutVarint(out, end.code);
  PutVarint(out, end.answer);
  PutString(out, end.text);
}

template <>
std::optional<DeliveryEnd> Decode<DeliveryEnd>(absl::string_view payload) {
  ByteReader in(payload);
  DeliveryEnd end;
  end.code = Read32(in);
  end.answer = in.ReadVarint();
  end.text = in.ReadString();
  return Done(in, end);
}

void Encode(const AnswerEnded& ended, std::string& out) {
  PutVarint(out, ended.answer);
  PutVarint(out, ended.well);
}

template <>
std::optional<AnswerEnded> Decode<AnswerEnded>(absl::string_view payload) {
  ByteReader in(payload);
  AnswerEnded ended;
  ended.answer = in.ReadVarint();
  ended.well = in.ReadVarint() != 0;
  return Done(in, ended);
}

void Encode(const HandleRequest& request, std::string& out) {
  PutString(out, request.topic);
  PutString(out, request.group);
  PutString(out, request.handle);
  PutSigned(out, request.duration_millis);
  PutVarint(out, request.suspend);
}

template <>
std::optional<HandleRequest> Decode<HandleRequest>(absl::string_view payload) {
  ByteReader in(payload);
  HandleRequest request;
  request.topic = in.ReadString();
  request.group = in.ReadString();
  request.handle = in.ReadString();
  request.duration_millis = ReadSigned(in);
  request.suspend = in.ReadVarint() != 0;
  return Done(in, request);
}

void Encode(const Reply& reply, std::string& out) {
  PutVarint(out, reply.code);
  PutString(out, reply.text);
  PutString(out, reply.payload);
}

template <>
std::optional<Reply> Decode<Reply>(absl::string_view payload) {
  ByteReader in(payload);
  Reply reply;
  reply.code = Read32(in);
  reply.text = in.ReadString();
  reply.payload = in.ReadString();
  return Done(in, reply);
}

void Encode(const ClientRecord& record, std::string& out) {
  PutVarint(out, record.number);
  PutString(out, record.client);
  PutString(out, record.group);
}

template <>
std::optional<ClientRecord> Decode<ClientRecord>(absl::string_view payload) {
  ByteReader in(payload);
  ClientRecord record;
  record.number = Read32(in);
  record.client = in.ReadString();
  record.group = in.ReadString();
  return Done(in, record);
}

void Encode(const ClientsAlive& alive, std::string& out) {
  PutVarint(out, alive.numbers.size());
  for (const std::uint32_t number : alive.numbers) PutVarint(out, number);
}

template <>
std::optional<ClientsAlive> Decode<ClientsAlive>(absl::string_view payload) {
  ByteReader in(payload);
  ClientsAlive alive;
  const std::uint64_t count = in.ReadVarint();
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) alive.numbers.push_back(Read32(in));
  return Done(in, std::move(alive));
}

void Encode(const MetadataRequest& request, std::string& out) {
  PutVarint(out, request.kind);
  PutString(out, request.name);
  PutString(out, request.config);
}

template <>
std::optional<MetadataRequest> Decode<MetadataRequest>(absl::string_view payload) {
  ByteReader in(payload);
  MetadataRequest request;
  request.kind = Read32(in);
  request.name = in.ReadString();
  request.config = in.ReadString();
  return Done(in, request);
}

void Encode(const GetMessage& request, std::string& out) {
  PutString(out, request.topic);
  PutVarint(out, request.queue);
  PutSigned(out, request.queue_offset);
}

template <>
std::optional<GetMessage> Decode<GetMessage>(absl::string_view payload) {
  ByteReader in(payload);
  GetMessage request;
  request.topic = in.ReadString();
  request.queue = Read32(in);
  request.queue_offset = ReadSigned(in);
  return Done(in, request);
}

}  // namespace millrace::link
