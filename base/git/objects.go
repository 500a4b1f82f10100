package git

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/word/fault"
)

// Largest is the largest object that is read into memory.
const Largest = 128 << 20

// Objects reads objects of a repository one after the other, through one
// process of git. It may be used by several goroutines. Close ends it.
type Objects struct {
	cancel context.CancelFunc
	cmd    *exec.Cmd

	mu  sync.Mutex
	in  io.WriteCloser
	out *bufio.Reader
	err error // what broke the conversation: nothing can be read after it
}

// Objects starts reading objects. It ends with ctx.
func (r *Repo) Objects(ctx context.Context) (*Objects, error) {
	ctx, cancel := context.WithCancel(ctx)
	cmd := r.Command(ctx, nil, "cat-file", "--batch")
	in, err := cmd.StdinPipe()
	if err != nil {
		cancel()
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("reading objects: %w", err)
	}
	return &Objects{cancel: cancel, cmd: cmd, in: in, out: bufio.NewReaderSize(out, 64<<10)}, nil
}

// Read is the content of an object. One that is not there is
// fault.NotFound, one larger than Largest fault.Limit; both cost that object alone.
func (o *Objects) Read(id string) ([]byte, error) {
	if !ValidID(id) {
		return nil, fault.Invalid.Errorf("%q is no full name of an object", id)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return nil, o.err
	}
	content, err := o.read(id)
	if err != nil && fault.Of(err) == fault.Internal {
		o.err = fmt.Errorf("reading object %s: %w", id, err)
		return nil, o.err
	}
	return content, err
}

func (o *Objects) read(id string) ([]byte, error) {
	if _, err := io.WriteString(o.in, id+"\n"); err != nil {
		return nil, err
	}
	head, err := o.out.ReadString('\n')
	if err != nil {
		return nil, err
	}
	f := strings.Fields(head)
	if len(f) == 2 && f[1] == "missing" {
		return nil, fault.NotFound.Errorf("object %s is not here", id)
	}
	if len(f) != 3 || f[0] != id {
		return nil, fmt.Errorf("git cat-file says %q", head)
	}
	size, err := strconv.ParseInt(f[2], 10, 64)
	if err != nil {
		return nil, err
	}
	if size > Largest {
		if _, err := io.CopyN(io.Discard, o.out, size+1); err != nil {
			return nil, err
		}
		return nil, fault.Limit.Errorf("object %s has %d bytes, more than the %d that are read", id, size, Largest)
	}
	content := make([]byte, size+1)
	if _, err := io.ReadFull(o.out, content); err != nil {
		return nil, err
	}
	return content[:size], nil
}

// Close ends reading.
func (o *Objects) Close() error {
	o.cancel()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = errors.New("reading objects has ended")
	o.in.Close()
	_ = o.cmd.Wait() // killed by us: its status says nothing
	return nil
}
