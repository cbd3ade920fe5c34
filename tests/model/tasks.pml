/* Tasks, two lanes, and no thread beyond their workers. A task wakes the first lane that sleeps; that lane's worker may meet a
 * ring's call first, one that goes on until both tasks have run.
 * An error: a task waits for ever although a worker does nothing.
 */
#define TASK_COUNT 2

#define LANE_ASLEEP(l) l
#define TASKS 2
#define POOL_MUTEX 3
#define WORDS 4
#define POSTER 2
#define THREADS 3

#include "tso.pml"

bool wake[2], bell[2];
byte queued, done_tasks;
bool message[2];    /* in the ring of the lane's one channel */
bool in_call[2];

#define LOCKED(t) (empty(buffer[t]) && mem[POOL_MUTEX] == 0)

inline wake_lane(l) {
  if
  :: mem[LANE_ASLEEP(l)] == 1 -> mem[LANE_ASLEEP(l)] = 0; wake[l] = true
  :: else
  fi
}

proctype Poster() {
  byte posted;
  do
  :: posted < TASK_COUNT ->
     posted++;
     LOCK(POSTER, POOL_MUTEX);
     queued++;
     STORE(POSTER, TASKS, queued);
#ifndef NO_FENCE_IN_ENQUEUE
     FENCE(POSTER);
#endif
#ifndef NO_RING_FOR_TASK
     if
     :: mem[LANE_ASLEEP(0)] == 1 -> atomic { empty(buffer[POSTER]) -> wake_lane(0) }
     :: mem[LANE_ASLEEP(0)] == 0 ->
        if
        :: mem[LANE_ASLEEP(1)] == 1 -> atomic { empty(buffer[POSTER]) -> wake_lane(1) }
        :: mem[LANE_ASLEEP(1)] == 0
        fi
     fi;
#endif
     UNLOCK(POSTER, POOL_MUTEX)
  :: posted == TASK_COUNT -> break
  od;
  done_tasks == TASK_COUNT
}

/* A message and its ring of the doorbell, at any time, to either lane; they are not what this is about. */
proctype Client() {
end:
  if
  :: true -> atomic { message[0] = true; bell[0] = true }
  :: true -> atomic { message[1] = true; bell[1] = true }
  :: true
  fi
}

proctype Worker(byte me) {
  bool found;
sweep:
  if
  :: message[me] ->
     message[me] = false;
     in_call[me] = true;
     done_tasks == TASK_COUNT;
     in_call[me] = false;
     found = true
  :: !message[me]
  fi;
  if
  :: mem[TASKS] != 0 ->
     atomic {
       LOCKED(me) ->
       if
       :: queued > 0 -> queued--; mem[TASKS] = queued; done_tasks++; found = true
       :: else
       fi
     }
  :: mem[TASKS] == 0
  fi;
  if
  :: atomic { found -> found = false; goto sweep }
  :: !found
  fi;
  STORE(me, LANE_ASLEEP(me), 1);
#ifndef NO_FENCE_BEFORE_SLEEP
  FENCE(me);
#endif
  if
  :: message[me] -> goto up
  :: !message[me]
  fi;
#ifndef NO_TASK_RECHECK
  if
  :: mem[TASKS] != 0 -> goto up
  :: mem[TASKS] == 0
  fi;
#endif
end_asleep:
  atomic { wake[me] || bell[me] -> wake[me] = false; bell[me] = false }
up:
  atomic { empty(buffer[me]) -> mem[LANE_ASLEEP(me)] = 0; goto sweep }
}

/* Where no thread can be had for a lane whose worker is stuck. */
proctype Watchdog() {
end:
  do
#ifndef NO_WAKE_BY_WATCHDOG
  :: atomic { (in_call[0] || in_call[1]) && mem[POOL_MUTEX] == 0 && queued > 0 && mem[LANE_ASLEEP(0)] == 1 -> wake_lane(0) }
  :: atomic { (in_call[0] || in_call[1]) && mem[POOL_MUTEX] == 0 && queued > 0 && mem[LANE_ASLEEP(1)] == 1 -> wake_lane(1) }
#endif
  :: false
  od
}

init {
  atomic {
    run Drain(0);
    run Drain(1);
    run Drain(POSTER);
    run Poster();
    run Client();
    run Worker(0);
    run Worker(1);
    run Watchdog()
  }
}
