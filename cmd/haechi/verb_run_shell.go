package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/sigv4"
	door "github.com/haechi-dev/haechi/door/runner"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/word/fault"
)

// shell opens a terminal in the folder of a build that failed. Without one here
// it runs a command, or those that come line by line on standard input: cd and
// export count for what follows.
func (r runner) shell(ctx context.Context, name, command string) error {
	build, err := r.failedBuild(ctx, name)
	if err != nil {
		return err
	}
	if command != "" {
		status, err := r.command(ctx, build, command)
		if err != nil {
			return err
		}
		return ended(status)
	}
	if keys, ok := r.c.stdin.(*os.File); ok && terminal(r.c.stdout) > 0 && terminal(keys) > 0 {
		return r.terminal(ctx, build)
	}
	before := "" // what was changed of the shell so far
	lines := bufio.NewScanner(r.c.stdin)
	lines.Buffer(nil, 64<<10)
	status := 0 // of the last one
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "":
			continue
		case line == "exit":
			return ended(status)
		}
		if status, err = r.command(ctx, build, before+line); err != nil {
			return err
		}
		if word, _, _ := strings.Cut(line, " "); status == 0 && (word == "cd" || word == "export" || word == "unset") {
			before += line + "\n"
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return ended(status)
}

// ended is how a command of another machine's ends this one.
func ended(status int) error {
	if status > 0 {
		return exit(status)
	}
	return nil
}

// failedBuild is the build that is meant: by its own id, or as that of a run which failed.
func (r runner) failedBuild(ctx context.Context, name string) (string, error) {
	if _, id, ok := strings.Cut(name, ":"); ok {
		return id, nil
	}
	e, err := r.named(ctx, name)
	if err != nil {
		return "", err
	}
	for _, s := range e.Stages {
		for _, a := range s.Actions {
			if _, id, ok := strings.Cut(a.External, ":"); ok && a.Status == pipeline.Failed {
				return id, nil
			}
		}
	}
	return "", fault.NotFound.Errorf("no build of run %s failed", name)
}

// command runs one command, and shows what it says as it comes.
func (r runner) command(ctx context.Context, build, command string) (exit int, err error) {
	c := r.client
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(c.Endpoint, "/")+door.Shells+build, strings.NewReader(command))
	if err != nil {
		return -1, err
	}
	sum := sigv4.Hash([]byte(command))
	q.Header.Set("X-Amz-Content-Sha256", sum)
	sigv4.Signer{AccessKey: c.Key, Secret: c.Secret.Reveal(), Token: c.Token, Region: c.Region, Service: "haechi"}.Sign(q, sum, c.Now())
	patient := *c.HTTP
	patient.Timeout = 0
	answer, err := patient.Do(q)
	if err != nil {
		return -1, fault.Unavailable.Errorf("%s cannot be reached: %w", c.Endpoint, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return -1, refused(answer)
	}
	if _, err := io.Copy(r.c.stdout, printed{answer.Body}); err != nil {
		return -1, err
	}
	if exit, err = strconv.Atoi(answer.Trailer.Get(door.ExitTrailer)); err != nil {
		return -1, fault.Unavailable.Errorf("the server did not say how the command ended")
	}
	return exit, nil
}

// refused is why the server did not let somebody into a build.
func refused(answer *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return err
	}
	var said struct{ Message string }
	if json.Unmarshal(text, &said, json.MatchCaseInsensitiveNames(true)) != nil || said.Message == "" {
		said.Message = answer.Status
	}
	kind := fault.Conflict
	if answer.StatusCode == http.StatusForbidden {
		kind = fault.Denied
	}
	return kind.Errorf("%s", said.Message)
}

// printed is text without what would change a terminal: a build's files are foreign bytes.
type printed struct{ from io.Reader }

func (p printed) Read(b []byte) (int, error) {
	n, err := p.from.Read(b)
	for i, c := range b[:n] {
		if c < ' ' && c != '\n' && c != '\t' || c == 0x7f {
			b[i] = '?'
		}
	}
	return n, err
}
