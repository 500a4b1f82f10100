package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/term"

	"github.com/haechi-dev/haechi/base/escape"
	"github.com/haechi-dev/haechi/base/sigv4"
	"github.com/haechi-dev/haechi/base/websocket"
	door "github.com/haechi-dev/haechi/door/runner"
	"github.com/haechi-dev/haechi/word/fault"
)

// exitLost is how a terminal ends that did not end by its shell; ssh says it so.
const exitLost = exit(255)

// seated is a person at this terminal, whose keys and screen are a shell's elsewhere.
type seated struct {
	c      call
	conn   *websocket.Conn
	keys   *os.File
	screen *escape.Filter
	turn   chan struct{} // holds one for who may draw

	mu     sync.Mutex
	before *term.State // of the terminal; nil: it is as it was
}

// terminal sits down in the folder of a build that failed, until its shell ends.
func (r runner) terminal(ctx context.Context, build string) error {
	s := &seated{c: r.c, keys: r.c.stdin.(*os.File), turn: make(chan struct{}, 1)}
	if err := s.dial(ctx, r, build); err != nil {
		return err
	}
	defer s.conn.Cut(io.EOF)
	defer s.conn.Watch(door.Beat)()
	first, err := s.hear()
	if err != nil {
		return fault.Unavailable.Errorf("the server let nobody in: %w", err)
	}
	s.greet(first)
	changed, hung := make(chan os.Signal, 4), make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH, syscall.SIGCONT)
	defer signal.Stop(changed)
	signal.Notify(hung, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(hung)
	s.screen = escape.New(r.c.stdout)
	s.turn <- struct{}{}
	if s.before, err = term.MakeRaw(int(s.keys.Fd())); err != nil {
		return err
	}
	defer s.rise()
	ended, enough := make(chan error, 1), make(chan struct{})
	defer close(enough)
	var last door.Said
	s.work(func() {
		var err error
		last, err = s.show()
		ended <- err
	})
	s.work(s.send)
	s.work(func() { s.follow(changed, enough) })
	select {
	case err = <-ended:
	case <-hung:
		err = errHungUp
	case <-ctx.Done(): // SIGTERM; what is typed comes as a byte
		s.rise()
		return ctx.Err()
	}
	s.rise()
	return s.over(last, err)
}

// work does something meanwhile. Should that panic, the terminal is as it was before anybody hears of it.
func (s *seated) work(do func()) {
	go func() {
		defer func() {
			if p := recover(); p != nil {
				s.rise()
				panic(p)
			}
		}()
		do()
	}()
}

// rise leaves the terminal as it was.
func (s *seated) rise() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.before == nil {
		return
	}
	_ = term.Restore(int(s.keys.Fd()), s.before)
	s.before = nil
	select {
	case <-s.turn: // nobody draws any more
		_ = s.screen.Close()
	case <-time.After(time.Second): // somebody draws on a terminal that is stuck
	}
}

// stay sits down again after this process was stopped: the shell before us has
// made of the terminal what it likes.
func (s *seated) stay() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.before != nil {
		_, _ = term.MakeRaw(int(s.keys.Fd())) // where it cannot be, it will say so when it is read from
	}
}

// draw draws what may be drawn, as long as the terminal is ours.
func (s *seated) draw(text []byte) error {
	<-s.turn
	_, err := s.screen.Write(text)
	s.turn <- struct{}{}
	return err
}

// dial asks the server for a terminal.
func (s *seated) dial(ctx context.Context, r runner, build string) error {
	c, q := r.client, url.Values{"term": {cmp.Or(r.c.env("TERM"), "dumb")}}
	if size, ok := s.size(); ok {
		q.Set("rows", strconv.Itoa(size.Rows))
		q.Set("columns", strconv.Itoa(size.Columns))
	}
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(c.Endpoint, "/")+door.Shells+build+"/terminal?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	sum := sigv4.Hash(nil)
	ask.Header.Set("X-Amz-Content-Sha256", sum)
	sigv4.Signer{AccessKey: c.Key, Secret: c.Secret.Reveal(), Token: c.Token, Region: c.Region, Service: "haechi"}.Sign(ask, sum, c.Now())
	conn, answer, err := websocket.Dial(c.HTTP, ask)
	if errors.Is(err, websocket.ErrRefused) {
		defer answer.Body.Close()
		return refused(answer)
	}
	if err != nil {
		return fault.Unavailable.Errorf("%s cannot be reached: %w", c.Endpoint, err)
	}
	s.conn = conn
	return nil
}

// hear is what the server says next, and nothing is shown before.
func (s *seated) hear() (said door.Said, err error) {
	kind, text, err := s.conn.Read()
	if err == nil && kind != websocket.Text {
		err = fault.Unavailable.Errorf("it does not answer as Haechi does")
	}
	if err == nil {
		err = json.Unmarshal(text, &said)
	}
	return said, err
}

// greet says where the person is, on standard error.
func (s *seated) greet(at door.Said) {
	why := "It failed"
	if at.Where != "" {
		why += " in " + at.Where
	}
	if at.Why != "" {
		why += ": " + at.Why
	}
	fmt.Fprintf(s.c.stderr, "The folder of build %s, kept until %s at the longest.\n%s.\nThere are no secrets here and no way out. 'exit' leaves; Enter ~ . hangs up.\n",
		plain(at.Name), at.Until.Local().Format("Jan 2 15:04"), strings.TrimSuffix(plain(why), "."))
}

// plain is a text without what would steer a terminal.
func plain(text string) string {
	var b strings.Builder
	_, _ = io.Copy(&b, printed{strings.NewReader(text)})
	return b.String()
}

// show shows what the shell says, until it has ended.
func (s *seated) show() (last door.Said, err error) {
	for {
		kind, text, err := s.conn.Read()
		if err != nil {
			return last, err
		}
		if kind == websocket.Binary {
			if err := s.draw(text); err != nil {
				return last, err
			}
			continue
		}
		if err := json.Unmarshal(text, &last); err != nil {
			return last, err
		}
		if last.Over {
			_ = s.conn.Close(websocket.Normal, "")
			return last, nil
		}
	}
}

// errHungUp is a person who has hung up themselves.
var errHungUp = errors.New("hung up")

// send sends what is typed.
func (s *seated) send() {
	var line tilde
	for b := make([]byte, 4096); ; {
		n, err := s.keys.Read(b)
		if n > 0 {
			typed, enough := line.take(b[:n])
			if s.conn.Write(websocket.Binary, typed) != nil {
				return // whoever reads knows why
			}
			if enough {
				err = errHungUp
			}
		}
		if err != nil { // or the terminal is no more
			s.conn.Cut(err)
			return
		}
	}
}

// follow tells the size of the terminal when it changes.
func (s *seated) follow(changed <-chan os.Signal, enough <-chan struct{}) {
	for {
		select {
		case <-enough:
			return
		case what := <-changed:
			if what == syscall.SIGCONT {
				s.stay()
			}
			size, ok := s.size()
			if !ok {
				continue
			}
			if text, err := json.Marshal(size); err == nil {
				_ = s.conn.Write(websocket.Text, text) // who reads knows
			}
		}
	}
}

type size struct {
	Rows    int `json:"rows"`
	Columns int `json:"columns"`
}

func (s *seated) size() (size, bool) {
	columns, rows, err := term.GetSize(int(s.keys.Fd()))
	return size{rows, columns}, err == nil && rows > 0 && columns > 0
}

// over says how it ended, as ssh's exit status does.
func (s *seated) over(last door.Said, err error) error {
	var closed *websocket.Closed
	switch {
	case last.Over && last.Cut == "":
		if last.Exit == 0 {
			return nil
		}
		return exit(last.Exit)
	case last.Over:
		fmt.Fprintf(s.c.stderr, "haechi run: the terminal was closed: %s\n", plain(last.Cut))
	case errors.Is(err, errHungUp), errors.Is(err, io.EOF) && s.gone():
		fmt.Fprintln(s.c.stderr, "haechi run: hung up; what ran there was ended")
	case errors.As(err, &closed):
		fmt.Fprintf(s.c.stderr, "haechi run: the server closed the terminal: %s\n", plain(closed.Error()))
	default:
		fmt.Fprintf(s.c.stderr, "haechi run: the connection was lost: %v\nWhat ran there was ended; what it changed is kept. Enter again with the same command.\n", err)
	}
	return exitLost
}

// gone tells whether the person's own terminal is no more.
func (s *seated) gone() bool {
	_, ok := s.size()
	return !ok
}

// tilde sees Enter ~ . in what is typed, which hangs up where nothing else would.
type tilde struct {
	inside bool // a line has begun
	held   bool // a tilde at the start of a line waits for what follows
}

// take gives what is to be sent of what was typed.
func (t *tilde) take(typed []byte) (send []byte, enough bool) {
	for _, b := range typed {
		if t.held {
			t.held = false
			switch b {
			case '.':
				return send, true
			case '~': // one of the two
				t.inside = true
				send = append(send, b)
				continue
			}
			send = append(send, '~')
			t.inside = true
		}
		if b == '~' && !t.inside {
			t.held = true
			continue
		}
		t.inside = b != '\r' && b != '\n'
		send = append(send, b)
	}
	return send, false
}
