/* Memory as x86-TSO has it (Owens, Sarkar, Sewell 2009).
 *
 * A thread's stores go through a first-in-first-out buffer of its own, DEPTH entries long, which a process of its own empties into
 * `mem` one store at a time, whenever it likes. A fence and a locked operation wait until the thread's buffer is empty; a load
 * looks into memory. A thread that loads a word which it has stores of in its buffer gets the last of them: READ_OWN, where all
 * that can lie there store one value. READ is for words that have none there, and asserts it.
 *
 * Who includes this defines WORDS, THREADS and, if 3 is not enough, DEPTH. System calls change what the kernel knows at once, and
 * do not empty a buffer: less order than Linux gives.
 */
#ifndef DEPTH
#define DEPTH 3
#endif

byte mem[WORDS];
chan buffer[THREADS] = [DEPTH] of { byte, byte };

#define STORE(t, w, x) buffer[t] ! w, x
#define FENCE(t) empty(buffer[t])
#define READ(t, w, into) d_step { assert(!(buffer[t] ?? [eval(w), _])); into = mem[w] }
#define READ_OWN(t, w, into, stored) \
  d_step { if :: buffer[t] ?? [eval(w), eval(stored)] -> into = stored :: else -> into = mem[w] fi }
/* A locked exchange. */
#define EXCHANGE(t, w, x, old) atomic { empty(buffer[t]) -> old = mem[w]; mem[w] = x }
/* A mutex is a word: taking it is a locked operation, letting it go a store. */
#define LOCK(t, w) atomic { empty(buffer[t]) && mem[w] == 0 -> mem[w] = 1 }
#define UNLOCK(t, w) STORE(t, w, 0)

proctype Drain(byte t) {
  byte w, x;
end:
  do
  :: atomic { buffer[t] ? w, x -> mem[w] = x; w = 0; x = 0 }
  od
}
