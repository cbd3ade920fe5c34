import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.nio.file.Path;
import java.util.function.IntUnaryOperator;

final class ForeignGuest implements Guest {
  private static final Linker LINKER = Linker.nativeLinker();
  private static MethodHandle guestNew;
  private static MethodHandle guestCall;
  private static MethodHandle guestDelete;
  private static MethodHandle crashInC;

  private final Arena arena = Arena.ofShared();
  private final IntUnaryOperator onCall;
  private final MemorySegment guest;
  private final MemorySegment result = arena.allocate(ValueLayout.JAVA_INT);
  private final MemorySegment message = arena.allocate(128);

  static void load(String library) {
    SymbolLookup symbols = SymbolLookup.libraryLookup(Path.of(library), Arena.global());
    var pointer = ValueLayout.ADDRESS;
    var i32 = ValueLayout.JAVA_INT;
    guestNew = LINKER.downcallHandle(symbols.find("GuestNew").orElseThrow(),
        FunctionDescriptor.of(pointer, pointer, pointer, ValueLayout.JAVA_LONG, pointer));
    guestCall = LINKER.downcallHandle(symbols.find("GuestCall").orElseThrow(),
        FunctionDescriptor.of(i32, pointer, i32, i32, i32, pointer, pointer));
    guestDelete = LINKER.downcallHandle(symbols.find("GuestDelete").orElseThrow(), FunctionDescriptor.ofVoid(pointer));
    crashInC = LINKER.downcallHandle(symbols.find("CrashInC").orElseThrow(), FunctionDescriptor.ofVoid());
  }

  ForeignGuest(String file, IntUnaryOperator onCall) {
    this.onCall = onCall;
    try {
      MethodHandle handle = MethodHandles.lookup()
          .bind(this, "onCall", MethodType.methodType(int.class, long.class, int.class));
      MemorySegment stub = LINKER.upcallStub(handle,
          FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG, ValueLayout.JAVA_INT), arena);
      guest = (MemorySegment) guestNew.invokeExact(arena.allocateFrom(file), stub, 0L,
          arena.allocate(ValueLayout.ADDRESS));
    } catch (Throwable error) {
      throw new AssertionError(error);
    }
    if (guest.address() == 0) {
      throw new AssertionError("no guest");
    }
  }

  int onCall(long env, int argument) {
    return onCall.applyAsInt(argument);
  }

  @Override
  public int call(int index, int first, int second) {
    int trapped;
    try {
      trapped = (int) guestCall.invokeExact(guest, index, first, second, result, message);
    } catch (Throwable error) {
      throw new AssertionError(error);
    }
    if (trapped != 0) {
      throw new TrapException(message.getString(0));
    }
    return result.get(ValueLayout.JAVA_INT, 0);
  }

  @Override
  public void crash() {
    try {
      crashInC.invokeExact();
    } catch (Throwable error) {
      throw new AssertionError(error);
    }
  }

  @Override
  public void close() {
    try {
      guestDelete.invokeExact(guest);
    } catch (Throwable error) {
      throw new AssertionError(error);
    }
    arena.close();
  }
}
