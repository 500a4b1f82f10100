//go:build !linux

package sandbox

import (
	"context"
	"io"
	"os"

	"github.com/haechi-dev/haechi/word/fault"
)

// Child does nothing where there are no namespaces.
func Child() {}

func (s *Sandbox) probe(context.Context) error {
	return fault.Unsupported.Errorf("steps can be walled in on Linux only")
}

// spawner is nothing where no steps are run.
type spawner struct{}

// ranges are nothing where no steps are run.
type ranges struct{}

// Ranges says that no step is root here.
func (s *Sandbox) Ranges(context.Context, string) error {
	return fault.Unsupported.Errorf("steps are run on Linux only")
}

// groups are nothing where there are no control groups.
type groups struct{}

const leastLandlock = 1

func landlockABI() int { return 0 }

// OpenTerminal opens nothing: steps are run on Linux only.
func OpenTerminal() (master, slave *os.File, err error) {
	return nil, nil, fault.Unsupported.Errorf("steps are run on Linux only")
}

func machineMemory() uint64 { return 0 }

func (s *Sandbox) walls(level Level) string { return level.String() }

func (s *Sandbox) run(context.Context, Step, Level, io.Writer) (int, error) {
	return -1, fault.Unsupported.Errorf("steps are run on Linux only")
}
