/* The watchdog's ticks: none while all lanes sleep, again when a worker wakes up. Two workers, one lane each; a call ends by
 * itself or only when a look of the watchdog has seen it. The alarm (daemon/pool/alarm.h) rings if a tick is expected.
 * An error: a worker is in a call that only the watchdog ends, and the alarm never rings again.
 */
#define WORKERS 2
#define ROUNDS 2
#define QUIET 1 /* ticks without anything awake before they stop */

#define ASLEEP(w) w    /* of the lane */
#define VISIT(w) 2 + w /* 1: inside a visit */
#define TICKING 4
#define ARMED 5        /* the alarm rings at the next tick */
#define WORDS 6
#define WATCHDOG 2
#define THREADS 3
#define DEPTH 2

#include "tso.pml"

bool seen[WORKERS]; /* a look has seen the call */

/* timerfd_settime takes a lock in the kernel, and stands under the alarm's own. */
#define SET_ALARM(t, on) atomic { empty(buffer[t]) -> mem[ARMED] = on }

/* StartTicking. Expect: a look without a lock, first. */
inline start_ticking(t) {
  STORE(t, TICKING, 1);
#ifndef NO_FENCE_IN_START
  FENCE(t);
#endif
  READ(t, ARMED, r);
  if
  :: r == 0 -> SET_ALARM(t, 1)
  :: else
  fi;
  r = 0
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
     READ(me, TICKING, r);
     if
#ifndef NO_REARM
     :: r == 0 -> start_ticking(me)
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
  byte quiet, i, r, ticks;
  bool awake;
end:
  do
  :: mem[ARMED] == 1 ->
     FENCE(WATCHDOG); /* epoll_wait takes locks. */
     READ(WATCHDOG, TICKING, ticks);
     /* Open, which ends with a fence. */
     SET_ALARM(WATCHDOG, ticks);
     FENCE(WATCHDOG);
#ifndef NO_LOOK_BEHIND_OPEN
     READ(WATCHDOG, TICKING, r);
     if
     :: ticks == 0 && r == 1 -> SET_ALARM(WATCHDOG, 1)
     :: else
     fi;
#endif
     look(WATCHDOG, awake);
     if
     :: awake -> quiet = 0
     :: else -> quiet = quiet + ticks
     fi;
     if
     :: quiet == QUIET ->
        quiet = 0;
        STORE(WATCHDOG, TICKING, 0);
#ifndef NO_FENCE_BEFORE_LOOK
        FENCE(WATCHDOG);
#endif
#ifndef NO_LOOK_BEHIND_STOP
        look(WATCHDOG, awake);
        if
        :: awake -> start_ticking(WATCHDOG)
        :: else
        fi
#endif
     :: else
     fi;
     awake = false;
     ticks = 0
  od
}

init {
  atomic {
    mem[TICKING] = 1;
    mem[ARMED] = 1;
    run Drain(0);
    run Drain(1);
    run Drain(WATCHDOG);
    run Worker(0);
    run Worker(1);
    run Watchdog()
  }
}
