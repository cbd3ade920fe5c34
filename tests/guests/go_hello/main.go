// Command go_hello is the program whose start the project measures: nothing but a line through fmt,
// 2.6 MB of wasm.
package main

import "fmt"

func main() {
	fmt.Println("hello from Go")
}
