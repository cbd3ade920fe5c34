/* The client dies at any step: the channel is detached, a call of it is interrupted, and its worker neither stays in that call
 * nor keeps the channel. A call that has begun goes on until it is interrupted; the worker may be anywhere, asleep too.
 * An error: the worker stays in a call, or asleep with the channel in its list; an interrupt of a call that does not run.
 */
#define CALLS 2

#define SUBMITTED 0
#define DAEMON_STATE 1
#define LANE_ASLEEP 2
#define CLOSED 3
#define SEQUENCE 4 /* odd: in a visit */
#define CALL 5
#define CLAIMED 6
#define CLAIM_MUTEX 7
#define WORDS 8
#define CLIENT 0
#define WORKER 1
#define DETACHER 2
#define THREADS 3
#define DEPTH 4
#define AWAKE 0
#define ASLEEP 1

#include "tso.pml"

bool dead;
bool bell, wake;
/* Under the pool's lock. */
bool attached = true;
bool stale;         /* the lane's version is not the worker's */
bool interrupted;
/* What is checked. */
byte running;

/* Dies between any two steps; what lies in its buffer is seen all the same. */
active proctype Client() {
  byte submitted, r;
end:
  do
  :: submitted < CALLS && !dead -> submitted++; STORE(CLIENT, SUBMITTED, submitted);
     if
     :: dead -> break
     :: else -> FENCE(CLIENT)
     fi;
     r = mem[DAEMON_STATE];
     if
     :: dead -> break
     :: !dead && r != AWAKE ->
        EXCHANGE(CLIENT, DAEMON_STATE, AWAKE, r);
        if
        :: !dead && r != AWAKE -> bell = true
        :: dead || r == AWAKE
        fi
     :: !dead && r == AWAKE
     fi
  :: dead -> break
  od
}

inline look_for_claim() {
  READ_OWN(WORKER, CLAIMED, r, 0);
  if
  :: r == 1 ->
     r = 0;
     LOCK(WORKER, CLAIM_MUTEX);
     STORE(WORKER, CLAIMED, 0);
     UNLOCK(WORKER, CLAIM_MUTEX)
  :: else
  fi
}

active proctype Worker() {
  byte taken, sequence, r;
  bool mine = true, marked;
sweep:
  if
  :: stale -> atomic { empty(buffer[WORKER]) -> stale = false; mine = attached }
  :: !stale
  fi;
  if
  :: mine && mem[SUBMITTED] > taken && mem[CLOSED] == 0 ->
     if
     :: marked -> marked = false; STORE(WORKER, DAEMON_STATE, AWAKE)
     :: else
     fi;
     sequence++;
     STORE(WORKER, SEQUENCE, sequence);
     taken++;
     running = taken;
     STORE(WORKER, CALL, taken);
     /* Nothing but a compiler's fence in between. */
#ifndef NO_LOOK_BEHIND_BEGIN
     if
     :: mem[CLOSED] == 0 -> interrupted
     :: mem[CLOSED] == 1
     fi;
#else
     interrupted;
#endif
     STORE(WORKER, CALL, 0);
     look_for_claim();
     running = 0;
     interrupted = false;
     sequence++;
     STORE(WORKER, SEQUENCE, sequence);
     look_for_claim();
     goto sweep
  :: !(mine && mem[SUBMITTED] > taken && mem[CLOSED] == 0)
  fi;
  if
  :: mine && !marked -> marked = true; STORE(WORKER, DAEMON_STATE, ASLEEP)
  :: else
  fi;
  STORE(WORKER, LANE_ASLEEP, 1);
  FENCE(WORKER);
  if
  :: mine && mem[SUBMITTED] > taken && mem[CLOSED] == 0 -> goto up
  :: !(mine && mem[SUBMITTED] > taken && mem[CLOSED] == 0)
  fi;
#ifndef NO_VERSION_RECHECK
  if
  :: stale -> goto up
  :: !stale
  fi;
#endif
  if
  :: mine -> bell || wake
  :: !mine ->
end: bell || wake
  fi;
  /* A detached channel's doorbell is no longer watched, and what has rung is not looked at. */
  if
  :: bell && mine -> marked = false; STORE(WORKER, DAEMON_STATE, AWAKE)
  :: else
  fi;
  atomic { bell = false; wake = false }
up:
  atomic { empty(buffer[WORKER]) -> mem[LANE_ASLEEP] = 0 }
  goto sweep
}

active proctype Detacher() {
  byte sequence, call;
  dead = true; /* at any time */
#ifndef NO_CLOSE
  STORE(DETACHER, CLOSED, 1);
#endif
  atomic {
    empty(buffer[DETACHER]) ->
    attached = false;
    bell = false;
#ifndef NO_VERSION_AT_DETACH
    stale = true;
#endif
#ifndef NO_RING_AT_DETACH
    if
    :: mem[LANE_ASLEEP] == 1 -> mem[LANE_ASLEEP] = 0; wake = true
    :: else
    fi
#endif
    skip
  }
#ifndef NO_INTERRUPT
#ifndef NO_MEMBARRIER
  FENCE(DETACHER);
  FENCE(WORKER);
#endif
  READ(DETACHER, SEQUENCE, sequence);
  if
  :: sequence % 2 == 1 ->
     LOCK(DETACHER, CLAIM_MUTEX);
     STORE(DETACHER, CLAIMED, 1);
     FENCE(DETACHER);
#ifndef NO_MEMBARRIER_IN_CLAIM
     FENCE(WORKER);
#endif
     READ(DETACHER, SEQUENCE, sequence);
     READ(DETACHER, CALL, call);
     if
     :: sequence % 2 == 1 && call != 0 ->
        assert(running == call);
        interrupted = true
     :: else
     fi;
     UNLOCK(DETACHER, CLAIM_MUTEX)
  :: else
  fi
#endif
  skip
}

init {
  atomic {
    run Drain(CLIENT);
    run Drain(WORKER);
    run Drain(DETACHER)
  }
}
