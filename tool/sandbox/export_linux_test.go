package sandbox

import (
	"context"
	"io"
)

// RunBare runs a step at the level Bare, wherever.
func RunBare(ctx context.Context, step Step, out io.Writer) (int, error) {
	return New(Config{Least: Bare}).run(ctx, step, Bare, out)
}
