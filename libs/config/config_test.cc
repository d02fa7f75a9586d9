#include <filesystem>
#include <fstream>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "config/loader.h"
#include "config/render.h"

namespace millrace::config {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

struct StoreConfig {
  std::string flush = "sync";
  absl::Duration flush_interval = absl::Milliseconds(500);
  ByteSize segment_size{1 << 30};

  static void Declare(Schema<StoreConfig>& keys) {
    keys.Add("store.flush", &StoreConfig::flush)
        .Doc("When a send is answered: after the disk has it, or before.")
        .OneOf({"sync", "async"})
        .RocketmqName("flushDiskType");
    keys.Add("store.flush-interval", &StoreConfig::flush_interval)
        .Doc("Longest time a byte stays unflushed with asynchronous flushing.")
        .Range(absl::Milliseconds(1), absl::Minutes(1))
        .RocketmqName("flushIntervalCommitLog", absl::Milliseconds(1));
    keys.Add("store.segment-size", &StoreConfig::segment_size)
        .Doc("Size of one file of the log.")
        .Range(ByteSize{1 << 20}, ByteSize{4ll << 30})
        .Example("64MiB");
    keys.Renamed("store.flush-every", "store.flush-interval");
  }
  absl::Status Validate() const {
    if (flush == "sync" && flush_interval != absl::Milliseconds(500)) {
      return absl::InvalidArgumentError(
          "store.flush-interval says nothing while store.flush is sync; set store.flush to async or remove the "
          "interval");
    }
    return absl::OkStatus();
  }
};

struct BrokerConfig {
  std::string listen = "0.0.0.0:10911";
  std::vector<std::string> nameservers;
  int threads = 2;
  bool auto_create = false;
  std::string secret_key;
  StoreConfig store;

  static void Declare(Schema<BrokerConfig>& keys) {
    keys.Add("broker.listen", &BrokerConfig::listen).Doc("Address and port of the broker.");
    keys.Add("broker.nameservers", &BrokerConfig::nameservers).Doc("All nameservers.").RocketmqName("namesrvAddr");
    keys.Add("broker.threads", &BrokerConfig::threads).Doc("Transport threads.").Range(1, 64);
    keys.Add("topics.auto-create", &BrokerConfig::auto_create).Doc("Topics are created by their first send.");
    keys.Add("auth.secret-key", &BrokerConfig::secret_key)
        .Doc("Key of the administrator.")
        .Secret()
        .Check([](const std::string& key) {
          return key.size() < 8 ? absl::InvalidArgumentError("has less than 8 characters; make it longer")
                                : absl::OkStatus();
        });
    keys.Include(&BrokerConfig::store);
  }
};

const std::string kData = CONFIG_TESTDATA;

class ConfigTest : public testing::Test {
 protected:
  ConfigTest() : loader_("millrace-broker", "stores and delivers.") { loader_.Add(config_); }
  absl::Status Load(const std::vector<std::string>& args, const std::vector<std::string>& environment = {}) {
    return loader_.Load(args, environment);
  }
  // The text of the only mistake.
  std::string Mistake(const std::vector<std::string>& args, const std::vector<std::string>& environment = {}) {
    const absl::Status status = Load(args, environment);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    return std::string(status.message());
  }

  BrokerConfig config_;
  Loader loader_;
};

TEST_F(ConfigTest, DefaultsAreWhatTheStructsHold) {
  ASSERT_TRUE(Load({}).ok());
  EXPECT_EQ(config_.listen, "0.0.0.0:10911");
  EXPECT_EQ(config_.store.segment_size.bytes, 1 << 30);
}

TEST_F(ConfigTest, FlagsAreGivenInTwoForms) {
  ASSERT_TRUE(
      Load({"--broker.listen", "a:1", "--broker.threads=8", "--topics.auto-create", "--store.flush=async"}).ok());
  EXPECT_EQ(config_.listen, "a:1");
  EXPECT_EQ(config_.threads, 8);
  EXPECT_TRUE(config_.auto_create);
  EXPECT_EQ(config_.store.flush, "async");
}

TEST_F(ConfigTest, ASwitchTakesTrueOrFalse) {
  config_.auto_create = true;
  ASSERT_TRUE(Load({"--topics.auto-create", "false", "--broker.threads", "3"}).ok());
  EXPECT_FALSE(config_.auto_create);
  EXPECT_EQ(config_.threads, 3);
}

TEST_F(ConfigTest, FlagBeatsVariableBeatsFileBeatsDefault) {
  const std::string file = kData + "/good.yaml";
  ASSERT_TRUE(Load({"--config", file}, {"MILLRACE_BROKER_LISTEN=variable:1"}).ok());
  EXPECT_EQ(config_.listen, "variable:1");
  EXPECT_EQ(config_.store.segment_size.bytes, 64 << 20);  // file
  EXPECT_EQ(config_.threads, 2);                          // default
  ASSERT_TRUE(Load({"--broker.listen=flag:1", "--config=" + file}, {"MILLRACE_BROKER_LISTEN=variable:1"}).ok());
  EXPECT_EQ(config_.listen, "flag:1");
}

TEST_F(ConfigTest, AFileHasNestedMapsDottedNamesAndLists) {
  ASSERT_TRUE(Load({}, {"MILLRACE_CONFIG=" + kData + "/good.yaml"}).ok());
  EXPECT_EQ(config_.listen, "127.0.0.1:10911");
  EXPECT_THAT(config_.nameservers, ElementsAre("a:9876", "b:9876"));
  EXPECT_EQ(config_.store.flush_interval, absl::Milliseconds(1500));
}

TEST_F(ConfigTest, RocketmqsNamesAndUnitsAreAccepted) {
  ASSERT_TRUE(Load({"--config", kData + "/broker.conf"}).ok());
  EXPECT_EQ(config_.store.flush, "async");
  EXPECT_EQ(config_.store.flush_interval, absl::Milliseconds(250));
  EXPECT_THAT(config_.nameservers, ElementsAre("a:9876", "b:9876"));
  ASSERT_TRUE(Load({"--flushDiskType=async", "--flushIntervalCommitLog", "300"}).ok());
  EXPECT_EQ(config_.store.flush_interval, absl::Milliseconds(300));
}

// Each file says in its first lines what is expected.
TEST(BadFilesTest, GiveTheMessageThatTheyExpect) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kData)) {
    const std::string path = entry.path().string();
    if (!absl::EndsWith(path, ".bad.yaml")) continue;
    ++files;
    SCOPED_TRACE(path);
    BrokerConfig config;
    Loader loader("millrace-broker", "");
    loader.Add(config);
    const absl::Status status = loader.Load({"--config", path}, {});
    ASSERT_TRUE(absl::IsInvalidArgument(status)) << status;
    const std::string message(status.message());
    int expected = 0;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
      absl::string_view text = line;
      if (!absl::ConsumePrefix(&text, "# expect: ")) break;
      ++expected;
      EXPECT_THAT(message, HasSubstr(std::string(text)));
    }
    EXPECT_GT(expected, 0);
    const std::vector<std::string> lines = absl::StrSplit(message, '\n');
    EXPECT_EQ(lines.size(), static_cast<std::size_t>(expected)) << message;
    EXPECT_THAT(message, Not(HasSubstr("hunter2")));
  }
  EXPECT_GE(files, 15);
}

TEST_F(ConfigTest, AMissingFileIsNamed) {
  EXPECT_THAT(Mistake({"--config", "/no/such.yaml"}), HasSubstr("/no/such.yaml cannot be read"));
}

TEST_F(ConfigTest, AnUnknownFlagNamesTheNearest) {
  EXPECT_EQ(Mistake({"--broker.lsten", "a:1"}),
            "flag --broker.lsten: broker.lsten is not a configuration key; did you mean broker.listen?");
}

TEST_F(ConfigTest, ARenamedFlagSaysWhereItWent) {
  EXPECT_THAT(Mistake({"--store.flush-every=1s"}), HasSubstr("is called store.flush-interval now"));
}

TEST_F(ConfigTest, AFlagWithoutAValueOrDashesIsAMistake) {
  EXPECT_EQ(Mistake({"--broker.listen"}), "flag --broker.listen has no value; write --broker.listen VALUE");
}

TEST_F(ConfigTest, AWordIsNoFlag) {
  EXPECT_THAT(Mistake({"broker.listen=1"}), HasSubstr("\"broker.listen=1\" is not a flag"));
}

TEST_F(ConfigTest, ABadVariableIsNamedWithValueAndLimit) {
  EXPECT_EQ(Mistake({}, {"MILLRACE_BROKER_THREADS=65"}),
            "variable MILLRACE_BROKER_THREADS: broker.threads: \"65\" is above the limit 64; set a value from 1 to 64");
}

TEST_F(ConfigTest, AnUnknownVariableOnlyWarns) {
  ASSERT_TRUE(Load({}, {"MILLRACE_PROXY_PORT=tcp://10.0.0.1:8081", "PATH=/bin"}).ok());
  EXPECT_THAT(loader_.warnings(), ElementsAre(HasSubstr("MILLRACE_PROXY_PORT")));
}

TEST_F(ConfigTest, TheValueStaysWhenAnotherOneIsRefused) {
  EXPECT_FALSE(Load({"--broker.threads=8", "--broker.threads=99"}).ok());
  EXPECT_EQ(config_.threads, 8);
}

TEST_F(ConfigTest, HelpIsGivenWhateverElseIsWrong) {
  ASSERT_TRUE(Load({"--help", "--nonsense"}).ok());
  EXPECT_TRUE(loader_.help());
  EXPECT_THAT(loader_.HelpText(),
              AllOf(HasSubstr("--store.flush-interval\n"), HasSubstr("time span; 1ms to 1m; default 500ms"),
                    HasSubstr("RocketMQ: flushIntervalCommitLog")));
}

TEST_F(ConfigTest, PrintedValuesHaveTheirSourceAndNoSecret) {
  ASSERT_TRUE(Load({"--print-config", "--auth.secret-key=correct horse"}, {"MILLRACE_BROKER_LISTEN=a\"b:1"}).ok());
  EXPECT_TRUE(loader_.print_config());
  const std::string text = loader_.ConfigText();
  EXPECT_THAT(text, HasSubstr("broker.listen: \"a\\\"b:1\"  # environment\n"));
  EXPECT_THAT(text, HasSubstr("# auth.secret-key: \"***\"  # flag\n"));
  EXPECT_THAT(text, HasSubstr("broker.threads: \"2\"  # default\n"));
  EXPECT_THAT(text, Not(HasSubstr("correct horse")));
}

TEST_F(ConfigTest, WhatIsPrintedCanBeLoaded) {
  ASSERT_TRUE(Load({"--config", kData + "/good.yaml"}).ok());
  const std::string path = testing::TempDir() + "/config_test.printed.yaml";
  std::ofstream(path) << loader_.ConfigText();
  BrokerConfig again;
  Loader loader("millrace-broker", "");
  loader.Add(again);
  const absl::Status status = loader.Load({"--config", path}, {});
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(again.nameservers, ElementsAre("a:9876", "b:9876"));
  EXPECT_EQ(again.store.flush_interval, absl::Milliseconds(1500));
  std::filesystem::remove(path);
}

TEST_F(ConfigTest, DocumentationHasARowPerKey) {
  const std::string text = RenderChapter("millrace-broker", "stores.", loader_.table());
  EXPECT_THAT(text, HasSubstr("| `store.segment-size` | `MILLRACE_STORE_SEGMENT_SIZE` | size | `1GiB` | "
                              "Size of one file of the log. Allowed: 1MiB to 4GiB. Example: `64MiB`. |\n"));
  std::set<std::string> names;
  for (const auto& key : loader_.table().keys) {
    EXPECT_FALSE(key->doc.empty()) << key->name;
    EXPECT_THAT(text, HasSubstr("| `" + key->name + "` |"));
    EXPECT_TRUE(names.insert(key->Variable()).second);
  }
}

}  // namespace
}  // namespace millrace::config
