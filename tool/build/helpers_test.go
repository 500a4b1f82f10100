package build_test

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/lang/glob"
	"github.com/haechi-dev/haechi/tool/build"
)

// A build-fanout's builds run each test once, in parts that differ by one at most; stable parts move few.
func TestFanout(t *testing.T) {
	files := map[string]string{"other.txt": ""}
	for i := range 10 {
		files[fmt.Sprintf("pkg/t%d_test.go", i)] = ""
	}
	for _, strategy := range []string{"equal-distribution", "stability"} {
		var all []string
		for shard := range 3 {
			r, log, _ := run(t, `
phases:
  build:
    commands:
      - codebuild-tests-run --test-command 'printf "ran %s\n"' --files-search "codebuild-glob-search '**/*_test.go'" --sharding-strategy `+strategy+`
      - codebuild-tests-run --test-command 'echo "$CODEBUILD_CURRENT_SHARD_FILES" | sed "s/^/own /"' --files-search 'printf "a\nb\n"'
`, files, func(p *build.Plan) { p.Facts.Shard, p.Facts.Shards = shard, 3 })
			if r.Status != build.Succeeded {
				t.Fatalf("%s\n%s", r.Reason, log)
			}
			n := 0
			for line := range strings.Lines(log) {
				if name, ok := strings.CutPrefix(line, "ran "); ok {
					all = append(all, strings.TrimSpace(name))
					n++
				}
			}
			if strategy == "equal-distribution" && n != 3 && n != 4 {
				t.Errorf("part %d has %d", shard, n)
			}
		}
		slices.Sort(all)
		if len(all) != 10 || len(slices.Compact(all)) != 10 {
			t.Errorf("%s: %q", strategy, all)
		}
	}
	r, log, _ := run(t, "phases: {build: {commands: [codebuild-tests-run --help]}}", nil, nil)
	if r.Status != build.Failed || !strings.Contains(log, "usage: codebuild-tests-run") {
		t.Errorf("%s", log)
	}
}

// The programs and the server mean the same files, and make the same hash of them.
func TestHelpersAgree(t *testing.T) {
	if _, err := exec.LookPath("awk"); err != nil {
		t.Skip("there is no awk here")
	}
	files := map[string]string{"go.sum": "one", "a/go.sum": "two", "a.b/x.txt": "3", "a/b/c.md": "4", "d+(e)/f.md": "5", ".h/i": "6"}
	patterns := []string{"go.sum", "**/go.sum", "**/*", "*", "a/**", "**/*.{md,txt}", "a*/*.tx?", "d+(e)/*", "[ag]*", "**/.*/**/*", "nothing"}
	var commands []string
	for _, p := range patterns {
		commands = append(commands, fmt.Sprintf(`"codebuild-glob-search '%s' | sed 's|^|%s: |'; :"`, p, strings.ReplaceAll(p, "|", "")))
	}
	_, log, _ := run(t, "phases: {build: {commands: ["+strings.Join(commands, ", ")+"]}}", files, nil)
	for _, p := range patterns {
		g, err := glob.Parse(p)
		if err != nil {
			t.Fatal(err)
		}
		for name := range files {
			if said := strings.Contains(log, "\n"+p+": "+name+"\n"); said != g.Match(name) {
				t.Errorf("%s on %s: %v, and %v for the server\n%s", p, name, said, g.Match(name), log)
			}
		}
	}
	s := &store{entries: map[build.CacheKey][]byte{}}
	_, log, _ = run(t, "phases: {build: {commands: ['codebuild-hash-files \"**/*.md\" \"**/go.sum\"']}}\ncache: {key: \"k-$(codebuild-hash-files '**/*.md' '**/go.sum')\", paths: [a]}", files, func(p *build.Plan) { p.Cache = s })
	if len(s.order) != 1 || !strings.Contains(log, "\n"+strings.TrimPrefix(s.order[0].Key, "k-")+"\n") {
		t.Errorf("%v\n%s", s.order, log)
	}
}
