package build_test

import (
	"archive/zip"
	"slices"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/room/build"
)

// batched is a batch from start to end.
func (h *house) batched(s build.Start, config *build.BatchConfig) build.Batch {
	h.t.Helper()
	s.Project = "shop"
	t, err := h.room.StartBatch(h.t.Context(), s, config)
	must(h.t, err)
	return h.batchEnded(t.ID)
}

func (h *house) batchEnded(id string) (t build.Batch) {
	h.t.Helper()
	h.until("the end of batch "+id, func() bool {
		var err error
		t, err = h.room.Batch(h.t.Context(), id)
		must(h.t, err)
		return t.Status.Ended()
	})
	return t
}

func statuses(t build.Batch) string {
	var all []string
	for _, g := range t.Groups {
		s := "none"
		if g.Current != nil {
			s = string(g.Current.Status)
		}
		all = append(all, g.Identifier+"="+s)
	}
	return strings.Join(all, " ")
}

const graph = `batch:
  fast-fail: false
  build-graph:
    - identifier: a
      env: {variables: {WHO: a}}
    - identifier: b
      env: {variables: {WHO: b}}
      ignore-failure: true
    - identifier: c
      env: {variables: {WHO: c}}
      depend-on: [a, b]
`

// The builds of a graph wait for those they depend on; one whose failure is
// ignored holds up nobody; the artifacts of all are combined.
func TestBatchGraph(t *testing.T) {
	h := alone(t, nil)
	h.push("main", "graph", map[string]string{"buildspec.yml": spec("artifacts:\n  files: [made.txt]\n"+graph,
		"echo $CODEBUILD_BATCH_BUILD_IDENTIFIER > made.txt", "test $WHO = $CODEBUILD_BATCH_BUILD_IDENTIFIER", "test $WHO != b")})
	yes := true
	b := h.batched(build.Start{}, &build.BatchConfig{CombineArtifacts: &yes})
	if b.Status != build.Succeeded || statuses(b) != "a=SUCCEEDED b=FAILED c=SUCCEEDED" || b.Phase != "SUCCEEDED" {
		t.Fatalf("%s %s: %+v", b.Status, statuses(b), b.Facts.Reason)
	}
	var phases []string
	for _, p := range b.Phases {
		phases = append(phases, p.Type)
	}
	if want := []string{"SUBMITTED", "DOWNLOAD_BATCHSPEC", "IN_PROGRESS", "COMBINE_ARTIFACTS", "SUCCEEDED"}; !slices.Equal(phases, want) {
		t.Errorf("phases: %v", phases)
	}
	a, err := h.room.Build(t.Context(), b.Groups[0].Current.ARN)
	must(t, err)
	c, err := h.room.Build(t.Context(), b.Groups[2].Current.ARN)
	must(t, err)
	if c.Started.Before(a.Ended) || a.BatchARN != b.ARN {
		t.Errorf("c began at %v, a ended at %v", c.Started, a.Ended)
	}
	file, err := h.blobs.Open(t.Context(), b.Facts.Made.Digest)
	must(t, err)
	defer file.Close()
	z, err := zip.NewReader(file, b.Facts.Made.Size)
	must(t, err)
	var names []string
	for _, f := range z.File {
		names = append(names, f.Name)
	}
	if !slices.Equal(names, []string{"a/made.txt", "c/made.txt"}) {
		t.Errorf("combined: %v", names)
	}
}

// A failure ends a batch: with fast-fail at once, else when the others are done.
// What depends on it does not begin; a retry begins what failed, or all.
func TestBatchFails(t *testing.T) {
	h := alone(t, func(c *build.Config) { c.Workers = 2 })
	h.push("main", "fails", map[string]string{"buildspec.yml": spec(strings.Replace(graph, "      ignore-failure: true\n", "", 1), "test $WHO != b")})
	b := h.batched(build.Start{}, nil)
	if b.Status != build.Failed || statuses(b) != "a=SUCCEEDED b=FAILED c=none" || b.Facts.Reason == nil {
		t.Fatalf("%s %s", b.Status, statuses(b))
	}
	first := *b.Groups[1].Current
	_, err := h.room.RetryBatch(t.Context(), b.ID, "once", false)
	must(t, err)
	b = h.batchEnded(b.ID)
	if statuses(b) != "a=SUCCEEDED b=FAILED c=none" || len(b.Groups[1].Prior) != 1 || b.Groups[1].Prior[0].ARN != first.ARN || len(b.Groups[0].Prior) != 0 {
		t.Errorf("%s: %+v", statuses(b), b.Groups)
	}
	_, err = h.room.RetryBatch(t.Context(), b.ID, "", true)
	must(t, err)
	if b = h.batchEnded(b.ID); len(b.Groups[0].Prior) != 1 {
		t.Errorf("%+v", b.Groups[0])
	}

	h.push("main", "fast", map[string]string{"buildspec.yml": spec("batch:\n  fast-fail: true\n  build-list:\n    - identifier: slow\n      env: {variables: {WHO: slow}}\n    - identifier: bad\n      env: {variables: {WHO: bad}}\n", "test $WHO != bad", "sleep 30")})
	if b := h.batched(build.Start{}, nil); b.Status != build.Failed || statuses(b) != "slow=STOPPED bad=FAILED" {
		t.Errorf("fast: %s %s", b.Status, statuses(b))
	}
}

// Matrices and fan-outs have a build for each; what is no batch, or more than the project allows, fails with the words for it.
func TestBatchKinds(t *testing.T) {
	h := alone(t, nil)
	h.push("main", "matrix", map[string]string{"buildspec.yml": spec("batch:\n  build-matrix:\n    dynamic:\n      env:\n        variables:\n          X: [1, 2]\n          Y: [3, 4]\n", "echo x$X y$Y")})
	b := h.batched(build.Start{}, nil)
	if b.Status != build.Succeeded || len(b.Groups) != 4 {
		t.Fatalf("%s %s %+v", b.Status, statuses(b), b.Facts.Reason)
	}
	logs := ""
	for _, g := range b.Groups {
		made, err := h.room.Build(t.Context(), g.Current.ARN)
		must(t, err)
		logs += h.log(made)
	}
	for _, want := range []string{"x1 y3\n", "x1 y4\n", "x2 y3\n", "x2 y4\n"} {
		if !strings.Contains(logs, want) {
			t.Errorf("no build said %q", want)
		}
	}
	if b := h.batched(build.Start{}, &build.BatchConfig{Restrictions: &build.BatchRestrictions{MaximumBuilds: 3}}); b.Status != build.Failed || !strings.Contains(b.Facts.Reason.Text, "has 4 builds, and may have 3") {
		t.Errorf("%s %+v", b.Status, b.Facts.Reason)
	}
	h.push("main", "none", map[string]string{"buildspec.yml": spec("", "true")})
	if b := h.batched(build.Start{}, nil); b.Status != build.Failed || b.Facts.Reason.Code != "BATCH_YAML_ERROR" {
		t.Errorf("%s %+v", b.Status, b.Facts.Reason)
	}
	h.push("main", "long", map[string]string{"buildspec.yml": spec("batch:\n  build-list:\n    - identifier: a\n    - identifier: b\n", "sleep 30")})
	started, err := h.room.StartBatch(t.Context(), build.Start{Project: "shop"}, nil)
	must(t, err)
	h.until("a build at work", func() bool {
		all, err := h.room.Builds(t.Context(), build.Query{Batch: started.ID})
		must(t, err)
		return slices.ContainsFunc(all, func(m build.Build) bool { return m.Phase == build.Building })
	})
	if _, err := h.room.StopBatch(t.Context(), started.ID); err != nil {
		t.Error(err)
	}
	if b := h.batchEnded(started.ID); b.Status != build.Stopped || statuses(b) != "a=STOPPED b=STOPPED" {
		t.Errorf("%s %s", b.Status, statuses(b))
	}
	deleted, err := h.room.DeleteBatch(t.Context(), started.ID)
	if err != nil || len(deleted) != 2 {
		t.Errorf("%v %v", deleted, err)
	}
}
