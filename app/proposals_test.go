package app_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/git/gittest"
	"github.com/haechi-dev/haechi/door/reports"
	"github.com/haechi-dev/haechi/keeper/source"
	rooms "github.com/haechi-dev/haechi/room/build"
	"github.com/haechi-dev/haechi/word/finding"
)

const vexOfBug = `{"@context":"https://openvex.dev/ns/v0.2.0","@id":"x","author":"lee","timestamp":"2026-01-02T03:04:05Z","version":1,` +
	`"statements":[{"vulnerability":{"name":"GHSA-bug"},"status":"not_affected","justification":"vulnerable_code_not_present"}]}`

// What a build of a branch that is not protected says of findings is a proposal: VEX that it leaves as a report suppresses
// nothing, or whoever may push to some branch would lift the gate of all; that of a protected branch counts.
func TestBuildsSuppressNothing(t *testing.T) {
	h := build(t)
	ctx := t.Context()
	h.advise(t, [3]string{"GHSA-bug", "lodash", "9.0.0"})
	_, err := h.Source.Create(ctx, source.Repository{Name: "shop"})
	must(t, err)
	repo, err := h.Source.Git("shop")
	must(t, err)
	clone := gittest.New(t)
	clone.Commit("first", map[string]string{
		"package.json":      `{"name":"shop","version":"1.0.0","dependencies":{"lodash":"4.0.0"}}`,
		"package-lock.json": `{"name":"shop","version":"1.0.0","lockfileVersion":3,"packages":{"":{"name":"shop","version":"1.0.0","dependencies":{"lodash":"4.0.0"}},"node_modules/lodash":{"version":"4.0.0","resolved":"https://registry.npmjs.org/lodash/-/lodash-4.0.0.tgz"}}}`,
	})
	clone.Git("push", "-q", repo.Dir(), "HEAD:refs/heads/main")
	must(t, h.Source.Repair(ctx))
	h.until(t, "the bug is found", func() bool { return h.bug(t, "GHSA-bug", "shop").Open() })
	clone.Commit("it is none", map[string]string{"vex.json": vexOfBug, "buildspec.yml": "version: 0.2\nphases: {build: {commands: [\"true\"]}}\nreports: {vex: {files: [vex.json], file-format: security}}\n"})
	clone.Git("push", "-q", repo.Dir(), "HEAD:refs/heads/side")
	built := func(branch string) rooms.Build {
		made, err := h.Builds.Start(ctx, rooms.Start{Project: "shop", Version: branch, Who: "arn:aws:iam::" + h.Config.Account + ":user/lee"})
		must(t, err)
		for deadline := time.Now().Add(30 * time.Second); !made.Complete && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			made, err = h.Builds.Build(ctx, made.ID)
			must(t, err)
		}
		if made.Status != rooms.Succeeded {
			t.Fatalf("%s %+v", made.Status, made.Facts.Reason)
		}
		return made
	}
	log := func(made rooms.Build) string {
		var b strings.Builder
		must(t, h.Work.Follow(ctx, made.Stream(), 0, func(text []byte, _ int64) error { b.Write(text); return nil }))
		return b.String()
	}
	if said := log(built("side")); !strings.Contains(said, "are a proposal") || !h.bug(t, "GHSA-bug", "shop").Open() {
		t.Errorf("a branch that is not protected has suppressed it: %s\n%s", h.bug(t, "GHSA-bug", "shop").Status(), said)
	}
	clone.Git("push", "-q", repo.Dir(), "HEAD:refs/heads/main")
	if said := log(built("main")); strings.Contains(said, "are a proposal") || h.bug(t, "GHSA-bug", "shop").Status() != finding.Suppressed {
		t.Errorf("a protected branch has not suppressed it: %s\n%s", h.bug(t, "GHSA-bug", "shop").Status(), said)
	}
}

// Who may import reports neither suppresses what other tools find, which asks for leave to suppress, nor closes what the
// server itself finds in its repositories by taking the name of one of its scanners.
func TestImportsSpeakForThemselves(t *testing.T) {
	h := build(t)
	ctx := t.Context()
	_, err := h.Source.Create(ctx, source.Repository{Name: "shop"})
	must(t, err)
	repo, err := h.Source.Git("shop")
	must(t, err)
	clone := gittest.New(t)
	clone.Commit("first", map[string]string{"Dockerfile": "FROM debian:12\nUSER root\n"})
	clone.Git("push", "-q", repo.Dir(), "HEAD:refs/heads/main")
	must(t, h.Source.Repair(ctx))
	h.until(t, "something is found", func() bool { all, err := h.Hub.Present(ctx, "shop", "main"); return err == nil && len(all) > 0 })
	before, err := h.Hub.Present(ctx, "shop", "main")
	must(t, err)
	for _, tool := range []string{"iac", "IaC", "source"} {
		file, err := os.Create(t.TempDir() + "/empty.sarif")
		must(t, err)
		_, err = file.WriteString(`{"version":"2.1.0","runs":[{"tool":{"driver":{"name":` + `"` + tool + `","version":"1"}},"results":[]}]}`)
		must(t, err)
		_, err = file.Seek(0, 0)
		must(t, err)
		a, err := h.Reports().TakeFile(ctx, reports.Ask{Target: "shop", Branch: "main", Tool: tool, VEX: true, Own: true}, file, false)
		must(t, err)
		if a.Closed > 0 || a.Tool != "import-"+tool {
			t.Errorf("%s closes %d as %s", tool, a.Closed, a.Tool)
		}
	}
	if after, err := h.Hub.Present(ctx, "shop", "main"); err != nil || len(after) != len(before) {
		t.Errorf("%d findings of %d are left, %v", len(after), len(before), err)
	}
}
