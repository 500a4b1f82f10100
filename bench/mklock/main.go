// Command mklock writes a package-lock.json with as many packages as it is told.
package main

import (
	"fmt"
	"os"
	"strconv"
)

func main() {
	n := 1000
	if len(os.Args) > 1 {
		var err error
		if n, err = strconv.Atoi(os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, "usage: mklock NUMBER")
			os.Exit(2)
		}
	}
	fmt.Println(`{"name":"web","lockfileVersion":3,"packages":{"":{"name":"web","dependencies":{"package-0":"1.0.0"}}`)
	for i := range n {
		fmt.Printf(`,"node_modules/package-%d":{"version":"1.%d.0","resolved":"https://registry.example/package-%d.tgz"`, i, i%40, i)
		if i+1 < n {
			fmt.Printf(`,"dependencies":{"package-%d":"1.%d.0"}`, i+1, (i+1)%40)
		}
		fmt.Println("}")
	}
	fmt.Println("}}")
}
