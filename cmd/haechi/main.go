// Command haechi guards a service from commit to production.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/haechi-dev/haechi/tool/sandbox"
)

func main() { os.Exit(run()) }

func run() int {
	sandbox.Child() // a step's first process is this program again; it does not come back
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return haechi(ctx, call{args: os.Args[1:], stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, env: os.Getenv})
}
