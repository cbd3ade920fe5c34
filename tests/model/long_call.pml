/* A visit of two calls, of which the second goes on until the client has the first one's answer; the lane moves meanwhile, and
 * comes back by the visit's end. Then a last call is served by another thread. Who tells the client: the worker, within the visit
 * without a fence and at its end with one; the watchdog, at a tick that finds the visit stuck; the other worker.
 * An error: the client sleeps while an answer that it has not taken is there.
 *
 * ONE_CHECK: the watchdog looks once at each call that it holds, and not at every tick: that is enough.
 * ONCE_A_VISIT: once at each visit, which is not.
 */
#define CALLS 3

#define COMPLETED 0    /* answers that are visible in the ring */
#define CLIENT_STATE 1
#define VISIT 2        /* 1: the first worker is in its visit */
#define CALL 3         /* that it is in; 0: none */
#define WORDS 4
#define CLIENT 0
#define WORKER(w) 1 + w
#define WATCHDOG 3
#define THREADS 4
#define AWAKE 0
#define ASLEEP 1

#include "tso.pml"

bool waiting; /* the client is in the futex's queue */
byte taken;   /* by the client */
bool returned;

active proctype Client() {
  do
  :: taken == CALLS -> break
  :: taken < CALLS && mem[COMPLETED] > taken -> taken++
  :: taken < CALLS && mem[COMPLETED] == taken ->
     STORE(CLIENT, CLIENT_STATE, ASLEEP);
     FENCE(CLIENT);
     if
     :: mem[COMPLETED] > taken
     :: mem[COMPLETED] == taken ->
        atomic {
          if
          :: mem[CLIENT_STATE] == ASLEEP -> waiting = true
          :: else
          fi
        }
        !waiting
     fi;
     STORE(CLIENT, CLIENT_STATE, AWAKE)
  od
}

inline wake_client(t) {
  if
  :: mem[CLIENT_STATE] == ASLEEP ->
     EXCHANGE(t, CLIENT_STATE, AWAKE, r);
     if
     :: r == ASLEEP -> waiting = false
     :: else
     fi;
     r = 0
  :: mem[CLIENT_STATE] == AWAKE
  fi
}

active proctype Worker() {
  byte r;
  STORE(WORKER(0), VISIT, 1);
  STORE(WORKER(0), CALL, 1);
  STORE(WORKER(0), CALL, 0);
  STORE(WORKER(0), COMPLETED, 1);
  wake_client(WORKER(0));
  STORE(WORKER(0), CALL, 2);
  taken > 0;
  STORE(WORKER(0), CALL, 0);
  STORE(WORKER(0), COMPLETED, 2);
  wake_client(WORKER(0));
#ifndef NO_FENCE_AT_END_OF_VISIT
  FENCE(WORKER(0));
#endif
#ifndef NO_CHECK_AT_END_OF_VISIT
  wake_client(WORKER(0));
#endif
  STORE(WORKER(0), VISIT, 0);
  /* Under the pool's lock. */
  atomic { empty(buffer[WORKER(0)]) -> returned = true }
}

active proctype Other() {
  byte r;
  returned;
  if
  :: true
  :: true -> taken == 2 /* submitted when the client has the answers before it */
  fi;
  STORE(WORKER(1), COMPLETED, 3);
  FENCE(WORKER(1));
  wake_client(WORKER(1))
}

/* Ticks at which nothing would be done are left out. */
active proctype Watchdog() {
  byte r, held;
end:
  do
#ifndef NO_WATCHDOG_CHECK
#ifndef ONE_CHECK
  :: mem[VISIT] == 1 && mem[CLIENT_STATE] == ASLEEP -> wake_client(WATCHDOG)
#else
#ifndef ONCE_A_VISIT
  :: mem[CALL] > held ->
#else
  :: mem[VISIT] == 1 && held == 0 ->
#endif
     FENCE(WORKER(0)); /* the claim's membarrier */
     held = (mem[CALL] > held -> mem[CALL] : held);
     wake_client(WATCHDOG)
#endif
#endif
  :: false
  od
}

init {
  atomic {
    run Drain(CLIENT);
    run Drain(WORKER(0));
    run Drain(WORKER(1))
  }
}
