//go:build !linux

package sandbox

import (
	"context"
	"io"

	"github.com/haechi-dev/haechi/word/fault"
)

// Child does nothing where there are no namespaces.
func Child() {}

func (s *Sandbox) probe(context.Context) error {
	return fault.Unsupported.Errorf("steps can be walled in on Linux only")
}

func (s *Sandbox) run(context.Context, Step, Level, io.Writer) (int, error) {
	return -1, fault.Unsupported.Errorf("steps are run on Linux only")
}
