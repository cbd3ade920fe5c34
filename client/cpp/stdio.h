// Where a run's standard streams go on the client's side.
#ifndef WASMD_CLIENT_CPP_STDIO_H_
#define WASMD_CLIENT_CPP_STDIO_H_

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace wasmd::client {

struct NullStream {};
// Passed to the daemon, which then reads or writes it directly, if the session can; else read or
// written here. Stays the caller's and must stay open until Run returns.
struct DescriptorStream {
  int fd = -1;
  bool pass = true;  // Off: read or written here in any case.
};

// Standard input.
class Input {
 public:
  // Fills a part of the buffer and returns how much; 0 is the end. Called on a thread of its own,
  // one call at a time. Run waits for a call that is in progress, so one that never returns keeps
  // Run from returning.
  using Source = std::function<absl::StatusOr<size_t>(std::span<char> buffer)>;

  static Input Null() { return Input(NullStream{}); }
  static Input Descriptor(int fd) { return Input(DescriptorStream{fd, true}); }
  static Input Through(int fd) { return Input(DescriptorStream{fd, false}); }
  static Input Text(std::string text) { return Input(std::move(text)); }
  static Input From(Source source) { return Input(std::move(source)); }

  using Kind = std::variant<NullStream, DescriptorStream, std::string, Source>;
  const Kind& kind() const { return kind_; }

 private:
  explicit Input(Kind kind) : kind_(std::move(kind)) {}
  Kind kind_;
};

// Standard output or error.
class Output {
 public:
  // Takes all of the data. An error cancels the run. Called on the thread that called Run; while it
  // is busy, the program's writes wait.
  using Sink = std::function<absl::Status(std::string_view data)>;

  static Output Null() { return Output(NullStream{}); }
  static Output Descriptor(int fd) { return Output(DescriptorStream{fd, true}); }
  static Output Through(int fd) { return Output(DescriptorStream{fd, false}); }
  // Appends to a string.
  static Output Text(std::string* text) {
    return Output(Sink([text](std::string_view data) {
      text->append(data);
      return absl::OkStatus();
    }));
  }
  static Output To(Sink sink) { return Output(std::move(sink)); }

  using Kind = std::variant<NullStream, DescriptorStream, Sink>;
  const Kind& kind() const { return kind_; }

 private:
  explicit Output(Kind kind) : kind_(std::move(kind)) {}
  Kind kind_;
};

}  // namespace wasmd::client

#endif  // WASMD_CLIENT_CPP_STDIO_H_
