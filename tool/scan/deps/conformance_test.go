package deps_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/tool/scan/deps"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/finding"
)

// What a peer answers for real projects is answered here too, through aliases.
func TestConformance(t *testing.T) {
	dir := os.Getenv("HAECHI_TESTDATA")
	if dir == "" {
		t.Skip("HAECHI_TESTDATA is not set")
	}
	answers, err := os.ReadFile(filepath.Join(dir, "manifests", "answers-osv-scanner-2.5.1.tsv"))
	if err != nil {
		t.Skip("no manifests there:", err)
	}
	index := filepath.Join(t.TempDir(), "advisories")
	if _, err := advisory.Import(context.Background(), filepath.Join(dir, "vulns", "osv"), index, time.Now(), nil); err != nil {
		t.Fatal(err)
	}
	x, err := advisory.Open(index)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	result, err := scan.Tree(context.Background(), os.DirFS(filepath.Join(dir, "manifests")), scan.Options{Scanners: []scan.Scanner{deps.New(x)}})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{} // manifest, package, version, name of the bug
	all := map[string]bool{}   // the same with one name for each bug
	for _, f := range result.Runs[0].Findings {
		if len(f.Vulnerabilities) == 0 {
			continue
		}
		v := f.Vulnerabilities[0]
		for _, p := range v.Packages {
			key := keyOf(p)
			all[key+v.ID] = true
			for _, name := range append([]string{v.ID}, v.Related...) {
				found[key+name] = true
			}
		}
	}
	met, total := 0, 0
	var unmet []string
	answered := map[string]bool{}
	for _, row := range strings.Split(strings.TrimSpace(string(answers)), "\n")[1:] {
		total++
		c := strings.Split(row, "\t")
		key := keyOf(finding.Package{FilePath: c[0], Name: advisory.Normal(c[1], c[2]), Version: c[3]})
		names := []string{c[4]}
		if len(c) > 5 && c[5] != "" {
			names = append(names, strings.Split(c[5], ",")...)
		}
		hit := slices.ContainsFunc(names, func(n string) bool { return found[key+n] })
		for _, n := range names {
			answered[key+n] = true
		}
		if hit {
			met++
		} else {
			unmet = append(unmet, row)
		}
	}
	extra, explained := 0, 0 // the peer does not read a package.json: what is pinned there exactly, advisories speak of
	for key := range all {
		if !answered[key] && !slices.ContainsFunc(result.Runs[0].Findings, func(f finding.Finding) bool { return sameBug(f, key, answered) }) {
			extra++
			if strings.Contains(key, "/package.json\t") {
				explained++
			}
			if os.Getenv("HAECHI_ALL") != "" {
				fmt.Println("  extra: " + key)
			}
		}
	}
	unresolved := 0
	for _, c := range result.Components {
		if c.State == component.Unresolved {
			unresolved++
		}
	}
	fmt.Printf("CONFORMANCE manifests answers %d/%d components=%d unresolved=%d extra=%d explained=%d\n", met, total, len(result.Components), unresolved, extra, explained)
	for _, line := range unmet[:min(len(unmet), 20)] {
		fmt.Println("  " + line)
	}
}

// sameBug tells whether f is the bug of key, and one of its other names was answered.
func sameBug(f finding.Finding, key string, answered map[string]bool) bool {
	if len(f.Vulnerabilities) == 0 {
		return false
	}
	v := f.Vulnerabilities[0]
	for _, p := range v.Packages {
		at := keyOf(p)
		if at+v.ID == key {
			return slices.ContainsFunc(v.Related, func(n string) bool { return answered[at+n] })
		}
	}
	return false
}

// keyOf is where and what a package is, as the peer writes it: in an SBOM without the group.
func keyOf(p finding.Package) string {
	name := p.Name
	if strings.HasSuffix(p.FilePath, ".cdx.json") {
		name = name[strings.LastIndexAny(name, ":/")+1:]
	}
	return p.FilePath + "\t" + name + "\t" + p.Version + "\t"
}
