// A daemon for the client's tests: the wire of a real one, with no wasm behind it, and able to
// misbehave.
//
// Its modules are any bytes that begin with "\0asm". Call echoes its arguments, unless the function
// is "trap", "exit" or "hang"; CallBytes its input, unless it is "trap", "exit" or "values". Run is
// a `cat` from standard input to standard output; argv[0] may be "hang", "flood" (writes for ever)
// or "args" (writes its arguments, one a line).
#ifndef WASMD_TESTS_SDK_CPP_FAKE_DAEMON_H_
#define WASMD_TESTS_SDK_CPP_FAKE_DAEMON_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace wasmd::client {

class FakeDaemon {
 public:
  enum class Handshake { kServe, kRefuse, kGarbage, kHangUp, kSilent };
  struct Options {
    bool tcp = false;
    Handshake handshake = Handshake::kServe;
    uint32_t protocol_version = 1;
    // Answers HTTP/2 with text.
    bool not_grpc = false;
    uint64_t max_module_bytes = 1 << 20;
  };
  struct Seen {
    std::vector<std::string> rpcs;  // "Initialize", "Call", …
    std::vector<std::string> tokens;
    uint32_t handshakes = 0;
    uint32_t handshakes_ended = 0;
    uint32_t cancelled = 0;
    std::vector<size_t> frames;  // Descriptors in each frame.
    std::vector<std::string> dropped;
  };

  explicit FakeDaemon(const Options& options);
  ~FakeDaemon();

  std::string address() const;
  // The token of every session.
  static std::string Token();
  Seen seen() const;
  // Waits until it holds; false after a generous time.
  bool WaitUntil(bool (*condition)(const Seen&)) const;
  // Closes every connection.
  void Disconnect();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace wasmd::client

#endif  // WASMD_TESTS_SDK_CPP_FAKE_DAEMON_H_
