// What the port does below the calls, seen by a client made of a socket, a few HTTP/2 frames and OpenSSL.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rpc/server.h"

namespace millrace::rpc {
namespace {

using testing::HasSubstr;

constexpr std::int64_t kLongMillis = 60'000;

enum FrameType : std::uint8_t { kData = 0, kHeaders = 1, kSettings = 4, kPing = 6, kGoaway = 7 };

struct Frame {
  std::uint8_t type;
  std::uint8_t flags;
  std::string payload;
};

std::string EncodeFrame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream, const std::string& payload) {
  const auto size = static_cast<std::uint32_t>(payload.size());
  std::string bytes;
  for (const int shift : {16, 8, 0}) bytes += static_cast<char>(size >> shift);
  bytes += static_cast<char>(type);
  bytes += static_cast<char>(flags);
  for (const int shift : {24, 16, 8, 0}) bytes += static_cast<char>(stream >> shift);
  return bytes + payload;
}

std::string EncodeHeader(const std::string& name, const std::string& value) {  // HPACK: literal, never indexed
  return absl::StrCat(std::string("\x10", 1), std::string(1, static_cast<char>(name.size())), name,
                      std::string(1, static_cast<char>(value.size())), value);
}

class RawClient {
 public:
  explicit RawClient(int port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0) << std::strerror(errno);
  }
  ~RawClient() { Close(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  // Trusts `identity` and nothing else; `host` is a DNS name or an IP address that it must be for.
  bool StartTls(const TlsIdentity& identity, const std::string& host) {
    context_ = SSL_CTX_new(TLS_client_method());
    BIO* pem = BIO_new_mem_buf(identity.certificate_chain.data(), static_cast<int>(identity.certificate_chain.size()));
    X509* certificate = PEM_read_bio_X509(pem, nullptr, nullptr, nullptr);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context_), certificate);
    X509_free(certificate);
    BIO_free(pem);
    SSL_CTX_set_verify(context_, SSL_VERIFY_PEER, nullptr);
    ssl_ = SSL_new(context_);
    const unsigned char h2[] = "\x02h2";
    SSL_set_alpn_protos(ssl_, h2, 3);
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_), host.c_str()) != 1) SSL_set1_host(ssl_, host.c_str());
    SSL_set_fd(ssl_, fd_);
    return SSL_connect(ssl_) == 1;
  }

  void Close() {
    if (ssl_ != nullptr) SSL_free(std::exchange(ssl_, nullptr));
    if (context_ != nullptr) SSL_CTX_free(std::exchange(context_, nullptr));
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }

  void Send(const std::string& bytes) {
    if (ssl_ != nullptr) {
      SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()));
    } else {
      send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    }
  }

  // Preface and settings; then the server's settings have come, so the connection is served.
  bool Greet() {
    Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + EncodeFrame(kSettings, 0, 0, ""));
    const auto frame = ReadFrame();
    return frame && frame->type == kSettings;
  }

  void SendCall(std::uint32_t stream, const std::string& path, const std::optional<std::string>& message) {
    const std::string headers = EncodeHeader(":method", "POST") + EncodeHeader(":scheme", "http") +
                                EncodeHeader(":path", path) + EncodeHeader(":authority", "test") +
                                EncodeHeader("te", "trailers") + EncodeHeader("content-type", "application/grpc");
    Send(EncodeFrame(kHeaders, 0x4, stream, headers));
    if (!message) return;
    Send(EncodeFrame(kData, 0x1, stream,
                     absl::StrCat(std::string(4, '\0'), std::string(1, static_cast<char>(message->size())), *message)));
  }

  // nullopt: the connection is closed.
  std::optional<Frame> ReadFrame() {
    std::string head;
    if (!ReadExactly(9, head)) return std::nullopt;
    const auto byte = [&head](std::size_t i) { return static_cast<std::uint8_t>(head[i]); };
    Frame frame{.type = byte(3), .flags = byte(4), .payload = ""};
    if (!ReadExactly(std::size_t{byte(0)} << 16 | std::size_t{byte(1)} << 8 | byte(2), frame.payload)) {
      return std::nullopt;
    }
    if (frame.type == kPing && frame.flags == 0) Send(EncodeFrame(kPing, 0x1, 0, frame.payload));
    return frame;
  }

  // Skips the frames that a connection is full of.
  std::optional<Frame> ReadUntil(std::uint8_t type) {
    for (;;) {
      auto frame = ReadFrame();
      if (!frame || frame->type == type || frame->type == kGoaway) return frame;
    }
  }

  bool ClosedByServer() {
    for (;;) {
      if (!ReadFrame()) return true;
    }
  }

 private:
  bool ReadExactly(std::size_t size, std::string& bytes) {
    while (bytes.size() < size) {
      char buffer[4096];
      const std::size_t want = std::min(size - bytes.size(), sizeof buffer);
      const long got = ssl_ != nullptr ? SSL_read(ssl_, buffer, static_cast<int>(want)) : recv(fd_, buffer, want, 0);
      if (got <= 0) return false;
      bytes.append(buffer, static_cast<std::size_t>(got));
    }
    return true;
  }

  int fd_;
  SSL_CTX* context_ = nullptr;
  SSL* ssl_ = nullptr;
};

// "/t/Transport" answers "tls" or "plain"; "/t/Headers" sends its headers at once and never a message.
class TestService final : public Service {
 public:
  std::optional<CallKind> Kind(absl::string_view method) const override {
    if (method == "/t/Transport") return CallKind::kUnary;
    if (method == "/t/Headers") return CallKind::kBidi;
    return std::nullopt;
  }
  void OnRequest(std::shared_ptr<ServerCall> call, absl::string_view) override {
    call->WriteAndFinish(call->tls() ? "tls" : "plain");
  }
  std::unique_ptr<StreamHandler> OnStream(std::shared_ptr<ServerCall> call) override {
    struct Ignore final : StreamHandler {
      void OnMessage(std::string) override {}
      void OnHalfClose() override {}
    };
    call->SendInitialMetadata();
    return std::make_unique<Ignore>();
  }
};

class PortTest : public testing::Test {
 protected:
  void Start(ServerOptions options = {}) {
    options.address = "127.0.0.1:0";
    auto server = StartServer(options, {&service_});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  // What the server says about the connection of `client`.
  static std::string Ask(RawClient& client, std::uint32_t stream = 1) {
    client.SendCall(stream, "/t/Transport", "x");
    const auto frame = client.ReadUntil(kData);
    if (!frame || frame->type != kData || frame->payload.size() < 5) return "no answer";
    return frame->payload.substr(5);
  }

  TestService service_;
  std::unique_ptr<Server> server_;
};

TEST_F(PortTest, PlaintextAndTlsShareThePort) {
  const auto identity = MakeSelfSignedIdentity({"localhost", "127.0.0.1", "::1"});
  ASSERT_TRUE(identity.ok()) << identity.status();
  Start({.tls = *identity});
  RawClient plain(server_->port());
  ASSERT_TRUE(plain.Greet());
  EXPECT_EQ(Ask(plain), "plain");
  for (const std::string name : {"localhost", "127.0.0.1", "::1"}) {
    RawClient tls(server_->port());
    ASSERT_TRUE(tls.StartTls(*identity, name)) << name;
    ASSERT_TRUE(tls.Greet());
    EXPECT_EQ(Ask(tls), "tls");
  }
  EXPECT_EQ(Ask(plain, 3), "plain");
  RawClient wrong_name(server_->port());
  EXPECT_FALSE(wrong_name.StartTls(*identity, "example.org"));
}

TEST_F(PortTest, WithoutAnIdentityATlsClientIsTurnedAway) {
  Start();
  const auto other = MakeSelfSignedIdentity({"localhost"});
  ASSERT_TRUE(other.ok());
  RawClient client(server_->port());
  EXPECT_FALSE(client.StartTls(*other, "localhost"));
}

TEST_F(PortTest, FirstByteMayComeAlone) {
  Start();
  RawClient client(server_->port());
  const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + EncodeFrame(kSettings, 0, 0, "");
  for (const char byte : preface) client.Send(std::string(1, byte));
  const auto frame = client.ReadFrame();
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->type, kSettings);
  EXPECT_EQ(Ask(client), "plain");
}

TEST_F(PortTest, SilentConnectionIsClosedAndDisturbsNobody) {
  Start({.first_byte_timeout_millis = 200});
  RawClient silent(server_->port());
  RawClient busy(server_->port());
  ASSERT_TRUE(busy.Greet());
  EXPECT_EQ(Ask(busy), "plain");
  EXPECT_TRUE(silent.ClosedByServer());
  EXPECT_EQ(Ask(busy, 3), "plain");
}

TEST_F(PortTest, ConnectionThatStopsAfterItsFirstByteIsClosedToo) {
  Start({.first_byte_timeout_millis = 200});
  RawClient client(server_->port());
  client.Send("P");
  EXPECT_TRUE(client.ClosedByServer());
}

TEST_F(PortTest, ConnectionsAboveTheLimitAreRefusedUntilOneCloses) {
  Start({.connections_max = 2});
  RawClient first(server_->port());
  RawClient second(server_->port());
  ASSERT_TRUE(first.Greet());
  ASSERT_TRUE(second.Greet());
  RawClient third(server_->port());
  EXPECT_FALSE(third.Greet());
  EXPECT_EQ(Ask(second), "plain");
  first.Close();
  for (bool served = false; !served;) {  // the server learns of the close a moment later
    RawClient fourth(server_->port());
    served = fourth.Greet();
  }
}

TEST_F(PortTest, ConnectionThatTheServerClosesCountsNoMore) {
  Start({.connections_max = 1});
  for (int i = 0; i < 20; ++i) {
    RawClient garbage(server_->port());
    garbage.Send("GET / HTTP/1.1\r\n\r\n");
    EXPECT_TRUE(garbage.ClosedByServer());
  }
  for (bool served = false; !served;) {
    RawClient client(server_->port());
    served = client.Greet() && Ask(client) == "plain";
  }
}

TEST_F(PortTest, HeadersGoOutBeforeAnyMessage) {
  Start();
  RawClient client(server_->port());
  ASSERT_TRUE(client.Greet());
  client.SendCall(1, "/t/Headers", std::nullopt);
  const auto frame = client.ReadUntil(kHeaders);
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->type, kHeaders);
}

TEST_F(PortTest, PingsWithoutCallsAreAnsweredForever) {
  Start();
  RawClient client(server_->port());
  ASSERT_TRUE(client.Greet());
  for (int i = 0; i < 50; ++i) {
    client.Send(EncodeFrame(kPing, 0, 0, "12345678"));
    const auto frame = client.ReadUntil(kPing);
    ASSERT_TRUE(frame);
    ASSERT_EQ(frame->type, kPing) << "GOAWAY after " << i << " pings: " << frame->payload;
  }
  EXPECT_EQ(Ask(client), "plain");
}

TEST_F(PortTest, ShutdownClosesConnections) {
  Start();
  RawClient idle(server_->port());
  RawClient silent(server_->port());
  ASSERT_TRUE(idle.Greet());
  const int port = server_->port();
  std::thread shutdown([this] { server_->Shutdown(kLongMillis); });
  EXPECT_TRUE(idle.ClosedByServer());
  EXPECT_TRUE(silent.ClosedByServer());
  shutdown.join();
  EXPECT_EQ(server_->port(), port);
  server_->Shutdown(0);
}

TEST_F(PortTest, TakenPortIsNamed) {
  Start();
  const std::string address = absl::StrCat("127.0.0.1:", server_->port());
  const auto second = StartServer({.address = address}, {&service_});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(address));
}

TEST_F(PortTest, AddressThatCannotBeParsedIsNamed) {
  for (const std::string address : {"", "8081", ":8081", "127.0.0.1:http", "1.2.3.4.5:8081", "[::1:8081"}) {
    const auto server = StartServer({.address = address}, {&service_});
    EXPECT_EQ(server.status().code(), absl::StatusCode::kInvalidArgument) << address;
    EXPECT_THAT(std::string(server.status().message()), HasSubstr(address));
  }
}

TEST_F(PortTest, UnusableTlsIdentityIsRefusedWithTheReason) {
  const auto one = MakeSelfSignedIdentity({"one"});
  const auto two = MakeSelfSignedIdentity({"two"});
  ASSERT_TRUE(one.ok() && two.ok());
  const auto error = [this](const TlsIdentity& identity) {
    const auto server = StartServer({.address = "127.0.0.1:0", .tls = identity}, {&service_});
    EXPECT_EQ(server.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(server.status().message());
  };
  EXPECT_THAT(error({one->certificate_chain, two->private_key}), HasSubstr("does not belong"));
  EXPECT_THAT(error({"text", one->private_key}), HasSubstr("certificate"));
  EXPECT_THAT(error({one->certificate_chain, "text"}), HasSubstr("private key"));
  EXPECT_THAT(error({one->certificate_chain, ""}), HasSubstr("only one of them"));
}

TEST(MakeSelfSignedIdentityTest, NamesThatAreNoNamesAreRefused) {
  EXPECT_FALSE(MakeSelfSignedIdentity({}).ok());
  for (const std::string name : {"", "a,DNS:b", "a b", "1:2"}) {
    EXPECT_FALSE(MakeSelfSignedIdentity({name}).ok()) << name;
  }
  EXPECT_TRUE(MakeSelfSignedIdentity({std::string(100, 'a'), "*.example.org", "fe80::1"}).ok());
}

}  // namespace
}  // namespace millrace::rpc
