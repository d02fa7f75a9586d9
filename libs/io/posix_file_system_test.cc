#include "io/posix_file_system.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "io/testing/memory_file_system.h"

namespace millrace::io {
namespace {

class ScratchDirectory {
 public:
  ScratchDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "millrace-io-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~ScratchDirectory() { std::filesystem::remove_all(path_); }
  std::string path() const { return path_; }

 private:
  std::string path_;
};

// What holds for the real file system and for its twin in memory.
class FileSystemTest : public ::testing::TestWithParam<bool> {
 protected:
  FileSystemTest() {
    if (GetParam()) {
      fs_ = MakePosixFileSystem();
    } else {
      fs_ = std::make_unique<testing::MemoryFileSystem>();
    }
    dir_ = scratch_.path() + "/a/b";
    EXPECT_TRUE(fs_->CreateDirectories(dir_).ok());
  }
  std::string At(const std::string& name) const { return dir_ + "/" + name; }

  ScratchDirectory scratch_;
  std::unique_ptr<FileSystem> fs_;
  std::string dir_;
};

TEST_P(FileSystemTest, ReadsBackWhatWasWrittenAndIsShortOnlyAtTheEnd) {
  auto file = fs_->Open(At("f"), OpenMode::kCreate);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE((*file)->Write(4, "hello").ok());
  EXPECT_EQ(*(*file)->Size(), 9u);
  char buffer[16];
  EXPECT_EQ(*(*file)->Read(4, 3, buffer), 3u);
  EXPECT_EQ(std::string(buffer, 3), "hel");
  EXPECT_EQ(*(*file)->Read(6, 16, buffer), 3u);
  EXPECT_EQ(*(*file)->Read(9, 16, buffer), 0u);
  ASSERT_TRUE((*file)->Truncate(5).ok());
  EXPECT_EQ(*ReadFile(*fs_, At("f")), std::string("\0\0\0\0h", 5));
  ASSERT_TRUE((*file)->Truncate(6).ok());
  EXPECT_EQ(*ReadFile(*fs_, At("f")), std::string("\0\0\0\0h\0", 6));
  EXPECT_TRUE((*file)->Sync().ok());
}

TEST_P(FileSystemTest, ErrorsHaveTheirCodeAndNameThePath) {
  for (const OpenMode mode : {OpenMode::kRead, OpenMode::kReadWrite}) {
    const absl::Status missing = fs_->Open(At("missing"), mode).status();
    EXPECT_TRUE(absl::IsNotFound(missing)) << missing;
    EXPECT_NE(missing.message().find(At("missing")), absl::string_view::npos) << missing;
    EXPECT_NE(missing.message().find("No such file"), absl::string_view::npos) << missing;
  }
  EXPECT_TRUE(absl::IsNotFound(fs_->Open(At("no/f"), OpenMode::kCreate).status()));
  EXPECT_TRUE(absl::IsNotFound(fs_->Remove(At("missing"))));
  EXPECT_TRUE(absl::IsNotFound(fs_->Rename(At("missing"), At("x"))));
  EXPECT_TRUE(absl::IsNotFound(fs_->List(At("missing")).status()));
  EXPECT_TRUE(absl::IsNotFound(fs_->SyncDirectory(At("missing"))));
}

TEST_P(FileSystemTest, NamesAreListedSortedRenamedAndRemoved) {
  for (const char* name : {"b", "c", "a"}) ASSERT_TRUE(ReplaceFile(*fs_, At(name), name).ok());
  ASSERT_TRUE(fs_->CreateDirectories(At("d/e")).ok());
  EXPECT_EQ(*fs_->List(dir_), (std::vector<std::string>{"a", "b", "c", "d"}));
  ASSERT_TRUE(fs_->Rename(At("a"), At("c")).ok());
  EXPECT_EQ(*ReadFile(*fs_, At("c")), "a");
  ASSERT_TRUE(fs_->Remove(At("b")).ok());
  EXPECT_FALSE(fs_->RemoveDirectory(At("d")).ok()) << "it is not empty";
  ASSERT_TRUE(fs_->RemoveDirectory(At("d/e")).ok());
  ASSERT_TRUE(fs_->RemoveDirectory(At("d")).ok());
  EXPECT_EQ(*fs_->List(dir_), (std::vector<std::string>{"c"}));
  EXPECT_TRUE(fs_->Exists(At("c")));
  EXPECT_FALSE(fs_->Exists(At("b")));
}

TEST_P(FileSystemTest, AnOpenFileOutlivesItsName) {
  ASSERT_TRUE(ReplaceFile(*fs_, At("f"), "content").ok());
  auto file = fs_->Open(At("f"), OpenMode::kRead);
  ASSERT_TRUE(fs_->Remove(At("f")).ok());
  char buffer[7];
  EXPECT_EQ(*(*file)->Read(0, 7, buffer), 7u);
  EXPECT_EQ(std::string(buffer, 7), "content");
}

TEST_P(FileSystemTest, ReplaceFileReplacesLongByShort) {
  ASSERT_TRUE(ReplaceFile(*fs_, At("f"), "a long content").ok());
  ASSERT_TRUE(ReplaceFile(*fs_, At("f"), "short").ok());
  EXPECT_EQ(*ReadFile(*fs_, At("f")), "short");
}

TEST_P(FileSystemTest, ALockNamesItsHolderAndEndsWithIt) {
  auto first = fs_->Lock(At("lock"), "broker-a of pod one");
  ASSERT_TRUE(first.ok()) << first.status();
  const absl::Status second = fs_->Lock(At("lock"), "another").status();
  EXPECT_TRUE(absl::IsAlreadyExists(second)) << second;
  EXPECT_NE(second.message().find("broker-a of pod one"), absl::string_view::npos) << second;
  first->reset();
  EXPECT_TRUE(fs_->Lock(At("lock"), "another").ok());
}

TEST_P(FileSystemTest, SpaceIsNotZero) {
  const auto space = fs_->SpaceOf(dir_);
  ASSERT_TRUE(space.ok()) << space.status();
  EXPECT_GT(space->total_bytes, 0u);
  EXPECT_LE(space->free_bytes, space->total_bytes);
}

INSTANTIATE_TEST_SUITE_P(, FileSystemTest, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "Posix" : "Memory"; });

TEST(PosixFileSystem, ADirectoryIsNoFile) {
  ScratchDirectory scratch;
  EXPECT_TRUE(absl::IsUnavailable(MakePosixFileSystem()->Open(scratch.path(), OpenMode::kReadWrite).status()));
}

TEST(PosixFileSystem, AFullDiskIsResourceExhausted) {
  const auto fs = MakePosixFileSystem();
  if (!fs->Exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
  auto file = fs->Open("/dev/full", OpenMode::kReadWrite);
  ASSERT_TRUE(file.ok()) << file.status();
  const absl::Status status = (*file)->Write(0, "x");
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
}

}  // namespace
}  // namespace millrace::io
