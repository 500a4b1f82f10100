package git

import (
	"context"
	"encoding/base64"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/word/fault"
)

// A Remote is a repository elsewhere, over HTTP.
type Remote struct {
	URL      string
	User     string // with the password, where there is one
	Password seal.Secret
	Proxy    string // http://…: whom git asks for every connection; it must be there
}

// fetchTime is how long a fetch may take.
const fetchTime = 30 * time.Minute

// command is a git command that may call the remote, and nobody else. What is secret stands in its environment only.
func (r *Repo) remote(ctx context.Context, from Remote, settings []string, args ...string) (*exec.Cmd, error) {
	scheme, _, _ := strings.Cut(from.URL, "://")
	if scheme != "http" && scheme != "https" || strings.ContainsAny(from.URL, "\r\n") {
		return nil, fault.Invalid.Errorf("only http and https are fetched from, not %.40q", from.URL)
	}
	settings = append([]string{"protocol." + scheme + ".allow=always", "http.followRedirects=false", "http.lowSpeedLimit=1", "http.lowSpeedTime=120"}, settings...)
	cmd := r.Command(ctx, settings, args...)
	cmd.Env = append(cmd.Env, "GIT_ALLOW_PROTOCOL="+scheme, "http_proxy="+from.Proxy, "https_proxy="+from.Proxy, "no_proxy=")
	if from.Password != "" {
		header := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(from.User+":"+from.Password.Reveal()))
		cmd.Env = append(cmd.Env, "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http."+from.URL+".extraHeader", "GIT_CONFIG_VALUE_0="+header)
	}
	return cmd, nil
}

func (r *Repo) askRemote(ctx context.Context, from Remote, settings []string, stdin string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, fetchTime, fault.Unavailable.Errorf("%s took longer than %v", from.URL, fetchTime))
	defer cancel()
	cmd, err := r.remote(ctx, from, settings, args...)
	if err != nil {
		return "", err
	}
	cmd.Stdin = strings.NewReader(stdin)
	var out, complaint bounded
	out.most, complaint.most = 64<<20, 64<<10
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err = cmd.Run()
	switch said := complaint.String(); {
	case err == nil && out.over:
		return "", fault.Limit.Errorf("%s has more refs than are read", from.URL)
	case err == nil:
		return out.String(), nil
	case strings.Contains(said, "Authentication failed") || strings.Contains(said, "could not read Username") || strings.Contains(said, "error: 403"):
		return "", fault.Denied.Errorf("%s does not let us in: its token is missing, over or wrong", from.URL)
	case strings.Contains(said, "couldn't find remote ref"):
		return "", fault.NotFound.Errorf("%s has a ref no more that it had a moment ago", from.URL)
	case strings.Contains(said, "not found") || strings.Contains(said, "error: 404"):
		return "", fault.NotFound.Errorf("there is no repository at %s, or its token may not see it", from.URL)
	}
	return "", fault.Unavailable.Wrap(describe(ctx, args[0], err, complaint.Bytes()))
}

// RemoteRefs are the branches and tags of a remote, in the order of their names.
func (r *Repo) RemoteRefs(ctx context.Context, from Remote) ([]Ref, error) {
	out, err := r.askRemote(ctx, from, nil, "", "ls-remote", "--quiet", "--heads", "--tags", "--refs", "--end-of-options", from.URL)
	if err != nil {
		return nil, err
	}
	refs, _, err := parseRemote(out)
	return refs, err
}

// RemoteHead is the branch that a remote's HEAD names, or "".
func (r *Repo) RemoteHead(ctx context.Context, from Remote) (string, error) {
	out, err := r.askRemote(ctx, from, nil, "", "ls-remote", "--quiet", "--symref", "--end-of-options", from.URL, "HEAD")
	if err != nil {
		return "", err
	}
	_, head, err := parseRemote(out)
	return head, err
}

// parseRemote reads what ls-remote prints: refs, and "ref: refs/heads/main<TAB>HEAD".
func parseRemote(out string) (refs []Ref, head string, err error) {
	for line := range strings.Lines(out) {
		left, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		target, symbolic := strings.CutPrefix(left, "ref: ")
		switch {
		case ok && symbolic && name == "HEAD":
			head = strings.TrimPrefix(target, "refs/heads/")
		case ok && ValidID(left):
			if ValidRef(name) {
				refs = append(refs, Ref{Name: name, ID: left})
			}
		default:
			return nil, "", fmt.Errorf("git ls-remote says %.200q", line)
		}
	}
	return refs, head, nil
}

// Fetch brings what refs of a remote reach, and moves none of ours. What fsck
// finds refuses all of it, but for what old programs wrote into many an honest history.
func (r *Repo) Fetch(ctx context.Context, from Remote, refs []string) error {
	for _, ref := range refs {
		if !ValidRef(ref) {
			return fault.Invalid.Errorf("%.200q cannot be a ref", ref)
		}
	}
	settings := []string{"fetch.fsckObjects=true", "transfer.fsckObjects=true", "fetch.unpackLimit=1000", "fetch.recurseSubmodules=false",
		"fetch.fsck.missingSpaceBeforeDate=warn", "fetch.fsck.zeroPaddedFilemode=warn", "fetch.fsck.badTimezone=warn"}
	_, err := r.askRemote(ctx, from, settings, strings.Join(refs, "\n")+"\n", "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--stdin", "--end-of-options", from.URL)
	return err
}

// Has tells which of some objects are there.
func (r *Repo) Has(ctx context.Context, ids []string) (map[string]bool, error) {
	return r.known(ctx, []byte(strings.Join(ids, "\n")+"\n"))
}

// MoveAll moves refs from where they are said to be, all or none.
func (r *Repo) MoveAll(ctx context.Context, moves []Moved) error {
	var b strings.Builder
	b.WriteString("start\n")
	for _, m := range moves {
		if !ValidRef(m.Ref) || !ValidID(m.Old) || !ValidID(m.New) {
			return fault.Invalid.Errorf("%.200q cannot be moved from %.50q to %.50q", m.Ref, m.Old, m.New)
		}
		if IsZero(m.New) {
			fmt.Fprintf(&b, "delete %s %s\n", m.Ref, m.Old)
		} else {
			fmt.Fprintf(&b, "update %s %s %s\n", m.Ref, m.New, m.Old)
		}
	}
	b.WriteString("commit\n")
	_, err := r.ask(ctx, []byte(b.String()), "update-ref", "--stdin")
	return err
}

// Moved is a ref's way from one object to another; Zero is "not there".
type Moved struct{ Ref, Old, New string }
