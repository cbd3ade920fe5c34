/* Calls that wait for their turn at an instance. One lane, two threads, the watchdog, two channels whose messages lie in their
 * rings from the start:
 *   channel 0: a call of the instance, which goes on until channel 1's client has its first answer; a call of something else, which
 *              goes on until channel 1 has all its answers;
 *   channel 1: a call of something else; a call of the instance.
 * A channel that does not get its turn is parked. Who leaves the instance posts a task for the next in line; whichever thread runs
 * it takes the channel back to its lane. Clients sleep and wake in one step here (wakeup.pml), the claim is one step (claim.pml),
 * hand-over is as in handover.pml.
 * An error: a client waits for ever; two threads use one channel, the lane or the instance.
 */
#define LANE_ASLEEP 0
#define TASKS 1
#define POOL_MUTEX 2
#define UNPARKED(c) 3 + c
#define GRANTED(c) 5 + c
#define WORDS 7
#define WORKER(w) w
#define THREADS 2
#define NOBODY 9
#define MESSAGES 2

#include "tso.pml"

/* Of a channel, and used by who serves it. */
byte taken[2], answered[2];
bool has_waiting[2];
/* Clients. */
byte seen[2];
bool asleep[2];
/* Under the pool's lock. */
byte owner;
bool spare[2], elsewhere[2];
byte parked[2] = 1; /* plus 1: a channel may be taken back before it is parked */
chan tasks = [2] of { byte };
bool stale[2], wake;
/* Under the instance's. */
bool occupied;
chan line = [2] of { byte };
/* Of a worker: what it visits, plus 1; 3: a task. */
byte visited[2];
bool mine0[2], mine1[2], lost[2];
/* What is checked. */
byte instance_user = NOBODY;

#define MINE(w, c) ((c == 0 && mine0[w]) || (c == 1 && mine1[w]))
#define HAS(c) (taken[c] < MESSAGES)
#define READY(c) (HAS(c) || mem[UNPARKED(c)] == 1)
/* A critical section of the pool that is one step. */
#define LOCKED(t) (empty(buffer[t]) && mem[POOL_MUTEX] == 0)

proctype Client(byte c) {
  do
  :: seen[c] == MESSAGES -> break
  :: seen[c] < answered[c] -> seen[c]++
  :: atomic { seen[c] < MESSAGES && seen[c] == answered[c] -> asleep[c] = true }
     !asleep[c]
  od
}

inline wake_lane() {
  if
  :: mem[LANE_ASLEEP] == 1 -> mem[LANE_ASLEEP] = 0; wake = true
  :: else
  fi
}

inline new_version() {
  stale[0] = true;
  stale[1] = true
}

inline run_call(c) {
  atomic { assert(instance_user == NOBODY); instance_user = me }
  if
  :: c == 0 -> seen[1] > 0
  :: else
  fi;
  atomic { instance_user = NOBODY; answered[c]++ }
  /* Leave. */
  atomic {
    empty(buffer[me]) ->
    if
    :: line ? next
    :: empty(line) -> occupied = false
    fi
  }
  if
  :: next != NOBODY ->
     atomic { LOCKED(me) -> mem[POOL_MUTEX] = 1; tasks ! next; next = NOBODY; STORE(me, TASKS, len(tasks)) }
#ifndef NO_FENCE_IN_ENQUEUE
     FENCE(me);
#endif
#ifndef NO_RING_FOR_TASK
     if
     :: mem[LANE_ASLEEP] == 1 -> atomic { empty(buffer[me]) -> wake_lane() }
     :: mem[LANE_ASLEEP] == 0
     fi;
#endif
     UNLOCK(me, POOL_MUTEX)
  :: else
  fi
}

inline visit(c) {
  atomic {
    assert(owner == me && visited[1 - me] != c + 1);
    STORE(me, UNPARKED(c), 0);
    visited[me] = c + 1;
    if
    :: budget = 1
    :: budget = 2
    fi
  }
  if
  :: has_waiting[c] && mem[GRANTED(c)] == 1 ->
     has_waiting[c] = false;
     run_call(c)
  :: has_waiting[c] && mem[GRANTED(c)] == 0 -> budget = 0
  :: !has_waiting[c]
  fi;
  do
  :: budget > 0 && HAS(c) ->
     atomic { budget--; taken[c]++ }
     if
     :: taken[c] != c + 1 -> /* not of the instance */
        if
        :: c == 0 -> answered[1] == MESSAGES
        :: else
        fi;
        answered[c]++
     :: taken[c] == c + 1 ->
        atomic {
          empty(buffer[me]) ->
          if
          :: !occupied -> occupied = true; turn = true
          :: occupied
          fi
        }
        if
        :: turn
        :: !turn ->
           atomic { has_waiting[c] = true; STORE(me, GRANTED(c), 0) }
#ifndef NO_WAKE_BEFORE_WAITING
           asleep[c] = false;
#endif
           /* From here on another thread may have the channel. */
#ifdef ENTER_WITHOUT_LOOK
           atomic { empty(buffer[me]) -> line ! c }
#else
           atomic {
             empty(buffer[me]) ->
             if
             :: !occupied -> occupied = true; turn = true; has_waiting[c] = false
             :: occupied -> line ! c
             fi
           }
#endif
        fi;
        if
        :: turn -> turn = false; run_call(c)
        :: !turn -> park = true; break
        fi
     fi
  :: budget == 0 || !HAS(c) -> budget = 0; break
  od;
  budget = 0;
  if
  :: !park -> asleep[c] = false
  :: park
  fi;
  visited[me] = 0;
  if
  :: park ->
     park = false;
     atomic { LOCKED(me) -> parked[c]++; new_version() }
  :: else
  fi
}

inline run_task() {
  atomic {
    LOCKED(me) ->
    if
    :: tasks ? next -> mem[TASKS] = len(tasks); visited[me] = 3; found = true
    :: empty(tasks)
    fi
  }
  if
  :: next != NOBODY ->
#ifndef NOT_GRANTED
     STORE(me, GRANTED(next), 1);
#endif
     atomic {
       LOCKED(me) ->
       parked[next]--;
#ifndef NOT_UNPARKED
       mem[UNPARKED(next)] = 1;
#endif
#ifndef NO_VERSION_AT_UNPARK
       new_version();
#endif
#ifndef NO_RING_AT_UNPARK
       wake_lane();
#endif
       next = NOBODY
     }
     visited[me] = 0
  :: else
  fi
}

proctype Worker(byte me) {
  byte c, budget, next = NOBODY;
  bool found, turn, park;
no_lane:
  atomic { spare[me] = (owner != me); lost[me] = false }
end_spare:
  atomic { owner == me -> stale[me] = true }
sweep:
  if
  :: atomic {
       stale[me] && LOCKED(me) ->
       stale[me] = false;
       mine0[me] = !elsewhere[0] && parked[0] <= 1;
       mine1[me] = !elsewhere[1] && parked[1] <= 1
     }
  :: !stale[me]
  fi;
  do
  :: atomic { c < 2 && MINE(me, c) && READY(c) -> found = true }
     visit(c);
     if
     :: lost[me] ->
        atomic { LOCKED(me) -> elsewhere[c] = false; new_version(); wake_lane(); c = 0; found = false; goto no_lane }
     :: atomic { !lost[me] -> c++ }
     fi
  :: atomic { c < 2 && !(MINE(me, c) && READY(c)) -> c++ }
  :: c == 2 -> break
  od;
  c = 0;
  if
  :: mem[TASKS] != 0 ->
     run_task();
     if
     :: atomic { lost[me] -> found = false; goto no_lane }
     :: !lost[me]
     fi
  :: mem[TASKS] == 0
  fi;
  if
  :: atomic { found -> found = false; goto sweep }
  :: atomic { !found -> STORE(me, LANE_ASLEEP, 1) }
  fi;
#ifndef NO_FENCE_BEFORE_SLEEP
  FENCE(me);
#endif
  if
  :: MINE(me, 0) && READY(0) -> goto up
  :: !(MINE(me, 0) && READY(0))
  fi;
  if
  :: MINE(me, 1) && READY(1) -> goto up
  :: !(MINE(me, 1) && READY(1))
  fi;
#ifndef NO_TASK_RECHECK
  if
  :: mem[TASKS] != 0 -> goto up
  :: mem[TASKS] == 0
  fi;
#endif
#ifndef NO_VERSION_RECHECK
  if
  :: stale[me] -> goto up
  :: !stale[me]
  fi;
#endif
end_asleep:
  atomic { wake -> wake = false }
up:
  atomic { empty(buffer[me]) -> mem[LANE_ASLEEP] = 0; goto sweep }
}

#ifdef HAND_OVER_LOOKS_AT_RINGS_ALONE
#define WORK(c) HAS(c)
#else
#define WORK(c) READY(c)
#endif
#ifdef HAND_OVER_WITHOUT_TASKS
#define TASK false
#else
#define TASK nempty(tasks)
#endif
#define WAITED_FOR(w) ( \
  (visited[w] != 1 && mine0[w] && WORK(0)) || (visited[w] != 2 && mine1[w] && WORK(1)) || TASK || stale[w])

inline hand_over(w) {
  spare[1 - w] = false;
  if
  :: visited[w] < 3 -> elsewhere[visited[w] - 1] = true
  :: else
  fi;
  lost[w] = true;
  new_version();
  owner = 1 - w
}

proctype Watchdog() {
end:
  do
  :: atomic {
       owner == 0 && visited[0] > 0 && spare[1] && empty(buffer[0]) && mem[POOL_MUTEX] == 0 && WAITED_FOR(0) -> hand_over(0)
     }
  :: atomic {
       owner == 1 && visited[1] > 0 && spare[0] && empty(buffer[1]) && mem[POOL_MUTEX] == 0 && WAITED_FOR(1) -> hand_over(1)
     }
  od
}

init {
  atomic {
    run Drain(0);
    run Drain(1);
    run Client(0);
    run Client(1);
    run Worker(0);
    run Worker(1);
    run Watchdog()
  }
}
