// Standard streams that are not file descriptors: what the embedder implements to feed a program's
// stdin and to take its stdout and stderr.
//
// Neither side ever blocks in the stream. Waiting is poll(2) on ready_fd() beside the invocation's
// interrupt descriptor, so that a program which waits for input, or for room in its output, can be
// stopped at once. An eventfd does it: write 1 when the stream becomes ready, read it when TryRead
// or TryWrite is about to return kWouldBlock. ByteQueue (engine/wasi/byte_queue.h) is such a
// stream, with a bound, both ways.
//
// The guest's thread calls these; the implementation locks against its other side. Lifetime: shared
// with the Wasi object.
#ifndef WASMD_ENGINE_WASI_WASI_STREAM_H_
#define WASMD_ENGINE_WASI_WASI_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <span>

namespace wasmd::engine {

enum class WasiStreamState : uint8_t {
  kOk,          // `size_bytes` > 0 bytes went over (or none, if none were asked for).
  kWouldBlock,  // Nothing now; ready_fd() tells when.
  kClosed,      // Reading: the end. Writing: nobody takes it any more, the guest gets EPIPE.
  kFailed,      // The other side broke: the guest gets EIO.
};

struct WasiStreamResult {
  WasiStreamState state = WasiStreamState::kOk;
  size_t size_bytes = 0;
};

class WasiInputStream {
 public:
  virtual ~WasiInputStream() = default;
  // Fills a prefix of `to`. Never blocks.
  virtual WasiStreamResult TryRead(std::span<std::byte> to) = 0;
  // Polls readable (POLLIN) exactly while TryRead would not say kWouldBlock. Constant; owned by the
  // stream.
  virtual int ready_fd() const = 0;
};

class WasiOutputStream {
 public:
  virtual ~WasiOutputStream() = default;
  // Takes a prefix of `from`: this is the back-pressure. Never blocks. Does not keep the span.
  virtual WasiStreamResult TryWrite(std::span<const std::byte> from) = 0;
  // Polls readable (POLLIN) exactly while TryWrite would not say kWouldBlock. Constant; owned by
  // the stream.
  virtual int ready_fd() const = 0;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_WASI_WASI_STREAM_H_
