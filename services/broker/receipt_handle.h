#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "core/events.h"

namespace millrace::broker {

// A receipt handle as clients see it: base64url of version, broker set, the handle, and a keyed MAC, so any proxy can
// route it and nobody can make one up. docs/formats/receipt_handle.md
std::string EncodeHandle(const core::Handle& handle, absl::string_view broker_set, absl::string_view mac_key);

// nullopt: not a handle of this broker set, or its MAC is wrong.
std::optional<core::Handle> DecodeHandle(absl::string_view text, absl::string_view broker_set,
                                         absl::string_view mac_key);

}  // namespace millrace::broker
