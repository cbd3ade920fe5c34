// Every function with pointers, each pointer at the edges of memory, out of it, misaligned, and on
// top of another: a range that lies in memory works as anywhere else, one that does not traps, and
// nothing is touched that is not the guest's. Meant to be run under ASan too: the guest's memory is
// an allocation of its own.
//
// random_calls_test.cc draws all arguments at once; here each has its right answer.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/str_cat.h"
#include "engine/wasi/abi.h"
#include "tests/unit/engine/wasi/fixture.h"

namespace wasmd::engine {
namespace {

// What a pointer argument points to. Inputs have contents.
struct Pointed {
  uint32_t size_bytes = 0;
  uint32_t alignment = 1;
  std::string contents = {};
};
Pointed In(std::string contents, uint32_t alignment = 1) {
  const auto size_bytes = static_cast<uint32_t>(contents.size());
  return {size_bytes, alignment, std::move(contents)};
}
template <typename T>
Pointed InRecord(const T& record) {
  return In(std::string(reinterpret_cast<const char*>(&record), sizeof(T)), alignof(T));
}
Pointed Out(uint32_t size_bytes, uint32_t alignment) {
  return {size_bytes, alignment, {}};
}
template <typename T>
Pointed OutRecord() {
  return Out(sizeof(T), alignof(T));
}

using Addresses = std::vector<uint32_t>;

struct Function {
  std::string_view name;
  std::vector<Pointed> pointers;
  std::function<Answer(const Addresses&)> call;
};

class PointersTest : public WasiTest {
 protected:
  PointersTest() : WasiTest(FolderInMemory()) {}

  static constexpr uint32_t kFile = 4;
  static constexpr uint32_t kBuffer = 0x8000;  // Where iovecs point to.

  // The same before every call.
  void Prepare() {
    std::filesystem::remove_all(root());
    std::filesystem::create_directory(root());
    MakeFile(root() / "f", "0123456789");
    std::filesystem::create_symlink("f", root() / "l");
    std::filesystem::create_directory(root() / "d");
    WasiOptions options;
    options.args = {"prog", "argument"};
    options.env = {"A=1", "B=2"};
    Start(std::move(options));
    ASSERT_EQ(MustOpen("f", 0, kRead | kWrite), kFile);
    std::ranges::fill(memory(), std::byte{0});
  }

  std::vector<Function> Functions() {
    const std::string file = "f";
    const std::string link = "l";
    const std::string directory = "d";
    const std::string created = "new";
    const abi::Iovec iovec = {kBuffer, 5};
    abi::Subscription now = {};
    now.id = abi::kClockMonotonic;
    const auto word = OutRecord<uint32_t>();
    const auto long_word = OutRecord<uint64_t>();
    return {
        {"args_get",
         {Out(8, 4), Out(14, 1)},
         [this](const Addresses& at) { return wasi().ArgsGet(guest(), at[0], at[1]); }},
        {"args_sizes_get",
         {word, word},
         [this](const Addresses& at) { return wasi().ArgsSizesGet(guest(), at[0], at[1]); }},
        {"environ_get",
         {Out(8, 4), Out(8, 1)},
         [this](const Addresses& at) { return wasi().EnvironGet(guest(), at[0], at[1]); }},
        {"environ_sizes_get",
         {word, word},
         [this](const Addresses& at) { return wasi().EnvironSizesGet(guest(), at[0], at[1]); }},
        {"clock_res_get",
         {long_word},
         [this](const Addresses& at) { return wasi().ClockResGet(guest(), 0, at[0]); }},
        {"clock_time_get",
         {long_word},
         [this](const Addresses& at) { return wasi().ClockTimeGet(guest(), 0, 1, at[0]); }},
        {"fd_fdstat_get",
         {OutRecord<abi::Fdstat>()},
         [this](const Addresses& at) { return wasi().FdFdstatGet(guest(), kFile, at[0]); }},
        {"fd_filestat_get",
         {OutRecord<abi::Filestat>()},
         [this](const Addresses& at) { return wasi().FdFilestatGet(guest(), kFile, at[0]); }},
        {"fd_pread",
         {InRecord(iovec), word},
         [this](const Addresses& at) {
           return wasi().FdPread(guest(), kFile, at[0], 1, 2, at[1]);
         }},
        {"fd_prestat_get",
         {OutRecord<abi::Prestat>()},
         [this](const Addresses& at) { return wasi().FdPrestatGet(guest(), kRoot, at[0]); }},
        {"fd_prestat_dir_name",
         {Out(1, 1)},
         [this](const Addresses& at) { return wasi().FdPrestatDirName(guest(), kRoot, at[0], 1); }},
        {"fd_pwrite",
         {InRecord(iovec), word},
         [this](const Addresses& at) {
           return wasi().FdPwrite(guest(), kFile, at[0], 1, 2, at[1]);
         }},
        {"fd_read",
         {InRecord(iovec), word},
         [this](const Addresses& at) { return wasi().FdRead(guest(), kFile, at[0], 1, at[1]); }},
        {"fd_readdir",
         {Out(300, 1), word},
         [this](const Addresses& at) {
           return wasi().FdReaddir(guest(), kRoot, at[0], 300, 0, at[1]);
         }},
        {"fd_seek",
         {long_word},
         [this](const Addresses& at) { return wasi().FdSeek(guest(), kFile, 1, 0, at[0]); }},
        {"fd_tell",
         {long_word},
         [this](const Addresses& at) { return wasi().FdTell(guest(), kFile, at[0]); }},
        {"fd_write",
         {InRecord(iovec), word},
         [this](const Addresses& at) { return wasi().FdWrite(guest(), kFile, at[0], 1, at[1]); }},
        {"path_create_directory",
         {In(created)},
         [this](const Addresses& at) {
           return wasi().PathCreateDirectory(guest(), kRoot, at[0], 3);
         }},
        {"path_filestat_get",
         {In(file), OutRecord<abi::Filestat>()},
         [this](const Addresses& at) {
           return wasi().PathFilestatGet(guest(), kRoot, 0, at[0], 1, at[1]);
         }},
        {"path_filestat_set_times",
         {In(file)},
         [this](const Addresses& at) {
           return wasi().PathFilestatSetTimes(guest(), kRoot, 0, at[0], 1, 1, 1, abi::kSetMtim);
         }},
        {"path_link",
         {In(file), In(created)},
         [this](const Addresses& at) {
           return wasi().PathLink(guest(), kRoot, 0, at[0], 1, kRoot, at[1], 3);
         }},
        {"path_open",
         {In(file), word},
         [this](const Addresses& at) {
           return wasi().PathOpen(guest(), kRoot, 0, at[0], 1, 0, kRead, kRead, 0, at[1]);
         }},
        {"path_readlink",
         {In(link), Out(1, 1), word},
         [this](const Addresses& at) {
           return wasi().PathReadlink(guest(), kRoot, at[0], 1, at[1], 100'000, at[2]);
         }},
        {"path_remove_directory",
         {In(directory)},
         [this](const Addresses& at) {
           return wasi().PathRemoveDirectory(guest(), kRoot, at[0], 1);
         }},
        {"path_rename",
         {In(file), In(created)},
         [this](const Addresses& at) {
           return wasi().PathRename(guest(), kRoot, at[0], 1, kRoot, at[1], 3);
         }},
        {"path_symlink",
         {In(file), In(created)},
         [this](const Addresses& at) {
           return wasi().PathSymlink(guest(), at[0], 1, kRoot, at[1], 3);
         }},
        {"path_unlink_file",
         {In(file)},
         [this](const Addresses& at) { return wasi().PathUnlinkFile(guest(), kRoot, at[0], 1); }},
        {"poll_oneoff",
         {InRecord(now), OutRecord<abi::Event>(), word},
         [this](const Addresses& at) {
           return wasi().PollOneoff(guest(), at[0], at[1], 1, at[2]);
         }},
        {"random_get",
         {Out(1000, 1)},
         [this](const Addresses& at) { return wasi().RandomGet(guest(), at[0], 1000); }},
    };
  }

  // Where nothing else lies.
  static Addresses Apart(const Function& function) {
    Addresses addresses;
    for (size_t i = 0; i < function.pointers.size(); ++i) {
      addresses.push_back(static_cast<uint32_t>(1024 * (i + 1)));
    }
    return addresses;
  }
  Answer Call(const Function& function, const Addresses& addresses) {
    Prepare();
    for (size_t i = 0; i < addresses.size(); ++i) {
      const std::string& contents = function.pointers[i].contents;
      if (Fits(addresses[i], contents.size())) {
        std::memcpy(memory().data() + addresses[i], contents.data(), contents.size());
      }
    }
    return function.call(addresses);
  }
  static bool Fits(uint64_t address, uint64_t size_bytes) {
    return address + size_bytes <= kMemoryBytes;
  }
};

TEST_F(PointersTest, EveryFunctionIsThere) {
  std::set<std::string_view> known = {
      "fd_advise", "fd_allocate", "fd_close", "fd_datasync", "fd_fdstat_set_flags",
      "fd_fdstat_set_rights", "fd_filestat_set_size", "fd_filestat_set_times", "fd_renumber",
      "fd_sync", "proc_exit", "proc_raise", "sched_yield",
      // On a file they answer before they look at a pointer: streams and sockets have tests of
      // their own.
      "sock_accept", "sock_recv", "sock_send", "sock_shutdown"};
  for (const Function& function : Functions()) {
    EXPECT_TRUE(known.insert(function.name).second) << function.name;
  }
#define WASI(name, member) EXPECT_EQ(known.erase(#name), 1u) << #name;
#include "engine/wasi/functions.def"
#undef WASI
  EXPECT_TRUE(known.empty()) << *known.begin();
}

TEST_F(PointersTest, AtTheEdgesOfMemory) {
  for (const Function& function : Functions()) {
    const Addresses apart = Apart(function);
    ASSERT_EQ(Call(function, apart), Errno::kSuccess) << function.name;
    for (size_t i = 0; i < apart.size(); ++i) {
      const Pointed& pointed = function.pointers[i];
      const uint32_t last = (kMemoryBytes - pointed.size_bytes) & ~(pointed.alignment - 1);
      for (const uint32_t address :
           {0U, 1U, 2U, 4U, last, last + 1, last + pointed.alignment, kMemoryBytes - 1,
            kMemoryBytes, kMemoryBytes + 8, 0x7fff'fff8U, 0x8000'0000U, 0xffff'fff0U, 0xffff'fff8U,
            0xffff'fffcU, 0xffff'ffffU}) {
        Addresses addresses = apart;
        addresses[i] = address;
        const Answer answer = Call(function, addresses);
        const Answer expected = address % pointed.alignment != 0    ? Answer::Misaligned()
                                : Fits(address, pointed.size_bytes) ? Answer(Errno::kSuccess)
                                                                    : Answer::OutOfBounds();
        EXPECT_EQ(answer, expected) << function.name << ", pointer " << i << " at " << address;
      }
    }
  }
}

// A result on top of what was read, or of another result: what is read was read before.
TEST_F(PointersTest, OnTopOfEachOther) {
  for (const Function& function : Functions()) {
    const Addresses apart = Apart(function);
    for (size_t i = 0; i < apart.size(); ++i) {
      for (size_t j = i + 1; j < apart.size(); ++j) {
        if (!function.pointers[i].contents.empty() && !function.pointers[j].contents.empty()) {
          continue;  // Two inputs are two texts.
        }
        for (const uint32_t distance : {0U, 8U}) {
          Addresses addresses = apart;
          addresses[j] = addresses[i] + distance;
          EXPECT_EQ(Call(function, addresses), Errno::kSuccess)
              << function.name << ", pointers " << i << " and " << j << ", " << distance;
        }
      }
    }
  }
}

TEST_F(PointersTest, LengthsThatReachOutOrOverflow) {
  Prepare();
  using Sized = std::function<Answer(uint32_t, uint32_t)>;
  const auto path = [this](Answer (WasiContext::*member)(Guest&, uint32_t, uint32_t, uint32_t)) {
    return [this, member](uint32_t at, uint32_t size) {
      return (wasi().*member)(guest(), kRoot, at, size);
    };
  };
  const std::pair<std::string_view, Sized> functions[] = {
      {"path_create_directory", path(&WasiContext::PathCreateDirectory)},
      {"path_remove_directory", path(&WasiContext::PathRemoveDirectory)},
      {"path_unlink_file", path(&WasiContext::PathUnlinkFile)},
      {"path_open",
       [this](uint32_t at, uint32_t size) {
         return wasi().PathOpen(guest(), kRoot, 0, at, size, 0, 0, 0, 0, 1024);
       }},
      {"path_filestat_get",
       [this](uint32_t at, uint32_t size) {
         return wasi().PathFilestatGet(guest(), kRoot, 0, at, size, 1024);
       }},
      {"path_readlink",
       [this](uint32_t at, uint32_t size) {
         return wasi().PathReadlink(guest(), kRoot, at, size, 1024, 8, 1032);
       }},
      {"path_rename, to",
       [this](uint32_t at, uint32_t size) {
         return wasi().PathRename(guest(), kRoot, 1024, 1, kRoot, at, size);
       }},
      {"path_symlink, to",
       [this](uint32_t at, uint32_t size) {
         return wasi().PathSymlink(guest(), at, size, kRoot, 1024, 1);
       }},
      {"random_get",
       [this](uint32_t at, uint32_t size) { return wasi().RandomGet(guest(), at, size); }},
      {"fd_readdir",
       [this](uint32_t at, uint32_t size) {
         return wasi().FdReaddir(guest(), kRoot, at, size, 0, 1024);
       }},
  };
  for (const auto& [name, call] : functions) {
    for (const auto& [at, size] : {std::pair{8U, kMemoryBytes - 7},
                                   {8U, 0xffff'ffffU},
                                   {8U, 0xffff'fff8U},
                                   {0U, kMemoryBytes + 1},
                                   {kMemoryBytes, 1U},
                                   {kMemoryBytes - 1, 2U},
                                   {0xffff'ffffU, 1U},
                                   {0xffff'ffffU, 2U},
                                   {0xffff'ffffU, 0U},
                                   {0xffff'ffffU, 0xffff'ffffU},
                                   {0x8000'0000U, 0x8000'0000U}}) {
      memory()[1024] = std::byte{'f'};  // The other path, where there is one.
      EXPECT_EQ(call(at, size), Answer::OutOfBounds()) << name << " " << at << " + " << size;
    }
  }
  // In memory, and longer than a path can be.
  for (const uint32_t size : {4096U, 65536U, kMemoryBytes}) {
    std::ranges::fill(memory(), std::byte{'x'});
    EXPECT_EQ(wasi().PathUnlinkFile(guest(), kRoot, 0, size), Errno::kNametoolong) << size;
  }
  // The name of a preopen needs no more room than it has.
  EXPECT_EQ(wasi().FdPrestatDirName(guest(), kRoot, kMemoryBytes - 1, 0xffff'ffff),
            Errno::kSuccess);
  EXPECT_EQ(wasi().FdPrestatDirName(guest(), kRoot, kMemoryBytes, 1), Answer::OutOfBounds());
}

TEST_F(PointersTest, ArraysOfIovecsAndSubscriptions) {
  using Transfer = std::function<Answer(uint32_t, uint32_t)>;
  const std::pair<std::string_view, Transfer> functions[] = {
      {"fd_read",
       [this](uint32_t at, uint32_t count) { return wasi().FdRead(guest(), kFile, at, count, 8); }},
      {"fd_write", [this](uint32_t at,
                          uint32_t count) { return wasi().FdWrite(guest(), kFile, at, count, 8); }},
      {"fd_pread",
       [this](uint32_t at, uint32_t count) {
         return wasi().FdPread(guest(), kFile, at, count, 0, 8);
       }},
      {"fd_pwrite",
       [this](uint32_t at, uint32_t count) {
         return wasi().FdPwrite(guest(), kFile, at, count, 0, 8);
       }},
      {"fd_read of input",
       [this](uint32_t at, uint32_t count) { return wasi().FdRead(guest(), 0, at, count, 8); }},
      {"fd_write to output",
       [this](uint32_t at, uint32_t count) { return wasi().FdWrite(guest(), 1, at, count, 8); }},
  };
  for (const auto& [name, call] : functions) {
    Prepare();
    // The array: its end, its size times 8.
    EXPECT_EQ(call(kMemoryBytes - 8, 1), Errno::kSuccess) << name;
    EXPECT_EQ(call(kMemoryBytes - 8, 2), Answer::OutOfBounds()) << name;
    EXPECT_EQ(call(kMemoryBytes - 4, 1), Answer::OutOfBounds()) << name;
    EXPECT_EQ(call(kMemoryBytes, 0), Errno::kSuccess) << name;
    EXPECT_EQ(call(kMemoryBytes - 3, 1), Answer::Misaligned()) << name;
    EXPECT_EQ(call(0xffff'fffc, 1), Answer::OutOfBounds()) << name;
    for (const uint32_t count :
         {0x2000'0000U, 0x2000'0001U, 0x4000'0000U, 0xffff'ffffU, kMemoryBytes / 8 + 1}) {
      EXPECT_EQ(call(0, count), Answer::OutOfBounds()) << name << " " << count;
    }
    EXPECT_EQ(call(0, kMemoryBytes / 8), Errno::kSuccess) << name << ": as many as there are";
    // What an entry points to; the others are good.
    for (const auto& [iovec, fits] : {std::pair{abi::Iovec{kMemoryBytes, 0}, true},
                                      {abi::Iovec{kMemoryBytes - 1, 1}, true},
                                      {abi::Iovec{kMemoryBytes - 1, 2}, false},
                                      {abi::Iovec{kMemoryBytes + 1, 0}, false},
                                      {abi::Iovec{0xffff'ffff, 0}, false},
                                      {abi::Iovec{0xffff'ffff, 1}, false},
                                      {abi::Iovec{0, 0xffff'ffff}, false},
                                      {abi::Iovec{1, 0xffff'ffff}, false},
                                      {abi::Iovec{0x8000'0000, 0x8000'0000}, false}}) {
      for (const size_t place : {size_t{0}, size_t{1}, size_t{2}}) {
        Prepare();
        std::vector<abi::Iovec> iovecs(3, abi::Iovec{kBuffer, 3});
        iovecs[place] = iovec;
        next_ = 512;
        const uint32_t at = PutIovecs(iovecs);
        EXPECT_EQ(call(at, 3), fits ? Answer(Errno::kSuccess) : Answer::OutOfBounds())
            << name << " " << iovec.buf << " + " << iovec.buf_len;
      }
    }
    // All of memory, twice over: the array is among what is read into, and was read before.
    Prepare();
    next_ = 512;
    const uint32_t at = PutIovecs({{0, kMemoryBytes}, {0, kMemoryBytes}});
    EXPECT_EQ(call(at, 2), Errno::kSuccess) << name;
  }
  Prepare();
  for (const uint32_t count : {0x0555'5556U, 0x2000'0000U, 0xffff'ffffU, kMemoryBytes / 48 + 1}) {
    const Answer answer = wasi().PollOneoff(guest(), 0, 0, count, 8);
    EXPECT_TRUE(answer == Answer::OutOfBounds() || answer == Errno::kNomem) << count;
  }
}

}  // namespace
}  // namespace wasmd::engine
