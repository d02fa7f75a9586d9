// Stores that earlier versions wrote are read; stores of newer ones are refused by name. (golden_store_writer.cc)
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "io/posix_file_system.h"
#include "store/log_format.h"
#include "store/store_files.h"
#include "tests/integration/store_session.h"

namespace millrace {
namespace {

using ::testing::HasSubstr;
using testing_support::StoreSession;
namespace fs = std::filesystem;

std::string ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  MR_CHECK(file.good());
  return content.str();
}

void WriteText(const std::string& path, const std::string& content) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << content;
  MR_CHECK(file.good());
}

class GoldenStoreTest : public testing::Test {
 protected:
  GoldenStoreTest() {
    char name[] = "/tmp/millrace-golden-store-XXXXXX";
    MR_CHECK(mkdtemp(name) != nullptr);
    copy_ = name;
    fs::copy(kGolden + "/broker", copy_, fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  }
  ~GoldenStoreTest() override { fs::remove_all(copy_); }

  absl::StatusOr<std::unique_ptr<StoreSession>> Open() { return StoreSession::Open(*posix_, copy_); }
  void ExpectAllIsRead() {
    const auto session = Open();
    ASSERT_TRUE(session.ok()) << session.status();
    EXPECT_EQ((*session)->Describe(), ReadText(kGolden + "/expected.txt"));
  }
  void ExpectRefused(const std::string& file, const std::string& version) {
    const absl::Status status = Open().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(file));
    EXPECT_THAT(std::string(status.message()), HasSubstr(version));
    EXPECT_THAT(std::string(status.message()), HasSubstr("release"));
  }
  // The text file `name` with another first line and the checksum that belongs to it.
  void SetFirstLine(const std::string& name, const std::string& line) {
    const std::string text = ReadText(copy_ + "/" + name);
    const std::size_t rest = text.find('\n'), end = text.find("crc32c ");
    const std::string content = line + text.substr(rest, end - rest);
    WriteText(copy_ + "/" + name, absl::StrCat(content, absl::StrFormat("crc32c %08x\n", base::Crc32c(content))));
  }

  const std::string kGolden = MILLRACE_GOLDEN_STORE;
  const std::unique_ptr<io::FileSystem> posix_ = io::MakePosixFileSystem();
  std::string copy_;
};

TEST_F(GoldenStoreTest, EverythingInItIsRead) { ExpectAllIsRead(); }

TEST_F(GoldenStoreTest, TheLogAloneSaysTheSame) {
  fs::remove_all(copy_ + "/config");
  fs::remove_all(copy_ + "/consumequeue");
  ExpectAllIsRead();
}

TEST_F(GoldenStoreTest, AHandleThatItsWriterGaveOutIsGood) {
  const auto session = Open();
  ASSERT_TRUE(session.ok()) << session.status();
  const auto answer = (*session)->OnHandle(link::Op::kAck, ReadText(kGolden + "/held_handle.txt"), 0);
  EXPECT_EQ(answer.code, 20000u) << answer.text;
  EXPECT_NE((*session)->Describe(), ReadText(kGolden + "/expected.txt"));
}

TEST_F(GoldenStoreTest, ANewerIdentityIsRefused) {
  SetFirstLine("identity", "millrace identity 2");
  ExpectRefused("identity", "millrace identity 2");
}

TEST_F(GoldenStoreTest, ANewerCheckpointIsRefused) {
  SetFirstLine("checkpoint", "millrace checkpoint 2");
  ExpectRefused("checkpoint", "millrace checkpoint 2");
}

TEST_F(GoldenStoreTest, NewerConsumeQueuesAreRefused) {
  std::string applied = ReadText(copy_ + "/consumequeue/applied");
  base::Store<std::uint32_t>(applied.data() + 4, 2);
  const std::size_t content = applied.size() - 4;
  base::Store(applied.data() + content, base::Crc32c(absl::string_view(applied).substr(0, content)));
  WriteText(copy_ + "/consumequeue/applied", applied);
  ExpectRefused("consume", "version 2");
}

TEST_F(GoldenStoreTest, ANewerLogIsRefused) {
  fs::remove_all(copy_ + "/config");  // else the log is not read from its start
  const auto identity = store::ReadIdentity(*posix_, copy_);
  ASSERT_TRUE(identity.ok());
  const std::string path = copy_ + "/commitlog/00000000000000000000";
  std::string segment = ReadText(path);
  std::string seed;
  base::Put<std::uint64_t>(seed, store::StoreSeed(*identity));
  base::Store<std::uint16_t>(segment.data() + 4, store::kLogFormatVersion + 1);
  base::Store(segment.data() + 60, base::Crc32c(absl::string_view(segment).substr(0, 60), base::Crc32c(seed)));
  WriteText(path, segment);
  ExpectRefused(path, "version 2");
  EXPECT_EQ(ReadText(path), segment);
}

}  // namespace
}  // namespace millrace
