/* The daemon dies at any step. A client that sleeps does so for one time limit at most after that: then it looks at its connection,
 * which has ended. What the daemon said before it died still counts.
 * Time limits are taken to pass only when the connection has ended, so that they do not hide a lost wake-up.
 * An error: the client sleeps for ever; it sleeps through a second time limit; an answer that is there is not taken.
 */
#define CALLS 2

#define SUBMITTED 0
#define COMPLETED 1
#define DAEMON_STATE 2
#define CLIENT_STATE 3
#define WORDS 4
#define CLIENT 0
#define WORKER 1
#define THREADS 2
#define AWAKE 0
#define ASLEEP 1

#include "tso.pml"

bool dead;
bool ended; /* the kernel has closed the daemon's sockets */
bool bell, waiting;

active proctype Client() {
  byte completed, r, limits;
  do
  :: completed < CALLS ->
     STORE(CLIENT, SUBMITTED, completed + 1);
     FENCE(CLIENT);
     if
     :: mem[DAEMON_STATE] != AWAKE ->
        EXCHANGE(CLIENT, DAEMON_STATE, AWAKE, r);
        if
        :: r != AWAKE -> bell = true
        :: else
        fi;
        r = 0
     :: mem[DAEMON_STATE] == AWAKE
     fi;
     do
     :: mem[COMPLETED] > completed -> break
     :: mem[COMPLETED] == completed ->
#ifndef NO_LOOK_AT_CONNECTION
        if
        :: ended ->
#ifdef NO_LOOK_BEHIND_CONNECTION
           goto over;
#endif
           if
           :: mem[COMPLETED] > completed -> break
           :: mem[COMPLETED] == completed -> goto over
           fi
        :: !ended
        fi;
#endif
        STORE(CLIENT, CLIENT_STATE, ASLEEP);
        FENCE(CLIENT);
        if
        :: mem[COMPLETED] > completed
        :: mem[COMPLETED] == completed ->
           atomic {
             if
             :: mem[CLIENT_STATE] == ASLEEP -> waiting = true
             :: else
             fi
           }
           if
           :: !waiting
#ifndef NO_TIME_LIMIT
           :: waiting && ended ->
              waiting = false;
              limits++;
              assert(limits <= 1)
#endif
           fi
        fi;
        STORE(CLIENT, CLIENT_STATE, AWAKE)
     od;
     completed++
  :: completed == CALLS -> break
  od;
over:
  assert(!ended || mem[COMPLETED] == completed)
}

inline wake_client() {
  if
  :: mem[CLIENT_STATE] == ASLEEP ->
     EXCHANGE(WORKER, CLIENT_STATE, AWAKE, r);
     if
     :: r == ASLEEP -> waiting = false
     :: else
     fi;
     r = 0
  :: mem[CLIENT_STATE] == AWAKE
  fi
}

active proctype Worker() {
  byte taken, r;
  {
    do
    :: mem[SUBMITTED] > taken ->
       taken++;
       STORE(WORKER, DAEMON_STATE, AWAKE);
       STORE(WORKER, COMPLETED, taken);
       FENCE(WORKER);
       wake_client()
    :: mem[SUBMITTED] == taken ->
       STORE(WORKER, DAEMON_STATE, ASLEEP);
       FENCE(WORKER);
       if
       :: mem[SUBMITTED] > taken
       :: mem[SUBMITTED] == taken ->
end:      atomic { bell -> bell = false }
       fi
    od
  } unless { dead }
}

active proctype Killer() {
end:
  dead = true;
  atomic { empty(buffer[WORKER]) -> ended = true }
}

init {
  atomic {
    run Drain(CLIENT);
    run Drain(WORKER)
  }
}
