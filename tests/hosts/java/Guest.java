import java.util.function.IntUnaryOperator;

/** One instance of the guest; used by one thread at a time. */
interface Guest extends AutoCloseable {
  int ADD = 1;
  int DIVIDE = 2;
  int LOAD = 3;
  int RECURSE = 4;
  int CALL_HOST = 5;

  /** How the guest is reached. */
  interface Binding {
    Guest open(String file, IntUnaryOperator onCall);
  }

  /** A trap. */
  final class TrapException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    TrapException(String message) {
      super(message);
    }
  }

  int call(int index, int first, int second);

  /** A null dereference in C code. */
  void crash();

  @Override
  void close();
}
