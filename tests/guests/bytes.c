// Functions on byte strings, by client/guest/wasmd_guest.h. Built without a libc (build.sh).
#include "../../client/guest/wasmd_guest.h"

WASMD_BYTES_FUNCTION(echo) { return input; }

WASMD_BYTES_FUNCTION(upper) {
  for (size_t i = 0; i < input.size; ++i) {
    if (input.data[i] >= 'a' && input.data[i] <= 'z') input.data[i] -= 32;
  }
  return input;
}

WASMD_BYTES_FUNCTION(reverse) {
  wasmd_bytes output = {wasmd_allocate(input.size), input.size};
  for (size_t i = 0; i < input.size; ++i) output.data[i] = input.data[input.size - 1 - i];
  return output;
}

// As many zeros as the input says in decimal.
WASMD_BYTES_FUNCTION(zeros) {
  size_t count = 0;
  for (size_t i = 0; i < input.size; ++i) count = count * 10 + (size_t)(input.data[i] - '0');
  wasmd_bytes output = {wasmd_allocate(count), count};
  for (size_t i = 0; i < count; ++i) output.data[i] = 0;
  return output;
}
