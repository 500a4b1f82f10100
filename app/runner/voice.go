package runner

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/redact"
	"github.com/haechi-dev/haechi/base/sigv4"
	door "github.com/haechi-dev/haechi/door/runner"
	"github.com/haechi-dev/haechi/room/build"
	tool "github.com/haechi-dev/haechi/tool/build"
	"github.com/haechi-dev/haechi/word/fault"
)

const (
	soon      = 200 * time.Millisecond // how long a line waits for others
	atOnce    = 1 << 20                // bytes that are sent in one call
	mostAhead = 8 << 20                // bytes that a build may be ahead of the server
)

// voice tells the server what a build says and how far it is; it is its sign of life, too.
type voice struct {
	s      *session
	ctx    context.Context
	masked *redact.Writer

	mu     sync.Mutex
	space  sync.Cond // something was sent, or never will be
	text   []byte    // masked, not sent yet
	phases []tool.Phase
	fresh  bool // the phases have changed
	err    error
	news   chan struct{}
	stop   chan struct{}
	over   chan struct{}
}

func (s *session) speak(ctx context.Context, t build.Task) *voice {
	v := &voice{s: s, ctx: ctx, news: make(chan struct{}, 1), stop: make(chan struct{}), over: make(chan struct{})}
	v.space.L = &v.mu
	v.masked = hide(t, (*pending)(v))
	go v.run()
	return v
}

// Write takes what a build says.
func (v *voice) Write(b []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for len(v.text) > mostAhead && v.err == nil {
		v.space.Wait()
	}
	if v.err != nil {
		return 0, v.err
	}
	n, err := v.masked.Write(b)
	v.wake()
	return n, err
}

// pending is where the masked text goes. The voice's mutex is held.
type pending voice

func (p *pending) Write(b []byte) (int, error) {
	p.text = append(p.text, b...)
	return len(b), nil
}

func (v *voice) wake() {
	select {
	case v.news <- struct{}{}:
	default:
	}
}

// changed takes how far the build is.
func (v *voice) changed(p tool.Phase) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if n := len(v.phases); n > 0 && v.phases[n-1].Name == p.Name {
		v.phases[n-1] = p
	} else {
		v.phases = append(v.phases, p)
	}
	v.fresh = true
	v.wake()
}

func (v *voice) run() {
	defer close(v.over)
	for {
		last := false
		select {
		case <-v.stop:
			last = true
		case <-v.news:
			select {
			case <-v.stop:
				last = true
			case <-time.After(soon):
			}
		case <-time.After(v.s.Beat):
		}
		if err := v.tell(last); err != nil {
			v.mu.Lock()
			v.err = err
			v.space.Broadcast()
			v.mu.Unlock()
			if !errors.Is(err, errLost) {
				v.s.cancel(err) // a build that nobody hears of is nobody's
			}
			return
		}
		if last {
			return
		}
	}
}

// tell sends what there is to say, and a sign of life where there is nothing.
func (v *voice) tell(last bool) error {
	for first := true; ; first = false {
		v.mu.Lock()
		text, phases, fresh := v.text[:min(len(v.text), atOnce)], bytesOf(v.phases), v.fresh
		if len(v.text) > atOnce {
			if i := bytes.LastIndexByte(text, '\n'); i > 0 {
				text = text[:i+1]
			}
		}
		text = bytes.Clone(text)
		v.text = append(v.text[:0], v.text[len(text):]...)
		v.fresh = false
		more := len(v.text) > 0
		v.space.Broadcast()
		v.mu.Unlock()
		var nothing struct{}
		if len(text) > 0 || first && !fresh && !last {
			if err := v.s.json(v.ctx, http.MethodPost, "log", nil, append([]byte{}, text...), &nothing); err != nil {
				return err
			}
		}
		if fresh {
			if err := v.s.json(v.ctx, http.MethodPost, "phases", nil, phases, &nothing); err != nil {
				return err
			}
		}
		if !more {
			return nil
		}
	}
}

func bytesOf(phases []tool.Phase) []byte {
	text, err := json.Marshal(phases)
	if err != nil {
		return []byte("[]") // times and texts always are JSON
	}
	return text
}

// end sends the rest.
func (v *voice) end() error {
	v.mu.Lock()
	err := v.masked.Flush()
	v.mu.Unlock()
	close(v.stop)
	<-v.over
	v.mu.Lock()
	defer v.mu.Unlock()
	return errors.Join(err, v.err)
}

// cache is the server's caches, as a build finds them.
type cache struct{ s *session }

func keyQuery(key tool.CacheKey) url.Values {
	return url.Values{"version": {key.Version}, "key": {key.Key}}
}

// Open is an entry of the server's caches.
func (c cache) Open(ctx context.Context, key tool.CacheKey, prefix bool) (io.ReadCloser, string, error) {
	query := keyQuery(key)
	if prefix {
		query.Set("prefix", "1")
	}
	response, err := c.s.call(ctx, http.MethodGet, "cache", query, nil, 0, sigv4.Hash(nil))
	if err != nil {
		return nil, "", err
	}
	found, err := strconv.Unquote(response.Header.Get(door.KeyHeader))
	if err != nil {
		response.Body.Close()
		return nil, "", fault.Invalid.Errorf("the server does not say which cache that is")
	}
	return response.Body, found, nil
}

// Save brings an entry to the server, which decides where it goes.
func (c cache) Save(ctx context.Context, key tool.CacheKey, body io.Reader) error {
	file, err := os.CreateTemp(c.s.Folder, "cache-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if _, err := io.Copy(file, body); err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return c.s.send(ctx, "cache", keyQuery(key), file, &struct{}{})
}

// sumOf is the SHA-256 of a file, in hex, and its size; it is read from its start again.
func sumOf(file io.ReadSeeker) (string, int64, error) {
	h := sha256.New()
	size, err := io.Copy(h, file)
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	return hex.EncodeToString(h.Sum(nil)), size, err
}
