#include "http/http_server.h"

#include <httplib.h>

#include <atomic>
#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "http/metric_families.h"
#include <prometheus/text_serializer.h>

namespace millrace::http {
namespace {

constexpr std::size_t kThreads = 2;
constexpr char kText[] = "text/plain; charset=utf-8";
constexpr char kMetricsText[] = "text/plain; version=0.0.4; charset=utf-8";

struct Address {
  std::string host;
  int port = 0;
};

absl::StatusOr<Address> ParseAddress(absl::string_view listen) {
  Address address;
  const std::size_t colon = listen.rfind(':');
  if (colon == absl::string_view::npos || !absl::SimpleAtoi(listen.substr(colon + 1), &address.port) ||
      address.port < 0 || address.port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", listen, "\" is no address to listen on; write host:port, for example 0.0.0.0:5557"));
  }
  absl::string_view host = listen.substr(0, colon);
  if (absl::ConsumePrefix(&host, "[")) absl::ConsumeSuffix(&host, "]");
  address.host = host.empty() ? "0.0.0.0" : std::string(host);
  return address;
}

class HttplibServer final : public HttpServer {
 public:
  explicit HttplibServer(std::vector<const prometheus::Collectable*> metrics) : metrics_(std::move(metrics)) {
    server_.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
    server_.set_read_timeout(5);
    server_.set_write_timeout(5);
    server_.set_keep_alive_timeout(5);
    server_.set_payload_max_length(0);
    // The library's default lets a second process listen on the same port.
    server_.set_socket_options([](socket_t socket) {
      const int on = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    });
    const auto live = [](const httplib::Request&, httplib::Response& response) { response.set_content("ok\n", kText); };
    server_.Get("/livez", live);
    server_.Get("/healthz", live);
    server_.Get("/readyz", [this](const httplib::Request&, httplib::Response& response) {
      const bool ready = ready_;
      response.status = ready ? 200 : 503;
      response.set_content(ready ? "ready\n" : "not ready\n", kText);
    });
    server_.Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
      response.set_content(Metrics(), kMetricsText);
    });
  }

  ~HttplibServer() override {
    server_.stop();
    if (thread_.joinable()) thread_.join();
  }

  absl::Status Listen(const Address& address, absl::string_view listen) {
    if (address.port == 0) {
      port_ = server_.bind_to_any_port(address.host.c_str());
    } else if (server_.bind_to_port(address.host.c_str(), address.port)) {
      port_ = address.port;
    } else {
      port_ = -1;
    }
    if (port_ < 0) {
      return absl::AlreadyExistsError(
          absl::StrCat("http.listen: ", listen, " cannot be bound; is the port in use? give another one"));
    }
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    // stop() is lost on a server that has not begun to run.
    while (!server_.is_running()) std::this_thread::yield();
    return absl::OkStatus();
  }

  int port() const override { return port_; }
  void SetReady(bool ready) override { ready_ = ready; }

 private:
  std::string Metrics() const { return prometheus::TextSerializer().Serialize(Merge(metrics_)); }

  const std::vector<const prometheus::Collectable*> metrics_;
  std::atomic<bool> ready_ = false;
  int port_ = -1;
  httplib::Server server_;
  std::thread thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& listen,
                                                              std::vector<const prometheus::Collectable*> metrics) {
  MR_ASSIGN_OR_RETURN(const Address address, ParseAddress(listen));
  auto server = std::make_unique<HttplibServer>(std::move(metrics));
  MR_RETURN_IF_ERROR(server->Listen(address, listen));
  return server;
}

}  // namespace millrace::http
