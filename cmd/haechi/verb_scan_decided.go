package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/tool/scan/deps"
	"github.com/haechi-dev/haechi/tool/vex"
	"github.com/haechi-dev/haechi/word/finding"
)

// readDecisions reads what was decided about vulnerabilities: files, and all files of folders.
func readDecisions(list string) ([]vex.Statement, error) {
	var all []vex.Statement
	for _, name := range commas(list) {
		err := filepath.WalkDir(name, func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			statements, err := vex.Read(file, text)
			if err != nil {
				return err
			}
			all = append(all, statements...)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("-vex: %w", err)
		}
	}
	return all, nil
}

// settled says what decisions did, and which are of no use any more.
func settled(w io.Writer, did vex.Applied) {
	if did.Suppressed > 0 {
		fmt.Fprintf(w, "%d set aside by -vex\n", did.Suppressed)
	}
	for _, p := range did.Expired {
		fmt.Fprintf(w, "-vex: %s: %s\n", p, p.Why)
	}
	for _, p := range did.Unused {
		fmt.Fprintf(w, "-vex: %s: nothing here that this is about\n", p)
	}
}

// writeVEX writes what is known of findings in a product.
func writeVEX(product string) func(call, string, scan.Result, []finding.Finding) error {
	return func(c call, format string, _ scan.Result, findings []finding.Finding) error {
		made := vex.Made{Product: product, Tool: versionText(), At: time.Now()}
		switch format {
		case "openvex":
			return vex.OpenVEX(c.stdout, made, findings)
		case "cyclonedx":
			return vex.CycloneDX(c.stdout, made, findings)
		}
		return vex.CSAF(c.stdout, made, findings)
	}
}

// nameOf is what a scanned folder or file is called.
func nameOf(rest []string) string {
	path := "."
	if len(rest) == 1 {
		path = rest[0]
	}
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	return filepath.Base(path)
}

// writePatch writes the smallest upgrades that clear the most as a patch, and
// tells what a patch cannot do.
func writePatch(c call, rest []string, index *advisory.Index, result scan.Result) error {
	folder := "."
	if len(rest) == 1 {
		folder = rest[0]
	}
	if info, err := os.Stat(folder); err == nil && !info.IsDir() {
		folder = filepath.Dir(folder)
	}
	if index == nil {
		return usagef("a patch is about dependencies: scan a folder")
	}
	upgrades, err := deps.New(index).Upgrades(result.Components)
	if err != nil {
		return err
	}
	patch, left := deps.Patch(os.DirFS(folder), upgrades)
	if _, err := io.WriteString(c.stdout, patch); err != nil {
		return err
	}
	for _, u := range upgrades {
		fmt.Fprintf(c.stderr, "%s: %s %s -> %s clears %s", u.Component.Place, u.Component.Name, u.Component.Version, u.To, strings.Join(u.Clears, ", "))
		if len(u.Leaves) > 0 {
			fmt.Fprintf(c.stderr, "; leaves %s", strings.Join(u.Leaves, ", "))
		}
		fmt.Fprintln(c.stderr)
	}
	for _, l := range left {
		fmt.Fprintf(c.stderr, "not in the patch: %s: %s\n", l.Component.Place, l.Why)
	}
	return nil
}
