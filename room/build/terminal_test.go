package build_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/room/build"
	"github.com/haechi-dev/haechi/tool/sandbox"
	"github.com/haechi-dev/haechi/word/fault"
)

// visitor is a person in the folder of a failed build.
type visitor struct {
	t      *testing.T
	types  *io.PipeWriter
	sizes  chan build.Size
	in     chan struct{} // closed when they are let in
	ended  chan error
	left   build.Leave
	mu     sync.Mutex
	screen strings.Builder
}

func (v *visitor) Write(b []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.screen.Write(b)
}

func (v *visitor) shown() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.screen.String()
}

func (v *visitor) sees(want string) {
	v.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(v.shown(), want); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			v.t.Fatalf("never saw %q in %q", want, v.shown())
		}
	}
}

func (v *visitor) say(text string) {
	v.t.Helper()
	if _, err := io.WriteString(v.types, text); err != nil {
		v.t.Error(err)
	}
}

// visit lets somebody in, and waits until they are.
func (h *house) visit(ctx context.Context, who, made string) (*visitor, error) {
	from, to := io.Pipe()
	v := &visitor{t: h.t, types: to, sizes: make(chan build.Size, 1), in: make(chan struct{}), ended: make(chan error, 1)}
	go func() {
		err := h.room.Enter(ctx, made, build.Visit{
			Who: who, Term: "dumb", Size: build.Size{Rows: 20, Columns: 80},
			Open: func(build.Entered) (build.Line, error) {
				close(v.in)
				return build.Line{Typed: from, Shown: v, Sizes: v.sizes}, nil
			},
			Left: func(l build.Leave) { v.left = l },
		})
		from.Close()
		v.ended <- err
	}()
	select {
	case <-v.in:
		return v, nil
	case err := <-v.ended:
		return nil, err
	}
}

// failed is a build that did, with its folder kept.
func (h *house) failed() build.Build {
	h.push("main", "bad", map[string]string{"buildspec.yml": "version: 0.2\nphases:\n  build:\n    commands: [exit 1]\n"})
	made := h.built(build.Start{})
	h.until("the folder", func() bool { all, err := h.room.Folders(); must(h.t, err); return len(all) == 1 })
	return made
}

func needTerminals(t *testing.T) {
	t.Helper()
	master, slave, err := sandbox.OpenTerminal()
	if err != nil {
		t.Skip("there are no terminals: ", err)
	}
	master.Close()
	slave.Close()
}

// A folder stays as long as somebody is in it, though others fail meanwhile; one
// principal is in four at most; and when the room ends everybody leaves first.
func TestVisit(t *testing.T) {
	needTerminals(t)
	d := alone(t, func(c *build.Config) { c.KeptFolders = 1 })
	made := d.failed()
	ctx, end := context.WithCancel(t.Context())
	defer end()
	v, err := d.visit(ctx, "ada", made.ID)
	must(t, err)
	v.say("stty size; echo on$((1+1))\n")
	v.sees("20 80")
	v.sees("on2")
	v.sizes <- build.Size{Rows: 33, Columns: 99}
	v.say("while [ \"$(stty size)\" != '33 99' ]; do sleep 0.01; done; echo re$((1+1))\n")
	v.sees("re2")
	d.built(build.Start{})
	d.until("the other folder", func() bool {
		all, err := d.room.Folders()
		must(t, err)
		return len(all) == 2
	})
	v.say("ls ../src/buildspec.yml && echo still$((1+1))\n")
	v.sees("still2")
	var more []*visitor
	for range 3 {
		m, err := d.visit(ctx, "ada", made.ID)
		must(t, err)
		more = append(more, m)
	}
	if _, err := d.visit(ctx, "ada", made.ID); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "at once") {
		t.Errorf("the fifth: %v", err)
	}
	b, err := d.visit(ctx, "bo", made.ID)
	must(t, err)
	b.say("exit 5\n")
	if err := <-b.ended; err != nil || b.left.Exit != 5 || b.left.Why != nil || b.left.Typed == 0 || b.left.Shown == 0 {
		t.Errorf("%v %+v", err, b.left)
	}
	more[0].types.Close() // the person has gone
	if <-more[0].ended; more[0].left.Why == nil {
		t.Errorf("%+v", more[0].left)
	}
	end()
	for _, v := range append(more[1:], v) {
		if <-v.ended; !errors.Is(v.left.Why, context.Canceled) {
			t.Errorf("%+v", v.left)
		}
	}
	d.built(build.Start{})
	d.until("only the newest", func() bool { all, err := d.room.Folders(); must(t, err); return len(all) == 1 })
	if _, err := d.visit(t.Context(), "ada", made.ID); !errors.Is(err, fault.NotFound) {
		t.Errorf("a folder that is gone: %v", err)
	}
}

// A terminal is closed that nobody uses, and each at last; a program that talks
// without end is slowed down, and still interrupted.
func TestVisitIsBounded(t *testing.T) {
	needTerminals(t)
	d := alone(t, func(c *build.Config) { c.ShellIdle = 300 * time.Millisecond })
	idle, err := d.visit(t.Context(), "ada", d.failed().ID)
	must(t, err)
	if <-idle.ended; !errors.Is(idle.left.Why, fault.Limit) || !strings.Contains(idle.left.Why.Error(), "nothing was typed") {
		t.Errorf("%+v", idle.left)
	}
	d = alone(t, func(c *build.Config) { c.ShellMost = 3 * time.Second })
	busy, err := d.visit(t.Context(), "ada", d.failed().ID)
	must(t, err)
	busy.sees("$ ")
	busy.say("yes\n")
	busy.sees("y\r\ny\r\ny")
	time.Sleep(500 * time.Millisecond)
	if said := len(busy.shown()); said > 4<<20 {
		t.Errorf("%d bytes in half a second", said)
	}
	busy.say("\x03")
	busy.say("echo on$((1+1))\n")
	busy.sees("on2")
	busy.say("while :; do echo .; sleep 0.1; done\n")
	if <-busy.ended; !errors.Is(busy.left.Why, fault.Limit) || !strings.Contains(busy.left.Why.Error(), "open for 3s at most") {
		t.Errorf("%+v", busy.left)
	}
}
