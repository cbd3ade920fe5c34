/* The watchdog's timer: off while all lanes sleep, on again when a worker wakes up. Two workers, one lane each; a call ends by
 * itself or only when a tick of the watchdog has seen it.
 * An error: a worker is in a call that only the watchdog ends, and the timer is off for ever.
 */
#define WORKERS 2
#define ROUNDS 2
#define QUIET 1 /* ticks without anything awake before the timer stops */

#define ASLEEP(w) w    /* of the lane */
#define VISIT(w) 2 + w /* 1: inside a visit */
#define WATCHING 4
#define WORDS 5
#define WATCHDOG 2
#define THREADS 3
#define DEPTH 2

#include "tso.pml"

bool timer;
bool seen[WORKERS]; /* a tick has seen the call */

/* timerfd_settime takes a lock in the kernel, which is a locked operation. */
#define SET_TIMER(t, on) atomic { empty(buffer[t]) -> timer = on }

inline arm(t) {
  STORE(t, WATCHING, 1);
  SET_TIMER(t, true)
}

proctype Worker(byte me) {
  byte round, r;
  do
  :: round < ROUNDS ->
     round++;
     STORE(me, ASLEEP(me), 1);
     FENCE(me);
     /* A doorbell, at any time: clients do not touch the lane's word. */
#ifdef WAKE_WITHOUT_EXCHANGE
     STORE(me, ASLEEP(me), 0);
#else
     EXCHANGE(me, ASLEEP(me), 0, r);
#endif
     READ(me, WATCHING, r);
     if
#ifndef NO_REARM
     :: r == 0 -> arm(me)
#endif
     :: else
     fi;
     r = 0;
     STORE(me, VISIT(me), 1);
     if
     :: true
     :: true -> seen[me]
     fi;
     STORE(me, VISIT(me), 0);
     seen[me] = false
  :: round == ROUNDS -> break
  od;
  STORE(me, ASLEEP(me), 1)
}

inline look(t, awake) {
  awake = false;
  i = 0;
  do
  :: i < WORKERS ->
     READ(t, VISIT(i), r);
     if
     :: r == 1 -> awake = true; seen[i] = true
     :: else
     fi;
     i++
  :: else -> break
  od;
  i = 0;
  do
  :: i < WORKERS ->
     READ(t, ASLEEP(i), r);
     if
     :: r == 0 -> awake = true
     :: else
     fi;
     i++
  :: else -> break
  od;
  i = 0;
  r = 0
}

proctype Watchdog() {
  byte quiet, i, r;
  bool awake;
end:
  do
  :: timer ->
     look(WATCHDOG, awake);
     if
     :: awake -> quiet = 0
     :: else -> quiet++
     fi;
     if
     :: quiet == QUIET ->
        quiet = 0;
#ifdef UNWATCH_BEFORE_TIMER_OFF
        STORE(WATCHDOG, WATCHING, 0);
        SET_TIMER(WATCHDOG, false);
#else
        SET_TIMER(WATCHDOG, false);
        STORE(WATCHDOG, WATCHING, 0);
#endif
#ifndef NO_FENCE_BEFORE_LOOK
        FENCE(WATCHDOG);
#endif
#ifndef NO_LOOK_BEHIND_TIMER_OFF
        look(WATCHDOG, awake);
        if
        :: awake -> arm(WATCHDOG)
        :: else
        fi
#endif
     :: else
     fi;
     awake = false
  od
}

init {
  atomic {
    timer = true;
    mem[WATCHING] = 1;
    run Drain(0);
    run Drain(1);
    run Drain(WATCHDOG);
    run Worker(0);
    run Worker(1);
    run Watchdog()
  }
}
