// Recurses until the engine's stack ends (not the shadow stack in linear memory: the frames that
// matter keep nothing there). Ends with a stack-overflow trap under any engine.
#include <unistd.h>

static volatile int seed = 1;

__attribute__((noinline)) static int Deeper(int depth) {
  // The use of the result after the call keeps this from becoming a loop.
  int below = Deeper(depth + seed);
  return below + depth * seed;
}

int main(void) {
  write(1, "recursing\n", 10);
  return Deeper(1) == 42 ? 3 : 4;
}
