#include "auth/users.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace millrace::auth {
namespace {

// What the header of a client can carry: printable ASCII without its separators.
bool IsAccessKey(absl::string_view text) {
  const auto legal = [](char c) { return c > ' ' && c <= '~' && c != '/' && c != ',' && c != '='; };
  return !text.empty() && text.size() <= Users::kAccessKeyBytesMax && std::all_of(text.begin(), text.end(), legal);
}

class Reader {
 public:
  explicit Reader(absl::string_view path) : path_(path) {}

  // The text of one field of a user. Quotes are wanted around what YAML would take for something else, so a scalar is
  // taken as it is written.
  absl::Status ReadField(const YAML::Node& key, const YAML::Node& value, std::string& access_key,
                         std::string& secret_key) const {
    if (!key.IsScalar() || (key.Scalar() != "accessKey" && key.Scalar() != "secretKey")) {
      return At(key, absl::StrCat(key.IsScalar() ? absl::StrCat("\"", key.Scalar(), "\"") : "this",
                                  " is no field of a user; a user has accessKey and secretKey, and rights per topic "
                                  "and group are not offered yet"));
    }
    std::string& field = key.Scalar() == "accessKey" ? access_key : secret_key;
    if (!field.empty()) return At(key, absl::StrCat(key.Scalar(), " is given twice; keep one"));
    if (!value.IsScalar()) return At(key, absl::StrCat(key.Scalar(), " must be a text"));
    field = value.Scalar();
    return absl::OkStatus();
  }

  absl::Status At(const YAML::Node& node, absl::string_view what) const { return At(node.Mark(), what); }
  absl::Status At(const YAML::Mark& mark, absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat(path_, " line ", mark.line + 1, ": ", what));
  }

 private:
  const absl::string_view path_;
};

absl::Status CheckUser(const Reader& reader, const YAML::Node& node, const std::string& access_key,
                       const std::string& secret_key) {
  if (!IsAccessKey(access_key)) {
    return reader.At(node, absl::StrCat("accessKey must have 1 to ", Users::kAccessKeyBytesMax,
                                        " visible ASCII characters other than / , ="));
  }
  if (secret_key.size() < Users::kSecretKeyBytesMin || secret_key.size() > Users::kSecretKeyBytesMax) {
    return reader.At(node, absl::StrCat("the secretKey of ", access_key, " has ", secret_key.size(),
                                        " bytes; it must have ", Users::kSecretKeyBytesMin, " to ",
                                        Users::kSecretKeyBytesMax, ", as from `openssl rand -base64 24`"));
  }
  return absl::OkStatus();
}

absl::Status ReadUsers(const Reader& reader, const YAML::Node& root,
                       absl::flat_hash_map<std::string, std::string>& secrets) {
  if (!root.IsMap() || root.size() != 1 || !root["users"] || !root["users"].IsSequence()) {
    return reader.At(root, "the file must have one list called users, with accessKey and secretKey in each item");
  }
  const YAML::Node users = root["users"];
  if (users.size() == 0) {
    return reader.At(users,
                     "there is no user, so nobody could call; to switch authentication off leave "
                     "auth.users-file empty");
  }
  if (users.size() > Users::kUsersMax) {
    return reader.At(users, absl::StrCat("there are ", users.size(), " users; the limit is ", Users::kUsersMax));
  }
  for (const YAML::Node& user : users) {
    if (!user.IsMap()) return reader.At(user, "a user is a map with accessKey and secretKey");
    std::string access_key, secret_key;
    for (const auto& field : user) {
      MR_RETURN_IF_ERROR(reader.ReadField(field.first, field.second, access_key, secret_key));
    }
    MR_RETURN_IF_ERROR(CheckUser(reader, user, access_key, secret_key));
    if (!secrets.emplace(access_key, std::move(secret_key)).second) {
      return reader.At(user, absl::StrCat("the accessKey ", access_key, " is given twice; keep one"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Users> Users::Parse(absl::string_view path, absl::string_view yaml) {
  const Reader reader(path);
  Users users;
  try {  // yaml-cpp throws; nothing of that leaves this function, nor its texts, which quote the file
    MR_RETURN_IF_ERROR(ReadUsers(reader, YAML::Load(std::string(yaml)), users.secrets_));
  } catch (const YAML::Exception& error) {
    return reader.At(error.mark, "this is not YAML");
  }
  return users;
}

const std::string* Users::SecretOf(absl::string_view access_key) const {
  const auto found = secrets_.find(access_key);
  return found == secrets_.end() ? nullptr : &found->second;
}

}  // namespace millrace::auth
