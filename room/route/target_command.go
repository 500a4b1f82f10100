package route

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"syscall"
	"time"

	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// Command is a program that the server's own configuration allows to be run
// for events. Rules can name it; they cannot say what it is or how it is called.
type Command struct {
	Argv    []string // the program's absolute path and its arguments, as they are: no shell reads them
	Dir     string
	Env     []string      // name=value; all that it gets
	UID     uint32        // who runs it, if not 0
	GID     uint32        // with UID
	Timeout time.Duration // 30 s if 0
}

// tempfail is the exit status (sysexits' EX_TEMPFAIL) by which a command asks to be run again.
const tempfail = 75

func commandKind() Kind {
	return Kind{
		Name: "command", Title: "Command",
		Fields: []Field{{Name: "command", Required: true, Help: "the name of a command in the server's configuration"}},
		Open: func(c Receiver, env *Env) (Target, error) {
			name := c.Settings["command"]
			command, ok := env.Commands[name]
			if !ok {
				var names []string
				for n := range env.Commands {
					names = append(names, n)
				}
				return nil, fault.Invalid.Errorf("the server's configuration has no command %q; commands are listed there alone (%s)", name, diag.DidYouMean(name, names))
			}
			if len(command.Argv) == 0 || command.Argv[0] == "" || command.Argv[0][0] != '/' {
				return nil, fault.Invalid.Errorf("command %q: its program is not an absolute path", name)
			}
			return &commandTarget{command: command}, nil
		},
	}
}

// commandTarget runs a command with the event on standard input and the
// delivery's id in HAECHI_DELIVERY.
type commandTarget struct{ command Command }

// Deliver runs the command. It has taken the event if it exits with 0, wants it
// again if it exits with 75 or does not end, and refuses it with any other status.
func (t *commandTarget) Deliver(ctx context.Context, d Delivery) error {
	limit := t.command.Timeout
	if limit <= 0 {
		limit = 30 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, t.command.Argv[0], t.command.Argv[1:]...)
	cmd.Dir = t.command.Dir
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	cmd.Env = append(append([]string{}, t.command.Env...), "HAECHI_DELIVERY="+d.ID)
	cmd.Stdin = bytes.NewReader(d.Items[0].Input)
	out := &head{most: 4 << 10}
	cmd.Stdout, cmd.Stderr = out, out
	// A group of its own, so that what it starts ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if t.command.UID != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: t.command.UID, Gid: t.command.GID}
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return &Refusal{Kind: fault.Unavailable, Answer: out.String(), Err: errors.New("the command did not end in time")}
	case errors.As(err, &exit) && exit.ExitCode() == tempfail:
		return &Refusal{Kind: fault.Unavailable, Status: tempfail, Answer: out.String(), Err: err}
	case errors.As(err, &exit):
		return &Refusal{Kind: fault.Invalid, Status: exit.ExitCode(), Answer: out.String(), Err: err}
	}
	return fault.Invalid.Wrap(err)
}

// head keeps the beginning of what is written to it.
type head struct {
	most int
	kept []byte
}

func (h *head) Write(p []byte) (int, error) {
	h.kept = append(h.kept, p[:min(len(p), h.most-len(h.kept))]...)
	return len(p), nil
}

func (h *head) String() string { return string(h.kept) }
