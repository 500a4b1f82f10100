package build

import (
	"os"
)

// Remove takes a build's folder away.
func Remove(dir string) error { return os.RemoveAll(dir) }
