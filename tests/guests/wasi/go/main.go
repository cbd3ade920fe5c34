// Go's os, io and time packages on WASI. Prints a line a case, as ../c/check.h does.
package main

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	"time"
)

var failure string

func fail(format string, args ...any) {
	if failure == "" {
		failure = strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " ")
	}
}

func run(name string, body func()) {
	failure = ""
	body()
	if failure == "" {
		fmt.Printf("ok Go os: %s\n", name)
	} else {
		fmt.Printf("FAIL Go os: %s: %s\n", name, failure)
	}
}

func equal(what string, got, want any) {
	if !reflect.DeepEqual(got, want) {
		fail("%s is %v, not %v", what, got, want)
	}
}

func ok(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func is(err, want error) {
	if !errors.Is(err, want) {
		fail("the error is %v, not %v", err, want)
	}
}

func contents(path, want string) {
	text, err := os.ReadFile(path)
	ok(err)
	equal(path, string(text), want)
}

func files() {
	run("WriteFile, ReadFile", func() {
		ok(os.WriteFile("/go/a", []byte("hello"), 0o666))
		contents("/go/a", "hello")
	})
	run("append", func() {
		file, err := os.OpenFile("/go/a", os.O_APPEND|os.O_WRONLY, 0)
		ok(err)
		_, err = file.WriteString(" world")
		ok(err)
		ok(file.Close())
		contents("/go/a", "hello world")
	})
	run("O_EXCL, O_TRUNC", func() {
		_, err := os.OpenFile("/go/a", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
		is(err, fs.ErrExist)
		file, err := os.OpenFile("/go/a", os.O_TRUNC|os.O_WRONLY, 0)
		ok(err)
		ok(file.Close())
		contents("/go/a", "")
	})
	run("what is not there", func() {
		_, err := os.Open("/go/none")
		is(err, fs.ErrNotExist)
		_, err = os.Stat("/go/none/x")
		is(err, fs.ErrNotExist)
		is(os.Remove("/go/none"), fs.ErrNotExist)
	})
	run("Seek, ReadAt, WriteAt, Truncate", func() {
		file, err := os.Create("/go/s")
		ok(err)
		_, err = file.WriteString("0123456789")
		ok(err)
		_, err = file.WriteAt([]byte("xy"), 3)
		ok(err)
		part := make([]byte, 4)
		_, err = file.ReadAt(part, 2)
		ok(err)
		equal("part", string(part), "2xy5")
		at, err := file.Seek(-1, io.SeekEnd)
		ok(err)
		equal("position", at, int64(9))
		_, err = file.Seek(-1, io.SeekStart)
		if err == nil {
			fail("a position before the start")
		}
		ok(file.Truncate(4))
		ok(file.Sync())
		ok(file.Close())
		contents("/go/s", "012x")
	})
	run("Chtimes, Stat", func() {
		when := time.Unix(1000000000, 5)
		ok(os.Chtimes("/go/s", when, when))
		status, err := os.Stat("/go/s")
		ok(err)
		equal("time", status.ModTime().Equal(when), true)
		equal("size", status.Size(), int64(4))
		equal("regular", status.Mode().IsRegular(), true)
	})
	run("io.Copy of a megabyte, a line at a time", func() {
		out, err := os.Create("/go/big")
		ok(err)
		buffered := bufio.NewWriter(out)
		for i := 0; i < 100000; i++ {
			fmt.Fprintf(buffered, "line %5d\n", i)
		}
		ok(buffered.Flush())
		ok(out.Close())
		in, err := os.Open("/go/big")
		ok(err)
		copied, err := os.Create("/go/copy")
		ok(err)
		size, err := io.Copy(copied, in)
		ok(err)
		equal("size", size, int64(1100000))
		ok(copied.Close())
		ok(in.Close())
	})
}

func directories() {
	run("MkdirAll, ReadDir", func() {
		ok(os.MkdirAll("/go/x/y/z", 0o777))
		ok(os.WriteFile("/go/x/file", nil, 0o666))
		entries, err := os.ReadDir("/go/x")
		ok(err)
		var names []string
		for _, entry := range entries {
			names = append(names, fmt.Sprint(entry.Name(), entry.IsDir()))
		}
		equal("names", names, []string{"filefalse", "ytrue"})
	})
	run("WalkDir", func() {
		var seen []string
		ok(filepath.WalkDir("/go/x", func(path string, _ fs.DirEntry, err error) error {
			seen = append(seen, path)
			return err
		}))
		sort.Strings(seen)
		equal("paths", seen, []string{"/go/x", "/go/x/file", "/go/x/y", "/go/x/y/z"})
	})
	run("Readdirnames in parts", func() {
		ok(os.Mkdir("/go/many", 0o777))
		for i := 0; i < 300; i++ {
			ok(os.WriteFile(fmt.Sprintf("/go/many/%03d", i), nil, 0o666))
		}
		dir, err := os.Open("/go/many")
		ok(err)
		count := 0
		for {
			names, err := dir.Readdirnames(7)
			count += len(names)
			if err == io.EOF {
				break
			}
			ok(err)
			if err != nil {
				break
			}
		}
		equal("names", count, 300)
		ok(dir.Close())
	})
	run("Remove refuses what is full; RemoveAll", func() {
		if os.Remove("/go/many") == nil {
			fail("a full directory was removed")
		}
		ok(os.RemoveAll("/go/many"))
		ok(os.RemoveAll("/go/x"))
		_, err := os.Stat("/go/x")
		is(err, fs.ErrNotExist)
	})
	run("Rename", func() {
		ok(os.WriteFile("/go/from", []byte("moved"), 0o666))
		ok(os.Mkdir("/go/d1", 0o777))
		ok(os.Rename("/go/from", "/go/d1/to"))
		ok(os.Rename("/go/d1", "/go/d2"))
		contents("/go/d2/to", "moved")
	})
	run("Link, Symlink, Readlink, Lstat", func() {
		ok(os.Link("/go/d2/to", "/go/hard"))
		contents("/go/hard", "moved")
		ok(os.Symlink("d2/to", "/go/soft"))
		target, err := os.Readlink("/go/soft")
		ok(err)
		equal("target", target, "d2/to")
		contents("/go/soft", "moved")
		status, err := os.Lstat("/go/soft")
		ok(err)
		equal("link", status.Mode()&fs.ModeSymlink != 0, true)
	})
	run("Chdir and relative paths", func() {
		ok(os.Chdir("/go/d2"))
		contents("to", "moved")
		contents("../d2/to", "moved")
		ok(os.Chdir("/"))
	})
	run("a path out of the directory", func() {
		if _, err := os.Open("/go/../../etc/passwd"); err == nil {
			fail("it opened")
		}
	})
}

func process() {
	run("Args", func() { equal("args", os.Args[1:], []string{"a", "", "b c"}) })
	run("Getenv", func() { equal("NAME", os.Getenv("NAME"), "value = x") })
	run("standard input", func() {
		text, err := io.ReadAll(os.Stdin)
		ok(err)
		equal("text", string(text), "first line\nsecond")
	})
	run("timers of several goroutines", func() {
		start := time.Now()
		done := make(chan int)
		for i := 0; i < 5; i++ {
			go func(i int) {
				time.Sleep(time.Duration(i) * 5 * time.Millisecond)
				done <- i
			}(i)
		}
		sum := 0
		for i := 0; i < 5; i++ {
			sum += <-done
		}
		equal("sum", sum, 10)
		equal("20 ms", time.Since(start) >= 20*time.Millisecond, true)
	})
	run("time.Now", func() { equal("after 2023", time.Now().Year() >= 2023, true) })
	run("crypto/rand", func() {
		one, two := make([]byte, 16), make([]byte, 16)
		_, err := rand.Read(one)
		ok(err)
		_, err = rand.Read(two)
		ok(err)
		equal("equal", string(one) == string(two), false)
	})
}

func main() {
	if err := os.Mkdir("/go", 0o777); err != nil {
		fmt.Println("FAIL set-up:", err)
		os.Exit(1)
	}
	files()
	directories()
	process()
}
