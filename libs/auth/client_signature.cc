#include "auth/client_signature.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "base/digest.h"

namespace millrace::auth {
namespace {

constexpr absl::string_view kScheme = "MQv2-HMAC-SHA1";
constexpr std::size_t kShownBytesMax = 64;

struct Parts {
  absl::string_view access_key, signature;
};

// nullopt: not of the form.
std::optional<Parts> Split(absl::string_view authorization) {
  if (!absl::ConsumePrefix(&authorization, kScheme) || !absl::ConsumePrefix(&authorization, " ")) return std::nullopt;
  Parts parts;
  bool has_credential = false;
  for (const absl::string_view raw : absl::StrSplit(authorization, ',')) {
    const absl::string_view pair = absl::StripAsciiWhitespace(raw);
    const std::size_t equals = pair.find('=');
    if (equals == absl::string_view::npos) return std::nullopt;
    const absl::string_view key = pair.substr(0, equals), value = pair.substr(equals + 1);
    if (key == "Credential") {
      parts.access_key = value.substr(0, value.find('/'));
      has_credential = true;
    } else if (key == "Signature") {
      parts.signature = value;
    }
  }
  if (!has_credential) return std::nullopt;
  return parts;
}

// What somebody else wrote, fit for a line of a log.
std::string Shown(absl::string_view text) { return absl::CHexEscape(text.substr(0, kShownBytesMax)); }

Refusal Missing(absl::string_view what) {
  return {RefusalCause::kMissing,
          absl::StrCat(what, ": authentication is on here; give the client an access key and a secret key of a user")};
}

}  // namespace

absl::string_view NameOf(RefusalCause cause) {
  switch (cause) {
    case RefusalCause::kMissing: return "missing";
    case RefusalCause::kMalformed: return "malformed";
    case RefusalCause::kUnknownAccessKey: return "unknown_access_key";
    case RefusalCause::kWrongSignature: return "wrong_signature";
  }
  return "";
}

std::optional<Refusal> JudgeClientSignature(const Users& users, absl::string_view authorization,
                                            absl::string_view date) {
  if (authorization.empty()) return Missing("the header authorization is missing");
  const auto parts = Split(authorization);
  if (!parts) {
    return Refusal{RefusalCause::kMalformed,
                   "the header authorization has not the form \"MQv2-HMAC-SHA1 Credential=KEY, "
                   "SignedHeaders=x-mq-date-time, Signature=HEX\": use an official RocketMQ 5 SDK"};
  }
  if (parts->access_key.empty()) return Missing("the access key is empty");
  if (date.empty()) return Missing("the header x-mq-date-time, which the signature covers, is missing");
  const std::string* const secret_key = users.SecretOf(parts->access_key);
  if (secret_key == nullptr) {
    return Refusal{RefusalCause::kUnknownAccessKey,
                   absl::StrCat("there is no user with the access key \"", Shown(parts->access_key),
                                "\": use one that is in the user file, or add it there")};
  }
  const auto expected = base::HmacSha1(*secret_key, date);
  const auto signature = base::FromHex(parts->signature);
  if (!signature || !base::EqualInConstantTime(*signature, {expected.data(), expected.size()})) {
    return Refusal{RefusalCause::kWrongSignature,
                   absl::StrCat("the signature is not that of the access key \"", Shown(parts->access_key),
                                "\": the client has another secret key than the user file")};
  }
  return std::nullopt;
}

std::string ClientAuthorization(absl::string_view access_key, absl::string_view secret_key, absl::string_view date) {
  const auto mac = base::HmacSha1(secret_key, date);
  return absl::StrCat(kScheme, " Credential=", access_key, ", SignedHeaders=", kClientDateHeader,
                      ", Signature=", base::HexUpper({mac.data(), mac.size()}));
}

CallSigner::Headers ClientSigner::HeadersFor(absl::string_view) const {
  const std::string date =
      absl::FormatTime("%Y%m%dT%H%M%SZ", absl::FromUnixMillis(clock_.WallMillis()), absl::UTCTimeZone());
  return {{kClientDateHeader, date}, {kAuthorizationHeader, ClientAuthorization(access_key_, secret_key_, date)}};
}

}  // namespace millrace::auth
