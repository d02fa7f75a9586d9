#include "auth/watched_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "io/posix_file_system.h"

namespace millrace::auth {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// On a real disk: names, renames and links are what this is about.
class WatchedFileTest : public testing::Test {
 protected:
  WatchedFileTest() {
    char name[] = "/tmp/millrace-watched-XXXXXX";
    directory_ = mkdtemp(name);
  }
  ~WatchedFileTest() override { std::filesystem::remove_all(directory_); }

  std::string Path(const std::string& name) const { return directory_ + "/" + name; }
  void Write(const std::string& name, const std::string& content) const { std::ofstream(Path(name)) << content; }

  absl::Status Open(const std::string& name, std::int64_t poll_millis = 0) {
    auto opened = WatchedFile::Open({.path = Path(name), .what = "words", .poll_millis = poll_millis, .bytes_max = 100},
                                    *fs_, [this](absl::string_view content) {
                                      base::MutexLock lock(mu_);
                                      tries_.emplace_back(content.data(), content.size());
                                      changed_.NotifyAll();
                                      return content == "bad" ? absl::InvalidArgumentError("bad") : absl::OkStatus();
                                    });
    if (!opened.ok()) return opened.status();
    file_ = *std::move(opened);
    return absl::OkStatus();
  }
  // What Kubernetes does: the directory of the version and a link to it, renamed over the old link.
  void Mount(const std::string& version, const std::string& content) const {
    std::filesystem::create_directory(Path(version));
    Write(version + "/users", content);
    std::filesystem::create_symlink(version, Path("..data_tmp"));
    std::filesystem::rename(Path("..data_tmp"), Path("..data"));
  }

  std::string directory_;
  std::unique_ptr<io::FileSystem> fs_ = io::MakePosixFileSystem();
  base::Mutex mu_;
  base::CondVar changed_;
  std::vector<std::string> tries_;
  std::unique_ptr<WatchedFile> file_;
};

TEST_F(WatchedFileTest, AChangeIsTakenOverOnce) {
  Write("users", "a");
  ASSERT_TRUE(Open("users").ok());
  file_->Poll();
  Write("users", "b");  // the same size, perhaps within one tick of the clock
  file_->Poll();
  file_->Poll();
  EXPECT_THAT(tries_, ElementsAre("a", "b"));
  EXPECT_EQ(file_->counts().loaded, 2u);
  EXPECT_TRUE(file_->counts().good);
}

TEST_F(WatchedFileTest, ASwappedLinkIsAChange) {
  Mount("..v1", "a");
  std::filesystem::create_symlink("..data/users", Path("users"));
  ASSERT_TRUE(Open("users").ok());
  Mount("..v2", "b");
  std::filesystem::remove_all(Path("..v1"));
  file_->Poll();
  EXPECT_THAT(tries_, ElementsAre("a", "b"));
}

TEST_F(WatchedFileTest, ABadContentCountsOnceAndAGoodOneHeals) {
  Write("users", "a");
  ASSERT_TRUE(Open("users").ok());
  Write("users", "bad");
  file_->Poll();
  file_->Poll();
  EXPECT_EQ(file_->counts().failed, 1u);
  EXPECT_FALSE(file_->counts().good);
  Write("users", "a");
  file_->Poll();
  EXPECT_THAT(tries_, ElementsAre("a", "bad", "a"));
  EXPECT_TRUE(file_->counts().good);
}

TEST_F(WatchedFileTest, AFileThatGoesAndComesBackIsLookedAtAgain) {
  Write("users", "a");
  ASSERT_TRUE(Open("users").ok());
  std::filesystem::remove(Path("users"));
  file_->Poll();
  file_->Poll();
  EXPECT_EQ(file_->counts().failed, 1u);
  EXPECT_FALSE(file_->counts().good);
  Write("users", std::string(101, 'x'));
  file_->Poll();
  EXPECT_EQ(file_->counts().failed, 2u);
  Write("users", "a");
  file_->Poll();
  EXPECT_TRUE(file_->counts().good);
  EXPECT_THAT(tries_, ElementsAre("a", "a"));
}

TEST_F(WatchedFileTest, TheFirstContentMustBeGood) {
  EXPECT_EQ(Open("users").code(), absl::StatusCode::kNotFound);
  Write("users", "bad");
  EXPECT_EQ(Open("users").message(), "bad");
  Write("users", std::string(101, 'x'));
  EXPECT_THAT(Open("users").message(), HasSubstr("has 101 bytes; the limit for words is 100"));
}

TEST_F(WatchedFileTest, ItsThreadSeesAChangeByItself) {
  Write("users", "a");
  ASSERT_TRUE(Open("users", 1).ok());
  Write("users", "b");
  base::MutexLock lock(mu_);
  while (tries_.back() != "b") changed_.Wait(mu_);
}

}  // namespace
}  // namespace millrace::auth
