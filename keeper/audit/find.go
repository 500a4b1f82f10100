package audit

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

// A Query says which records are asked for. What is empty does not matter.
type Query struct {
	User    string    // a user's name, an ARN, or an access key
	Action  string    // its name, or service:Name, where * stands for anything
	Code    string    // of the error; "*" is any
	Text    string    // anywhere in the record, whatever the case
	Since   time.Time // and
	Until   time.Time // before this
	Changes bool      // no reads
	Refused bool      // only what was refused
	Before  string    // where the page before ended
	Limit   int       // 50; at most 1,000
}

// A Found is one record, and where it is kept.
type Found struct {
	Node   string
	Seq    int64
	Record Record
	JSON   jsontext.Value // as it was kept
}

// Refused tells whether whoever asked was not known, or was not allowed to.
func (f *Found) Refused() bool { return refusal(&f.Record) }

const mostBlocks = 5000 // that one question looks at

// Find is a page of records, the newest first, and where the next one begins:
// "" if there is none. A page may be short although there are more.
func (t *Trail) Find(ctx context.Context, q Query) (page []Found, next string, err error) {
	at, err := parseCursor(q)
	if err != nil {
		return nil, "", err
	}
	q.Limit = max(1, min(cmp.Or(q.Limit, 50), 1000))
	q.User, q.Action, q.Text = strings.ToLower(q.User), strings.ToLower(q.Action), strings.ToLower(q.Text)
	for looked := 0; looked < mostBlocks; {
		some, err := t.older(ctx, at)
		if err != nil {
			return nil, "", err
		}
		for _, b := range some {
			if !q.Since.IsZero() && b.ended < q.Since.UnixMicro() {
				return page, "", nil
			}
			from := -1
			if b.ended == at.ended && b.node == at.node && b.seq == at.seq {
				from = at.left
			}
			rest, err := q.take(b, from, &page)
			if err != nil {
				return nil, "", err
			}
			at = cursor{b.ended, b.node, b.seq, rest}
			if len(page) == q.Limit {
				return page, at.String(), nil
			}
		}
		if looked += len(some); len(some) < step {
			return page, "", nil
		}
	}
	return page, at.String(), nil
}

// take adds the records of a block that match, from the newest of those that
// are left (-1: all), and says how many are left when the page is full.
func (q *Query) take(b block, left int, page *[]Found) (int, error) {
	if left == 0 || q.Changes && b.kind == kindRead || q.Refused && b.kind == kindRead {
		return 0, nil
	}
	text, err := unpack(b.body)
	if err != nil {
		return 0, nil // Verify tells of it
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if left < 0 || left > len(lines) {
		left = len(lines)
	}
	for ; left > 0 && len(*page) < q.Limit; left-- {
		line := lines[left-1]
		var r Record
		if line == "" || json.Unmarshal([]byte(line), &r) != nil || !q.matches(&r, line) {
			continue
		}
		*page = append(*page, Found{b.node, b.seq, r, jsontext.Value(line)})
	}
	return left, nil
}

func (q *Query) matches(r *Record, line string) bool {
	at, _ := time.Parse(time.RFC3339, r.Time)
	switch {
	case !q.Since.IsZero() && at.Before(q.Since.Truncate(time.Second)), !q.Until.IsZero() && !at.Before(q.Until):
		return false
	case q.User != "" && !anyOf(q.User, r.Identity.User, r.Identity.ARN, r.Identity.Key, r.Identity.ID):
		return false
	case q.Action != "" && !q.action(r):
		return false
	case q.Code == "*" && r.Code == "", q.Code != "" && q.Code != "*" && !strings.EqualFold(q.Code, r.Code):
		return false
	case q.Changes && r.ReadOnly && r.Code == "":
		return false
	case q.Refused && !refusal(r):
		return false
	}
	return q.Text == "" || strings.Contains(strings.ToLower(line), q.Text)
}

func (q *Query) action(r *Record) bool {
	name := strings.ToLower(r.Name)
	if service, _, ok := strings.Cut(q.Action, ":"); ok && service != "" {
		name = strings.TrimSuffix(strings.ToLower(r.Source), ".amazonaws.com") + ":" + name
	}
	return glob(q.Action, name)
}

// glob tells whether text is pattern, in which * stands for anything.
func glob(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	if !strings.HasPrefix(text, parts[0]) {
		return false
	}
	text = text[len(parts[0]):]
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(text, p)
		if i < 0 {
			return false
		}
		text = text[i+len(p):]
	}
	return strings.HasSuffix(text, parts[len(parts)-1])
}

func anyOf(want string, texts ...string) bool {
	for _, t := range texts {
		if strings.ToLower(t) == want {
			return true
		}
	}
	return false
}

// refusal tells whether a record says that somebody is not known, or may not.
func refusal(r *Record) bool {
	if r.Name == "ConsoleLogin" && r.Reason != "" {
		return true
	}
	for _, s := range []string{"AccessDenied", "Unauthenticated", "UnrecognizedClient", "InvalidClientTokenId", "Signature", "MissingAuthenticationToken", "ExpiredToken"} {
		if strings.Contains(r.Code, s) {
			return true
		}
	}
	return false
}

const step = 200 // blocks read at once

// older are blocks that ended before a place, or all from there on, the newest first.
func (t *Trail) older(ctx context.Context, at cursor) (some []block, err error) {
	err = t.config.DB.Read(ctx, func(tx *db.Tx) error {
		query, args := "SELECT "+blockColumns+", body FROM audit_blocks WHERE ended <= ? ", []any{at.ended}
		if at.node != "" {
			op := "<"
			if at.left > 0 {
				op = "<="
			}
			query += "AND (ended < ? OR node < ? OR (node = ? AND seq " + op + " ?)) "
			args = append(args, at.ended, at.node, at.node, at.seq)
		}
		some, err = db.All(tx, scanWhole, query+"ORDER BY ended DESC, node DESC, seq DESC LIMIT "+strconv.Itoa(step), args...)
		return err
	})
	return some, err
}

// cursor is a place in the list of blocks: the one looked at last, and how many of its records are left.
type cursor struct {
	ended int64
	node  string
	seq   int64
	left  int
}

func (c cursor) String() string { return fmt.Sprintf("%d.%d.%d.%s", c.ended, c.seq, c.left, c.node) }

func parseCursor(q Query) (c cursor, err error) {
	if q.Before == "" {
		c.ended = 1 << 62
		if !q.Until.IsZero() {
			c.ended = q.Until.Add(time.Minute).UnixMicro() // a block of reads may end later than its first
		}
		return c, nil
	}
	f := strings.SplitN(q.Before, ".", 4)
	if len(f) == 4 {
		var e1, e2, e3 error
		c.ended, e1 = strconv.ParseInt(f[0], 10, 64)
		c.seq, e2 = strconv.ParseInt(f[1], 10, 64)
		c.left, e3 = strconv.Atoi(f[2])
		c.node = f[3]
		if e1 == nil && e2 == nil && e3 == nil && c.left >= 0 && c.node != "" {
			return c, nil
		}
	}
	return c, fault.Invalid.Errorf("%q is no place to go on from: ask again without it", q.Before)
}
