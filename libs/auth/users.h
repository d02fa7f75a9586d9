#pragma once

#include <cstddef>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace millrace::auth {

// The users of a user file: access keys and their secret keys. Immutable.
//
//   users:
//     - accessKey: orders-service
//       secretKey: "2lJ4Zc0kq5hV8sYbQ1rE"
class Users {
 public:
  static constexpr std::size_t kUsersMax = 10'000;
  static constexpr std::size_t kAccessKeyBytesMax = 128;
  static constexpr std::size_t kSecretKeyBytesMin = 8, kSecretKeyBytesMax = 256;

  // `path` is for errors, which name the line and never a secret.
  // Errors: kInvalidArgument
  static absl::StatusOr<Users> Parse(absl::string_view path, absl::string_view yaml);

  // nullptr: there is no such user.
  const std::string* SecretOf(absl::string_view access_key) const;
  std::size_t size() const { return secrets_.size(); }
  // The access key of the only user; empty: there are more.
  std::string Only() const { return size() == 1 ? secrets_.begin()->first : ""; }

 private:
  absl::flat_hash_map<std::string, std::string> secrets_;
};

}  // namespace millrace::auth
