package image

import (
	"bufio"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/finding"
)

// settle leaves out what the distribution's packages brought of a language's
// packages, with the findings there: Debian's python3-requests is listed as
// that, is mended by Debian without a new version of requests, and is held
// against Debian's advisories.
func (img *Image) settle(run *scan.Run) {
	ask := map[string]bool{}
	for _, c := range run.Components {
		switch c.Ecosystem {
		case "PyPI", "npm", "RubyGems":
			if packaged(c.Place.File) {
				ask[c.Place.File] = true
			}
		}
	}
	if len(ask) == 0 {
		return
	}
	owned := img.owned(ask)
	run.Components = slices.DeleteFunc(run.Components, func(c component.Component) bool { return owned[c.Place.File] })
	run.Findings = slices.DeleteFunc(run.Findings, func(f finding.Finding) bool { return owned[f.Place().File] })
}

// owned tells of files which of them a package of dpkg or apk brought.
func (img *Image) owned(ask map[string]bool) map[string]bool {
	owned, tree := map[string]bool{}, img.FS()
	note := func(name string) {
		if ask[name] {
			owned[name] = true
		}
	}
	lists, err := fs.Glob(tree, "var/lib/dpkg/info/*.list")
	if err != nil {
		return owned
	}
	for _, name := range lists {
		eachLine(tree, name, func(line string) { note(strings.TrimPrefix(line, "/")) })
	}
	for _, name := range []string{"lib/apk/db/installed", "usr/lib/apk/db/installed"} {
		folder := ""
		eachLine(tree, name, func(line string) {
			switch kind, value, _ := strings.Cut(line, ":"); kind {
			case "F":
				folder = value
			case "R":
				note(path.Join(folder, value))
			}
		})
	}
	return owned
}

// eachLine reads a file by lines, as far as they are of a size that paths have.
func eachLine(tree fs.FS, name string, each func(line string)) {
	f, err := tree.Open(name)
	if err != nil {
		return
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		each(lines.Text())
	}
}
