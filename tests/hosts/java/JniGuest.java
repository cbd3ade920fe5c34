import java.util.function.IntUnaryOperator;

final class JniGuest implements Guest {
  private final IntUnaryOperator onCall;
  private final long handle;

  JniGuest(String file, IntUnaryOperator onCall) {
    this.onCall = onCall;
    handle = open(file);
  }

  static void load(String library) {
    System.load(library);
  }

  private native long open(String file);

  private native String callNative(long handle, int index, int first, int second, int[] result);

  private native void closeNative(long handle);

  @Override
  public native void crash();

  // Called by the native code.
  int onCall(int argument) {
    return onCall.applyAsInt(argument);
  }

  @Override
  public int call(int index, int first, int second) {
    int[] result = new int[1];
    String message = callNative(handle, index, first, second, result);
    if (message != null) {
      throw new TrapException(message);
    }
    return result[0];
  }

  @Override
  public void close() {
    closeNative(handle);
  }
}
