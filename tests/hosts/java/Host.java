import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;

/**
 * A JVM with libwasmd.so in its process: wasm's traps are reported, and the JVM's implicit null checks, stack overflows and
 * safepoints, which are faults too, go on working after and between them.
 *
 * <p>Host traps|crash JniGuest|ForeignGuest LIBRARY GUEST
 */
final class Host {
  private Host() {}

  private static final class Node {
    int value = 1;
  }

  private static Guest.Binding binding;
  private static String file;
  private static volatile Object garbage;

  private static void check(boolean condition, String message) {
    if (!condition) {
      throw new AssertionError(message);
    }
  }

  private static void mustTrap(Guest guest, String wanted, int index, int first) {
    try {
      int result = guest.call(index, first, 0);
      throw new AssertionError("function " + index + " returns " + result + ", and does not trap: " + wanted);
    } catch (Guest.TrapException trap) {
      check(trap.getMessage().contains(wanted), trap.getMessage() + " is not " + wanted);
    }
  }

  private static void trapInEveryWay(Guest guest) {
    check(guest.call(Guest.ADD, 40, 2) == 42, "add");
    mustTrap(guest, "divide by zero", Guest.DIVIDE, 1);
    mustTrap(guest, "out of bounds memory access", Guest.LOAD, 65536);
    mustTrap(guest, "out of bounds memory access", Guest.LOAD, -1);
    mustTrap(guest, "stack", Guest.RECURSE, 0);
    check(guest.call(Guest.DIVIDE, 12, 4) == 3, "divide after a trap");
  }

  private static int read(Node node) {
    return node.value;
  }

  /** Hot enough to be compiled with an implicit check, and then given null. */
  private static void mustThrowNullPointerException() {
    Node node = new Node();
    int sum = 0;
    for (int i = 0; i < 20_000; i++) {
      sum += read(node);
    }
    check(sum == 20_000, "the loop");
    try {
      sum += read(null);
      throw new AssertionError("null is read: " + sum);
    } catch (NullPointerException expected) {
      // As it shall be.
    }
  }

  private static int recurse(int depth) {
    return recurse(depth + 1) + 1;
  }

  private static void mustThrowStackOverflowError() {
    try {
      throw new AssertionError("endless recursion returns " + recurse(0));
    } catch (StackOverflowError expected) {
      // As it shall be.
    }
  }

  /** What Java does when wasm calls it, on a stack with wasm's frames below. */
  private static int nested(int number) {
    mustThrowNullPointerException();
    mustThrowStackOverflowError();
    try (Guest inner = binding.open(file, n -> n)) {
      trapInEveryWay(inner);
    }
    return number + 1;
  }

  private static void threads() throws InterruptedException {
    AtomicBoolean done = new AtomicBoolean();
    AtomicReference<Throwable> failure = new AtomicReference<>();
    Thread collector = new Thread(() -> {
      while (!done.get()) {
        List<byte[]> kept = new ArrayList<>();
        for (int i = 0; i < 2_000; i++) {
          kept.add(new byte[4096]);
        }
        garbage = kept;
        System.gc();
      }
    });
    collector.start();
    // Every thread has a guest of its own, and all use one in turn, which migrates while it traps.
    try (Guest shared = binding.open(file, n -> n)) {
      List<Thread> running = new ArrayList<>();
      for (int i = 0; i < 8; i++) {
        // Small stacks among them.
        Thread thread = new Thread(null, () -> {
          try (Guest own = binding.open(file, Host::nested)) {
            for (int j = 0; j < 5; j++) {
              trapInEveryWay(own);
              mustThrowNullPointerException();
              mustThrowStackOverflowError();
              synchronized (shared) {
                trapInEveryWay(shared);
              }
              check(own.call(Guest.CALL_HOST, j, 0) == j + 1, "call_host");
            }
          } catch (Throwable error) {
            failure.compareAndSet(null, error);
          }
        }, "guest " + i, i % 2 == 0 ? 0 : 512 << 10);
        running.add(thread);
        thread.start();
      }
      for (Thread thread : running) {
        thread.join();
      }
    }
    done.set(true);
    collector.join();
    if (failure.get() != null) {
      throw new AssertionError(failure.get());
    }
  }

  public static void main(String[] args) throws InterruptedException {
    String library = args[2];
    file = args[3];
    if (args[1].equals("JniGuest")) {
      JniGuest.load(library);
      binding = JniGuest::new;
    } else {
      binding = foreign(library);
    }
    if (args[0].equals("crash")) {
      Guest[] self = new Guest[1];
      self[0] = binding.open(file, n -> {
        self[0].crash();
        return 0;
      });
      trapInEveryWay(self[0]);
      self[0].call(Guest.CALL_HOST, 1, 0);
      System.out.println("a crash in C goes on");
      return;
    }
    mustThrowNullPointerException();
    mustThrowStackOverflowError();
    try (Guest guest = binding.open(file, Host::nested)) {
      for (int i = 0; i < 20; i++) {
        trapInEveryWay(guest);
        mustThrowNullPointerException();
        mustThrowStackOverflowError();
      }
      check(guest.call(Guest.CALL_HOST, 7, 0) == 8, "call_host");
    }
    threads();
  }

  /** By reflection: the class is not there for an older JDK. */
  private static Guest.Binding foreign(String library) {
    try {
      Class<?> guest = Class.forName("ForeignGuest");
      guest.getDeclaredMethod("load", String.class).invoke(null, library);
      var constructor = guest.getDeclaredConstructor(String.class, java.util.function.IntUnaryOperator.class);
      return (path, onCall) -> {
        try {
          return (Guest) constructor.newInstance(path, onCall);
        } catch (ReflectiveOperationException error) {
          throw new AssertionError(error);
        }
      };
    } catch (ReflectiveOperationException error) {
      throw new AssertionError(error);
    }
  }
}
