#include "engine/base/check.h"

#include <unistd.h>

#include <cstddef>
#include <cstdlib>

namespace wasmd::engine {
namespace {

// Text of a fixed size, cut where it is full.
class Line {
 public:
  void Append(const char* text) {
    while (*text != '\0' && size_ < sizeof(buffer_) - 1) {
      buffer_[size_++] = *text++;
    }
  }

  void Append(int number) {
    char digits[12];
    char* first = digits + sizeof(digits) - 1;
    *first = '\0';
    do {
      *--first = static_cast<char>('0' + number % 10);
      number /= 10;
    } while (number > 0);
    Append(first);
  }

  void Write() {
    buffer_[size_++] = '\n';
    // Nothing is left to be done where stderr is gone.
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, buffer_, size_);
  }

 private:
  char buffer_[1024];
  size_t size_ = 0;
};

}  // namespace

void CheckFailed(const char* file, int line, const char* condition, const char* message) noexcept {
  Line text;
  text.Append(file);
  text.Append(":");
  text.Append(line);
  text.Append(": check failed: ");
  text.Append(condition);
  if (message != nullptr) {
    text.Append(": ");
    text.Append(message);
  }
  text.Write();
  std::abort();
}

}  // namespace wasmd::engine
