#pragma once

#include <concepts>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "base/check.h"
#include "config/value.h"

// One declaration per configuration key. It gives flag, environment variable, YAML path, help, documentation and check:
//
//   struct StoreConfig {
//     absl::Duration flush_interval = absl::Milliseconds(500);
//     static void Declare(config::Schema<StoreConfig>& keys) {
//       keys.Add("store.flush-interval", &StoreConfig::flush_interval)
//           .Doc("Longest time a byte stays unflushed with asynchronous flushing.")
//           .Range(absl::Milliseconds(1), absl::Minutes(1))
//           .RocketmqName("flushIntervalCommitLog", absl::Milliseconds(1));
//     }
//     absl::Status Validate() const;  // optional: rules between keys
//   };
//
// Flag --store.flush-interval, variable MILLRACE_STORE_FLUSH_INTERVAL, YAML path store.flush-interval.
namespace millrace::config {

// A declared key, bound to the struct that receives its value. The type of the value is hidden.
struct Key {
  std::string name;
  absl::string_view type;
  std::string default_text;
  std::string doc;
  std::string limits;  // "1ms to 1m", "sync or async"; empty: none
  std::string example;
  std::string rocketmq_name;
  bool is_switch = false;
  bool secret = false;  // never printed

  std::function<absl::Status(absl::string_view text)> set;              // parses, checks, stores
  std::function<absl::Status(absl::string_view text)> set_as_rocketmq;  // a bare number has RocketMQ's unit
  std::function<std::string()> text;                                    // of the value now

  std::string Flag() const { return absl::StrCat("--", name); }
  std::string Variable() const;  // MILLRACE_STORE_FLUSH_INTERVAL
  std::string Shown() const;     // text(), or *** for a secret that is set
};

// All keys of one process. Names, variables and aliases are distinct (MR_CHECK).
struct KeyTable {
  std::vector<std::unique_ptr<Key>> keys;                    // in the order of declaration
  std::vector<std::pair<std::string, std::string>> renamed;  // old name -> name
  std::vector<std::function<absl::Status()>> rules;          // Validate() of every struct

  Key& Add(absl::string_view name);
  // By name or RocketMQ's name; null when unknown. `as_rocketmq` says which.
  Key* Find(absl::string_view name, bool& as_rocketmq) const;
  Key* FindVariable(absl::string_view variable) const;
};

// The rest of one declaration.
template <typename M>
class Declaration {
 public:
  Declaration(Key& key, M& value) : key_(key), checks_(std::make_shared<Checks>()) {
    key.type = TypeName(value);
    key.is_switch = std::is_same_v<M, bool>;
    key.default_text = FormatValue(value);
    key.text = [&value] { return FormatValue(std::as_const(value)); };
    key.set = [&value, checks = checks_](absl::string_view text) { return Set(text, *checks, value); };
    key.set_as_rocketmq = key.set;
  }

  Declaration& Doc(absl::string_view text) {
    key_.doc = std::string(text);
    return *this;
  }

  Declaration& Range(M least, M most) {
    key_.limits = absl::StrCat(FormatValue(least), " to ", FormatValue(most));
    checks_->push_back([least, most](const M& value) -> absl::Status {
      if (value < least) {
        return absl::InvalidArgumentError(absl::StrCat("is below the limit ", FormatValue(least), "; set a value from ",
                                                       FormatValue(least), " to ", FormatValue(most)));
      }
      if (most < value) {
        return absl::InvalidArgumentError(absl::StrCat("is above the limit ", FormatValue(most), "; set a value from ",
                                                       FormatValue(least), " to ", FormatValue(most)));
      }
      return absl::OkStatus();
    });
    return *this;
  }

  Declaration& OneOf(std::initializer_list<absl::string_view> names) {
    const std::vector<std::string> allowed(names.begin(), names.end());
    key_.limits = absl::StrJoin(allowed, ", ");
    checks_->push_back([allowed](const M& value) -> absl::Status {
      for (const std::string& name : allowed) {
        if (FormatValue(value) == name) return absl::OkStatus();
      }
      return absl::InvalidArgumentError(absl::StrCat("is not known; set one of ", absl::StrJoin(allowed, ", ")));
    });
    return *this;
  }

  // `check` answers with what is wrong and what to do: "has no port; write host:port".
  Declaration& Check(std::function<absl::Status(const M&)> check) {
    checks_->push_back(std::move(check));
    return *this;
  }

  Declaration& Example(absl::string_view text) {
    key_.example = std::string(text);
    return *this;
  }

  Declaration& Secret() {
    key_.secret = true;
    return *this;
  }

  // RocketMQ's name for the same thing, accepted in files and as a flag.
  Declaration& RocketmqName(absl::string_view name) {
    key_.rocketmq_name = std::string(name);
    return *this;
  }

  // ... where RocketMQ writes a bare number of `unit`.
  Declaration& RocketmqName(absl::string_view name, M unit)
    requires std::same_as<M, absl::Duration>
  {
    key_.rocketmq_name = std::string(name);
    key_.set_as_rocketmq = [set = key_.set, unit](absl::string_view text) {
      std::int64_t count = 0;
      if (!ParseValue(text, count).ok()) return set(text);
      return set(FormatValue(count * unit));
    };
    return *this;
  }

 private:
  using Checks = std::vector<std::function<absl::Status(const M&)>>;

  static absl::Status Set(absl::string_view text, const Checks& checks, M& value) {
    M parsed{};
    if (const absl::Status status = ParseValue(text, parsed); !status.ok()) return status;
    for (const auto& check : checks) {
      if (const absl::Status status = check(parsed); !status.ok()) return status;
    }
    value = std::move(parsed);
    return absl::OkStatus();
  }

  Key& key_;
  std::shared_ptr<Checks> checks_;
};

// What T::Declare fills. Defaults are what `target` holds now; `target` outlives the table.
template <typename T>
class Schema {
 public:
  Schema(T& target, KeyTable& table) : target_(target), table_(table) {}

  template <typename M>
  Declaration<M> Add(absl::string_view name, M T::*member) {
    return Declaration<M>(table_.Add(name), target_.*member);
  }

  // The keys of a struct inside T.
  template <typename Part>
  void Include(Part T::*part) {
    DeclareKeys(target_.*part, table_);
  }

  // Using `old_name` is an error that says where it went.
  void Renamed(absl::string_view old_name, absl::string_view name) { table_.renamed.emplace_back(old_name, name); }

 private:
  T& target_;
  KeyTable& table_;
};

// Adds the keys of `target` and its rules.
template <typename T>
void DeclareKeys(T& target, KeyTable& table) {
  Schema<T> schema(target, table);
  T::Declare(schema);
  if constexpr (requires {
                  { target.Validate() } -> std::same_as<absl::Status>;
                }) {
    table.rules.push_back([&target] { return target.Validate(); });
  }
}

}  // namespace millrace::config
