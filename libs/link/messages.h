#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

// Payloads of link records. Each has Encode (appends) and Decode (nullopt when the bytes do not decode). Text is a
// varint length and the bytes, numbers are little-endian or varints as docs/formats/link.md says; unknown bytes behind
// the last field are ignored, so a field can be added at the end. Views live as long as the frame.
namespace millrace::link {

inline constexpr std::uint32_t kLinkVersion = 1;

struct Hello {
  std::uint32_t version = kLinkVersion;
  std::string cluster;             // empty on a proxy that does not know it yet
  std::string name;                // broker set, or the proxy's id
  std::uint64_t process = 0;       // broker: start number; proxy: random, the same on both streams of a link
  std::uint64_t epoch = 0;         // broker
  std::uint32_t credit_bytes = 0;  // proxy: deliveries that it is ready to hold, in bytes of stored messages
  std::uint32_t stream = 0;        // 0 requests, 1 bodies
};

// kCredit: the proxy has passed on deliveries of this many bytes (of stored messages), and is ready for as many more.
struct Credit {
  std::uint64_t bytes = 0;
};

struct SendMessage {
  std::int64_t born_millis = 0;
  std::uint32_t tag_hash = 0;
  std::uint32_t group_hash = 0;
  std::uint64_t id_hash = 0;
  absl::string_view stored;  // docs/formats/stored_message.md
};

struct SendRequest {
  absl::string_view topic;
  std::uint32_t message_type = 0;
  bool auto_create = false;
  std::vector<SendMessage> messages;
};

struct SendReply {
  std::uint32_t code = 0;  // v2 Code
  std::uint32_t queue = 0;
  std::int64_t first_offset = 0;
  absl::string_view text;
};

struct ReceiveRequest {
  absl::string_view topic, group, client, attempt_id, filter;
  std::int64_t invisible_millis = 0;
  std::int64_t wait_millis = 0;
  std::int32_t queue = -1;
  std::uint32_t batch = 1;
  std::uint32_t bytes_max = 0;
  bool auto_renew = false;
  bool auto_create = false;
};

// A message for a waiting receive (correlation = the receive's). Several of them, then one DeliveryEnd.
struct Delivery {
  std::uint64_t answer = 0;
  absl::string_view handle;  // receipt handle, as the client gets it
  std::uint32_t queue = 0;
  std::int64_t queue_offset = 0;
  std::uint32_t attempt = 0;
  std::int64_t store_millis = 0;
  std::int64_t invisible_millis = 0;
  absl::string_view origin_topic;  // of a dead letter; else empty
  absl::string_view stored;
};

struct DeliveryEnd {
  std::uint32_t code = 0;    // OK after at least one Delivery
  std::uint64_t answer = 0;  // 0 when nothing was delivered
  absl::string_view text;
};

struct AnswerEnded {
  std::uint64_t answer = 0;
  bool well = false;
};

// kAck, kChangeInvisible, kForwardDeadLetter.
struct HandleRequest {
  absl::string_view topic, group, handle;
  std::int64_t duration_millis = 0;
  bool suspend = false;
};

// kReply. `payload`: of a query (core/metadata.h), the new handle of a change, for kGetMessage an encoded Delivery
// without answer and handle.
struct Reply {
  std::uint32_t code = 0;
  absl::string_view text;
  absl::string_view payload;
};

// kClientRegistered, kClientStreamsEnded (number only), kClientTerminated (names only).
struct ClientRecord {
  std::uint32_t number = 0;
  absl::string_view client, group;
};

struct ClientsAlive {
  std::vector<std::uint32_t> numbers;
};

// kPutTopic, kPutGroup: an encoded config; kDeleteTopic, kDeleteGroup, kQuery: a name.
struct MetadataRequest {
  std::uint32_t kind = 0;  // kQuery: core::QueryKind; kPut...: 1 updates, 0 creates
  absl::string_view name;
  absl::string_view config;
};

struct GetMessage {
  absl::string_view topic;
  std::uint32_t queue = 0;
  std::int64_t queue_offset = 0;
};

void Encode(const Hello& hello, std::string& out);
void Encode(const Credit& credit, std::string& out);
void Encode(const SendRequest& request, std::string& out);
void Encode(const SendReply& reply, std::string& out);
void Encode(const ReceiveRequest& request, std::string& out);
void Encode(const Delivery& delivery, std::string& out);
void Encode(const DeliveryEnd& end, std::string& out);
void Encode(const AnswerEnded& ended, std::string& out);
void Encode(const HandleRequest& request, std::string& out);
void Encode(const Reply& reply, std::string& out);
void Encode(const ClientRecord& record, std::string& out);
void Encode(const ClientsAlive& alive, std::string& out);
void Encode(const MetadataRequest& request, std::string& out);
void Encode(const GetMessage& request, std::string& out);

template <typename T>
std::optional<T> Decode(absl::string_view payload);

}  // namespace millrace::link
