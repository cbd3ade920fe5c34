/* One client, one worker, one channel: publish, sleep, wake. Calls are pipelined, two slots a ring, so that slots are used again.
 * An error: both sleep for ever; a message that was not published is read; a call that is not answered.
 */
#ifndef CALLS
#define CALLS 3
#endif
#define SLOTS 2
#ifndef BUDGET
#define BUDGET 2 /* calls a visit */
#endif

#define SUBMISSION 0 /* word 0 of each slot */
#define ARGUMENT 2   /* word 1 */
#define COMPLETION 4
#define RESULT 6
#define DAEMON_STATE 8
#define CLIENT_STATE 9
#define WORDS 10
#define CLIENT 0
#define WORKER 1
#define THREADS 2
#define AWAKE 0
#define ASLEEP 1

#include "tso.pml"

#define SLOT(base, n) base + ((n) % SLOTS)
#define HAS(base, n) (mem[SLOT(base, n)] == (n) + 1)

bool bell;    /* an edge of the doorbell that epoll_wait has not told yet */
bool waiting; /* the client is in the futex's queue */
byte early = 1; /* times that the futex may return for no reason */
byte answered;

inline publish(t, base, payload, n) {
#ifdef SEQUENCE_FIRST
  STORE(t, SLOT(base, n), n + 1);
  STORE(t, SLOT(payload, n), n + 10);
#else
  STORE(t, SLOT(payload, n), n + 10);
  STORE(t, SLOT(base, n), n + 1);
#endif
}

active proctype Client() {
  byte submitted, completed, r;
  bool unflushed;
  run Drain(CLIENT);
  do
#ifdef NO_FLOW_CONTROL
  :: submitted < CALLS ->
#else
  :: submitted < CALLS && submitted - completed < SLOTS ->
#endif
     publish(CLIENT, SUBMISSION, ARGUMENT, submitted);
     submitted++;
     unflushed = true
  :: unflushed ->
     unflushed = false;
#ifndef NO_FENCE_AFTER_SUBMIT
     FENCE(CLIENT);
#endif
     READ(CLIENT, DAEMON_STATE, r);
     if
     :: r != AWAKE ->
        EXCHANGE(CLIENT, DAEMON_STATE, AWAKE, r);
        if
        :: r != AWAKE -> bell = true
        :: else
        fi
     :: else
     fi;
     r = 0
  :: !unflushed && completed < submitted ->
     if
     :: HAS(COMPLETION, completed)
     :: !HAS(COMPLETION, completed) ->
        STORE(CLIENT, CLIENT_STATE, ASLEEP);
#ifndef NO_FENCE_BEFORE_CLIENT_RECHECK
        FENCE(CLIENT);
#endif
        if
#ifndef NO_CLIENT_RECHECK
        :: HAS(COMPLETION, completed) -> STORE(CLIENT, CLIENT_STATE, AWAKE)
        :: !HAS(COMPLETION, completed) ->
#else
        :: true ->
#endif
           /* The kernel compares the word, and queues the thread, in one step; it sees the thread's own store. */
           atomic {
             if
             :: buffer[CLIENT] ?? [CLIENT_STATE, ASLEEP] || mem[CLIENT_STATE] == ASLEEP -> waiting = true
             :: else
             fi
           }
           atomic {
             if
             :: !waiting
             :: waiting && early > 0 -> early--; waiting = false
             fi
           }
           STORE(CLIENT, CLIENT_STATE, AWAKE)
        fi
     fi;
     if
     :: HAS(COMPLETION, completed) ->
        assert(mem[SLOT(RESULT, completed)] == completed + 10);
        completed++;
        answered = completed
     :: else
     fi
  :: completed == CALLS -> break
  od
}

inline wake_client(r) {
  READ(WORKER, CLIENT_STATE, r);
  if
  :: r == ASLEEP ->
#ifdef WAKE_BEFORE_EXCHANGE
     waiting = false;
     EXCHANGE(WORKER, CLIENT_STATE, AWAKE, r);
#else
     EXCHANGE(WORKER, CLIENT_STATE, AWAKE, r);
     if
     :: r == ASLEEP -> waiting = false
     :: else
     fi
#endif
  :: else
  fi;
  r = 0
}

active proctype Worker() {
  byte taken, budget, r;
  bool marked; /* what the worker believes that it has told the client */
  run Drain(WORKER);
  do
  :: HAS(SUBMISSION, taken) ->
     if
     :: marked -> marked = false; STORE(WORKER, DAEMON_STATE, AWAKE)
     :: else
     fi;
     budget = BUDGET;
     do
     :: budget > 0 && HAS(SUBMISSION, taken) ->
        assert(mem[SLOT(ARGUMENT, taken)] == taken + 10);
        publish(WORKER, COMPLETION, RESULT, taken);
        taken++;
        budget--;
        wake_client(r) /* without a fence: may miss a client that is just falling asleep */
     :: budget == 0 || !HAS(SUBMISSION, taken) -> break
     od;
     budget = 0;
#ifndef NO_FENCE_AFTER_COMPLETE
     FENCE(WORKER);
#endif
     wake_client(r)
  :: !HAS(SUBMISSION, taken) ->
     if
     :: !marked -> marked = true; STORE(WORKER, DAEMON_STATE, ASLEEP)
     :: else
     fi;
#ifndef NO_FENCE_BEFORE_DAEMON_RECHECK
     FENCE(WORKER);
#endif
     if
#ifndef NO_DAEMON_RECHECK
     :: HAS(SUBMISSION, taken) /* stays awake, and marked */
     :: !HAS(SUBMISSION, taken) ->
#else
     :: true ->
#endif
end:    atomic { bell -> bell = false }
        /* Who rang has taken the mark, whether or not there is a message. */
        if
        :: HAS(SUBMISSION, taken) -> marked = false; STORE(WORKER, DAEMON_STATE, AWAKE)
        :: else ->
#ifndef VAIN_RING_KEEPS_MARK
           marked = false; STORE(WORKER, DAEMON_STATE, AWAKE)
#endif
           skip
        fi
     fi
  od
}
