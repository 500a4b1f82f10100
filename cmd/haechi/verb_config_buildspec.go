package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/haechi-dev/haechi/lang/buildspec"
	"github.com/haechi-dev/haechi/tool/build"
	"github.com/haechi-dev/haechi/word/fault"
)

var buildspecName = regexp.MustCompile(`(?i)^buildspec([._-].*)?\.ya?ml$`)

// checkBuildspec tells whether a file is a right buildspec; ours is false for one that is none.
func checkBuildspec(c call, name string) (ours bool, err error) {
	text, err := os.ReadFile(name)
	if err != nil || !buildspecName.MatchString(filepath.Base(name)) && !regexp.MustCompile(`(?m)^(phases|batch):`).Match(text) {
		return false, nil // the reader of the other kinds says what is wrong
	}
	spec, err := build.Parse(filepath.ToSlash(name), text)
	if err != nil {
		return true, fault.Conflict.Wrap(err) // what was shown is wrong, not how one asked
	}
	fmt.Fprintf(c.stdout, "fine: %s is a buildspec%s\n", filepath.ToSlash(name), told(spec))
	if b := spec.Batch; b != nil {
		for _, one := range b.Builds {
			fmt.Fprintf(c.stdout, "  %s%s\n", one.Identifier, waits(one))
		}
	}
	for _, w := range spec.Warnings {
		fmt.Fprintf(c.stdout, "  %s\n", w)
	}
	return true, nil
}

// told is what a buildspec comes to.
func told(s *buildspec.Spec) string {
	var parts []string
	for _, p := range s.Phases {
		parts = append(parts, p.Name)
	}
	text := ""
	if len(parts) > 0 {
		text = ": " + strings.Join(parts, ", ")
	}
	for _, n := range []struct {
		count     int
		one, more string
	}{{len(s.Artifacts), "artifact", "artifacts"}, {len(s.Reports), "report group", "report groups"}, {len(s.Secrets) + len(s.Parameters), "secret", "secrets"}} {
		switch n.count {
		case 0:
		case 1:
			text += "; 1 " + n.one
		default:
			text += fmt.Sprintf("; %d %s", n.count, n.more)
		}
	}
	if b := s.Batch; b != nil {
		text += fmt.Sprintf("; a %s of %d builds", b.Kind, len(b.Builds))
	}
	return text
}

func waits(b buildspec.Build) string {
	if len(b.DependOn) == 0 {
		return ""
	}
	return " after " + strings.Join(b.DependOn, ", ")
}
