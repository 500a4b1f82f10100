package route

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/word/finding"
)

// digest is what a message tells, whatever it looks like in the end: topics,
// the worst first, and what else happened.
type digest struct {
	topics []*topic
	notes  []note
	opened int // findings
	closed int
	labels [len(finding.Labels)]int // opened ones
}

// topic is what belongs together: the same problem in the same place.
type topic struct {
	group   string
	title   string
	label   finding.Label // the worst
	opened  int
	closed  int
	where   []string // some of the places
	account string
	region  string
	advice  string
	url     string // more about the problem
	link    string // the finding in the console
}

// note is an event that is no finding, or that its rule makes a text of.
type note struct {
	title string
	text  string
	bad   bool   // something failed
	link  string // more about it in the console
}

// gather makes a digest of the items of a delivery.
func gather(items []Item, env *Env) digest {
	var d digest
	byGroup := map[string]*topic{}
	for i := range items {
		item := &items[i]
		f, ok := item.Finding()
		if !ok || item.Shaped {
			d.notes = append(d.notes, noteOf(item, env.Page))
			continue
		}
		group := cmp.Or(item.Group, groupOf(&f))
		t := byGroup[group]
		if t == nil {
			t = &topic{group: group}
			byGroup[group] = t
			d.topics = append(d.topics, t)
		}
		t.add(&f, item.Told, env.Link)
		if item.Told == Closed {
			d.closed++
			continue
		}
		d.opened++
		d.labels[f.Label().Rank()]++
	}
	slices.SortStableFunc(d.topics, func(a, b *topic) int {
		return cmp.Or(cmp.Compare(b.rank(), a.rank()), cmp.Compare(b.opened, a.opened))
	})
	return d
}

// rank puts what is only closed last.
func (t *topic) rank() int {
	if t.opened == 0 {
		return -1
	}
	return t.label.Rank()
}

// places is how many places of a topic a message names.
const places = 3

func (t *topic) add(f *finding.Finding, told News, link func(*finding.Finding) string) {
	if told == Closed {
		t.closed++
	} else {
		t.opened++
	}
	if f.Label().Rank() > t.label.Rank() || t.title == "" {
		t.title, t.label = f.Title, f.Label()
		t.account, t.region = f.AccountID, f.Region
		t.link = link(f)
		t.advice, t.url = "", ""
		if f.Remediation != nil && f.Remediation.Recommendation != nil {
			t.advice, t.url = f.Remediation.Recommendation.Text, f.Remediation.Recommendation.URL
		}
	}
	if where := f.Where(); where != "" && len(t.where) < places && !slices.Contains(t.where, where) {
		t.where = append(t.where, where)
	}
}

// count is how many findings a topic is about, in words.
func (t *topic) count() string {
	switch {
	case t.opened == 0 && t.closed == 1:
		return "resolved"
	case t.opened == 0:
		return fmt.Sprintf("%d resolved", t.closed)
	case t.closed > 0:
		return fmt.Sprintf("%d new, %d resolved", t.opened, t.closed)
	case t.opened > 1:
		return fmt.Sprintf("× %d", t.opened)
	}
	return ""
}

// headline says in one line what there is, for people and for screens that show nothing more.
func (d *digest) headline() string {
	var parts []string
	if d.opened > 0 {
		parts = append(parts, plural(d.opened, "new finding")+d.severities())
	}
	if d.closed > 0 {
		parts = append(parts, fmt.Sprintf("%d resolved", d.closed))
	}
	switch {
	case len(parts) == 0 && len(d.notes) == 1:
		return d.notes[0].title
	case len(d.notes) > 0:
		parts = append(parts, plural(len(d.notes), "event"))
	}
	return strings.Join(parts, ", ")
}

// severities is ": 2 critical, 3 high", or nothing if there is only one finding.
func (d *digest) severities() string {
	if d.opened == 1 && len(d.topics) == 1 {
		return ": " + string(d.topics[0].label) + " " + d.topics[0].title
	}
	var parts []string
	for i := len(d.labels) - 1; i >= 0; i-- {
		if n := d.labels[i]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, strings.ToLower(string(finding.Labels[i]))))
		}
	}
	return ": " + strings.Join(parts, ", ")
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// noteOf says an event that is no finding.
func noteOf(item *Item, page func(string) string) note {
	e := item.Event
	n := note{title: e.Type}
	if e.ReplayName != "" {
		n.title += " (replayed)"
	}
	if item.Shaped {
		n.text = plain(item.Input)
		return n
	}
	if f, ok := item.Finding(); ok {
		n.text = string(f.Label()) + " " + f.Title + " · " + f.Where()
		return n
	}
	if run, ok := runNote(e, page); ok {
		return run
	}
	n.text = e.Source + " " + excerpt(string(e.Detail))
	return n
}
