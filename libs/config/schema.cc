#include "config/schema.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_replace.h"

namespace millrace::config {

std::string Key::Variable() const {
  return absl::StrCat("MILLRACE_", absl::AsciiStrToUpper(absl::StrReplaceAll(name, {{".", "_"}, {"-", "_"}})));
}

std::string Key::Shown() const {
  const std::string value = text();
  return secret && !value.empty() ? "***" : value;
}

Key& KeyTable::Add(absl::string_view name) {
  auto key = std::make_unique<Key>();
  key->name = std::string(name);
  bool as_rocketmq = false;
  MR_CHECK(Find(name, as_rocketmq) == nullptr && FindVariable(key->Variable()) == nullptr);
  keys.push_back(std::move(key));
  return *keys.back();
}

Key* KeyTable::Find(absl::string_view name, bool& as_rocketmq) const {
  for (const auto& key : keys) {
    as_rocketmq = !name.empty() && key->rocketmq_name == name;
    if (key->name == name || as_rocketmq) return key.get();
  }
  return nullptr;
}

Key* KeyTable::FindVariable(absl::string_view variable) const {
  for (const auto& key : keys) {
    if (key->Variable() == variable) return key.get();
  }
  return nullptr;
}

}  // namespace millrace::config
