// A Go program with libwasmd.so in its process: wasm's traps are reported, and Go's nil dereferences, growing stacks and
// collector go on working after and between them, on every thread that its scheduler uses.
package main

/*
#include <stdlib.h>
#include "guest.h"

extern int32_t goOnCall(int64_t env, int32_t argument);

static inline Guest* newGuest(const char* file, int64_t env, const char** why) {
  return GuestNew(file, goOnCall, env, why);
}
static inline void crashInC(void) {
  *(volatile int*)16 = 1;
}
*/
import "C"

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"
)

const (
	add, divide, load, recurse, callHost = 1, 2, 3, 4, 5
)

type guest struct{ c *C.Guest }

var onCall sync.Map // By guest number: what its import does.
var guests atomic.Int64

//export goOnCall
func goOnCall(env C.int64_t, argument C.int32_t) C.int32_t {
	f, _ := onCall.Load(int64(env))
	return C.int32_t(f.(func(int32) int32)(int32(argument)))
}

func newGuest(f func(int32) int32) guest {
	number := guests.Add(1)
	onCall.Store(number, f)
	file := C.CString(os.Args[1])
	defer C.free(unsafe.Pointer(file))
	var why *C.char
	c := C.newGuest(file, C.int64_t(number), &why)
	if c == nil {
		panic(C.GoString(why))
	}
	return guest{c}
}

func (g guest) call(index int, first, second int32) (int32, error) {
	var result C.int32_t
	var message [128]C.char
	if C.GuestCall(g.c, C.int(index), C.int32_t(first), C.int32_t(second), &result, &message[0]) != 0 {
		return 0, errors.New(C.GoString(&message[0]))
	}
	return int32(result), nil
}

func (g guest) mustReturn(want int32, index int, first, second int32) {
	if got, err := g.call(index, first, second); err != nil || got != want {
		panic(fmt.Sprintf("function %d: %d, %v; not %d", index, got, err, want))
	}
}

func (g guest) mustTrap(want string, index int, first, second int32) {
	if got, err := g.call(index, first, second); err == nil || !strings.Contains(err.Error(), want) {
		panic(fmt.Sprintf("function %d: %d, %v; not a trap %q", index, got, err, want))
	}
}

func (g guest) trapInEveryWay() {
	g.mustReturn(42, add, 40, 2)
	g.mustTrap("divide by zero", divide, 1, 0)
	g.mustTrap("out of bounds memory access", load, 65536, 0)
	g.mustTrap("out of bounds memory access", load, -1, 0)
	g.mustTrap("stack", recurse, 0, 0)
	g.mustReturn(3, divide, 12, 4)
}

type node struct {
	padding [4]int
	value   int
}

//go:noinline
func read(n *node) int { return n.value }

// Go's own SIGSEGV: a recoverable panic.
func mustRecoverNil() {
	defer func() {
		err, ok := recover().(runtime.Error)
		if !ok || !strings.Contains(err.Error(), "nil pointer dereference") {
			panic(fmt.Sprintf("a nil dereference gives %v", err))
		}
	}()
	read(nil)
	panic("a nil dereference goes on")
}

// Makes the goroutine's stack grow and be copied, many times over.
//
//go:noinline
func growStack(depth int) int {
	var local [64]int
	local[depth%64] = depth
	if depth == 0 {
		return 0
	}
	return growStack(depth-1) + local[depth%64] - depth + 1
}

// One guest that every goroutine uses in turn, so that it migrates between threads while it traps; and one for each.
func goroutines() {
	var lock sync.Mutex
	shared := newGuest(func(n int32) int32 { return n })
	stop := make(chan struct{})
	var load sync.WaitGroup
	load.Add(1)
	go func() { // Garbage, and collections.
		defer load.Done()
		var kept [][]byte
		for {
			select {
			case <-stop:
				runtime.KeepAlive(kept)
				return
			default:
				kept = append(kept, make([]byte, 1<<12))
				if len(kept) == 256 {
					kept = nil
					runtime.GC()
				}
				runtime.Gosched()
			}
		}
	}()
	var running sync.WaitGroup
	for i := 0; i < 16; i++ {
		running.Add(1)
		go func(i int) {
			defer running.Done()
			if i%4 == 0 { // Some keep to their thread, which goes with the goroutine.
				runtime.LockOSThread()
			}
			own := newGuest(nestedCall)
			for j := 0; j < 10; j++ {
				own.trapInEveryWay()
				mustRecoverNil()
				lock.Lock()
				shared.trapInEveryWay()
				lock.Unlock()
				if got := growStack(2000); got != 2000 {
					panic(fmt.Sprintf("a grown stack holds %d", got))
				}
				own.mustReturn(int32(j)+1, callHost, int32(j), 0)
				runtime.Gosched()
			}
			C.GuestDelete(own.c)
		}(i)
	}
	running.Wait()
	close(stop)
	load.Wait()
	C.GuestDelete(shared.c)
}

// What Go does when wasm calls it, on a stack with wasm's frames below.
func nestedCall(n int32) int32 {
	mustRecoverNil()
	if got := growStack(500); got != 500 {
		panic(fmt.Sprintf("a grown stack below wasm holds %d", got))
	}
	inner := newGuest(func(n int32) int32 { return n })
	inner.trapInEveryWay()
	C.GuestDelete(inner.c)
	return n + 1
}

func main() {
	if len(os.Args) > 2 {
		g := newGuest(func(n int32) int32 {
			C.crashInC()
			return 0
		})
		g.trapInEveryWay()
		g.call(callHost, 1, 0)
		fmt.Println("a crash in C goes on")
		return
	}
	mustRecoverNil()
	g := newGuest(nestedCall)
	g.trapInEveryWay()
	mustRecoverNil()
	g.mustReturn(8, callHost, 7, 0)
	C.GuestDelete(g.c)
	fmt.Println("go traps: passed")
	goroutines()
	fmt.Println("go goroutines: passed")
}
