package pipeline

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/river/bus"
)

// desk is the room without workers, on a clock of its own.
type desk struct {
	*Pipelines
	now time.Time
	run string
}

func newDesk(t *testing.T, change func(*Config)) *desk {
	t.Helper()
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), bus.Schema(), source.Schema(), Schema())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	k := &desk{now: time.Unix(1_700_000_000, 0)}
	c := Config{DB: d, Bus: bus.New(d), Now: func() time.Time { return k.now }, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&c)
	}
	k.Pipelines = New(c)
	err = d.Write(t.Context(), func(tx *db.Tx) error {
		e, err := k.begin(tx, Execution{Pipeline: "shop", Branch: "main"})
		k.run = e.ID
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *desk) take(t *testing.T) job {
	t.Helper()
	j, ok, err := k.claim(t.Context())
	if err != nil || !ok {
		t.Fatalf("there is no job: %v", err)
	}
	return j
}

// A worker that lost its lease can change nothing any more, neither the result nor the log.
func TestLateWorker(t *testing.T) {
	k := newDesk(t, nil)
	slow := k.take(t)
	if _, ok, _ := k.claim(t.Context()); ok {
		t.Fatal("a job is leased twice")
	}
	k.now = k.now.Add(k.config.Lease + time.Second)
	quick := k.take(t)
	if quick.attempt != 2 || quick.nonce == slow.nonce {
		t.Errorf("%+v after %+v", quick, slow)
	}
	if err := k.append(t.Context(), slow, []byte("late\n")); !errors.Is(err, errLost) {
		t.Errorf("a late line: %v", err)
	}
	if err := k.finish(t.Context(), slow, failed("Source", Reason{Text: "late"})); !errors.Is(err, errLost) {
		t.Errorf("a late result: %v", err)
	}
	if err := k.finish(t.Context(), quick, outcome{status: Succeeded}); err != nil {
		t.Error(err)
	}
	if err := k.finish(t.Context(), quick, outcome{status: Succeeded}); !errors.Is(err, errLost) {
		t.Errorf("the same result twice: %v", err)
	}
	e, err := k.Execution(t.Context(), k.run)
	if err != nil || e.Stages[0].Status != Succeeded || e.Stages[1].Status != InProgress || len(e.Reasons) != 0 {
		t.Errorf("%+v, %v", e, err)
	}
	if next := k.take(t); next.action != "Scan" {
		t.Errorf("the next job is %+v", next)
	}
}

// A log holds what was written, from any offset on, in lines of bounded length, up to its bound.
func TestLog(t *testing.T) {
	k := newDesk(t, func(c *Config) { c.MaxLog = 300_000 })
	j := k.take(t)
	l := k.logger(t.Context(), j)
	var want strings.Builder
	for i := range 10_000 {
		line := fmt.Sprintf("line %d\n", i)
		want.WriteString(line)
		for part := line; part != ""; part = part[min(len(part), 3):] { // in odd pieces
			l.printf("%s", part[:min(len(part), 3)])
		}
	}
	l.printf("%s", strings.Repeat("x", 3*maxLine))
	if err := l.close(); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for from := int64(0); ; {
		text, next, _, err := k.Log(t.Context(), k.run, from)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) == 0 {
			break
		}
		got.Write(text)
		from = next
	}
	if !strings.HasPrefix(got.String(), want.String()) || strings.Count(got.String(), strings.Repeat("x", maxLine)+"\n") != 3 {
		t.Errorf("%d bytes, want %d and the long line in three", got.Len(), want.Len())
	}
	text, next, _, err := k.Log(t.Context(), k.run, 70_001)
	if err != nil || !strings.HasPrefix(got.String()[70_001:], string(text)) || next != 70_001+int64(len(text)) {
		t.Errorf("from the middle: %d bytes to %d, %v", len(text), next, err)
	}

	l = k.logger(t.Context(), j)
	for range 100 {
		l.printf("%s\n", strings.Repeat("y", 4000))
	}
	if err := l.close(); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for from := int64(0); ; {
		text, next, _, _ := k.Log(t.Context(), k.run, from)
		if len(text) == 0 {
			break
		}
		all.Write(text)
		from = next
	}
	if all.Len() > 300_200 || strings.Count(all.String(), "the rest is not kept") != 1 {
		t.Errorf("%d bytes; it says that there is more: %d times", all.Len(), strings.Count(all.String(), "the rest is not kept"))
	}
}
