#include "services/proxy/answers.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "services/proxy/wire.h"

namespace millrace::proxy {

namespace v2 = apache::rocketmq::v2;

namespace {

// Fields of v2.Status.
constexpr std::uint32_t kCodeField = 1;
constexpr std::uint32_t kTextField = 2;
constexpr std::uint32_t kStatusField = 1;  // of every response
constexpr std::size_t kTagBytes = 1;

}  // namespace

void AppendStatus(std::string& out, std::uint32_t number, int code, absl::string_view text) {
  const auto code_value = static_cast<std::uint64_t>(code);
  std::size_t size = kTagBytes + VarintBytes(code_value);
  if (!text.empty()) size += kTagBytes + VarintBytes(text.size()) + text.size();
  AppendBytesHeader(out, number, size);
  AppendVarintField(out, kCodeField, code_value);
  if (!text.empty()) AppendBytesField(out, kTextField, text);
}

std::string OkAnswer() {
  std::string out;
  AppendStatus(out, kStatusField, kOk, "OK");
  return out;
}

std::string ErrorAnswer(const model::Error& error) {
  std::string out;
  AppendStatus(out, kStatusField, error.number(), error.text);
  return out;
}

void SetStatus(v2::Status& status, int code, absl::string_view text) {
  status.set_code(static_cast<v2::Code>(code));
  status.set_message(text.data(), text.size());
}

void SetOk(v2::Status& status) { SetStatus(status, kOk, "OK"); }

void SetError(v2::Status& status, const model::Error& error) { SetStatus(status, error.number(), error.text); }

std::string CodeName(int code) {
  const std::string& name = v2::Code_Name(static_cast<v2::Code>(code));
  return name.empty() ? absl::StrCat(code) : name;
}

int AggregateCode(const std::vector<int>& codes) {
  MR_CHECK(!codes.empty());
  const bool equal = std::all_of(codes.begin(), codes.end(), [&](int code) { return code == codes.front(); });
  return equal ? codes.front() : kMultipleResults;
}

model::Error BrokerError(std::uint32_t code, absl::string_view text) {
  return {static_cast<model::ErrorCode>(code), std::string(text.data(), text.size())};
}

}  // namespace millrace::proxy
