package gitdoor

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/word/fault"
)

// The options of a push to refs/for/BRANCH, besides what the ref says itself.
const (
	optionTopic       = "topic"       // tells one pull request from others of the same person
	optionTitle       = "title"       // of the pull request; the commit's subject otherwise
	optionDescription = "description" // of the pull request; the rest of the commit's message otherwise
	optionPull        = "pull"        // the number of the pull request that is meant
)

// ProposeAction is what a caller must be allowed to do, besides pushing, to open a pull request by it.
const ProposeAction = "codecommit:CreatePullRequest"

// parted are the updates of a push: those of refs, those that open or update pull requests, and those that git refuses
// one by one, since they are hidden from pushes: the rest of a mirror of another forge comes in all the same.
func parted(updates []source.Update) (refs, proposed, hidden []source.Update) {
	for _, u := range updates {
		switch {
		case strings.HasPrefix(u.Ref, source.ForRefs):
			proposed = append(proposed, u)
		case strings.HasPrefix(u.Ref, hiddenRefs+"/"):
			hidden = append(hidden, u)
		default:
			refs = append(refs, u)
		}
	}
	return refs, proposed, hidden
}

// hiddenRefs are where the server keeps the heads of pull requests.
const hiddenRefs = "refs/pull"

// unknown are the options of a push that mean nothing here: a mistyped one must not pass in silence.
func unknown(options []string) (names []string) {
	known := []string{optionAllow, optionReason, optionTopic, optionTitle, optionDescription, optionPull}
	for _, o := range options {
		if key, _, _ := strings.Cut(o, "="); key != "" && !slices.Contains(known, key) && len(names) < 10 {
			names = append(names, clip(printable(key), 60))
		}
	}
	return names
}

// mayPropose refuses early what no pull request can come of.
func (t *talk) mayPropose(ctx context.Context, proposed []source.Update) error {
	for _, u := range proposed {
		if git.IsZero(u.New) {
			return fault.Invalid.Errorf("%s cannot be deleted: close the pull request instead", u.Ref)
		}
		if err := t.door.config.Source.CanPropose(ctx, t.call.repository, u.Ref); err != nil {
			return err
		}
	}
	if len(proposed) == 0 {
		return nil
	}
	return t.door.config.Access.Allow(ctx, t.call.caller, ProposeAction, t.door.config.Source.ARN(t.call.repository), "")
}

// proposal is what one line of a push to refs/for asks for.
func (t *talk) proposal(u source.Update) (source.Proposal, error) {
	p := source.Proposal{Repository: t.call.repository, Ref: u.Ref, Head: u.New, Who: t.call.caller.person()}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, o := range t.options {
		key, value, _ := strings.Cut(o, "=")
		value = strings.TrimSpace(value)
		switch key {
		case optionTopic:
			p.Topic = value
		case optionTitle:
			p.Title = value
		case optionDescription:
			p.Text = strings.ReplaceAll(value, `\n`, "\n")
		case optionPull:
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n < 1 {
				return p, fault.Invalid.Errorf("-o %s=%s: the number of a pull request is meant", optionPull, printable(clip(value, 40)))
			}
			p.Number = n
		}
	}
	return p, nil
}

// person is the caller as the keeper of pull requests knows people.
func (c Caller) person() source.Person {
	p := c.Person
	p.ARN = cmp.Or(p.ARN, c.ARN)
	p.Name = cmp.Or(p.Name, c.ARN[strings.LastIndexAny(c.ARN, "/:")+1:])
	return p
}

// propose answers git's proc-receive: which of the refs that it hands over became what.
// It closes both ends, since the hook waits for that.
func (t *talk) propose(ctx context.Context, said *os.File, answer *os.File) {
	defer answer.Close()
	defer said.Close()
	in := bufio.NewReader(said)
	head, err := readPackets(in)
	if err != nil || len(head) == 0 {
		return // no push to refs/for, or one that was broken off
	}
	if !strings.HasPrefix(head[0], "version=1") {
		return // git then says itself that it understands nothing
	}
	if _, err := io.WriteString(answer, packet("version=1\n")+"0000"); err != nil {
		return
	}
	lines, err := readPackets(in)
	if err != nil {
		return
	}
	var report strings.Builder
	for _, line := range lines {
		for _, l := range t.proposeOne(ctx, line) {
			report.WriteString(packet(l + "\n"))
		}
	}
	_, _ = io.WriteString(answer, report.String()+"0000") // a client that is gone does not hear it; the pull request is there
}

// proposeOne carries out one line, and gives git's words for what came of it.
func (t *talk) proposeOne(ctx context.Context, line string) (report []string) {
	updates, err := parseUpdates(strings.TrimSuffix(line, "\n") + "\n")
	if err != nil || len(updates) != 1 {
		return nil
	}
	u := updates[0]
	var done source.Proposed
	err = guard(func() error {
		p, err := t.proposal(u)
		if err == nil {
			done, err = t.door.config.Source.Propose(ctx, p)
		}
		return err
	})
	if err != nil {
		why := err.Error()
		if fault.Of(err) == fault.Internal {
			t.door.config.Log.Error("opening a pull request", "repository", t.call.repository, "err", err)
			why = "it cannot be done now: the server's log says why"
		}
		return []string{"ng " + u.Ref + " " + clip(printable(why), 900)}
	}
	t.mu.Lock()
	t.answered = append(t.answered, t.proposedText(u, done))
	t.mu.Unlock()
	report = []string{"ok " + u.Ref, "option refname " + source.HeadRef(done.Pull.Number)}
	if !git.IsZero(done.Old) {
		report = append(report, "option old-oid "+done.Old)
		if !done.Same {
			report = append(report, "option forced-update") // git compares nothing for us, and a rewritten change is usual
		}
	}
	return append(report, "option new-oid "+u.New)
}

// proposedText tells a person what became of it, and what to type next.
func (t *talk) proposedText(u source.Update, done source.Proposed) string {
	var b strings.Builder
	n := done.Pull.Number
	what := "updated"
	switch {
	case done.New:
		what = "opened"
	case done.Same:
		what = "has this already:"
	}
	fmt.Fprintf(&b, "\nHaechi %s pull request %d: %s\n", what, n, printable(clip(done.Pull.Title, 100)))
	if t.door.config.Link != nil {
		if link := t.door.config.Link(t.call.repository, n); link != "" {
			fmt.Fprintf(&b, "  look    %s\n", link)
		}
	}
	if r := done.Pull.Revision; !r.Clean() {
		fmt.Fprintf(&b, "  beware  it does not merge by itself: %s\n", printable(clip(cmp.Or(r.Problem, strings.Join(r.Conflicts, ", ")), 200)))
	}
	fmt.Fprintf(&b, "  fetch   git fetch origin %s\n", source.HeadRef(n))
	fmt.Fprintf(&b, "  update  git push -o %s=%d origin HEAD:%s\n", optionPull, n, u.Ref)
	return b.String()
}

// readPackets reads git's lines up to a flush.
func readPackets(r *bufio.Reader) (lines []string, err error) {
	left := maxHook
	for {
		var size [4]byte
		if _, err := io.ReadFull(r, size[:]); err != nil {
			return nil, err
		}
		n, err := strconv.ParseUint(string(size[:]), 16, 16)
		if err != nil || n > 0 && n < 4 {
			return nil, fault.Invalid.Errorf("%q is no length of a line of git's", size)
		}
		if n == 0 {
			return lines, nil
		}
		if left -= int(n); left < 0 || len(lines) == maxUpdates {
			return nil, fault.Limit.Errorf("the push proposes too much at once")
		}
		text := make([]byte, n-4)
		if _, err := io.ReadFull(r, text); err != nil {
			return nil, err
		}
		lines = append(lines, string(text))
	}
}

// movedRefs are the refs of a push that have moved, without those of pull requests, which are not git's to move.
func movedRefs(updates []source.Update) (refs []string) {
	for _, u := range updates {
		if !strings.HasPrefix(u.Ref, hiddenRefs+"/") {
			refs = append(refs, u.Ref)
		}
	}
	return slices.Clip(refs)
}
