package build

import (
	"embed"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/haechi-dev/haechi/base/program"
)

// helpers are the programs that CodeBuild's images have for buildspecs, as
// scripts for any shell.
//
//go:embed bin
var helpers embed.FS

// help lays them out, where the build's PATH ends.
func (r *running) help() error {
	if err := os.MkdirAll(filepath.Join(r.plan.Dir, "bin"), 0o755); err != nil {
		return err
	}
	names, err := fs.Glob(helpers, "bin/*")
	if err != nil {
		return err
	}
	for _, name := range names {
		text, err := helpers.ReadFile(name)
		if err != nil {
			return err
		}
		if err := program.Write(filepath.Join(r.plan.Dir, filepath.FromSlash(name)), text, 0o755); err != nil {
			return err
		}
	}
	return nil
}
