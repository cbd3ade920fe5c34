#include "engine/wasi/context.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "engine/base/status_macros.h"
#include "engine/base/str_cat.h"
#include "engine/base/unique_fd.h"
#include "engine/wasi/abi.h"
#include "engine/wasi/beneath.h"
#include "engine/wasi/descriptor_table.h"
#include "engine/wasi/guest.h"
#include "engine/wasi/wasi.h"

namespace wasmd::engine {
namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;

uint64_t KernelNs(clockid_t clock) {
  timespec now = {};
  ::clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * kNsPerSecond + static_cast<uint64_t>(now.tv_nsec);
}

absl::Status CheckStrings(const std::vector<std::string>& strings, const char* what,
                          const WasiLimits& limits, uint64_t& size_bytes) {
  if (strings.size() > limits.max_args) {
    return absl::InvalidArgumentError(absl::StrCat("more than ", limits.max_args, " ", what));
  }
  for (const std::string& text : strings) {
    if (text.find('\0') != std::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat("a NUL byte in ", what));
    }
    size_bytes += text.size() + 1;
  }
  return absl::OkStatus();
}

// A standard stream that is a descriptor.
absl::Status InspectStdio(Descriptor& descriptor, const char* name) {
  struct stat status = {};
  if (::fstat(descriptor.fd.get(), &status) != 0) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": ", std::strerror(errno)));
  }
  // Terminals are character devices and everything else is unknown, as in wasmtime: what guests ask
  // it for is isatty.
  descriptor.filetype = ::isatty(descriptor.fd.get()) == 1 ? abi::Filetype::kCharacterDevice
                                                           : abi::Filetype::kUnknown;
  descriptor.may_block =
      !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode) && !S_ISBLK(status.st_mode);
  return absl::OkStatus();
}

}  // namespace

WasiContext::WasiContext(WasiOptions options)
    : options_(std::move(options)), descriptors_(options_.limits) {}

absl::Status WasiContext::Open() {
  uint64_t size_bytes = 0;
  WASMD_RETURN_IF_ERROR(CheckStrings(options_.args, "arguments", options_.limits, size_bytes));
  WASMD_RETURN_IF_ERROR(
      CheckStrings(options_.env, "environment variables", options_.limits, size_bytes));
  if (size_bytes > options_.limits.max_args_bytes) {
    return absl::InvalidArgumentError(absl::StrCat("arguments and environment take ", size_bytes,
                                                   " bytes; the limit is ",
                                                   options_.limits.max_args_bytes));
  }
  if (options_.preopens.size() + options_.sockets.size() + 3 > options_.limits.max_open_files) {
    return absl::InvalidArgumentError(
        absl::StrCat(options_.preopens.size(), " preopens, ", options_.sockets.size(),
                     " sockets and 3 standard streams are more than the limit of ",
                     options_.limits.max_open_files, " open files"));
  }
  const size_t begins_with = options_.preopens.size() + options_.sockets.size() + 3;
  if (const std::optional<NamedLimit> refusal =
          descriptors_.Hold(static_cast<uint32_t>(begins_with))) {
    return absl::ResourceExhaustedError(
        StrCat("the program's streams, directories and sockets are over the limit ", refusal->name,
               " of ", refusal->amount, " open files"));
  }
  start_monotonic_ns_ = options_.monotonic_ns ? 0 : KernelNs(CLOCK_MONOTONIC);

  Descriptor input;
  input.kind = DescriptorKind::kInput;
  if (auto* fd = std::get_if<UniqueFd>(&options_.stdin_stream)) {
    input.fd = std::move(*fd);
    WASMD_RETURN_IF_ERROR(InspectStdio(input, "stdin"));
  } else if (auto* stream = std::get_if<std::shared_ptr<WasiInputStream>>(&options_.stdin_stream)) {
    input.input = std::move(*stream);
  }
  descriptors_.Add(std::move(input));
  for (const auto& [option, name] : {std::pair(&options_.stdout_stream, "stdout"),  //
                                     std::pair(&options_.stderr_stream, "stderr")}) {
    Descriptor output;
    output.kind = DescriptorKind::kOutput;
    if (auto* fd = std::get_if<UniqueFd>(option)) {
      output.fd = std::move(*fd);
      WASMD_RETURN_IF_ERROR(InspectStdio(output, name));
    } else if (auto* stream = std::get_if<std::shared_ptr<WasiOutputStream>>(option)) {
      output.output = std::move(*stream);
    }
    descriptors_.Add(std::move(output));
  }
  for (WasiPreopen& preopen : options_.preopens) {
    WASMD_RETURN_IF_ERROR(OpenPreopen(std::move(preopen)));
  }
  options_.preopens.clear();
  for (WasiSocket& socket : options_.sockets) {
    WASMD_RETURN_IF_ERROR(OpenSocket(std::move(socket)));
  }
  options_.sockets.clear();
  return absl::OkStatus();
}

absl::Status WasiContext::OpenPreopen(WasiPreopen preopen) {
  if (preopen.guest_path.size() > Guest::kMaxPathBytes ||
      preopen.guest_path.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError("a preopen's guest path is too long or has a NUL byte");
  }
  // Also finds out whether the kernel has openat2, without which nothing here is safe.
  UniqueFd probe;
  if (const int error = OpenBeneath(preopen.directory.get(), ".", O_PATH | O_DIRECTORY, 0, probe);
      error != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("preopen ", preopen.guest_path, ": ", std::strerror(error)));
  }
  if (IsProcfs(probe.get())) {
    return absl::InvalidArgumentError(
        absl::StrCat("preopen ", preopen.guest_path, ": no program is given what is in /proc"));
  }
  Descriptor directory;
  directory.kind = DescriptorKind::kDirectory;
  directory.filetype = abi::Filetype::kDirectory;
  directory.read_only = preopen.read_only;
  directory.fd = std::move(preopen.directory);
  directory.preopen_path = std::move(preopen.guest_path);
  descriptors_.Add(std::move(directory));
  return absl::OkStatus();
}

Descriptor* WasiContext::FindFile(uint32_t fd) {
  Descriptor* found = descriptors_.Find(fd);
  return found != nullptr && found->kind == DescriptorKind::kFile ? found : nullptr;
}

Descriptor* WasiContext::FindDirectory(uint32_t fd) {
  Descriptor* found = descriptors_.Find(fd);
  return found != nullptr && found->kind == DescriptorKind::kDirectory ? found : nullptr;
}

Answer WasiContext::StoreStrings(Guest& guest, const std::vector<std::string>& strings,
                                 uint32_t table, uint32_t buffer) const {
  uint64_t at = buffer;
  uint64_t entry = table;
  for (const std::string& text : strings) {
    std::span<std::byte> range;
    if (!guest.Store(entry, static_cast<uint32_t>(at)) ||
        !guest.Range(at, text.size() + 1, range)) {
      return guest.fault();
    }
    std::memcpy(range.data(), text.c_str(), text.size() + 1);
    at += text.size() + 1;
    entry += sizeof(uint32_t);
  }
  return Errno::kSuccess;
}

Answer WasiContext::StoreStringSizes(Guest& guest, const std::vector<std::string>& strings,
                                     uint32_t count_out, uint32_t size_out) {
  uint32_t size_bytes = 0;  // Bounded by max_args_bytes.
  for (const std::string& text : strings) {
    size_bytes += static_cast<uint32_t>(text.size() + 1);
  }
  if (!guest.Store(count_out, static_cast<uint32_t>(strings.size())) ||
      !guest.Store(size_out, size_bytes)) {
    return guest.fault();
  }
  return Errno::kSuccess;
}

Answer WasiContext::ArgsGet(Guest& guest, uint32_t table, uint32_t buffer) {
  return StoreStrings(guest, options_.args, table, buffer);
}

Answer WasiContext::ArgsSizesGet(Guest& guest, uint32_t count_out, uint32_t size_out) {
  return StoreStringSizes(guest, options_.args, count_out, size_out);
}

Answer WasiContext::EnvironGet(Guest& guest, uint32_t table, uint32_t buffer) {
  return StoreStrings(guest, options_.env, table, buffer);
}

Answer WasiContext::EnvironSizesGet(Guest& guest, uint32_t count_out, uint32_t size_out) {
  return StoreStringSizes(guest, options_.env, count_out, size_out);
}

uint64_t WasiContext::NowNs(uint32_t clock) const {
  if (clock == abi::kClockRealtime) {
    return options_.realtime_ns ? options_.realtime_ns() : KernelNs(CLOCK_REALTIME);
  }
  return options_.monotonic_ns ? options_.monotonic_ns()
                               : KernelNs(CLOCK_MONOTONIC) - start_monotonic_ns_;
}

Answer WasiContext::ClockResGet(Guest& guest, uint32_t clock, uint32_t out) {
  if (clock > abi::kClockThreadCputime) {
    return Errno::kInval;
  }
  if (clock > abi::kClockMonotonic) {
    return Errno::kBadf;
  }
  timespec resolution = {};
  ::clock_getres(clock == abi::kClockRealtime ? CLOCK_REALTIME : CLOCK_MONOTONIC, &resolution);
  const uint64_t ns = static_cast<uint64_t>(resolution.tv_sec) * kNsPerSecond +
                      static_cast<uint64_t>(resolution.tv_nsec);
  return guest.Store(out, ns) ? Answer(Errno::kSuccess) : guest.fault();
}

Answer WasiContext::ClockTimeGet(Guest& guest, uint32_t clock, uint64_t /*precision*/,
                                 uint32_t out) {
  if (clock > abi::kClockThreadCputime) {
    return Errno::kInval;
  }
  if (clock > abi::kClockMonotonic) {
    return Errno::kBadf;
  }
  return guest.Store(out, NowNs(clock)) ? Answer(Errno::kSuccess) : guest.fault();
}

Answer WasiContext::ProcExit(Guest& /*guest*/, uint32_t code) {
  return Answer::Exit(code);
}

Answer WasiContext::ProcRaise(Guest& /*guest*/, uint32_t /*signal*/) {
  return Errno::kNotsup;
}

Answer WasiContext::RandomGet(Guest& guest, uint32_t buffer, uint32_t size) {
  std::span<std::byte> range;
  if (!guest.Range(buffer, size, range)) {
    return guest.fault();
  }
  // The kernel makes some hundred MB a second: small pieces, so that an interrupt ends a large
  // request.
  constexpr size_t kChunkBytes = 1 << 20;
  while (!range.empty()) {
    const ssize_t got = ::getrandom(range.data(), std::min(range.size(), kChunkBytes), 0);
    if (got < 0) {
      if (errno != EINTR) {
        return ErrnoOfHost(errno);
      }
    } else {
      range = range.subspan(static_cast<size_t>(got));
    }
    if (!range.empty() && guest.interrupted()) {
      return Answer::Interrupted();
    }
  }
  return Errno::kSuccess;
}

Answer WasiContext::SchedYield(Guest& /*guest*/) {
  ::sched_yield();
  return Errno::kSuccess;
}

}  // namespace wasmd::engine
