package gitdoor

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// scanner is the tool that push protection's findings are from: the same
// secret has the same Id here and in a scan of the tree.
const scanner = "secret"

// message is what the message of a commit or tag is called, as git itself does.
const message = "COMMIT_EDITMSG"

// found is a secret that a push brings.
type found struct {
	finding.Finding
	object git.Object
	more   int  // other places that hold it
	first  bool // the commit that brings it has none before it
}

// maxFound is how many secrets are looked for before a push is refused.
const maxFound = 1000

// check looks for secrets in everything that the push brings.
func (t *talk) check(ctx context.Context, repo *git.Repo, q question) ([]found, error) {
	var tips []string
	for _, u := range q.updates {
		tips = append(tips, u.New)
	}
	objects, err := repo.Incoming(ctx, q.quarantine, tips)
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		if o.Size > t.door.config.MaxFile && o.Type != "tree" {
			return nil, fault.Limit.Errorf("%s has %d bytes, a file may have %d: large files belong elsewhere", objectName(o), o.Size, t.door.config.MaxFile)
		}
	}
	reader, err := repo.Objects(ctx)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	var mu sync.Mutex
	each := make([][]found, len(objects))
	count := 0
	firsts := map[string]bool{}
	for i, o := range objects {
		if o.Type == "tree" || ctx.Err() != nil {
			continue
		}
		content, err := reader.Read(o.ID)
		if err != nil {
			_ = group.Wait()
			return nil, fmt.Errorf("reading %s of the push: %w", o.ID, err)
		}
		firsts[o.ID] = o.Type == "commit" && !bytes.Contains(header(content), []byte("\nparent "))
		group.Go(func() error {
			secrets, err := t.look(ctx, o, content)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			each[i] = secrets
			if count += len(secrets); count > maxFound {
				return errEnough
			}
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil && err != errEnough {
		return nil, err
	}
	all := once(slices.Concat(each...))
	for i := range all {
		all[i].first = firsts[all[i].commit()]
	}
	return all, nil
}

// once is each finding once, where it is met first: a secret in ten places is one.
func once(all []found) []found {
	seen := map[string]int{}
	var kept []found
	for _, f := range all {
		if i, ok := seen[f.ID]; ok {
			kept[i].more++
			continue
		}
		seen[f.ID] = len(kept)
		kept = append(kept, f)
	}
	return kept
}

// header is what a commit or tag has before its message.
func header(content []byte) []byte {
	h, _, _ := bytes.Cut(content, []byte("\n\n"))
	return h
}

// errEnough ends the search: the push is refused whatever else it brings.
var errEnough = fault.Limit.Errorf("more than %d secrets", maxFound)

// look finds the secrets in one object. A scanner that breaks on it refuses that push alone.
func (t *talk) look(ctx context.Context, o git.Object, content []byte) (secrets []found, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("looking for secrets in %s: %v", o.ID, r)
		}
	}()
	path := strings.ToValidUTF8(o.Path, "\uFFFD") // git takes any bytes, a finding does not
	switch {
	case o.Type != "blob":
		_, text, _ := strings.Cut(string(content), "\n\n")
		path, content = message, []byte(text)
	case path == "":
		path = "unnamed/" + o.ID
	}
	scan := finding.Scan{Tool: scanner, Target: t.call.repository, Commit: o.Commit}
	for _, f := range t.door.config.Secrets.Check(ctx, t.call.repository, path, content) {
		secrets = append(secrets, found{Finding: t.door.config.Maker.Own(scan, f, t.door.config.Now()), object: o})
	}
	return secrets, nil
}

// objectName is what people call an object.
func objectName(o git.Object) string {
	if o.Path == "" {
		return o.Type + " " + o.ID
	}
	return printable(o.Path)
}
