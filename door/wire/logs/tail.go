package logs

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/lang/logfilter"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/word/fault"
)

// The bounds of a session of Live Tail.
const (
	mostTold    = 500 // events a second; above it, some are left out, and it is said
	longestTail = 3 * time.Hour
	mostTails   = 15
	mostMarks   = 10_000
	apart       = 10 * time.Second // that the clocks of nodes may be: so far back a look goes for what is new
)

type tailInput struct {
	Groups   []string `json:"logGroupIdentifiers"`
	Names    []string `json:"logStreamNames"`
	Prefixes []string `json:"logStreamNamePrefixes"`
	Pattern  string   `json:"logEventFilterPattern"`
}

type tailStart struct {
	Request  string   `json:"requestId"`
	Session  string   `json:"sessionId"`
	Groups   []string `json:"logGroupIdentifiers"`
	Names    []string `json:"logStreamNames,omitzero"`
	Prefixes []string `json:"logStreamNamePrefixes,omitzero"`
	Pattern  string   `json:"logEventFilterPattern"`
}

type tailUpdate struct {
	About struct {
		Sampled bool `json:"sampled"`
	} `json:"sessionMetadata"`
	Events []tailEvent `json:"sessionResults"`
}

type tailEvent struct {
	Stream   string `json:"logStreamName"`
	Group    string `json:"logGroupIdentifier"`
	Message  string `json:"message"`
	Time     int64  `json:"timestamp"`
	Ingested int64  `json:"ingestionTime"`
}

func (s *service) askTail(c *wire.Call, in *tailInput) []iam.Request {
	var all []string
	for _, one := range in.Groups {
		all = append(all, s.resource(s.nameOf(one), ""))
	}
	return c.Ask(all...)
}

// tail says each second what was logged to some groups, from now on.
func (s *service) tail(ctx context.Context, c *wire.Call, in *tailInput) (func(context.Context, wire.Send) error, error) {
	switch {
	case len(in.Names)+len(in.Prefixes) > 0 && len(in.Groups) > 1:
		return nil, fault.Invalid.Errorf("logStreamNames and logStreamNamePrefixes are for one log group alone")
	case len(in.Names) > 0 && len(in.Prefixes) > 0:
		return nil, fault.Invalid.Errorf("logStreamNames and logStreamNamePrefixes are mutually exclusive parameters.")
	}
	if s.tails.Load() >= mostTails {
		return nil, fault.Limit.Errorf("there are %d sessions of Live Tail already", mostTails)
	}
	t := &tailing{service: s, in: in}
	var err error
	if t.filter, err = logfilter.Parse(in.Pattern); err != nil {
		return nil, err
	}
	for _, one := range in.Groups {
		group, err := s.find(ctx, named{Identifier: one})
		if err != nil {
			return nil, err
		}
		f := &following{q: work.MarkQuery{Group: group, Names: in.Names, Since: s.Now().Add(-apart), Limit: mostMarks}, told: map[string]int64{}}
		if _, err := f.news(ctx, s.Work); err != nil {
			return nil, err
		}
		t.groups = append(t.groups, f)
	}
	start := tailStart{c.RequestID, rand.Text(), []string{}, in.Names, in.Prefixes, in.Pattern}
	for _, f := range t.groups {
		start.Groups = append(start.Groups, s.Account+":"+f.q.Group)
	}
	return func(ctx context.Context, send wire.Send) error {
		s.tails.Add(1)
		defer s.tails.Add(-1)
		if err := send("sessionStart", start); err != nil {
			return err
		}
		return t.run(ctx, send)
	}, nil
}

// tailing is a session.
type tailing struct {
	*service
	in     *tailInput
	filter *logfilter.Filter
	groups []*following
}

// following is what of a group was told.
type following struct {
	q    work.MarkQuery
	told map[string]int64 // of streams: up to where
}

// news are the pieces that are new.
func (f *following) news(ctx context.Context, w *work.Work) ([]work.Mark, error) {
	marks, err := w.Marks(ctx, f.q)
	if err != nil {
		return nil, err
	}
	var fresh []work.Mark
	for _, m := range marks {
		if m.Start >= f.told[m.Stream] {
			fresh = append(fresh, m)
			f.told[m.Stream] = m.Start + m.Size
		}
		if since := m.At.Add(-apart); since.After(f.q.Since) {
			f.q.Since = since
		}
	}
	return fresh, nil
}

func (t *tailing) run(ctx context.Context, send wire.Send) error {
	ctx, cancel := context.WithTimeout(ctx, longestTail)
	defer cancel()
	for {
		update, err := t.news(ctx)
		if err == nil {
			err = send("sessionUpdate", update)
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return wire.Errorf("SessionTimeoutException", "a session lasts %d hours at most", int(longestTail.Hours()))
		case <-time.After(time.Second):
		}
	}
}

// news is what was logged since the last time.
func (t *tailing) news(ctx context.Context) (*tailUpdate, error) {
	u := &tailUpdate{Events: []tailEvent{}}
	for _, f := range t.groups {
		fresh, err := f.news(ctx, t.Work)
		if err != nil {
			return nil, err
		}
		for _, m := range fresh {
			if !t.wanted(m.Name) {
				continue
			}
			if len(u.Events) == mostTold {
				u.About.Sampled = true
				break
			}
			text, err := t.piece(ctx, m)
			if err != nil {
				return nil, err
			}
			lines(m, text, func(e event) bool {
				switch {
				case !t.filter.Match(e.text):
				case len(u.Events) == mostTold:
					u.About.Sampled = true
					return false
				default:
					u.Events = append(u.Events, tailEvent{m.Name, t.Account + ":" + f.q.Group, string(e.text), millis(m.At), millis(m.At)})
				}
				return true
			})
		}
	}
	return u, nil
}

func (t *tailing) wanted(stream string) bool {
	return len(t.in.Prefixes) == 0 || slices.ContainsFunc(t.in.Prefixes, func(p string) bool { return strings.HasPrefix(stream, p) })
}
