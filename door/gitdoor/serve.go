package gitdoor

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/word/fault"
)

// protocol is what a Git-Protocol header may hold: it becomes part of an environment.
var protocol = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9=:.-]{1,64}$`) })

// giving are the settings of git-upload-pack, beside base/git's own.
var giving = []string{"uploadpack.allowFilter=true"}

// taking are those of git-receive-pack. What fsck finds refuses the push, but
// for what old programs wrote into many an honest history.
func (d *Door) taking() []string {
	return []string{
		"core.hooksPath=" + d.config.Hooks,
		"transfer.fsckObjects=true", "receive.fsckObjects=true",
		"receive.fsck.missingSpaceBeforeDate=warn", "receive.fsck.zeroPaddedFilemode=warn", "receive.fsck.badTimezone=warn",
		"receive.maxInputSize=" + strconv.FormatInt(d.config.MaxPush, 10),
		"receive.procReceiveRefs=" + strings.TrimSuffix(source.ForRefs, "/"), "receive.hideRefs=" + hiddenRefs,
		"receive.advertisePushOptions=true", "receive.advertiseAtomic=true",
		"receive.denyDeleteCurrent=ignore", // the repository's rules say so, in pre-receive
		"receive.denyDeletes=false", "receive.denyNonFastForwards=false", "receive.denyCurrentBranch=ignore",
	}
}

// answer runs the program of git that the call is for.
func (d *Door) answer(w http.ResponseWriter, r *http.Request, c call) error {
	repo, err := d.config.Source.Git(c.repository)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(r.Context(), d.config.MaxTime, fault.Limit.Errorf("the request took longer than %v", d.config.MaxTime))
	defer cancel()
	select {
	case d.turns <- struct{}{}:
		defer func() { <-d.turns }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	cmd := d.command(ctx, repo, c)
	if v := r.Header.Get("Git-Protocol"); protocol().MatchString(v) {
		cmd.Env = append(cmd.Env, "GIT_PROTOCOL="+v)
	}
	out := &reply{w: w}
	if c.advertise {
		w.Header().Set("Content-Type", "application/x-"+c.service+"-advertisement")
		if !strings.Contains(r.Header.Get("Git-Protocol"), "version=2") || c.service == receivePack {
			out.before = packet("# service="+c.service+"\n") + "0000"
		}
		return d.run(ctx, cmd, c, nil, out)
	}
	body, err := d.body(w, r, c)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-"+c.service+"-result")
	// Git talks while it listens; HTTP/1 must be told. Others do so anyway.
	_ = http.NewResponseController(w).EnableFullDuplex()
	if c.service == receivePack {
		return d.push(ctx, cmd, repo, c, body, out)
	}
	return d.run(ctx, cmd, c, body, out)
}

func (d *Door) command(ctx context.Context, repo *git.Repo, c call) *exec.Cmd {
	settings := giving
	if c.service == receivePack {
		settings = d.taking()
	}
	args := []string{strings.TrimPrefix(c.service, "git-"), "--stateless-rpc"}
	if c.advertise {
		args = append(args, "--http-backend-info-refs")
	}
	cmd := repo.Command(ctx, settings, append(args, repo.Dir())...)
	// Git's own children end with it, and leave no lock behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	return cmd
}

// packet is one line of git's protocol.
func packet(s string) string { return fmt.Sprintf("%04x%s", len(s)+4, s) }

// body is the request's content, unpacked and within the limits.
func (d *Door) body(w http.ResponseWriter, r *http.Request, c call) (io.Reader, error) {
	most := int64(64 << 20) // what a client has and wants
	if c.service == receivePack {
		most = d.config.MaxPush + 64<<20 // git says itself, in better words, when the pack is too large
	}
	body := io.Reader(http.MaxBytesReader(w, r.Body, most))
	switch r.Header.Get("Content-Encoding") {
	case "":
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(body)
		if err != nil {
			return nil, fault.Invalid.Errorf("the request says that it is packed with gzip, and is not: %w", err)
		}
		body = z
	default:
		return nil, fault.Invalid.Errorf("a request packed with %q cannot be read", r.Header.Get("Content-Encoding"))
	}
	return &limited{from: body, left: most}, nil
}

// limited fails, rather than ends, after so many bytes.
type limited struct {
	from io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.from.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, fault.Limit.Errorf("the request is too large")
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		err = fault.Limit.Errorf("the request is larger than %d bytes", tooLarge.Limit)
	}
	return n, err
}

// reply passes on what git says as it says it, and knows whether it has begun.
type reply struct {
	w      http.ResponseWriter
	before string
	begun  bool
}

func (o *reply) Write(p []byte) (int, error) {
	if !o.begun {
		o.begun = true
		if _, err := io.WriteString(o.w, o.before); err != nil {
			return 0, err
		}
	}
	n, err := o.w.Write(p)
	if err == nil {
		err = http.NewResponseController(o.w).Flush()
	}
	return n, err
}

// run lets git read the body and answer. Once the answer has begun its errors
// are git's to tell, within its protocol.
func (d *Door) run(ctx context.Context, cmd *exec.Cmd, c call, body io.Reader, out *reply) error {
	var said bytes.Buffer
	in := &content{from: body}
	if body != nil {
		cmd.Stdin = in
	}
	cmd.Stdout, cmd.Stderr = out, &head{to: &said, left: 4096}
	err := cmd.Run()
	if err == nil && !out.begun {
		_, err = out.Write(nil) // an answer of nothing is one
	}
	switch {
	case err == nil:
		return nil
	case out.begun:
		d.config.Log.Info("git ended early", "repository", c.repository, "service", c.service, "err", err, "said", strings.TrimSpace(said.String()))
		return nil
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case in.err != nil:
		return in.err
	}
	return fault.Invalid.Errorf("git does not understand the request: %s", firstLine(said.String()))
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return printable(strings.TrimPrefix(line, "fatal: "))
}

// content remembers why the body could not be read to its end.
type content struct {
	from io.Reader
	err  error
}

func (s *content) Read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// WriteTo is for the pipe to git: the fewer pieces, the less it costs both to hand them over.
func (s *content) WriteTo(w io.Writer) (int64, error) {
	const piece = 256 << 10
	if pipe, ok := w.(*os.File); ok {
		_, _ = unix.FcntlInt(pipe.Fd(), unix.F_SETPIPE_SZ, 4*piece) // as it is, it does too
	}
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{s}, make([]byte, piece))
}

// head keeps the first bytes of what is written to it.
type head struct {
	to   *bytes.Buffer
	left int
}

func (t *head) Write(p []byte) (int, error) {
	keep := p[:min(len(p), t.left)]
	t.left -= len(keep)
	t.to.Write(keep)
	return len(p), nil
}
