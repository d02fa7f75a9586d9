#include "services/proxy/proxy.h"

#include <chrono>
#include <utility>

#include "absl/time/clock.h"
#include "base/status.h"
#include "http/metric_families.h"
#include "process/process.h"
#include "services/proxy/tls_identity.h"

namespace millrace::proxy {

Proxy::Proxy(const ProxyConfig& config, const std::string& broker_set, LinkClient::OpenStream open,
             const base::Clock& clock)
    : config_(config), name_(config.name.empty() ? http::HostName() : config.name), clock_(clock) {
  link_ = std::make_unique<LinkClient>(LinkClient::Options{.proxy_name = name_}, clock, std::move(open));
  directory_ = std::make_unique<SingleSetDirectory>(
      SingleSetDirectory::Options{.broker = broker_set, .auto_create_topics = config.auto_create_topics}, *link_,
      clock);
}

absl::StatusOr<std::unique_ptr<Proxy>> Proxy::Start(const ProxyConfig& config, const std::string& broker_set,
                                                    LinkClient::OpenStream open, io::FileSystem& fs,
                                                    const base::Clock& clock, std::shared_ptr<rpc::EventLoop> loop) {
  MR_ASSIGN_OR_RETURN(const rpc::TlsIdentity identity, FindTlsIdentity(config, fs));
  std::unique_ptr<Proxy> proxy(new Proxy(config, broker_set, std::move(open), clock));
  if (!config.users_file.empty()) {
    MR_ASSIGN_OR_RETURN(proxy->users_, auth::UserFile::Open(config.users_file, fs));
  }
  // What routes fall back to is only known once the port is: clients nearly always name what they dialled.
  const std::string shown = process::Dialable(config.listen, 8081);
  proxy->service_ = std::make_unique<MessagingService>(
      ServiceOptions{
          .auto_create_topics = config.auto_create_topics, .store_host = shown, .users = proxy->users_.get()},
      *proxy->directory_, clock);
  proxy->admin_ = std::make_unique<AdminService>(*proxy->link_, clock, proxy->users_.get());
  proxy->scaler_ = std::make_unique<ScalerService>(*proxy->link_, clock);
  if (config.canary) proxy->canary_ = std::make_shared<Canary>(*proxy->link_, clock, proxy->name_);
  MR_ASSIGN_OR_RETURN(proxy->clients_, rpc::StartServer({.address = config.listen,
                                                         .tls = identity,
                                                         .loop = std::move(loop),
                                                         .threads = config.threads,
                                                         .connections_max = config.connections_max},
                                                        {proxy->service_.get()}));
  MR_ASSIGN_OR_RETURN(proxy->admins_, rpc::StartServer({.address = config.admin_listen, .threads = 1},
                                                       {proxy->admin_.get(), proxy->scaler_.get()}));
  proxy->thread_ = std::thread([raw = proxy.get()] { raw->Run(); });
  return proxy;
}

Proxy::~Proxy() {
  {
    base::MutexLock lock(mu_);
    stopping_ = true;
  }
  stop_signal_.NotifyAll();
  if (thread_.joinable()) thread_.join();
  if (canary_ != nullptr) canary_->Stop();
  if (service_ != nullptr) {
    service_->BeginDrain();
    service_->EndStreams();
  }
  // Ports close before the services that they call; the link answers what still waits before the services go.
  if (clients_ != nullptr) clients_->Shutdown(0);
  if (admins_ != nullptr) admins_->Shutdown(0);
  link_.reset();
  clients_.reset();
  admins_.reset();
}

void Proxy::Run() {
  while (true) {
    {
      base::MutexLock lock(mu_);
      if (!stopping_) stop_signal_.WaitFor(mu_, std::chrono::seconds(1));
      if (stopping_) return;
    }
    service_->Tick();
    scaler_->Tick();
    if (canary_ != nullptr) canary_->Tick();
  }
}

void Proxy::Stop() {
  clients_->SetServing(false);
  absl::SleepFor(config_.stop_delay);
  {
    base::MutexLock lock(mu_);
    stopping_ = true;
  }
  stop_signal_.NotifyAll();
  if (thread_.joinable()) thread_.join();
  if (canary_ != nullptr) canary_->Stop();
  service_->BeginDrain();
  service_->EndStreams();
  scaler_->EndStreams();
  clients_->Shutdown(config_.drain_seconds * 1'000);
  admins_->Shutdown(1'000);
}

}  // namespace millrace::proxy
