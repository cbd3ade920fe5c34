// Command go_tool is a program of several commands that compute, read stdin, walk and write files,
// and fail, so that two runtimes can be compared on what a Go program does.
package main

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "go_tool: no command")
		os.Exit(64)
	}
	switch os.Args[1] {
	case "primes":
		primes(number(2))
	case "words":
		words()
	case "sha":
		sha()
	case "tree":
		tree(os.Args[2])
	case "goroutines":
		goroutines(number(2))
	case "write":
		write(os.Args[2], number(3))
	case "panic":
		var none map[string]int
		none["x"] = 1
	case "exit":
		fmt.Fprintln(os.Stderr, "go_tool: leaving with", os.Args[2])
		os.Exit(number(2))
	default:
		fmt.Fprintln(os.Stderr, "go_tool: unknown command", strconv.Quote(os.Args[1]))
		os.Exit(64)
	}
}

func number(at int) int {
	value, err := strconv.Atoi(os.Args[at])
	if err != nil {
		fmt.Fprintln(os.Stderr, "go_tool:", err)
		os.Exit(65)
	}
	return value
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "go_tool:", err)
		os.Exit(1)
	}
}

func primes(limit int) {
	composite := make([]bool, limit+1)
	count, last := 0, 0
	for i := 2; i <= limit; i++ {
		if composite[i] {
			continue
		}
		count, last = count+1, i
		for j := i * i; j <= limit; j += i {
			composite[j] = true
		}
	}
	fmt.Println(count, "primes, the last is", last)
}

func words() {
	counts := map[string]int{}
	scanner := bufio.NewScanner(os.Stdin)
	scanner.Buffer(make([]byte, 1<<20), 1<<20)
	for scanner.Scan() {
		for _, word := range strings.Fields(scanner.Text()) {
			counts[word]++
		}
	}
	check(scanner.Err())
	names := make([]string, 0, len(counts))
	for name := range counts {
		names = append(names, name)
	}
	sort.Slice(names, func(a, b int) bool {
		if counts[names[a]] != counts[names[b]] {
			return counts[names[a]] > counts[names[b]]
		}
		return names[a] < names[b]
	})
	for _, name := range names[:min(len(names), 20)] {
		fmt.Println(counts[name], name)
	}
}

func sha() {
	hash := sha256.New()
	size, err := io.Copy(hash, os.Stdin)
	check(err)
	fmt.Printf("%x %d\n", hash.Sum(nil), size)
}

func tree(root string) {
	check(filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		size := int64(-1)
		if !entry.IsDir() {
			info, err := entry.Info()
			if err != nil {
				return err
			}
			size = info.Size()
		}
		fmt.Println(path, entry.IsDir(), size)
		return nil
	}))
}

// goroutines passes a token around a ring of n goroutines, n times.
func goroutines(n int) {
	first := make(chan int)
	in := first
	for i := 1; i < n; i++ {
		out := make(chan int)
		go func(in, out chan int) {
			for token := range in {
				out <- token + 1
			}
			close(out)
		}(in, out)
		in = out
	}
	total := 0
	for i := 0; i < n; i++ {
		first <- 0
		total += <-in
	}
	close(first)
	fmt.Println("tokens", total)
}

func write(root string, files int) {
	for i := 0; i < files; i++ {
		dir := filepath.Join(root, fmt.Sprintf("d%02d", i%10))
		check(os.MkdirAll(dir, 0o755))
		name := filepath.Join(dir, fmt.Sprintf("f%04d.txt", i))
		check(os.WriteFile(name, []byte(strings.Repeat(name+"\n", i%50+1)), 0o644))
		if i%3 == 0 {
			check(os.Rename(name, name+".moved"))
		}
		if i%7 == 0 {
			check(os.WriteFile(filepath.Join(dir, "last"), []byte(strconv.Itoa(i)), 0o644))
		}
	}
	fmt.Println("wrote", files)
}
