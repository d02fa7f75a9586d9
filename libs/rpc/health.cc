#include "rpc/health.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace millrace::rpc {
namespace {

// HealthCheckResponse{status = 1: SERVING = 1, NOT_SERVING = 2}
std::string Answer(bool serving) { return serving ? std::string("\x08\x01", 2) : std::string("\x08\x02", 2); }

}  // namespace

void HealthService::SetServing(bool serving) {
  base::MutexLock lock(shared_->mu);
  if (std::exchange(shared_->serving, serving) == serving) return;
  for (const auto& watcher : shared_->watchers) watcher->Write(Answer(serving));
}

std::optional<CallKind> HealthService::Kind(absl::string_view method) const {
  if (method == "/grpc.health.v1.Health/Check") return CallKind::kUnary;
  if (method == "/grpc.health.v1.Health/Watch") return CallKind::kServerStream;
  return std::nullopt;
}

void HealthService::OnRequest(std::shared_ptr<ServerCall> call, absl::string_view) {
  const bool watch = call->method() == "/grpc.health.v1.Health/Watch";
  {
    base::MutexLock lock(shared_->mu);
    if (!watch) return call->WriteAndFinish(Answer(shared_->serving));
    shared_->watchers.push_back(call);
    call->Write(Answer(shared_->serving));
  }
  // Outside the lock: it runs at once when the call is already over.
  call->OnEnded([shared = shared_, ended = call.get()](CallEnd) {
    base::MutexLock lock(shared->mu);
    std::erase_if(shared->watchers, [ended](const auto& watcher) { return watcher.get() == ended; });
  });
}

std::unique_ptr<StreamHandler> HealthService::OnStream(std::shared_ptr<ServerCall>) {
  MR_CHECK(false);  // no method of ours is bidirectional
  return nullptr;
}

}  // namespace millrace::rpc
