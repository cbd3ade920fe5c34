/* Two channels in one lane, two threads, the watchdog. Some calls are long: they go on until their thread has lost the lane, or
 * until the other channel's client has got all it wants. The watchdog hands the lane over; the channel that is held comes back
 * at the end of its visit. Clients submit whenever they like, and ring where the daemon says that it sleeps.
 * Simpler here than elsewhere: the claim is one step (claim.pml), a ring is a count of messages (wakeup.pml), and clients see
 * answers at once (wakeup.pml, long_call.pml).
 * An error: a client waits for ever; two threads use one channel, or the lane.
 */
#ifndef CALLS_0
#define CALLS_0 2
#endif
#ifndef CALLS_1
#define CALLS_1 1
#endif
#define CALLS(c) (c == 0 -> CALLS_0 : CALLS_1)
#define BUDGET 2
#ifndef LONG_CALLS
#define LONG_CALLS 1
#endif

#define SUBMITTED(c) c /* messages that are visible in the ring */
#define DAEMON_STATE(c) 2 + c
#define LANE_ASLEEP 4
#define WORDS 5
#define CLIENT(c) c
#define WORKER(w) 2 + w
#define THREADS 4
#define AWAKE 0
#define ASLEEP 1

#include "tso.pml"

/* Of a channel, and used by who serves it. */
byte taken[2]; /* and answered */
bool marked[2];
/* Kernel: edges that epoll_wait has not told. */
bool bell[2], wake;
/* Under the pool's lock. */
byte owner;
bool spare[2], elsewhere[2];
bool stale[2]; /* the worker's version of the lane's list is not the lane's; written by locked operations */
/* Of a worker: what it visits, plus 1; its copy of the lane's list. Read under a claim. */
byte visited[2];
bool mine0[2], mine1[2];
bool lost[2];
byte long_calls = LONG_CALLS;

#define HAS(c) (mem[SUBMITTED(c)] > taken[c])
#define MINE(w, c) ((c == 0 && mine0[w]) || (c == 1 && mine1[w]))
#define SATISFIED(c) (taken[c] == CALLS(c))

/* A step is one load, or one locked operation, with what the thread does by itself behind it: nobody sees that happen, and what it
 * stores meanwhile is seen when its buffer is emptied. */
proctype Client(byte c) {
  byte submitted, r;
  bool unflushed;
  do
  :: atomic {
       submitted < CALLS(c) ->
       submitted++;
       unflushed = true;
       STORE(CLIENT(c), SUBMITTED(c), submitted)
     }
  :: atomic { unflushed && empty(buffer[CLIENT(c)]) -> unflushed = false; r = mem[DAEMON_STATE(c)] }
     if
     :: atomic { r != AWAKE && empty(buffer[CLIENT(c)]) -> r = mem[DAEMON_STATE(c)]; mem[DAEMON_STATE(c)] = AWAKE }
        atomic {
          if
          :: r != AWAKE -> bell[c] = true; r = 0
          :: else
          fi
        }
     :: r == AWAKE
     fi
  :: !unflushed && SATISFIED(c) -> break
  od
}

inline mark(c) {
  if
  :: MINE(me, c) && !marked[c] ->
     assert(owner == me);
     marked[c] = true;
     STORE(WORKER(me), DAEMON_STATE(c), ASLEEP)
  :: else
  fi
}

inline rouse(c) {
  marked[c] = false;
  STORE(WORKER(me), DAEMON_STATE(c), AWAKE)
}

/* Behind epoll_wait. Who rang has taken the mark, whether or not there is a message. */
inline look_at_bell(c, rung) {
  if
#ifdef VAIN_RING_KEEPS_MARK
  :: rung && MINE(me, c) && HAS(c) -> rouse(c)
#else
  :: rung && MINE(me, c) -> rouse(c)
#endif
  :: else
  fi
}

/* Its first message is there. */
inline visit(c) {
  atomic {
    assert(owner == me && visited[1 - me] != c + 1);
    visited[me] = c + 1;
    budget = BUDGET;
    if
    :: marked[c] -> rouse(c)
    :: else
    fi
  }
  do
  :: atomic { budget > 0 && HAS(c) -> budget-- }
     if
     :: true
     :: atomic { long_calls > 0 -> long_calls-- }
        lost[me] || SATISFIED(1 - c)
     fi;
     taken[c]++
  :: atomic { budget == 0 || !HAS(c) -> budget = 0; break }
  od;
  visited[me] = 0
}

inline return_channel(c) {
  atomic {
    empty(buffer[WORKER(me)]) ->
#ifndef HELD_FOR_EVER
    elsewhere[c] = false;
#endif
#ifndef NO_VERSION_AT_RETURN
    stale[0] = true;
    stale[1] = true;
#endif
#ifndef NO_RING_AT_RETURN
    if
    :: mem[LANE_ASLEEP] == 1 -> mem[LANE_ASLEEP] = 0; wake = true
    :: else
    fi
#endif
    skip
  }
}

inline refresh() {
  atomic {
    empty(buffer[WORKER(me)]) ->
    stale[me] = false;
    mine0[me] = !elsewhere[0];
    mine1[me] = !elsewhere[1]
  }
}

proctype Worker(byte me) {
  byte c, budget;
  bool found, rung0, rung1;
no_lane:
  atomic { spare[me] = (owner != me); lost[me] = false }
end_spare:
  atomic { owner == me -> stale[me] = true }
#ifdef NO_SWEEP_AFTER_TAKING
  refresh();
  goto bed;
#endif
sweep:
  if
  :: stale[me] -> refresh()
  :: !stale[me]
  fi;
  do
  :: atomic { c < 2 && MINE(me, c) && HAS(c) -> found = true }
     visit(c);
     if
     :: atomic { lost[me] -> return_channel(c); c = 0; found = false; goto no_lane }
     :: atomic { !lost[me] -> c++ }
     fi
  :: atomic { c < 2 && !(MINE(me, c) && HAS(c)) -> c++ }
  :: atomic { c == 2 && found -> c = 0; found = false; goto sweep }
  :: atomic {
       c == 2 && !found ->
       c = 0;
       mark(0);
       mark(1);
       STORE(WORKER(me), LANE_ASLEEP, 1);
       break
     }
  od;
#ifndef NO_FENCE_BEFORE_RECHECK
  FENCE(WORKER(me));
#endif
  if
  :: MINE(me, 0) && HAS(0) -> goto up
  :: !(MINE(me, 0) && HAS(0))
  fi;
  if
  :: MINE(me, 1) && HAS(1) -> goto up
  :: !(MINE(me, 1) && HAS(1))
  fi;
#ifndef NO_VERSION_RECHECK
  if
  :: stale[me] -> goto up
  :: !stale[me]
  fi;
#endif
bed:
end_asleep:
  atomic {
    bell[0] || bell[1] || wake ->
    rung0 = bell[0];
    rung1 = bell[1];
    bell[0] = false;
    bell[1] = false;
    wake = false
  }
up:
  atomic {
    empty(buffer[WORKER(me)]) ->
    mem[LANE_ASLEEP] = 0;
    look_at_bell(0, rung0);
    look_at_bell(1, rung1);
    rung0 = false;
    rung1 = false;
    goto sweep
  }
}

/* A worker that is inside a visit while something else in its lane has work. */
#define WAITED_FOR(w) ( \
  (visited[w] == 2 && mine0[w] && HAS(0)) || (visited[w] == 1 && mine1[w] && HAS(1)) || NEW_CHANNELS(w))
#ifdef NO_LOOK_FOR_NEW_CHANNELS
#define NEW_CHANNELS(w) false
#else
#define NEW_CHANNELS(w) stale[w]
#endif
#ifdef NO_MEMBARRIER
#define MEMBARRIER(w) true
#else
#define MEMBARRIER(w) empty(buffer[WORKER(w)])
#endif

inline hand_over(w) {
  spare[1 - w] = false;
#ifndef NOT_HELD_ELSEWHERE
  elsewhere[visited[w] - 1] = true;
#endif
  lost[w] = true;
  stale[0] = true;
  stale[1] = true;
  owner = 1 - w
}

proctype Watchdog() {
end:
  do
  :: atomic { owner == 0 && visited[0] > 0 && spare[1] && WAITED_FOR(0) && MEMBARRIER(0) -> hand_over(0) }
  :: atomic { owner == 1 && visited[1] > 0 && spare[0] && WAITED_FOR(1) && MEMBARRIER(1) -> hand_over(1) }
  od
}

init {
  atomic {
    run Drain(CLIENT(0));
    run Drain(CLIENT(1));
    run Drain(WORKER(0));
    run Drain(WORKER(1));
    run Client(0);
    run Client(1);
    run Worker(0);
    run Worker(1);
#ifndef NO_WATCHDOG
    run Watchdog()
#endif
  }
}
