// WASI preview 1 as it lies in guest memory: records, flags and enumerations, with their sizes and
// offsets asserted.
//
// Records are copied in and out whole; they have no padding that is not named, so no host byte
// leaks. Values that a guest passes are checked by the functions: an unknown flag or enumerator is
// EINVAL. Spec: WASI preview 1, types
#ifndef WASMD_ENGINE_WASI_ABI_H_
#define WASMD_ENGINE_WASI_ABI_H_

#include <bit>
#include <cstddef>
#include <cstdint>

namespace wasmd::engine::abi {

static_assert(std::endian::native == std::endian::little, "records are copied as they are");

enum class Filetype : uint8_t {
  kUnknown = 0,
  kBlockDevice = 1,
  kCharacterDevice = 2,
  kDirectory = 3,
  kRegularFile = 4,
  kSocketDgram = 5,
  kSocketStream = 6,
  kSymbolicLink = 7,
};

// fdflags
inline constexpr uint32_t kFdAppend = 1;
inline constexpr uint32_t kFdDsync = 2;
inline constexpr uint32_t kFdNonblock = 4;
inline constexpr uint32_t kFdRsync = 8;
inline constexpr uint32_t kFdSync = 16;
inline constexpr uint32_t kFdFlags = 31;

// oflags
inline constexpr uint32_t kOpenCreat = 1;
inline constexpr uint32_t kOpenDirectory = 2;
inline constexpr uint32_t kOpenExcl = 4;
inline constexpr uint32_t kOpenTrunc = 8;
inline constexpr uint32_t kOpenFlags = 15;

// lookupflags
inline constexpr uint32_t kLookupSymlinkFollow = 1;
inline constexpr uint32_t kLookupFlags = 1;

// fstflags
inline constexpr uint32_t kSetAtim = 1;
inline constexpr uint32_t kSetAtimNow = 2;
inline constexpr uint32_t kSetMtim = 4;
inline constexpr uint32_t kSetMtimNow = 8;
inline constexpr uint32_t kSetFlags = 15;

// rights
inline constexpr uint64_t kRightFdDatasync = 1ULL << 0;
inline constexpr uint64_t kRightFdRead = 1ULL << 1;
inline constexpr uint64_t kRightFdSeek = 1ULL << 2;
inline constexpr uint64_t kRightFdFdstatSetFlags = 1ULL << 3;
inline constexpr uint64_t kRightFdSync = 1ULL << 4;
inline constexpr uint64_t kRightFdTell = 1ULL << 5;
inline constexpr uint64_t kRightFdWrite = 1ULL << 6;
inline constexpr uint64_t kRightFdAdvise = 1ULL << 7;
inline constexpr uint64_t kRightFdAllocate = 1ULL << 8;
inline constexpr uint64_t kRightPathCreateDirectory = 1ULL << 9;
inline constexpr uint64_t kRightPathCreateFile = 1ULL << 10;
inline constexpr uint64_t kRightPathLinkSource = 1ULL << 11;
inline constexpr uint64_t kRightPathLinkTarget = 1ULL << 12;
inline constexpr uint64_t kRightPathOpen = 1ULL << 13;
inline constexpr uint64_t kRightFdReaddir = 1ULL << 14;
inline constexpr uint64_t kRightPathReadlink = 1ULL << 15;
inline constexpr uint64_t kRightPathRenameSource = 1ULL << 16;
inline constexpr uint64_t kRightPathRenameTarget = 1ULL << 17;
inline constexpr uint64_t kRightPathFilestatGet = 1ULL << 18;
inline constexpr uint64_t kRightPathFilestatSetSize = 1ULL << 19;
inline constexpr uint64_t kRightPathFilestatSetTimes = 1ULL << 20;
inline constexpr uint64_t kRightFdFilestatGet = 1ULL << 21;
inline constexpr uint64_t kRightFdFilestatSetSize = 1ULL << 22;
inline constexpr uint64_t kRightFdFilestatSetTimes = 1ULL << 23;
inline constexpr uint64_t kRightPathSymlink = 1ULL << 24;
inline constexpr uint64_t kRightPathRemoveDirectory = 1ULL << 25;
inline constexpr uint64_t kRightPathUnlinkFile = 1ULL << 26;
inline constexpr uint64_t kRightPollFdReadwrite = 1ULL << 27;
inline constexpr uint64_t kRightSockShutdown = 1ULL << 28;
inline constexpr uint64_t kRightSockAccept = 1ULL << 29;
inline constexpr uint64_t kRights = (1ULL << 30) - 1;

// clockid
inline constexpr uint32_t kClockRealtime = 0;
inline constexpr uint32_t kClockMonotonic = 1;
inline constexpr uint32_t kClockProcessCputime = 2;
inline constexpr uint32_t kClockThreadCputime = 3;

// riflags, roflags and sdflags of the socket functions
inline constexpr uint32_t kRecvPeek = 1;
inline constexpr uint32_t kRecvWaitall = 2;
inline constexpr uint32_t kRecvFlags = 3;
inline constexpr uint32_t kShutdownRead = 1;
inline constexpr uint32_t kShutdownWrite = 2;
inline constexpr uint32_t kShutdownFlags = 3;

// whence
inline constexpr uint32_t kWhenceSet = 0;
inline constexpr uint32_t kWhenceCur = 1;
inline constexpr uint32_t kWhenceEnd = 2;

struct Iovec {
  uint32_t buf;
  uint32_t buf_len;
};
static_assert(sizeof(Iovec) == 8);

struct Prestat {
  uint8_t tag;  // 0: a directory.
  uint8_t padding[3];
  uint32_t name_len;
};
static_assert(sizeof(Prestat) == 8);

struct Fdstat {
  Filetype filetype;
  uint8_t padding;
  uint16_t flags;
  uint8_t padding2[4];
  uint64_t rights_base;
  uint64_t rights_inheriting;
};
static_assert(sizeof(Fdstat) == 24 && offsetof(Fdstat, rights_base) == 8);

struct Filestat {
  uint64_t dev;
  uint64_t ino;
  Filetype filetype;
  uint8_t padding[7];
  uint64_t nlink;
  uint64_t size;
  uint64_t atim;
  uint64_t mtim;
  uint64_t ctim;
};
static_assert(sizeof(Filestat) == 64 && offsetof(Filestat, nlink) == 24);

struct Dirent {
  uint64_t next;
  uint64_t ino;
  uint32_t namlen;
  Filetype type;
  uint8_t padding[3];
};
static_assert(sizeof(Dirent) == 24);

// eventtype, and a subscription's tag.
inline constexpr uint8_t kEventClock = 0;
inline constexpr uint8_t kEventFdRead = 1;
inline constexpr uint8_t kEventFdWrite = 2;

inline constexpr uint16_t kClockAbstime = 1;  // subclockflags
inline constexpr uint16_t kEventHangup = 1;   // eventrwflags

struct Subscription {
  uint64_t userdata;
  uint8_t tag;
  uint8_t padding[7];
  uint32_t id;  // clockid, or the descriptor of the two others, which end here.
  uint8_t padding2[4];
  uint64_t timeout;
  uint64_t precision;
  uint16_t flags;
  uint8_t padding3[6];
};
static_assert(sizeof(Subscription) == 48 && offsetof(Subscription, timeout) == 24 &&
              offsetof(Subscription, flags) == 40);

struct Event {
  uint64_t userdata;
  uint16_t error;
  uint8_t type;
  uint8_t padding[5];
  uint64_t nbytes;
  uint16_t flags;
  uint8_t padding2[6];
};
static_assert(sizeof(Event) == 32 && offsetof(Event, nbytes) == 16 && offsetof(Event, flags) == 24);

}  // namespace wasmd::engine::abi

#endif  // WASMD_ENGINE_WASI_ABI_H_
