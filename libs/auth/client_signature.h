#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "auth/signing_channel.h"
#include "auth/users.h"
#include "base/clock.h"

// How every official SDK proves who it is: the header
//   authorization: MQv2-HMAC-SHA1 Credential=KEY[/region/service], SignedHeaders=x-mq-date-time, Signature=HEX
// where HEX is the HMAC-SHA1 of the text of the header x-mq-date-time under the secret key. The date is text and
// nothing else: any format, any age (SDKs print local time as UTC). So a signature that was overheard stays good until
// the secret key changes.
namespace millrace::auth {

inline constexpr char kAuthorizationHeader[] = "authorization";
inline constexpr char kClientDateHeader[] = "x-mq-date-time";

// Why a call is not let in.
enum class RefusalCause : std::uint8_t { kMissing, kMalformed, kUnknownAccessKey, kWrongSignature };
inline constexpr int kRefusalCauses = 4;
absl::string_view NameOf(RefusalCause cause);  // "unknown_access_key": a label of metrics

struct Refusal {
  RefusalCause cause;
  std::string text;  // for the caller; has the access key, never a signature
};

// nullopt: a user of `users` has signed.
std::optional<Refusal> JudgeClientSignature(const Users& users, absl::string_view authorization,
                                            absl::string_view date);

// The value of the header, as a client writes it.
std::string ClientAuthorization(absl::string_view access_key, absl::string_view secret_key, absl::string_view date);

// Signs as a client. Lifetime: `clock` outlives it.
class ClientSigner final : public CallSigner {
 public:
  ClientSigner(std::string access_key, std::string secret_key, const base::Clock& clock)
      : access_key_(std::move(access_key)), secret_key_(std::move(secret_key)), clock_(clock) {}
  Headers HeadersFor(absl::string_view method) const override;

 private:
  const std::string access_key_, secret_key_;
  const base::Clock& clock_;
};

}  // namespace millrace::auth
