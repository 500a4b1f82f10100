package pipeline_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git/gittest"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/room/pipeline"
)

// busy is a room at work on SQLite, with a repository that has a commit.
func busy(b *testing.B) *house {
	b.Helper()
	dir := b.TempDir()
	d, err := db.Open(b.Context(), "sqlite:"+filepath.Join(dir, "state.db"), schemas()...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { d.Close() })
	h, err := furnish(b.Context(), d, dir, 0, nil)
	if err != nil {
		b.Fatal(err)
	}
	h.t, h.clone = b, gittest.New(b)
	if _, err := h.source.Create(b.Context(), source.Repository{Name: "shop"}); err != nil {
		b.Fatal(err)
	}
	if h.repo, err = h.source.Git("shop"); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() { _ = h.room.Run(ctx) })
	wait.Go(func() { _ = h.shop.run(ctx) })
	b.Cleanup(func() { cancel(); wait.Wait() })
	h.push("main", "one", map[string]string{"a": "1"})
	return h
}

// A pipeline of five stages that do nothing but say so, from its start to its end.
func BenchmarkFiveStages(b *testing.B) {
	h := busy(b)
	text := "name: p\nexecutionMode: PARALLEL\n" + head
	for i := range 4 {
		text += stage(fmt.Sprint("Say", i), "      - {name: Say, actionTypeId: {category: Invoke, owner: ThirdParty, provider: HaechiNotify}, configuration: {Message: hello}}\n")
	}
	s, err := structure.Parse("p", []byte(text), "")
	if err != nil {
		b.Fatal(err)
	}
	if _, err := h.room.Create(b.Context(), s, nil, "arn:ada"); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if e := h.ended(h.begin().ID); e.Status != pipeline.Succeeded {
			b.Fatalf("%s %+v", e.Status, e.Reasons)
		}
	}
}

// A push, from git's last word to the first line of its run's log.
func BenchmarkFirstLine(b *testing.B) {
	h := busy(b)
	n := 0
	took := time.Duration(0)
	for b.Loop() {
		n++
		commit := h.give("main", fmt.Sprint(n), map[string]string{"a": fmt.Sprint("x", n)})
		began := time.Now()
		e := h.started(commit, "main")
		h.until("a line", func() bool {
			text, _, _, err := h.room.Log(b.Context(), e.ID, 0)
			return err == nil && strings.Contains(string(text), "shop at "+commit)
		})
		took += time.Since(began)
		h.ended(e.ID)
	}
	b.ReportMetric(float64(took.Milliseconds())/float64(n), "ms/first-line")
}
