package pipeline_test

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/word/finding"
)

// gates hold up whoever comes to one of them, until it is opened.
type gates struct {
	mu   sync.Mutex
	all  map[string]chan struct{}
	came map[string]bool
}

func (g *gates) of(name string) chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all == nil {
		g.all, g.came = map[string]chan struct{}{}, map[string]bool{}
	}
	if g.all[name] == nil {
		g.all[name] = make(chan struct{})
	}
	return g.all[name]
}

func (g *gates) pass(ctx context.Context, name string) {
	gate := g.of(name)
	g.mu.Lock()
	g.came[name] = true
	g.mu.Unlock()
	select {
	case <-gate:
	case <-ctx.Done():
	}
}

func (g *gates) has(name string) bool {
	g.of(name)
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.came[name]
}

// held is the scanner packages, which takes its time over trees that say so.
type held struct {
	packages
	gates *gates
}

func (h held) Begin(ctx context.Context, tree fs.FS, out scan.Out) scan.Pass {
	if name, err := fs.ReadFile(tree, "held.txt"); err == nil && len(name) > 0 {
		h.gates.pass(ctx, string(name))
	}
	return h.packages.Begin(ctx, tree, out)
}

// heldHub is a hub that takes its time over findings of a package that says so.
type heldHub struct {
	pipeline.Findings
	gates *gates
}

func (h heldHub) Import(ctx context.Context, s finding.Scan, all ...finding.Finding) (hub.Imported, error) {
	for _, f := range all {
		if strings.Contains(f.Title, "slowly") {
			h.gates.pass(ctx, "hub")
		}
	}
	return h.Findings.Import(ctx, s, all...)
}

// set does what a forced push to side does.
func (h *house) set(commit string) {
	h.t.Helper()
	h.n++
	id := fmt.Sprint("push", h.n)
	was, err := h.source.Ref(h.t.Context(), "shop", "refs/heads/side")
	if err == nil {
		err = h.source.Intend(h.t.Context(), h.repo, source.Push{ID: id, Repository: "shop", Who: "ada", Updates: []source.Update{{Ref: "refs/heads/side", Old: was, New: commit}}})
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.clone.Git("push", "-q", h.repo.Dir(), "+"+commit+":refs/heads/side")
	if err := h.source.Confirm(h.t.Context(), "shop", id, []string{"refs/heads/side"}); err != nil {
		h.t.Fatal(err)
	}
}

// What the hub knows of a branch is what its newest commit has, in whatever order runs come to their end: an older commit that
// is late, that is told while a newer one is there, or that is run again by hand changes nothing. A branch that was set back is what it is.
func TestNewestCounts(t *testing.T) {
	var g *gates
	each(t, func(c *pipeline.Config) {
		g = &gates{}
		c.Scanners, c.Hub, c.Workers = []scan.Scanner{held{gates: g}}, heldHub{c.Hub, g}, 4
	}, func(t *testing.T, h *house) {
		own := "executionMode: PARALLEL\n" + strings.ReplaceAll(head, "        configuration: {RepositoryName: shop, BranchName: main}\n", "") + stage("Scan", "      - {name: Scan, actionTypeId: {category: Test, owner: ThirdParty, provider: HaechiScan}, inputArtifacts: [{name: code}]}\n")
		branch := "main"
		has := func(when string, want ...string) {
			t.Helper()
			present, err := h.hub.Present(t.Context(), "shop", branch)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range present {
				got = append(got, strings.TrimPrefix(f.GeneratorID, "packages/"))
			}
			if strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("%s: the branch has %v, want %v", when, got, want)
			}
		}
		first := h.push("main", "one", map[string]string{pipeline.DefinitionFile: own, "packages.txt": "one HIGH\n"})
		has("at first", "one")

		// The second is looked at for so long that the third is known before.
		late := h.started(h.give("main", "two", map[string]string{"packages.txt": "two HIGH\n", "held.txt": "scan"}), "main")
		h.until("the second is looked at", func() bool { return g.has("scan") })
		third := h.push("main", "three", map[string]string{"packages.txt": "three HIGH\n", "held.txt": ""})
		has("with the third", "three")
		close(g.of("scan"))
		late = h.ended(late.ID)
		has("with the second, late", "three")
		wants(t, h.log(late.ID), "the hub knows "+third.Commit+" of main by now, which is newer")
		if late.Status != pipeline.Succeeded || late.Findings[finding.High] != 1 {
			t.Errorf("it does not count for itself: %s %v", late.Status, late.Findings)
		}

		// The fourth is being told when the fifth comes: that waits for its turn.
		fourth := h.started(h.give("main", "four", map[string]string{"packages.txt": "slowly HIGH\n"}), "main")
		h.until("the fourth is told", func() bool { return g.has("hub") })
		fifth := h.started(h.give("main", "five", map[string]string{"packages.txt": "five HIGH\n"}), "main")
		h.when(fifth.ID, "the fifth looks", func(e pipeline.Execution) bool { return e.Stages[1].Status == pipeline.InProgress })
		time.Sleep(100 * time.Millisecond) // nothing tells that it waits
		has("while the fourth is told", "three")
		close(g.of("hub"))
		h.ended(fourth.ID)
		h.ended(fifth.ID)
		has("with the fifth", "five")

		old, err := h.room.Start(t.Context(), "shop", "main", first.Commit, "arn:ada")
		if err != nil {
			t.Fatal(err)
		}
		h.ended(old.ID)
		has("with the first, by hand", "five")

		branch = "side"
		last := h.push("side", "side", map[string]string{"packages.txt": "side HIGH\n"})
		has("on a branch", "side")
		h.set(fifth.Commit)
		var back pipeline.Execution
		h.until("a run of what it was set back to", func() bool {
			all, err := h.room.Executions(t.Context(), pipeline.Query{Pipeline: "shop", Limit: 1})
			if err != nil {
				t.Fatal(err)
			}
			back = all[0]
			return back.Number > last.Number
		})
		h.ended(back.ID)
		has("set back to the fifth", "five")
	})
}
