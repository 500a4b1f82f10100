package git

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/word/fault"
)

// pageTime is how long git may take for what a page or a call waits for.
const pageTime = 20 * time.Second

// BlameMost is the largest file whose lines are traced.
const BlameMost = 2 << 20

// Blamed is a line of a file and the commit that it is from.
type Blamed struct {
	Commit string
	From   int // the line's number in that commit, from 1
	Line   int // its number now
	Text   string
}

// Blame says of each line of a file which commit brought it, and what is worth
// telling of these commits, by name.
func (r *Repo) Blame(ctx context.Context, commit, path string) (lines []Blamed, commits map[string]Commit, err error) {
	entry, err := r.Entry(ctx, commit, path)
	switch {
	case err != nil:
		return nil, nil, err
	case entry.Type != "blob":
		return nil, nil, fault.Invalid.Errorf("%s is no file", path)
	case entry.Size > BlameMost:
		return nil, nil, fault.Limit.Errorf("%s has %d bytes, the lines of %d are traced", path, entry.Size, BlameMost)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, pageTime, fault.Limit.Errorf("tracing the lines of %s takes longer than %v", path, pageTime))
	defer cancel()
	out, err := r.answer(ctx, "blame", "--porcelain", commit, "--", path)
	if err != nil {
		return nil, nil, err
	}
	return parseBlame(string(out))
}

// parseBlame reads git blame --porcelain: a head of `commit from line [count]`, what is told of a
// commit once, and the line after a tab.
func parseBlame(out string) (lines []Blamed, commits map[string]Commit, err error) {
	commits = map[string]Commit{}
	var now Blamed
	var zone Commit
	for text := range strings.Lines(out) {
		text = strings.TrimSuffix(text, "\n")
		if body, ok := strings.CutPrefix(text, "\t"); ok {
			now.Text = strings.ToValidUTF8(body, "\uFFFD")
			lines = append(lines, now)
			if zone.ID != "" {
				commits[zone.ID] = zone
				zone = Commit{}
			}
			continue
		}
		key, value, _ := strings.Cut(text, " ")
		if ValidID(key) {
			f := strings.Fields(value)
			if len(f) < 2 {
				return nil, nil, fmt.Errorf("git blame says %q", text)
			}
			now = Blamed{Commit: key}
			now.From, _ = strconv.Atoi(f[0])
			now.Line, _ = strconv.Atoi(f[1])
			if _, known := commits[key]; !known {
				zone = Commit{ID: key}
			}
			continue
		}
		if zone.ID != "" {
			zone.tell(key, strings.ToValidUTF8(value, "\uFFFD"))
		}
	}
	return lines, commits, nil
}

func (c *Commit) tell(key, value string) {
	seconds := func() time.Time {
		n, _ := strconv.ParseInt(value, 10, 64)
		return time.Unix(n, 0).UTC()
	}
	switch key {
	case "author":
		c.Author.Name = value
	case "author-mail":
		c.Author.Email = strings.Trim(value, "<>")
	case "author-time":
		c.Author.Time = seconds()
	case "committer":
		c.Committer.Name = value
	case "committer-mail":
		c.Committer.Email = strings.Trim(value, "<>")
	case "committer-time":
		c.Committer.Time = seconds()
	case "summary":
		c.Message = value
	}
}
