#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "config/schema.h"

// What is generated from the declarations. Pure.
namespace millrace::config {

std::string RenderHelp(absl::string_view program, absl::string_view purpose, const KeyTable& table);

// name: "value"; a comment when it is masked (a secret) or nothing is set.
std::string RenderYamlLine(const Key& key);

// One chapter of docs/configuration.md, which scripts/configuration_docs.py puts together.
std::string RenderChapter(absl::string_view program, absl::string_view purpose, const KeyTable& table);

}  // namespace millrace::config
