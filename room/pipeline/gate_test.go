package pipeline_test

import (
	"context"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/base/blob"
	"github.com/haechi-dev/haechi/base/git/gittest"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/tool/gate"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/word/diag"
)

// blind is a second scanner, which does not see everything of a tree that says so.
type blind struct{ packages }

func (blind) Name() string { return "blind" }

func (blind) Begin(ctx context.Context, tree fs.FS, out scan.Out) scan.Pass {
	if _, err := fs.Stat(tree, "dark.txt"); err == nil {
		out.Unread(diag.Place{File: "dark.txt", Why: "it is dark"})
	}
	return packagesPass{out}
}

func (blind) Wants(string) bool { return false }

// A gate says no where a scanner has not seen all of just what it is about: the run's commit, or the bytes of each of its
// inputs. What was seen of another repository, of another artifact or by another scanner does not count for it.
func TestGateFailsClosed(t *testing.T) {
	each(t, func(c *pipeline.Config) {
		blobs, err := blob.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		c.Blobs, c.Scanners = blobs, []scan.Scanner{packages{}, blind{}}
	}, func(t *testing.T, h *house) {
		if _, err := h.source.Create(t.Context(), source.Repository{Name: "lib"}); err != nil {
			t.Fatal(err)
		}
		lib, err := h.source.Git("lib")
		if err != nil {
			t.Fatal(err)
		}
		c := gittest.New(t)
		c.Commit("lib", map[string]string{"l": "1"})
		c.Git("push", "-q", lib.Dir(), "HEAD:refs/heads/main")
		if err := h.source.Repair(t.Context()); err != nil {
			t.Fatal(err)
		}
		two := strings.TrimSuffix(head, "\n") + "\n      - {name: Lib, actionTypeId: {category: Source, provider: CodeCommit}, configuration: {RepositoryName: lib, BranchName: main}, outputArtifacts: [{name: lib}]}\n"
		built := stage("Build", strings.ReplaceAll(build("Build", "x", 1), "configuration", "outputArtifacts: [{name: made}], configuration"))
		looks := func(artifacts ...string) string {
			all := ""
			for _, name := range artifacts {
				all += act("Scan-"+name, "Test/ThirdParty/HaechiScan", ", inputArtifacts: [{name: "+name+"}]")
			}
			return stage("Scan", all)
		}
		judges := func(inputs string) string {
			if inputs != "" {
				inputs = ", inputArtifacts: [" + inputs + "]"
			}
			return stage("Gate", act("Gate", "Test/ThirdParty/HaechiGate", inputs))
		}
		dark := false
		h.shop.make = func(string) (string, int64) {
			if dark {
				return zipped(t, h, "dark.txt", "x")
			}
			return zipped(t, h, "a.txt", "x")
		}
		first := true
		for _, one := range []struct {
			what, text string
			dark       bool
			want       []string // what its reasons say; none: it passes
		}{
			{"nobody has looked", head + judges(""), false, []string{"the scanner packages did not run", "the scanner blind did not run"}},
			{"all have looked", head + looks("code") + judges(""), false, nil},
			{"another repository", two + looks("lib") + judges(""), false, []string{"the scanner packages did not run", "the scanner blind did not run"}},
			{"both", two + looks("code", "lib") + judges("{name: code}, {name: lib}"), false, nil},
			{"the artifact alone", head + built + looks("made") + judges(""), false, []string{"the scanner packages did not run", "the scanner blind did not run"}},
			{"the commit alone", head + built + looks("code") + judges("{name: made}"), false, []string{"nobody has looked at the artifact made"}},
			{"one of two", head + built + looks("code") + judges("{name: code}, {name: made}"), false, []string{"nobody has looked at the artifact made"}},
			{"both of two", head + built + looks("code", "made") + judges("{name: code}, {name: made}"), false, nil},
			{"one of the two not whole", head + built + looks("code", "made") + judges("{name: code}, {name: made}"), true, []string{"the scanner blind did not look at everything: dark.txt (it is dark)"}},
			{"two gates", head + built + looks("code", "made") + judges("{name: made}") + strings.Replace(judges("{name: code}"), "name: Gate", "name: Last", 1), true, []string{"the scanner blind did not look at everything: dark.txt (it is dark)"}},
			{"not asked for", head + built + looks("code", "made") + judges("{name: code}"), true, nil},
		} {
			dark = one.dark
			if first {
				h.make("PARALLEL", one.text)
				first = false
			} else {
				h.update("PARALLEL", one.text)
				h.begin()
			}
			e := h.ended(h.newest().ID)
			var got []string
			for _, r := range e.Reasons {
				got = append(got, r.Text)
			}
			judged, err := h.room.WhatIf(t.Context(), "p", gate.Policy{}, 1)
			if err != nil || len(judged) != 1 || !judged[0].Known || judged[0].Would != (one.want == nil) {
				t.Errorf("%s: what the same policy would have said: %+v %v", one.what, judged, err)
			}
			if !slices.Equal(got, one.want) || (e.Status == pipeline.Succeeded) != (one.want == nil) {
				t.Errorf("%s: %s %q, want %q\n%s", one.what, e.Status, got, one.want, h.log(e.ID))
			}
		}
	})
}
