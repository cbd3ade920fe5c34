// Says "looping" on stdout, then computes for ever without a system call.
#include <unistd.h>

int main(void) {
  volatile unsigned counter = 0;
  write(1, "looping\n", 8);
  for (;;) {
    counter = counter + 1;
  }
}
