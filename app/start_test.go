package app_test

import (
	"io"
	"testing"

	"github.com/haechi-dev/haechi/tool/sandbox"
)

// How long a step takes that does nothing, in a program as large as haechi is:
// the first process of a sandbox is this program again.
func BenchmarkStepStart(b *testing.B) {
	s := sandbox.New(sandbox.Config{})
	step := sandbox.Step{Argv: []string{"true"}, Work: b.TempDir()}
	for b.Loop() {
		if exit, err := s.Run(b.Context(), step, io.Discard); exit != 0 || err != nil {
			b.Fatal(exit, err)
		}
	}
}
