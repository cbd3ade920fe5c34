// A WasiContext with a byte array for memory and a scratch directory, and short ways to call it:
// the functions need no engine.
#ifndef WASMD_TESTS_UNIT_ENGINE_WASI_FIXTURE_H_
#define WASMD_TESTS_UNIT_ENGINE_WASI_FIXTURE_H_

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <ostream>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "engine/base/unique_fd.h"
#include "engine/wasi/abi.h"
#include "engine/wasi/context.h"
#include "engine/wasi/guest.h"
#include "engine/wasi/wasi.h"

namespace wasmd::engine {

inline void PrintTo(Errno value, std::ostream* out) {
  *out << ToString(value);
}
inline void PrintTo(const Answer& answer, std::ostream* out) {
  switch (answer.kind()) {
    case Answer::Kind::kErrno:
      *out << ToString(answer.value());
      return;
    case Answer::Kind::kOutOfBounds:
      *out << "out of bounds";
      return;
    case Answer::Kind::kMisaligned:
      *out << "misaligned";
      return;
    case Answer::Kind::kInterrupted:
      *out << "interrupted";
      return;
    case Answer::Kind::kExit:
      *out << "exit " << answer.exit_code();
      return;
  }
}

class WasiTest : public testing::Test {
 protected:
  static constexpr uint32_t kMemoryBytes = 256 * 1024;
  static constexpr uint32_t kRoot = 3;  // The first preopen.

  // The scratch directory is made in `folder`.
  explicit WasiTest(const std::string& folder = testing::TempDir()) {
    std::string name = folder + "wasi_test_XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) {
      std::abort();
    }
    scratch_ = name;
    std::filesystem::create_directory(root());
  }
  // A folder in memory where that is to be had, for tests that make and remove files by the
  // thousand.
  static std::string FolderInMemory() {
    return ::access("/dev/shm", W_OK) == 0 ? "/dev/shm/" : testing::TempDir();
  }
  ~WasiTest() override {
    context_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(scratch_, ignored);
  }

  // The preopened directory, and the one above it, which the guest must never reach.
  std::filesystem::path root() const { return scratch_ / "root"; }
  std::filesystem::path outside() const { return scratch_; }

  UniqueFd OpenDirectory(const std::filesystem::path& path) const {
    return UniqueFd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  }

  // With root() as descriptor 3, unless `options` has preopens.
  void Start(WasiOptions options = {}) {
    if (options.preopens.empty()) {
      options.preopens.push_back({"/", OpenDirectory(root()), false});
    }
    context_ = std::make_unique<WasiContext>(std::move(options));
    const absl::Status status = context_->Open();
    ASSERT_TRUE(status.ok()) << status;
  }
  void StartReadOnly() {
    WasiOptions options;
    options.preopens.push_back({"/", OpenDirectory(root()), true});
    Start(std::move(options));
  }

  WasiContext& wasi() { return *context_; }
  Guest& guest() {
    guest_ = Guest(std::span(memory_), interrupt_.get());
    return guest_;
  }
  std::span<std::byte> memory() { return memory_; }

  void Interrupt() const {
    const uint64_t one = 1;
    ASSERT_EQ(::write(interrupt_.get(), &one, sizeof(one)), static_cast<ssize_t>(sizeof(one)));
  }

  // Room in guest memory, aligned to 8.
  uint32_t Alloc(uint32_t size_bytes) {
    const uint32_t at = next_;
    next_ = (next_ + size_bytes + 7) & ~7U;
    if (next_ > kMemoryBytes) {
      std::abort();
    }
    return at;
  }
  template <typename T>
  uint32_t Put(const T& value) {
    const uint32_t at = Alloc(sizeof(T));
    std::memcpy(memory_.data() + at, &value, sizeof(T));
    return at;
  }
  template <typename T>
  T Get(uint32_t at) const {
    T value;
    std::memcpy(&value, memory_.data() + at, sizeof(T));
    return value;
  }
  struct Text {
    uint32_t at;
    uint32_t size;
  };
  Text PutText(std::string_view text) {
    const uint32_t at = Alloc(static_cast<uint32_t>(text.size()));
    std::memcpy(memory_.data() + at, text.data(), text.size());
    return {at, static_cast<uint32_t>(text.size())};
  }
  std::string GetText(uint32_t at, uint32_t size) const {
    return {reinterpret_cast<const char*>(memory_.data()) + at, size};
  }
  uint32_t PutIovecs(const std::vector<abi::Iovec>& iovecs) {
    const uint32_t at = Alloc(static_cast<uint32_t>(iovecs.size() * sizeof(abi::Iovec)));
    std::memcpy(memory_.data() + at, iovecs.data(), iovecs.size() * sizeof(abi::Iovec));
    return at;
  }

  // The functions, with texts for paths. Each call starts with empty memory, and so does the next.
  struct Opened {
    Answer answer = Errno::kSuccess;
    uint32_t fd = 0;
  };
  static constexpr uint64_t kRead = abi::kRightFdRead;
  static constexpr uint64_t kWrite = abi::kRightFdWrite;
  Opened Open(std::string_view path, uint32_t open_flags = 0, uint64_t rights = kRead,
              uint32_t fd_flags = 0, uint32_t lookup = abi::kLookupSymlinkFollow,
              uint32_t directory = kRoot) {
    next_ = 8;
    const Text text = PutText(path);
    const uint32_t out = Alloc(4);
    const Answer answer = wasi().PathOpen(guest(), directory, lookup, text.at, text.size,
                                          open_flags, rights, rights, fd_flags, out);
    return {answer, answer.ok() ? Get<uint32_t>(out) : 0};
  }
  // Opens what must open.
  uint32_t MustOpen(std::string_view path, uint32_t open_flags = 0, uint64_t rights = kRead,
                    uint32_t fd_flags = 0) {
    const Opened opened = Open(path, open_flags, rights, fd_flags);
    EXPECT_EQ(opened.answer, Errno::kSuccess) << path;
    return opened.fd;
  }
  Answer Write(uint32_t fd, std::string_view text, uint32_t* written = nullptr) {
    next_ = 8;
    const Text data = PutText(text);
    const uint32_t iovecs = PutIovecs({{data.at, data.size}});
    const uint32_t out = Alloc(4);
    const Answer answer = wasi().FdWrite(guest(), fd, iovecs, 1, out);
    if (answer.ok() && written != nullptr) {
      *written = Get<uint32_t>(out);
    }
    return answer;
  }
  Answer Read(uint32_t fd, uint32_t size_bytes, std::string& text) {
    next_ = 8;
    const uint32_t buffer = Alloc(size_bytes);
    const uint32_t iovecs = PutIovecs({{buffer, size_bytes}});
    const uint32_t out = Alloc(4);
    const Answer answer = wasi().FdRead(guest(), fd, iovecs, 1, out);
    text = answer.ok() ? GetText(buffer, Get<uint32_t>(out)) : "";
    return answer;
  }
  template <typename... Args>
  Answer OnPath(Answer (WasiContext::*member)(Guest&, uint32_t, uint32_t, uint32_t),
                std::string_view path) {
    next_ = 8;
    const Text text = PutText(path);
    return (wasi().*member)(guest(), kRoot, text.at, text.size);
  }
  Answer Mkdir(std::string_view path) { return OnPath(&WasiContext::PathCreateDirectory, path); }
  Answer Rmdir(std::string_view path) { return OnPath(&WasiContext::PathRemoveDirectory, path); }
  Answer Unlink(std::string_view path) { return OnPath(&WasiContext::PathUnlinkFile, path); }
  Answer Rename(std::string_view from, std::string_view to) {
    next_ = 8;
    const Text a = PutText(from);
    const Text b = PutText(to);
    return wasi().PathRename(guest(), kRoot, a.at, a.size, kRoot, b.at, b.size);
  }
  Answer Link(std::string_view from, std::string_view to, uint32_t lookup = 0) {
    next_ = 8;
    const Text a = PutText(from);
    const Text b = PutText(to);
    return wasi().PathLink(guest(), kRoot, lookup, a.at, a.size, kRoot, b.at, b.size);
  }
  Answer Symlink(std::string_view target, std::string_view path) {
    next_ = 8;
    const Text a = PutText(target);
    const Text b = PutText(path);
    return wasi().PathSymlink(guest(), a.at, a.size, kRoot, b.at, b.size);
  }
  Answer Readlink(std::string_view path, std::string& target, uint32_t size_bytes = 256) {
    next_ = 8;
    const Text text = PutText(path);
    const uint32_t buffer = Alloc(size_bytes);
    const uint32_t out = Alloc(4);
    const Answer answer =
        wasi().PathReadlink(guest(), kRoot, text.at, text.size, buffer, size_bytes, out);
    target = answer.ok() ? GetText(buffer, Get<uint32_t>(out)) : "";
    return answer;
  }
  Answer Stat(std::string_view path, abi::Filestat& filestat,
              uint32_t lookup = abi::kLookupSymlinkFollow) {
    next_ = 8;
    const Text text = PutText(path);
    const uint32_t out = Alloc(sizeof(abi::Filestat));
    const Answer answer = wasi().PathFilestatGet(guest(), kRoot, lookup, text.at, text.size, out);
    filestat = Get<abi::Filestat>(out);
    return answer;
  }
  Answer SetTimes(std::string_view path, uint64_t atim, uint64_t mtim, uint32_t flags,
                  uint32_t lookup = abi::kLookupSymlinkFollow) {
    next_ = 8;
    const Text text = PutText(path);
    return wasi().PathFilestatSetTimes(guest(), kRoot, lookup, text.at, text.size, atim, mtim,
                                       flags);
  }

  void MakeFile(const std::filesystem::path& path, std::string_view text = "") const {
    std::ofstream(path, std::ios::binary) << text;
  }
  std::string FileText(const std::filesystem::path& path) const {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
  }

  uint32_t next_ = 8;

 private:
  std::filesystem::path scratch_;
  std::vector<std::byte> memory_ = std::vector<std::byte>(kMemoryBytes);
  UniqueFd interrupt_{::eventfd(0, EFD_CLOEXEC)};
  Guest guest_{std::span<std::byte>()};
  std::unique_ptr<WasiContext> context_;
};

}  // namespace wasmd::engine

#endif  // WASMD_TESTS_UNIT_ENGINE_WASI_FIXTURE_H_
