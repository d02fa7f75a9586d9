#include "auth/user_file.h"

#include <utility>

#include "base/log.h"
#include "base/status.h"

namespace millrace::auth {

absl::StatusOr<std::unique_ptr<UserFile>> UserFile::Open(const std::string& path, io::FileSystem& fs,
                                                         std::int64_t poll_millis) {
  std::unique_ptr<UserFile> users(new UserFile());
  const auto apply = [raw = users.get(), path](absl::string_view content) -> absl::Status {
    MR_ASSIGN_OR_RETURN(Users read, Users::Parse(path, content));
    auto made = std::make_shared<const Users>(std::move(read));
    MR_LOG(Info, "authentication is on", {{"users", made->size()}, {"path", path}});
    base::MutexLock lock(raw->mu_);
    raw->users_ = std::move(made);
    return absl::OkStatus();
  };
  MR_ASSIGN_OR_RETURN(users->file_,
                      WatchedFile::Open({.path = path, .what = "users", .poll_millis = poll_millis}, fs, apply));
  return users;
}

std::optional<Refusal> UserFile::Check(const rpc::ServerCall& call) const {
  auto refusal = JudgeClientSignature(*Now(), call.Header(kAuthorizationHeader), call.Header(kClientDateHeader));
  if (refusal) ++refused_[static_cast<std::size_t>(refusal->cause)];
  return refusal;
}

}  // namespace millrace::auth
