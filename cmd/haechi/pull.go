package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/haechi-dev/haechi/base/remote"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/door/pull"
	"github.com/haechi-dev/haechi/door/reports"
	"github.com/haechi-dev/haechi/word/fault"
)

// puller fetches reports from another tool's server, and imports them.
type puller struct {
	from, of, token string
}

// source is the kind of server that is meant.
func (p *puller) source() (pull.Source, error) {
	var names []string
	for _, s := range pull.Sources() {
		if s.Name == p.from {
			if p.of == "" && !s.Optional {
				return s, usagef("say with -of %s", s.Needs)
			}
			return s, nil
		}
		names = append(names, s.Name)
	}
	return pull.Source{}, usagef("-from is one of %s, not %q", strings.Join(names, ", "), p.from)
}

// secret is the token: from the variable that the source usually has it in, or from where -token says.
func (p *puller) secret(c call, s pull.Source) (seal.Secret, error) {
	kind, name, ok := strings.Cut(p.token, ":")
	switch {
	case p.token == "":
		return seal.Secret(c.env(s.Token)), nil
	case ok && kind == "env":
		value := c.env(name)
		if value == "" {
			return "", usagef("the variable %s, which -token names, is not set", name)
		}
		return seal.Secret(value), nil
	case ok && kind == "file":
		text, err := os.ReadFile(name)
		if err != nil {
			return "", usagef("-token: %w", err)
		}
		return seal.Secret(strings.TrimSpace(string(text))), nil
	}
	return "", usagef("-token is env:NAME or file:PATH: a token on the command line is seen by everybody on this machine")
}

// run fetches what there is and hands each report to send.
func (p *puller) run(ctx context.Context, c call, client *remote.Client, address string, query url.Values, send func(name string, a *reports.Answer)) error {
	source, err := p.source()
	if err != nil {
		return err
	}
	token, err := p.secret(c, source)
	if err != nil {
		return err
	}
	if u, err := url.Parse(address); err == nil && u.Scheme == "http" && token != "" && !loopbackName(u.Hostname()) {
		fmt.Fprintf(c.stderr, "haechi import: the token goes to %s unencrypted\n", u.Host)
	}
	folder, err := os.MkdirTemp("", "haechi-pull-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	var names []string
	fetched, err := source.Reports(ctx, pull.Server{URL: address, Token: token}, p.of, query.Get("branch"), func(name string) (io.WriteCloser, error) {
		names = append(names, name)
		return os.OpenFile(filepath.Join(folder, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", source.Name, err)
	}
	for i, f := range fetched {
		q := url.Values{}
		for k, v := range query {
			q[k] = v
		}
		if f.Partial != "" {
			q.Set("partial", f.Partial)
		}
		a, err := importReport(ctx, c, client, filepath.Join(folder, names[i]), q)
		if err != nil {
			if fault.Of(err) == fault.NotFound {
				return err
			}
			return fmt.Errorf("%s: %w", names[i], err)
		}
		send(names[i], a)
	}
	return nil
}

func loopbackName(host string) bool {
	return host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.")
}
