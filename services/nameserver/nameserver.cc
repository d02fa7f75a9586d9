#include "services/nameserver/nameserver.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "http/metric_families.h"

namespace millrace::nameserver {
namespace {

constexpr std::int64_t kTickMillis = 1'000;
constexpr std::int64_t kReadyAfterMillis = 15'000;
constexpr std::int64_t kGraceMillis = 1'000;

}  // namespace

absl::StatusOr<std::unique_ptr<Nameserver>> Nameserver::Start(const NameserverOptions& options,
                                                              const base::Clock& clock,
                                                              std::function<void()> on_ready) {
  std::unique_ptr<Nameserver> nameserver(new Nameserver(options, clock, std::move(on_ready)));
  auto server = rpc::StartServer(
      {.address = options.listen, .threads = 1, .message_bytes_max = 64 << 20, .admit = auth::AdmitBy(options.secret)},
      {&nameserver->service_});
  if (!server.ok()) return server.status();
  nameserver->server_ = *std::move(server);
  nameserver->thread_ = std::thread([raw = nameserver.get()] { raw->Run(); });
  return nameserver;
}

Nameserver::Nameserver(const NameserverOptions& options, const base::Clock& clock, std::function<void()> on_ready)
    : options_(options), clock_(clock), on_ready_(std::move(on_ready)), service_(options.expiry_millis, clock) {}

Nameserver::~Nameserver() {
  StopTicking();
  server_.reset();  // no call is left for the service
}

void Nameserver::StopTicking() {
  {
    base::MutexLock lock(mu_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

void Nameserver::Run() {
  const std::int64_t start = clock_.MonotonicMillis();
  bool ready = false;
  base::MutexLock lock(mu_);
  while (!stopping_) {
    mu_.Unlock();
    service_.Tick();
    if (!ready && IsReady(clock_.MonotonicMillis() - start)) {
      ready = true;
      on_ready_();
    }
    mu_.Lock();
    if (!stopping_) changed_.WaitFor(mu_, std::chrono::milliseconds(kTickMillis));
  }
}

bool Nameserver::IsReady(std::int64_t waited_millis) const {
  if (options_.expect.empty() || waited_millis >= kReadyAfterMillis) return true;
  const std::vector<std::string> names = service_.SetNames();
  return std::all_of(options_.expect.begin(), options_.expect.end(), [&](const std::string& expected) {
    return std::find(names.begin(), names.end(), expected) != names.end();
  });
}

void Nameserver::Stop() {
  StopTicking();
  server_->SetServing(false);
  server_->Shutdown(kGraceMillis);
}

std::vector<prometheus::MetricFamily> Nameserver::Collect() const {
  const NameserverService::Counts counts = service_.counts();
  const auto number = [](auto value) { return static_cast<double>(value); };
  http::MetricFamilies families(http::ServiceLabels({}, "nameserver", http::HostName()));
  families.Gauge("millrace_nameserver_brokers", "Registered brokers.", number(counts.replicas));
  families.Gauge("millrace_nameserver_broker_sets", "Registered broker sets.", number(counts.sets));
  families.Gauge("millrace_nameserver_topics", "Topics, counted once per broker set.", number(counts.topics));
  families.Gauge("millrace_nameserver_watchers", "Proxies that watch the routes.", number(counts.watchers));
  families.Counter("millrace_nameserver_registrations_total", "Full registrations.", number(counts.registrations));
  families.Counter("millrace_nameserver_changes_total", "Changes of topics by registered brokers.",
                   number(counts.changes));
  families.Counter("millrace_nameserver_heartbeats_total", "Heartbeats of brokers.", number(counts.heartbeats));
  families.Counter("millrace_nameserver_expired_total", "Brokers forgotten because they were silent.",
                   number(counts.expired));
  return families.Take();
}

}  // namespace millrace::nameserver
