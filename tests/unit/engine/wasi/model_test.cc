// Random sequences of operations on paths and descriptors, on a real directory and on a model of it
// (model_fs.h): the same errno, the same results, the same tree.
//
//   WASMD_STRESS_SECONDS=60 …/wasi_test --gtest_filter=ModelTest.*    so long
//   WASMD_MODEL_SEED=7 …                                              that session, and no other
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/str_cat.h"
#include "engine/wasi/abi.h"
#include "tests/unit/engine/wasi/fixture.h"
#include "tests/unit/engine/wasi/model_fs.h"

namespace wasmd::engine {
namespace {

constexpr uint32_t kMaxOpenFiles = 14;  // So that the limit is met.
constexpr int kOperationsPerSession = 400;

class ModelTest : public WasiTest {
 protected:
  ModelTest() : WasiTest(FolderInMemory()) {}

  // A session on an empty directory. False: something differed, and it was reported.
  bool Session(uint64_t seed) {
    std::filesystem::remove_all(root());
    std::filesystem::create_directory(root());
    WasiOptions options;
    options.limits.max_open_files = kMaxOpenFiles;
    Start(std::move(options));
    model_.emplace(kMaxOpenFiles);
    random_.seed(seed);
    log_.clear();
    for (int i = 0; i < kOperationsPerSession && !HasFailure(); ++i) {
      next_ = 8;
      Operation();
      if (i % 50 == 49) {
        CompareTree(root(), *model_->root());
      }
    }
    if (HasFailure()) {
      std::string text;
      for (const std::string& line : log_) {
        text += line + "\n";
      }
      ADD_FAILURE() << "WASMD_MODEL_SEED=" << seed << "; the last operations:\n" << text;
      return false;
    }
    return true;
  }

  // What there was, and that each operation was seen to work.
  void ReportAnswers() {
    EXPECT_EQ(done_.size(), 21u);
    for (auto& [name, answers] : done_) {
      std::printf("%s:", name.c_str());
      for (const auto& [error, count] : answers) {
        std::printf(" %s %llu", std::string(ToString(error)).c_str(),
                    static_cast<unsigned long long>(count));
      }
      std::printf("\n");
      EXPECT_GT(answers[Errno::kSuccess], 0u) << name;
    }
  }

 private:
  uint64_t Draw(uint64_t below) { return random_() % below; }
  bool OneIn(uint64_t count) { return Draw(count) == 0; }

  // A descriptor that is open, mostly.
  uint32_t DrawFd() {
    if (OneIn(12)) {
      return OneIn(4) ? 0xffff'ffff : static_cast<uint32_t>(Draw(kMaxOpenFiles + 2));
    }
    const auto& open = model_->descriptors();
    return std::next(open.begin(), static_cast<ptrdiff_t>(Draw(std::max<size_t>(open.size(), 1))))
        ->first;
  }
  uint32_t DrawDirectory() {
    std::vector<uint32_t> directories;
    for (const auto& [fd, descriptor] : model_->descriptors()) {
      if (descriptor.node != nullptr && descriptor.node->is_directory()) {
        directories.push_back(fd);
      }
    }
    if (directories.empty() || OneIn(25)) {
      return DrawFd();
    }
    return directories[OneIn(2) ? 0 : Draw(directories.size())];
  }
  std::string DrawPath() {
    if (OneIn(60)) {
      static constexpr const char* kOdd[] = {"", "/", "/a", ".", "..", "./", "//", "a//", "../a"};
      return OneIn(6) ? std::string(256, 'x') : kOdd[Draw(std::size(kOdd))];
    }
    static constexpr const char* kNames[] = {"a", "b", "c", "d", "e"};
    std::string path;
    const uint64_t depth = 1 + Draw(OneIn(3) ? 4 : 2);
    for (uint64_t i = 0; i < depth; ++i) {
      path += i == 0 ? "" : OneIn(30) ? "//" : "/";
      path += OneIn(12) ? ".." : OneIn(14) ? "." : kNames[Draw(std::size(kNames))];
    }
    return path + (OneIn(12) ? "/" : "");
  }
  uint64_t DrawTime() { return (1'000'000'000 + Draw(600'000'000)) * 1'000'000'000 + Draw(1000); }
  uint32_t DrawTimeFlags() {
    return static_cast<uint32_t>(OneIn(6) ? Draw(17) : (OneIn(2) ? 5 : 1 + 3 * Draw(2)));
  }

  template <typename... Pieces>
  void Log(const Pieces&... pieces) {
    log_.push_back(StrCat(pieces...));
    if (log_.size() > 60) {
      log_.pop_front();
    }
  }
  // Whether both succeeded. The answer must be the model's.
  bool Same(const Answer& answer, Errno expected) {
    log_.back() +=
        StrCat(" → ", answer.kind() == Answer::Kind::kErrno ? ToString(answer.value())
                                                            : std::string_view("no errno"));
    EXPECT_EQ(answer, expected) << log_.back();
    ++done_[log_.back().substr(0, log_.back().find(' '))][expected];
    return answer == Errno::kSuccess && expected == Errno::kSuccess;
  }
  void SameFilestat(const abi::Filestat& filestat, ModelNode& node) {
    const abi::Filetype type = node.is_directory() ? abi::Filetype::kDirectory
                               : node.is_link()    ? abi::Filetype::kSymbolicLink
                                                   : abi::Filetype::kRegularFile;
    EXPECT_EQ(filestat.filetype, type) << log_.back();
    if (!node.is_directory()) {
      EXPECT_EQ(filestat.size, node.text.size()) << log_.back();
      EXPECT_EQ(filestat.nlink, node.links) << log_.back();
    }
    if (node.atim_ns.has_value()) {
      EXPECT_EQ(filestat.atim, *node.atim_ns) << log_.back();
    }
    if (node.mtim_ns.has_value()) {
      EXPECT_EQ(filestat.mtim, *node.mtim_ns) << log_.back();
    }
    if (!node.inode.has_value()) {
      node.inode = filestat.ino;
    }
    EXPECT_EQ(filestat.ino, *node.inode) << log_.back();
  }

  void Operation() {
    if (model_->descriptors().empty()) {
      return;
    }
    switch (Draw(27)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return Open();
      case 4:
      case 5:
      case 26:
        return OnOnePath("mkdir", &WasiContext::PathCreateDirectory, &ModelFs::PathCreateDirectory);
      case 6:
        return OnOnePath("rmdir", &WasiContext::PathRemoveDirectory, &ModelFs::PathRemoveDirectory);
      case 7:
        return OnOnePath("unlink", &WasiContext::PathUnlinkFile, &ModelFs::PathUnlinkFile);
      case 8:
      case 9:
        return Rename();
      case 10:
        return Link();
      case 11:
        return Symlink();
      case 12:
      case 13:
        return Readlink();
      case 14:
        return PathStat();
      case 15:
        return PathSetTimes();
      case 16:
        return ReadOrPread();
      case 17:
      case 18:
        return WriteOrPwrite();
      case 19:
        return Seek();
      case 20:
        return FdStat();
      case 21:
        return OneIn(2) ? SetSize() : Allocate();
      case 22:
        return FdSetTimes();
      case 23:
        return Readdir();
      case 24:
        return OneIn(2) ? Renumber() : SetFlags();
      default:
        return Close();
    }
  }

  void Open() {
    const uint32_t fd = DrawDirectory();
    const std::string path = DrawPath();
    const bool follow = !OneIn(3);
    const auto open_flags = static_cast<uint32_t>(OneIn(2) ? Draw(16) : OneIn(2) ? 1 : 0);
    uint64_t rights = OneIn(3) ? kRead : OneIn(3) ? kWrite : kRead | kWrite;
    rights = OneIn(10) ? 0 : rights;
    const uint32_t fd_flags = (OneIn(5) ? abi::kFdAppend : 0) | (OneIn(8) ? abi::kFdNonblock : 0);
    Log("open ", fd, " '", path, "' follow ", follow, " oflags ", open_flags, " rights ", rights,
        " fdflags ", fd_flags);
    const Text text = PutText(path);
    const uint32_t out = Alloc(4);
    uint32_t opened = 0;
    const Errno expected = model_->PathOpen(fd, follow, path, open_flags, rights, fd_flags, opened);
    if (Same(wasi().PathOpen(guest(), fd, follow ? 1 : 0, text.at, text.size, open_flags, rights,
                             rights, fd_flags, out),
             expected)) {
      EXPECT_EQ(Get<uint32_t>(out), opened) << log_.back();
    }
  }

  void OnOnePath(std::string_view name,
                 Answer (WasiContext::*real)(Guest&, uint32_t, uint32_t, uint32_t),
                 Errno (ModelFs::*model)(uint32_t, const std::string&)) {
    const uint32_t fd = DrawDirectory();
    const std::string path = DrawPath();
    Log(name, " ", fd, " '", path, "'");
    const Text text = PutText(path);
    Same((wasi().*real)(guest(), fd, text.at, text.size), ((*model_).*model)(fd, path));
  }

  void Rename() {
    const uint32_t from_fd = DrawDirectory();
    const uint32_t to_fd = DrawDirectory();
    const std::string from = DrawPath();
    const std::string to = DrawPath();
    Log("rename ", from_fd, " '", from, "' to ", to_fd, " '", to, "'");
    const Text a = PutText(from);
    const Text b = PutText(to);
    Same(wasi().PathRename(guest(), from_fd, a.at, a.size, to_fd, b.at, b.size),
         model_->PathRename(from_fd, from, to_fd, to));
  }

  void Link() {
    const uint32_t from_fd = DrawDirectory();
    const uint32_t to_fd = DrawDirectory();
    const std::string from = DrawPath();
    const std::string to = DrawPath();
    const bool follow = OneIn(10);
    Log("link ", from_fd, " '", from, "' to ", to_fd, " '", to, "' follow ", follow);
    const Text a = PutText(from);
    const Text b = PutText(to);
    Same(wasi().PathLink(guest(), from_fd, follow ? 1 : 0, a.at, a.size, to_fd, b.at, b.size),
         model_->PathLink(from_fd, follow, from, to_fd, to));
  }

  void Symlink() {
    const uint32_t fd = DrawDirectory();
    const std::string target = DrawPath();
    const std::string path = DrawPath();
    Log("symlink '", target, "' at ", fd, " '", path, "'");
    const Text a = PutText(target);
    const Text b = PutText(path);
    Same(wasi().PathSymlink(guest(), a.at, a.size, fd, b.at, b.size),
         model_->PathSymlink(target, fd, path));
  }

  void Readlink() {
    const uint32_t fd = DrawDirectory();
    const std::string path = DrawPath();
    const auto room = static_cast<uint32_t>(OneIn(4) ? Draw(4) : 300);
    Log("readlink ", fd, " '", path, "' into ", room);
    const Text text = PutText(path);
    const uint32_t buffer = Alloc(room);
    const uint32_t out = Alloc(4);
    std::string target;
    const Errno expected = model_->PathReadlink(fd, path, target);
    if (Same(wasi().PathReadlink(guest(), fd, text.at, text.size, buffer, room, out), expected)) {
      EXPECT_EQ(GetText(buffer, Get<uint32_t>(out)), target.substr(0, room)) << log_.back();
    }
  }

  void PathStat() {
    const uint32_t fd = DrawDirectory();
    const std::string path = DrawPath();
    const bool follow = OneIn(2);
    Log("stat ", fd, " '", path, "' follow ", follow);
    const Text text = PutText(path);
    const uint32_t out = Alloc(sizeof(abi::Filestat));
    ModelNodePtr node;
    const Errno expected = model_->PathFilestatGet(fd, follow, path, node);
    if (Same(wasi().PathFilestatGet(guest(), fd, follow ? 1 : 0, text.at, text.size, out),
             expected)) {
      SameFilestat(Get<abi::Filestat>(out), *node);
    }
  }

  void PathSetTimes() {
    const uint32_t fd = DrawDirectory();
    const std::string path = DrawPath();
    const bool follow = OneIn(2);
    const uint64_t atim = DrawTime();
    const uint64_t mtim = DrawTime();
    const uint32_t flags = DrawTimeFlags();
    Log("times ", fd, " '", path, "' follow ", follow, " flags ", flags);
    const Text text = PutText(path);
    Same(wasi().PathFilestatSetTimes(guest(), fd, follow ? 1 : 0, text.at, text.size, atim, mtim,
                                     flags),
         model_->PathFilestatSetTimes(fd, follow, path, atim, mtim, flags));
  }

  bool IsStream(uint32_t fd) const {
    const auto found = model_->descriptors().find(fd);
    return found != model_->descriptors().end() && found->second.node == nullptr;
  }

  void ReadOrPread() {
    const uint32_t fd = DrawFd();
    if (IsStream(fd)) {
      return;
    }
    std::optional<uint64_t> offset;
    if (OneIn(2)) {
      offset = OneIn(20) ? ~uint64_t{0} : Draw(3000);
    }
    const auto first = static_cast<uint32_t>(Draw(40));
    const auto second = static_cast<uint32_t>(OneIn(2) ? 0 : Draw(2000));
    Log("read ", fd, " of ", first, " + ", second, " at ", offset.value_or(0),
        offset.has_value() ? "" : " (position)");
    const uint32_t buffer = Alloc(first + second);
    const uint32_t iovecs = PutIovecs({{buffer, first}, {buffer + first, second}});
    const uint32_t out = Alloc(4);
    std::string text;
    const Errno expected = model_->FdRead(fd, first + second, offset, text);
    const Answer answer = offset.has_value() ? wasi().FdPread(guest(), fd, iovecs, 2, *offset, out)
                                             : wasi().FdRead(guest(), fd, iovecs, 2, out);
    if (Same(answer, expected)) {
      EXPECT_EQ(GetText(buffer, Get<uint32_t>(out)), text) << log_.back();
    }
  }

  void WriteOrPwrite() {
    const uint32_t fd = DrawFd();
    if (IsStream(fd)) {
      return;
    }
    std::optional<uint64_t> offset;
    if (OneIn(3)) {
      offset = OneIn(20) ? ~uint64_t{0} : Draw(3000);
    }
    std::string text(OneIn(8) ? 0 : Draw(OneIn(4) ? 5000 : 50), static_cast<char>('a' + Draw(26)));
    Log("write ", fd, " of ", text.size(), " at ", offset.value_or(0),
        offset.has_value() ? "" : " (position)");
    const Text data = PutText(text);
    const auto cut = static_cast<uint32_t>(Draw(data.size + 1));
    const uint32_t iovecs = PutIovecs({{data.at, cut}, {data.at + cut, data.size - cut}});
    const uint32_t out = Alloc(4);
    const Errno expected = model_->FdWrite(fd, text, offset);
    const Answer answer = offset.has_value() ? wasi().FdPwrite(guest(), fd, iovecs, 2, *offset, out)
                                             : wasi().FdWrite(guest(), fd, iovecs, 2, out);
    if (Same(answer, expected)) {
      EXPECT_EQ(Get<uint32_t>(out), text.size()) << log_.back();
    }
  }

  void Seek() {
    const uint32_t fd = DrawFd();
    const bool tell = OneIn(3);
    const int64_t offset = tell ? 0 : static_cast<int64_t>(Draw(4000)) - 1500;
    const auto whence = static_cast<uint32_t>(tell ? abi::kWhenceCur : Draw(OneIn(10) ? 5 : 3));
    Log("seek ", fd, " by ", offset, " whence ", whence);
    const uint32_t out = Alloc(8);
    uint64_t position = 0;
    const Errno expected = model_->FdSeek(fd, offset, whence, position);
    if (Same(tell ? wasi().FdTell(guest(), fd, out)
                  : wasi().FdSeek(guest(), fd, offset, whence, out),
             expected)) {
      EXPECT_EQ(Get<uint64_t>(out), position) << log_.back();
    }
  }

  void FdStat() {
    const uint32_t fd = DrawFd();
    Log("fd_filestat, fdstat, prestat ", fd);
    const uint32_t out = Alloc(sizeof(abi::Filestat));
    ModelNodePtr node;
    if (Same(wasi().FdFilestatGet(guest(), fd, out), model_->FdFilestatGet(fd, node)) &&
        node != nullptr) {
      const auto filestat = Get<abi::Filestat>(out);
      SameFilestat(filestat, *node);
    }
    const ModelDescriptor* descriptor = nullptr;
    if (Same(wasi().FdFdstatGet(guest(), fd, out), model_->FdFdstatGet(fd, descriptor)) &&
        descriptor->node != nullptr) {
      const auto fdstat = Get<abi::Fdstat>(out);
      const bool is_directory = descriptor->node->is_directory();
      EXPECT_EQ(fdstat.filetype,
                is_directory ? abi::Filetype::kDirectory : abi::Filetype::kRegularFile);
      if (!is_directory) {
        EXPECT_EQ(fdstat.flags, (descriptor->appends ? abi::kFdAppend : 0) |
                                    (descriptor->nonblock ? abi::kFdNonblock : 0))
            << log_.back();
        EXPECT_EQ((fdstat.rights_base & kRead) != 0, descriptor->reads) << log_.back();
        EXPECT_EQ((fdstat.rights_base & kWrite) != 0, descriptor->writes) << log_.back();
      }
    }
    Same(wasi().FdPrestatGet(guest(), fd, out), model_->FdPrestatGet(fd));
  }

  void SetSize() {
    const uint32_t fd = DrawFd();
    const uint64_t size = OneIn(20) ? ~uint64_t{0} : Draw(6000);
    Log("set_size ", fd, " ", size);
    Same(wasi().FdFilestatSetSize(guest(), fd, size), model_->FdFilestatSetSize(fd, size));
  }
  void Allocate() {
    const uint32_t fd = DrawFd();
    const uint64_t offset = OneIn(20) ? ~uint64_t{0} : Draw(4000);
    const uint64_t size = Draw(OneIn(4) ? 1 : 4000);
    Log("allocate ", fd, " ", offset, " ", size);
    Same(wasi().FdAllocate(guest(), fd, offset, size), model_->FdAllocate(fd, offset, size));
  }
  void FdSetTimes() {
    const uint32_t fd = DrawFd();
    const uint64_t atim = DrawTime();
    const uint64_t mtim = DrawTime();
    const uint32_t flags = DrawTimeFlags();
    Log("fd_times ", fd, " flags ", flags);
    Same(wasi().FdFilestatSetTimes(guest(), fd, atim, mtim, flags),
         model_->FdFilestatSetTimes(fd, atim, mtim, flags));
  }
  void Renumber() {
    const uint32_t from = OneIn(3) ? DrawFd() : static_cast<uint32_t>(4 + Draw(10));
    const uint32_t to = OneIn(20) ? DrawFd() : static_cast<uint32_t>(4 + Draw(10));
    Log("renumber ", from, " ", to);
    Same(wasi().FdRenumber(guest(), from, to), model_->FdRenumber(from, to));
  }
  void SetFlags() {
    const uint32_t fd = DrawFd();
    const auto flags = static_cast<uint32_t>(OneIn(4) ? Draw(40) : OneIn(2) ? 1 : 4 * Draw(2));
    Log("set_flags ", fd, " ", flags);
    Same(wasi().FdFdstatSetFlags(guest(), fd, flags), model_->FdFdstatSetFlags(fd, flags));
  }
  void Close() {
    const uint32_t fd = DrawFd();
    if (fd == kRoot && !OneIn(20)) {
      return;
    }
    Log("close ", fd);
    Same(wasi().FdClose(guest(), fd), model_->FdClose(fd));
  }

  struct Entry {
    std::string name;
    abi::Dirent dirent;
  };
  // The complete entries of one call.
  bool List(uint32_t fd, uint64_t cookie, uint32_t room, std::vector<Entry>& entries, bool& end,
            Errno expected) {
    next_ = 8;
    const uint32_t buffer = Alloc(room);
    const uint32_t out = Alloc(4);
    Log("readdir ", fd, " from ", cookie, " into ", room);
    if (!Same(wasi().FdReaddir(guest(), fd, buffer, room, cookie, out), expected)) {
      return false;
    }
    const auto used = Get<uint32_t>(out);
    EXPECT_LE(used, room);
    end = used < room;
    for (uint32_t at = 0; at + sizeof(abi::Dirent) <= used;) {
      const auto dirent = Get<abi::Dirent>(buffer + at);
      at += static_cast<uint32_t>(sizeof(abi::Dirent));
      if (dirent.namlen > used - at) {
        break;
      }
      entries.push_back({GetText(buffer + at, dirent.namlen), dirent});
      at += dirent.namlen;
    }
    return true;
  }
  void Readdir() {
    const uint32_t fd = DrawDirectory();
    ModelNodePtr directory;
    Errno expected = model_->FdReaddir(fd, directory);
    std::vector<Entry> all;
    bool end = false;
    if (directory != nullptr && directory->is_removed) {
      expected = Errno::kNoent;  // Linux's getdents says so, whether there is anything or not.
    }
    uint64_t cookie = 0;
    auto room = static_cast<uint32_t>(OneIn(2) ? 4000 : 24 + Draw(120));
    while (!end) {
      std::vector<Entry> page;
      if (expected == Errno::kNoent) {
        room = 4000;
      }
      if (!List(fd, cookie, room, page, end, expected) || HasFailure()) {
        return;
      }
      if (page.empty() && !end) {
        room += 30;  // No entry fits.
      } else if (!page.empty()) {
        cookie = page.back().dirent.next;
        all.insert(all.end(), page.begin(), page.end());
      }
    }
    ASSERT_GE(all.size(), 2u) << log_.back();
    EXPECT_EQ(all[0].name, ".");
    EXPECT_EQ(all[1].name, "..");
    std::set<std::string> names;
    for (size_t i = 2; i < all.size(); ++i) {
      const auto found = directory->entries.find(all[i].name);
      ASSERT_NE(found, directory->entries.end()) << log_.back() << ": " << all[i].name;
      EXPECT_TRUE(names.insert(all[i].name).second) << log_.back() << ": twice " << all[i].name;
      ModelNode& node = *found->second;
      EXPECT_EQ(all[i].dirent.type, node.is_directory() ? abi::Filetype::kDirectory
                                    : node.is_link()    ? abi::Filetype::kSymbolicLink
                                                        : abi::Filetype::kRegularFile);
      EXPECT_EQ(all[i].dirent.ino, node.inode.value_or(all[i].dirent.ino)) << log_.back();
    }
    EXPECT_EQ(names.size(), directory->entries.size()) << log_.back();
    // From any cookie it goes on with what came behind.
    const size_t from = Draw(all.size());
    std::vector<Entry> rest;
    if (List(fd, all[from].dirent.next, 8000, rest, end, Errno::kSuccess)) {
      ASSERT_EQ(rest.size(), all.size() - from - 1) << log_.back();
      for (size_t i = 0; i < rest.size(); ++i) {
        EXPECT_EQ(rest[i].name, all[from + 1 + i].name) << log_.back();
      }
    }
  }

  // By other means than those under test.
  void CompareTree(const std::filesystem::path& path, ModelNode& directory) {
    // Reading what is there, as this does, may change when it was last read.
    directory.atim_ns.reset();
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      names.insert(entry.path().filename());
    }
    for (const auto& [name, node] : directory.entries) {
      const std::filesystem::path child = path / name;
      ASSERT_EQ(names.erase(name), 1u) << "lacks " << child;
      struct stat status = {};
      ASSERT_EQ(::lstat(child.c_str(), &status), 0);
      if (node->is_directory()) {
        ASSERT_TRUE(S_ISDIR(status.st_mode)) << child;
        CompareTree(child, *node);
      } else if (node->is_link()) {
        ASSERT_TRUE(S_ISLNK(status.st_mode)) << child;
        EXPECT_EQ(std::filesystem::read_symlink(child), node->text);
      } else {
        ASSERT_TRUE(S_ISREG(status.st_mode)) << child;
        EXPECT_EQ(FileText(child), node->text) << child;
      }
      if (node->mtim_ns.has_value()) {
        EXPECT_EQ(static_cast<uint64_t>(status.st_mtim.tv_sec) * 1'000'000'000 +
                      static_cast<uint64_t>(status.st_mtim.tv_nsec),
                  *node->mtim_ns)
            << child;
      }
      node->atim_ns.reset();
    }
    EXPECT_TRUE(names.empty()) << path << " also has " << *names.begin();
  }

  std::optional<ModelFs> model_;
  std::mt19937_64 random_;
  std::map<std::string, std::map<Errno, uint64_t>> done_;  // By operation.
  std::deque<std::string> log_;
};

TEST_F(ModelTest, TheSameErrnosResultsAndTree) {
  const char* const seed_text = std::getenv("WASMD_MODEL_SEED");
  if (seed_text != nullptr) {
    Session(std::strtoull(seed_text, nullptr, 0));
    return;
  }
  const char* const seconds = std::getenv("WASMD_STRESS_SECONDS");
  const auto until = std::chrono::steady_clock::now() +
                     std::chrono::seconds(seconds != nullptr ? std::atoi(seconds) : 2);
  const uint64_t first = uint64_t{std::random_device()()} << 20;
  uint64_t seed = first;
  do {
    if (!Session(seed)) {
      return;
    }
    ++seed;
  } while (std::chrono::steady_clock::now() < until);
  std::printf("%llu sessions of %d operations from WASMD_MODEL_SEED=%llu on\n",
              static_cast<unsigned long long>(seed - first), kOperationsPerSession,
              static_cast<unsigned long long>(first));
  ReportAnswers();
}

}  // namespace
}  // namespace wasmd::engine
