package shelf

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/haechi-dev/haechi/base/db"
)

// Query is which names of a bucket are asked for.
type Query struct {
	Bucket    string
	Prefix    string
	Delimiter string // what names have in common up to it is listed once
	After     string // only names behind it
	Most      int    // names and common prefixes together
}

// List is a page of names.
type List struct {
	Objects  []Object
	Prefixes []string // common ones
	Next     string   // where the next page begins (Query.After), "" at the end
}

// last is behind what begins with what it is added to, but for what goes on with it again: that is passed over by itself.
const last = "\U0010FFFF"

// Marker is where a next page begins as those write it who know no tokens: the
// last name, or the last common prefix, of this page.
func Marker(next string) string { return strings.TrimSuffix(next, last) }

// List lists objects by their names, in the order of their bytes.
func (s *Shelf) List(ctx context.Context, q Query) (l List, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		l = List{}
		if _, err := findBucket(tx, q.Bucket); err != nil {
			return err
		}
		return s.list(tx, q, &l)
	})
	return l, err
}

func (s *Shelf) list(tx *db.Tx, q Query, l *List) error {
	after, mark := q.After, ""
	if group, ok := q.group(after); ok && (after == group || strings.HasSuffix(after, last)) { // the last page ended with a common prefix
		mark, after = group, group+last
	}
	for {
		query, args := "SELECT "+objectColumns+" FROM shelf_objects WHERE bucket = ? AND name > ? AND (expires = 0 OR expires > ?)", []any{q.Bucket, after, s.config.Now().UnixMicro()}
		if q.Prefix != "" {
			query += " AND name >= ?"
			args = append(args, q.Prefix)
			if end := behind(q.Prefix); end != "" {
				query += " AND name < ?"
				args = append(args, end)
			}
		}
		page, err := db.All(tx, scanObject, query+" ORDER BY name LIMIT ?", append(args, q.Most+1)...)
		if err != nil {
			return err
		}
		skipped := false
		for _, o := range page {
			if !strings.HasPrefix(o.Key, q.Prefix) {
				continue
			}
			group, grouped := q.group(o.Key)
			if grouped && group == mark {
				continue
			}
			if len(l.Objects)+len(l.Prefixes) >= q.Most {
				l.Next = after
				return nil
			}
			if !grouped {
				l.Objects, after = append(l.Objects, o), o.Key
				continue
			}
			l.Prefixes, mark, after, skipped = append(l.Prefixes, group), group, group+last, true
			break // the rest of the group is passed over by the next query
		}
		if !skipped {
			if len(page) <= q.Most {
				return nil
			}
			after = page[len(page)-1].Key
		}
	}
}

// behind is the first name behind all that begin with a prefix, or "" where there is none.
func behind(prefix string) string {
	for prefix != "" {
		r, size := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-size]
		switch r {
		case utf8.MaxRune:
			continue
		case 0xD7FF: // what follows are no characters
			r = 0xE000
		default:
			r++
		}
		return prefix + string(r)
	}
	return ""
}

// group is what a name has in common with others, up to the delimiter behind the prefix.
func (q Query) group(name string) (string, bool) {
	if q.Delimiter == "" || !strings.HasPrefix(name, q.Prefix) {
		return "", false
	}
	i := strings.Index(name[len(q.Prefix):], q.Delimiter)
	if i < 0 {
		return "", false
	}
	return name[:len(q.Prefix)+i+len(q.Delimiter)], true
}
