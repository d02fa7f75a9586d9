#include "auth/cluster_secret.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "auth/client_signature.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/status.h"

namespace millrace::auth {
namespace {

constexpr absl::string_view kScheme = "MILLRACE-HMAC-SHA256 ";
constexpr char kDateHeader[] = "x-millrace-date";  // milliseconds since 1970, as text
constexpr absl::string_view kFix = "; give every nameserver, broker and proxy the same file in cluster.secret-file";

base::Sha256Mac Sign(absl::string_view secret, absl::string_view method, absl::string_view date) {
  return base::HmacSha256(secret, absl::StrCat(method, "\n", date));
}

}  // namespace

absl::StatusOr<std::shared_ptr<ClusterSecret>> ClusterSecret::Open(const std::string& path, io::FileSystem& fs,
                                                                   const base::Clock& clock, std::int64_t poll_millis) {
  if (path.empty()) return std::shared_ptr<ClusterSecret>();
  std::shared_ptr<ClusterSecret> secret(new ClusterSecret(clock));
  const auto apply = [raw = secret.get(), path](absl::string_view content) -> absl::Status {
    MR_ASSIGN_OR_RETURN(Secrets read, Parse(path, content));
    auto made = std::make_shared<const Secrets>(std::move(read));
    base::MutexLock lock(raw->mu_);
    raw->secrets_ = std::move(made);
    return absl::OkStatus();
  };
  MR_ASSIGN_OR_RETURN(
      secret->file_,
      WatchedFile::Open({.path = path, .what = "the secret of the cluster", .poll_millis = poll_millis}, fs, apply));
  return secret;
}

absl::StatusOr<ClusterSecret::Secrets> ClusterSecret::Parse(absl::string_view path, absl::string_view content) {
  Secrets secrets;
  int number = 0;
  for (const absl::string_view raw : absl::StrSplit(content, '\n')) {
    ++number;
    const absl::string_view line = absl::StripAsciiWhitespace(raw);
    if (line.empty()) continue;
    if (line.size() < kSecretBytesMin || line.size() > kSecretBytesMax) {
      return absl::InvalidArgumentError(absl::StrCat(path, " line ", number, ": the secret has ", line.size(),
                                                     " bytes; it must have ", kSecretBytesMin, " to ", kSecretBytesMax,
                                                     ", as from `openssl rand -base64 32`"));
    }
    secrets.emplace_back(line.data(), line.size());
  }
  if (secrets.empty() || secrets.size() > kSecretsMax) {
    return absl::InvalidArgumentError(absl::StrCat(path, " has ", secrets.size(), " secrets; write 1 to ", kSecretsMax,
                                                   ", one a line, as from `openssl rand -base64 32`"));
  }
  return secrets;
}

CallSigner::Headers ClusterSecret::HeadersFor(absl::string_view method) const {
  const std::string date = absl::StrCat(clock_.WallMillis());
  const auto mac = Sign(Now()->front(), method, date);
  return {{kDateHeader, date}, {kAuthorizationHeader, absl::StrCat(kScheme, base::HexUpper({mac.data(), mac.size()}))}};
}

absl::Status ClusterSecret::Judge(const rpc::ServerCall& call) const {
  absl::string_view authorization = call.Header(kAuthorizationHeader);
  const absl::string_view date = call.Header(kDateHeader);
  if (authorization.empty() || date.empty()) {
    return absl::UnauthenticatedError(
        absl::StrCat("the call is not signed, and this port is for processes that share its secret", kFix));
  }
  const auto mac = absl::ConsumePrefix(&authorization, kScheme) ? base::FromHex(authorization) : std::nullopt;
  bool known = false;
  for (const std::string& secret : *Now()) {
    const auto expected = Sign(secret, call.method(), date);
    if (mac && base::EqualInConstantTime(*mac, {expected.data(), expected.size()})) known = true;
  }
  if (!known) return absl::UnauthenticatedError(absl::StrCat("the caller has another secret than this process", kFix));
  std::int64_t signed_millis = 0;
  const std::int64_t now_millis = clock_.WallMillis();
  if (!absl::SimpleAtoi(date, &signed_millis) || signed_millis < now_millis - kClockDifferenceMaxMillis ||
      signed_millis > now_millis + kClockDifferenceMaxMillis) {
    return absl::UnauthenticatedError(absl::StrCat("the call was signed at ", date, " ms, the clock here says ",
                                                   now_millis, " ms; the limit is ", kClockDifferenceMaxMillis / 1'000,
                                                   " s; set the clocks of both machines by the same time"));
  }
  return absl::OkStatus();
}

absl::Status ClusterSecret::Check(const rpc::ServerCall& call) const {
  absl::Status status = Judge(call);
  if (status.ok()) return status;
  ++refused_;
  if (const auto left_out = notes_.Note(clock_.MonotonicMillis())) {
    MR_LOG(Warn, "a call between services was refused",
           {{"method", call.method()}, {"peer", call.peer()}, {"cause", status.message()}, {"left_out", *left_out}});
  }
  return status;
}

std::function<absl::Status(const rpc::ServerCall&)> AdmitBy(std::shared_ptr<const ClusterSecret> secret) {
  if (secret == nullptr) return nullptr;
  return [secret = std::move(secret)](const rpc::ServerCall& call) { return secret->Check(call); };
}

}  // namespace millrace::auth
