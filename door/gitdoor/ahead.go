package gitdoor

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"strconv"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/word/finding"
)

// ahead looks for secrets in a push while git still takes it in and checks it: the same bytes go to both. What it
// found counts for an object of the same name and path alone. All else of the push is read once git has it, so
// that whatever ahead passes over, or does not understand, costs time and nothing else.
type ahead struct {
	talk  *talk
	feed  chan []byte   // of the request, in order
	free  chan []byte   // pieces that were read, to be fed again
	taken chan struct{} // closed once git has all of the pack: nothing that matters is fed any more
	done  chan struct{} // closed once nothing is looked at any more
	take  sync.Once

	mu    sync.Mutex
	seen  map[string]looked // by object
	count int               // findings
}

// looked is what was found in an object under a path.
type looked struct {
	path     string
	first    bool
	findings []finding.Finding
}

// Bounds of what one push may have in memory ahead of git.
const (
	mostFed    = 256      // pieces of the request, of 32 KiB at most
	mostUnseen = 32 << 20 // bytes of objects that wait to be looked at
	mostAhead  = 500_000  // objects that are remembered
)

// lookAhead begins to look into what is read of body, as it is read.
func (t *talk) lookAhead(ctx context.Context, body io.Reader) (*ahead, io.Reader) {
	a := &ahead{talk: t, feed: make(chan []byte, mostFed), free: make(chan []byte, mostFed), taken: make(chan struct{}), done: make(chan struct{}), seen: map[string]looked{}}
	go func() {
		defer close(a.done)
		_ = guard(func() error { return a.look(ctx) }) // what it did not see is read later
	}()
	return a, &fed{from: body, to: a}
}

// fed feeds what is read.
type fed struct {
	from io.Reader
	to   *ahead
}

func (f *fed) Read(p []byte) (int, error) {
	n, err := f.from.Read(p)
	if n > 0 {
		select {
		case f.to.feed <- append(f.to.piece(), p[:n]...): // the request waits for ahead as it waits for git
		case <-f.to.done:
		}
	}
	return n, err
}

// piece is room for a piece.
func (a *ahead) piece() []byte {
	select {
	case p := <-a.free:
		return p[:0]
	default:
		return nil
	}
}

// end waits until all is looked at that will be. Git has all of the pack by then, or wants no more of it.
func (a *ahead) end() {
	if a == nil {
		return
	}
	a.take.Do(func() { close(a.taken) })
	<-a.done
}

// of is what was found in an object, if it was looked at under that path.
func (a *ahead) of(o git.Object) (looked, bool) {
	if a == nil {
		return looked{}, false
	}
	path, _ := lookedAt(o.ID, o.Type, o.Path, nil)
	l, ok := a.seen[o.ID]
	return l, ok && l.path == path
}

// look reads the request, and has several look into what it unpacks.
func (a *ahead) look(ctx context.Context) error {
	workers := runtime.GOMAXPROCS(0)
	room, work := semaphore.NewWeighted(mostUnseen), make(chan git.Packed, 64)
	var group sync.WaitGroup
	defer group.Wait()
	defer close(work)
	for range workers {
		group.Go(func() {
			for o := range work {
				_ = guard(func() error { a.one(ctx, o); return nil }) // a scanner that breaks does so again, and is told of
				room.Release(weight(o))
			}
		})
	}
	pack, err := packOf(&fedReader{from: a})
	if err != nil {
		return err
	}
	return git.ReadPack(pack, func(o git.Packed) error {
		if o.Type == "tree" || o.Type == "blob" && o.Path == "" {
			return nil
		}
		if err := room.Acquire(ctx, weight(o)); err != nil {
			return err
		}
		work <- o
		a.mu.Lock()
		defer a.mu.Unlock()
		if len(a.seen) > mostAhead || a.count > maxFound {
			return errEnough
		}
		return nil
	})
}

func weight(o git.Packed) int64 { return min(int64(len(o.Content))+256, mostUnseen) }

// one looks into an object.
func (a *ahead) one(ctx context.Context, o git.Packed) {
	path, content := lookedAt(o.ID, o.Type, o.Path, o.Content)
	found := a.talk.door.config.Secrets.Check(ctx, a.talk.call.repository, path, content)
	if ctx.Err() != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen[o.ID] = looked{path: path, first: isFirst(o.Type, o.Content), findings: found}
	a.count += len(found)
}

// packOf is the pack in a request to take a push: it stands behind what is asked of the refs, and the options.
func packOf(r io.Reader) (io.Reader, error) {
	var head [4]byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return nil, err
		}
		if string(head[:]) == "PACK" {
			return io.MultiReader(bytes.NewReader(head[:]), r), nil
		}
		n, err := strconv.ParseUint(string(head[:]), 16, 16)
		if err != nil {
			return nil, err
		}
		if _, err := io.CopyN(io.Discard, r, max(int64(n)-4, 0)); err != nil {
			return nil, err
		}
	}
}

// fedReader reads what is fed, until git has taken all.
type fedReader struct {
	from  *ahead
	piece []byte
	rest  []byte // of it
}

func (f *fedReader) Read(p []byte) (int, error) {
	for len(f.rest) == 0 {
		select {
		case f.from.free <- f.piece:
		default:
		}
		if f.piece = f.next(); f.piece == nil {
			return 0, io.EOF
		}
		f.rest = f.piece
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

func (f *fedReader) next() []byte {
	select {
	case piece := <-f.from.feed:
		return piece
	case <-f.from.taken:
		select {
		case piece := <-f.from.feed: // it was fed before
			return piece
		default:
			return nil
		}
	}
}
