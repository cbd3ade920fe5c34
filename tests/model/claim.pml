/* The claim: how the watchdog takes a lane from a worker that is inside a visit, at the price of plain stores for the worker.
 * Two workers, one of which is a spare at a time; one lane; one channel, which is visited again and again.
 * An error: two threads use the lane, or the channel; nobody does, for ever; a claim that holds a call while the worker is not in it.
 */
#ifndef VISITS
#define VISITS 2 /* a worker */
#endif

#define SEQUENCE(w) w /* odd: in a visit */
#define CALL(w) 2 + w
#define CLAIMED(w) 4 + w
#define CLAIM_MUTEX(w) 6 + w
#define LOST(w) 8 + w
#define POOL_MUTEX 10
#define WORDS 11
#define WATCHDOG 2
#define THREADS 3
#define NOBODY 9

#include "tso.pml"

/* Under the pool's lock. */
byte owner;         /* of the lane */
bool spare[2];      /* waits for a lane */
bool elsewhere;     /* the channel is held in a visit of a worker that has lost the lane */
/* Under the claim's lock. */
byte held_sequence[2], held_call[2];
/* What is checked. */
byte lane_user = NOBODY, channel_user = NOBODY;
byte running[2];    /* the call that the worker is in, until it has seen to claims */
bool over[2];

inline settle(me) {
#ifndef SETTLE_WITHOUT_LOCK
  LOCK(me, CLAIM_MUTEX(me));
#endif
  STORE(me, CLAIMED(me), 0);
  held_sequence[me] = 0;
  held_call[me] = 0;
#ifndef SETTLE_WITHOUT_LOCK
  UNLOCK(me, CLAIM_MUTEX(me))
#endif
}

/* A compiler's fence lies between the store and the load, and nothing else. */
inline look_for_claim(me) {
  READ_OWN(me, CLAIMED(me), r, 0);
  if
  :: r == 1 -> settle(me)
  :: else
  fi;
  r = 0
}

proctype Worker(byte me) {
  byte visits, r;
  bool take;
  do
  :: owner == me ->
     /* The lane's list, copied under the lock. */
     LOCK(me, POOL_MUTEX);
     take = !elsewhere;
     UNLOCK(me, POOL_MUTEX);
     atomic { assert(owner == me && lane_user == NOBODY); lane_user = me }
     lane_user = NOBODY;
     if
     :: visits == VISITS -> break
     :: visits < VISITS && take ->
        visits++;
        STORE(me, SEQUENCE(me), 2 * visits - 1);
        atomic { assert(channel_user == NOBODY); channel_user = me }
        running[me] = visits;
        STORE(me, CALL(me), visits);
        if
        :: true
        :: true -> owner != me || over[1 - me] /* it goes on until the lane is gone */
        fi;
        STORE(me, CALL(me), 0);
#ifndef NO_LOOK_AT_END_OF_CALL
        look_for_claim(me);
#endif
        running[me] = 0;
        channel_user = NOBODY;
        STORE(me, SEQUENCE(me), 2 * visits);
#ifndef NO_LOOK_AT_END
        look_for_claim(me);
#endif
        READ(me, LOST(me), r);
        if
        :: r == 1 ->
           r = 0;
           LOCK(me, POOL_MUTEX);
           elsewhere = false;
           UNLOCK(me, POOL_MUTEX);
           LOCK(me, POOL_MUTEX);
           STORE(me, LOST(me), 0);
           spare[me] = true;
           UNLOCK(me, POOL_MUTEX)
        :: else
        fi
     :: visits < VISITS && !take /* looks at the list again when its version has changed */
        -> !elsewhere || owner != me
     fi
  :: owner != me && over[1 - me] -> break
  od;
  over[me] = true
}

proctype Watchdog() {
  byte last[2];
  byte w, sequence, call, r;
  bool take;
end:
  do
  :: atomic {
       /* Ticks that change nothing are left out. A visit is stuck when two ticks find it. */
       if
       :: mem[SEQUENCE(0)] % 2 == 1 && (last[0] != mem[SEQUENCE(0)] || owner == 0 && spare[1]) -> w = 0
       :: mem[SEQUENCE(1)] % 2 == 1 && (last[1] != mem[SEQUENCE(1)] || owner == 1 && spare[0]) -> w = 1
       fi
     }
     READ(WATCHDOG, SEQUENCE(w), sequence);
     if
     :: sequence % 2 == 1 && sequence == last[w] -> take = true
     :: else -> last[w] = sequence
     fi;
     if
     :: take ->
#ifndef CLAIM_WITHOUT_LOCK
        LOCK(WATCHDOG, CLAIM_MUTEX(w));
#endif
        READ(WATCHDOG, SEQUENCE(w), r);
        READ(WATCHDOG, CALL(w), call);
        if
        :: mem[CLAIMED(w)] == 1 && held_sequence[w] == r && held_call[w] == call /* held since the last tick */
        :: else ->
           STORE(WATCHDOG, CLAIMED(w), 1);
           FENCE(WATCHDOG);
#ifndef NO_MEMBARRIER
           FENCE(0);
           FENCE(1);
#endif
#ifndef NO_REREAD
           READ(WATCHDOG, SEQUENCE(w), r);
           READ(WATCHDOG, CALL(w), call);
#endif
           held_sequence[w] = r;
           held_call[w] = call
        fi;
        if
        :: r == sequence ->
           assert(call == 0 || running[w] == call); /* an interrupt would hit this call */
           LOCK(WATCHDOG, POOL_MUTEX);
           if
           :: owner == w && spare[1 - w] ->
              spare[1 - w] = false;
#ifndef NOT_HELD_ELSEWHERE
              elsewhere = true;
#endif
              STORE(WATCHDOG, LOST(w), 1);
              owner = 1 - w
           :: else
           fi;
           UNLOCK(WATCHDOG, POOL_MUTEX)
        :: else
        fi;
#ifndef CLAIM_WITHOUT_LOCK
        UNLOCK(WATCHDOG, CLAIM_MUTEX(w))
#endif
     :: else
     fi;
     take = false; sequence = 0; call = 0; r = 0; w = 0
  od
}

init {
  atomic {
    spare[1] = true;
    run Drain(0);
    run Drain(1);
    run Drain(WATCHDOG);
    run Worker(0);
    run Worker(1);
#ifndef NO_WATCHDOG
    run Watchdog()
#endif
  }
}
