package runner

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/websocket"
	"github.com/haechi-dev/haechi/room/build"
	"github.com/haechi-dev/haechi/word/fault"
)

// A terminal in the folder of a failed build is a websocket. What is typed and
// what is shown are binary messages; texts are JSON: from the person the new size
// of their terminal, from here a Said.

// Said is what the server says besides what is shown. Its last one has Over.
type Said struct {
	Build string    `json:"build,omitzero"` // first of all: where the person is
	Name  string    `json:"name,omitzero"`  // project#number
	Where string    `json:"where,omitzero"` // it failed
	Why   string    `json:"why,omitzero"`
	Until time.Time `json:"until,omitzero"` // the folder is kept at the longest

	Over bool   `json:"over,omitzero"`
	Exit int    `json:"exit,omitzero"` // of the shell
	Cut  string `json:"cut,omitzero"`  // why the terminal was closed, where the shell did not end by itself
}

// Beat is how often each side of a terminal gives a sign of life. After three
// beats without one it takes the other for lost.
const Beat = 15 * time.Second

// Visit is somebody who enters a failed build, or leaves it.
type Visit struct {
	Build build.Build
	Size  build.Size
	Term  string
	Left  *build.Leave // nil: they enter
}

// terminal lets a person into the folder of a build that failed.
func (d *door) terminal(w http.ResponseWriter, r *http.Request) {
	d.ofBuild(w, r, "codebuild:StartCommandExecution", func(c *call, made build.Build) error {
		if !websocket.Asked(r) {
			return fault.Invalid.Errorf("a terminal is a websocket, and this asks for none: a proxy between that takes Upgrade out of requests has to pass it on")
		}
		q := r.URL.Query()
		v := Visit{Build: made, Size: build.Size{Rows: count(q.Get("rows")), Columns: count(q.Get("columns"))}, Term: q.Get("term")}
		return d.visit(c, w, v)
	})
}

func count(text string) uint16 {
	n, _ := strconv.ParseUint(text, 10, 16) // 0 is no size, and is not told
	return uint16(n)
}

// visit lets them in, and is over when they have left.
func (d *door) visit(c *call, w http.ResponseWriter, v Visit) error {
	var conn *websocket.Conn
	var over sync.WaitGroup
	var left build.Leave
	typed := &typed{}
	err := d.Builds.Enter(c.r.Context(), v.Build.ID, build.Visit{
		Who: c.who, Term: v.Term, Size: v.Size,
		Open: func(at build.Entered) (line build.Line, err error) {
			if err := d.Visited(c.r.Context(), v); err != nil {
				d.Log.Error("a record of a terminal was not kept", "build", v.Build.ID, "error", err)
				return line, fault.Unavailable.Errorf("the audit trail cannot be written: try again")
			}
			if conn, err = websocket.Accept(w, c.r); err != nil {
				return line, err
			}
			c.w.(*began).yes = true // nothing else can be said over HTTP
			sizes := make(chan build.Size, 1)
			over.Go(func() { listen(conn, typed, sizes) })
			said := Said{Build: v.Build.ID, Name: v.Build.Project + "#" + strconv.FormatInt(v.Build.Number, 10), Until: at.Until}
			if why := v.Build.Facts.Reason; why != nil {
				said.Where, said.Why = why.Where, why.Text
			}
			_ = say(conn, said) // whether they are still there, listen finds out
			return build.Line{Typed: typed, Shown: shown{conn}, Sizes: sizes}, nil
		},
		Left: func(how build.Leave) {
			left, v.Left = how, &how
			// What is over is written down, also when the server ends.
			if err := d.Visited(context.WithoutCancel(c.r.Context()), v); err != nil {
				d.Log.Error("a record of a terminal was not kept", "build", v.Build.ID, "error", err)
			}
		},
	})
	if conn == nil {
		return err
	}
	defer over.Wait()
	stop := time.AfterFunc(5*time.Second, func() { conn.Cut(io.ErrUnexpectedEOF) }) // who does not say goodbye
	defer stop.Stop()
	last, code := Said{Over: true, Exit: left.Exit}, websocket.Normal
	if why := errors.Join(err, left.Why); why != nil {
		if last.Cut, code = why.Error(), websocket.Away; errors.Is(why, context.Canceled) {
			last.Cut = "the server ends"
		}
	}
	typed.end()
	_ = say(conn, last)
	_ = conn.Close(code, "") // who reads cuts it when the answer comes
	return nil
}

func say(conn *websocket.Conn, what Said) error {
	text, err := json.Marshal(what)
	if err != nil {
		return err
	}
	return conn.Write(websocket.Text, text)
}

// listen takes what a person types and the sizes of their terminal, until they have gone.
func listen(conn *websocket.Conn, typed *typed, sizes chan build.Size) {
	defer conn.Watch(Beat)()
	defer typed.end()
	for {
		kind, text, err := conn.Read()
		if err != nil {
			conn.Cut(err)
			return
		}
		var size build.Size
		switch {
		case kind == websocket.Binary:
			typed.take(text)
		case json.Unmarshal(text, &size) == nil:
			select {
			case <-sizes: // nobody needs the one before
			default:
			}
			sizes <- size
		}
	}
}

// shown is what a person sees.
type shown struct{ conn *websocket.Conn }

// Write shows b.
func (s shown) Write(b []byte) (int, error) { return len(b), s.conn.Write(websocket.Binary, b) }

// typed is what a person has typed and nobody has read yet. What is typed ahead
// of a program by more than mostTyped is lost, as at any terminal.
type typed struct {
	mu   sync.Mutex
	text []byte
	over bool
	news chan struct{}
}

const mostTyped = 1 << 20

func (t *typed) take(text []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		t.text = append(t.text, text[:min(len(text), mostTyped-len(t.text))]...)
		t.wake()
	}
}

func (t *typed) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	t.wake()
}

func (t *typed) wake() {
	if t.news != nil {
		close(t.news)
		t.news = nil
	}
}

// Read waits for something to be typed.
func (t *typed) Read(b []byte) (int, error) {
	for {
		t.mu.Lock()
		if len(t.text) > 0 {
			n := copy(b, t.text)
			t.text = append(t.text[:0], t.text[n:]...)
			t.mu.Unlock()
			return n, nil
		}
		if t.over {
			t.mu.Unlock()
			return 0, io.EOF
		}
		if t.news == nil {
			t.news = make(chan struct{})
		}
		news := t.news
		t.mu.Unlock()
		<-news
	}
}
