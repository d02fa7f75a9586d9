#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <ostream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/output.h"
#include "cli/read_only_file_system.h"
#include "cli/store_log.h"
#include "cli/store_report.h"
#include "io/posix_file_system.h"

namespace millrace::cli {
namespace {

namespace fs = std::filesystem;

int FailWith(Session& session, const absl::Status& status) {
  return Fail(session, ExitCodeOf(status), std::string(status.message()));
}

// `path` may be the broker's directory or the data directory of `up`, which has it as "broker".
absl::StatusOr<OfflineStore> OpenStore(io::FileSystem& files, const std::string& path) {
  for (const char* below : {"", "/store", "/broker", "/broker/store"}) {
    if (files.Exists(path + below + "/identity")) return OfflineStore::Open(files, path + below);
  }
  return absl::NotFoundError(absl::StrCat(path,
                                          ": no store here (no file `identity`); give the directory that has "
                                          "commitlog/ in it"));
}

int Verify(Session& session, io::FileSystem& files, const std::string& path) {
  const auto store = OpenStore(files, path);
  if (!store.ok()) return FailWith(session, store.status());
  const auto sums = store->Verify();
  if (!sums.ok()) return FailWith(session, sums.status());
  if (session.json()) {
    session.env.out << Text(Json{{"directory", path},
                                 {"identity", ToJson(store->identity())},
                                 {"segments", sums->segments},
                                 {"first", sums->first},
                                 {"end", sums->end},
                                 {"batches", sums->batches},
                                 {"records", sums->records},
                                 {"torn_bytes", sums->torn_bytes}});
    return kExitOk;
  }
  session.env.out << "log of broker set " << store->identity().broker_set << " from " << sums->first << " to "
                  << sums->end << ": segments " << sums->segments << ", batches " << sums->batches << ", records "
                  << sums->records << ", no damage\n";
  if (sums->torn_bytes > 0) {
    session.env.out << "behind it " << sums->torn_bytes << " bytes of a write that did not complete: the next start "
                    << "cuts them, and nobody was told that they are there\n";
  }
  return kExitOk;
}

int InspectSegment(Session& session, io::FileSystem& files, const fs::path& path, std::uint64_t first) {
  const auto store = OfflineStore::Open(files, path.parent_path().parent_path().string());
  if (!store.ok()) return FailWith(session, store.status());
  const absl::Status read = store->ReadSegment(first, [&session](const store::LogBatch& batch) {
    session.env.out << (session.json() ? Line(ToJson(batch)) : ToText(batch));
  });
  return read.ok() ? kExitOk : FailWith(session, read);
}

int InspectDirectory(Session& session, io::FileSystem& files, const std::string& path) {
  const auto store = OpenStore(files, path);
  if (!store.ok()) return FailWith(session, store.status());
  const auto names = files.List(store->log_directory());
  if (!names.ok()) return FailWith(session, names.status());
  Json json{{"identity", ToJson(store->identity())}, {"checkpoint", ToJson(store->checkpoint())}};
  Table table({"SEGMENT", "BATCHES", "RECORDS", "FIRST-TIME", "LAST-TIME"});
  Json& segments = json["segments"] = Json::array();
  absl::Status read;
  for (const std::string& name : *names) {
    std::uint64_t first = 0;
    if (!read.ok() || !absl::SimpleAtoi(name, &first)) continue;
    std::uint64_t batches = 0, records = 0;
    std::int64_t first_millis = 0, last_millis = 0;
    read = store->ReadSegment(first, [&](const store::LogBatch& batch) {
      if (batches++ == 0) first_millis = batch.log_time_millis;
      records += batch.records.size();
      last_millis = batch.log_time_millis;
    });
    table.Add({name, absl::StrCat(batches), absl::StrCat(records), TimeText(first_millis), TimeText(last_millis)});
    segments.push_back({{"segment", name},
                        {"batches", batches},
                        {"records", records},
                        {"first_time", TimeText(first_millis)},
                        {"last_time", TimeText(last_millis)}});
  }
  if (session.json()) {
    session.env.out << Text(json);
  } else {
    session.env.out << "identity    " << json["identity"].dump() << "\ncheckpoint  " << json["checkpoint"].dump()
                    << "\n\n"
                    << table.Text();
  }
  return read.ok() ? kExitOk : FailWith(session, read);
}

int Inspect(Session& session, io::FileSystem& files, const std::string& path) {
  std::error_code error;
  const fs::path absolute = fs::absolute(path, error);
  if (fs::is_directory(absolute, error)) return InspectDirectory(session, files, path);
  if (!fs::exists(absolute, error)) return Fail(session, kExitNotFound, path + ": no such file or directory");
  std::uint64_t first = 0;
  if (absolute.parent_path().filename() == "commitlog" && absl::SimpleAtoi(absolute.filename().string(), &first)) {
    return InspectSegment(session, files, absolute, first);
  }
  return Fail(session, kExitUsage,
              path +
                  ": not a file that this command reads; give a broker's directory or a "
                  "segment in its commitlog/");
}

}  // namespace

void AddStore(CLI::App& app, Session& session) {
  CLI::App* noun = app.add_subcommand("store", "Look at a broker's files offline; nothing is changed");
  noun->require_subcommand(1);
  const auto add = [&](const char* verb, const char* what, const char* argument,
                       int (*action)(Session&, io::FileSystem&, const std::string&)) {
    CLI::App* command = noun->add_subcommand(verb, what);
    const auto path = std::make_shared<std::string>();
    command->add_option(argument, *path, "Directory with commitlog/ in it, or the data directory of `millrace up`")
        ->required();
    AddOutputOption(*command, session);
    command->callback([&session, path, action] {
      session.action = [&session, path, action] {
        const auto disk = io::MakePosixFileSystem();
        return action(session, *MakeReadOnly(*disk), *path);
      };
    });
  };
  add("inspect", "Show the segments of a store, or the batches and records of one segment", "FILE_OR_DIR", Inspect);
  add("verify", "Check every checksum of the commit log; exit code 1 on damage", "DIR", Verify);
}

}  // namespace millrace::cli
