package logs

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/lang/logfilter"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/word/fault"
)

// An event is a line, as CodeBuild's are: with the end of the line. Its time is that of the piece which it was kept
// in; where it stands in its stream is what tells it from others.
type event struct {
	mark work.Mark // the piece
	at   int64     // where the line begins in the stream
	text []byte
}

// The bounds of a page of events.
const (
	mostEvents = 10_000
	mostBytes  = 1 << 20
	mostLooked = 32 << 20 // that a filter looks at, whether they match or not
	mostPieces = 8192     // likewise
	batch      = 64       // pieces of a stream that are asked for at once; those of a group are sorted for it
	groupBatch = 4096
)

// lines gives the events of a piece to take, in order, until take is false.
func lines(m work.Mark, text []byte, take func(event) bool) bool {
	at := m.Start
	for len(text) > 0 {
		n := bytes.IndexByte(text, '\n') + 1
		if n == 0 {
			n = len(text)
		}
		if !take(event{m, at, text[:n]}) {
			return false
		}
		at, text = at+int64(n), text[n:]
	}
	return true
}

// piece is the text of a piece; one that is kept no more is empty.
func (s *service) piece(ctx context.Context, m work.Mark) ([]byte, error) {
	text, err := s.Work.Piece(ctx, m)
	if errors.Is(err, fault.NotFound) {
		return nil, nil
	}
	return text, err
}

type getInput struct {
	named
	Stream    string `json:"logStreamName"`
	Start     *int64 `json:"startTime"` // the first that counts
	End       *int64 `json:"endTime"`   // the first that does not count any more
	NextToken string `json:"nextToken"`
	Limit     int    `json:"limit"`
	FromHead  bool   `json:"startFromHead"`
}

func (s *service) askEvents(c *wire.Call, in *getInput) []iam.Request {
	return c.Ask(s.resource(s.name(in.named), in.Stream))
}

type eventOutput struct {
	Time     int64  `json:"timestamp"`
	Message  string `json:"message"`
	Ingested int64  `json:"ingestionTime"`
}

type getOutput struct {
	Events   []eventOutput `json:"events"`
	Forward  string        `json:"nextForwardToken"`
	Backward string        `json:"nextBackwardToken"`
}

// place reads a token of GetLogEvents: which way it goes, and from where in the stream.
func place(token string) (forward bool, at int64, err error) {
	way, number, _ := strings.Cut(token, "/")
	number, end, ok := strings.Cut(number, "/")
	at, wrong := strconv.ParseInt(number, 10, 64)
	if wrong != nil || at < 0 || !ok || end != "s" || way != "f" && way != "b" {
		return false, 0, fault.Invalid.Errorf("The specified nextToken is invalid.")
	}
	return way == "f", at, nil
}

// getEvents gives a page of a stream. A page knows where those before and after it are, also where there is
// nothing yet: at the end the same token comes back.
func (s *service) getEvents(ctx context.Context, _ *wire.Call, in *getInput) (*getOutput, error) {
	group, err := s.find(ctx, in.named)
	if err != nil {
		return nil, err
	}
	stream, err := s.stream(ctx, group, in.Stream)
	if err != nil {
		return nil, err
	}
	q := work.MarkQuery{Stream: stream.ID, Limit: batch}
	if in.Start != nil {
		q.Since = time.UnixMilli(*in.Start)
	}
	if in.End != nil {
		q.Until = time.UnixMilli(*in.End).Add(-time.Microsecond)
	}
	forward, at := in.FromHead, int64(0)
	if !forward {
		at = stream.Size
	}
	if in.NextToken != "" {
		if forward, at, err = place(in.NextToken); err != nil {
			return nil, err
		}
	}
	read := s.backward
	if forward {
		read = s.forward
	}
	events, err := read(ctx, q, at, cmp.Or(in.Limit, mostEvents))
	if err != nil {
		return nil, err
	}
	out, from, to := &getOutput{Events: []eventOutput{}}, at, at
	for i, e := range events {
		if i == 0 {
			from = e.at
		}
		to = e.at + int64(len(e.text))
		out.Events = append(out.Events, eventOutput{millis(e.mark.At), string(e.text), millis(e.mark.At)})
	}
	out.Forward, out.Backward = fmt.Sprintf("f/%056d/s", to), fmt.Sprintf("b/%056d/s", from)
	return out, nil
}

// forward gives the events of a stream from a place on.
func (s *service) forward(ctx context.Context, q work.MarkQuery, at int64, limit int) (all []event, err error) {
	size := 0
	for q.Beyond = at; ; {
		marks, err := s.Work.Marks(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, m := range marks {
			text, err := s.piece(ctx, m)
			if err != nil {
				return nil, err
			}
			if !lines(m, text, func(e event) bool {
				if e.at < at {
					return true
				}
				if size += len(e.text); len(all) == limit || size > mostBytes && len(all) > 0 {
					return false
				}
				all = append(all, e)
				return true
			}) {
				return all, nil
			}
			q.Beyond = m.Start + m.Size
		}
		if len(marks) < q.Limit {
			return all, nil
		}
	}
}

// backward gives the last events of a stream before a place, in their order.
func (s *service) backward(ctx context.Context, q work.MarkQuery, at int64, limit int) (all []event, err error) {
	size := 0
	for q.Before, q.Descending = at, true; q.Before > 0; {
		marks, err := s.Work.Marks(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, m := range marks {
			text, err := s.piece(ctx, m)
			if err != nil {
				return nil, err
			}
			for _, start := range slices.Backward(starts(text)) {
				line, _, _ := bytes.Cut(text[start:], []byte("\n"))
				e := event{m, m.Start + int64(start), text[start:min(start+len(line)+1, len(text))]}
				if e.at >= at {
					continue
				}
				if size += len(e.text); len(all) == limit || size > mostBytes && len(all) > 0 {
					slices.Reverse(all)
					return all, nil
				}
				all = append(all, e)
			}
			q.Before = m.Start
		}
		if len(marks) < q.Limit {
			break
		}
	}
	slices.Reverse(all)
	return all, nil
}

// starts is where the lines of a piece begin.
func starts(text []byte) (all []int) {
	for at := 0; at < len(text); {
		all = append(all, at)
		n := bytes.IndexByte(text[at:], '\n')
		if n < 0 {
			break
		}
		at += n + 1
	}
	return all
}

type filterInput struct {
	named
	Names     []string `json:"logStreamNames"`
	Prefix    string   `json:"logStreamNamePrefix"`
	Start     *int64   `json:"startTime"`
	End       *int64   `json:"endTime"` // the last that counts
	Pattern   string   `json:"filterPattern"`
	NextToken string   `json:"nextToken"`
	Limit     int      `json:"limit"`
}

type filteredEvent struct {
	Stream   string `json:"logStreamName"`
	Time     int64  `json:"timestamp"`
	Message  string `json:"message"`
	Ingested int64  `json:"ingestionTime"`
	ID       string `json:"eventId"`
}

type filterOutput struct {
	Events    []filteredEvent `json:"events"`
	Searched  []struct{}      `json:"searchedLogStreams"` // CloudWatch Logs says nothing here any more
	NextToken string          `json:"nextToken,omitzero"`
}

// eventPlace is where the next page of a group's events begins.
type eventPlace struct {
	Time   int64  `json:"t"` // microseconds
	Stream string `json:"s"`
	Piece  int64  `json:"p"`
	At     int64  `json:"a"`
}

func (p eventPlace) mark() *work.Mark {
	return &work.Mark{At: time.UnixMicro(p.Time), Stream: p.Stream, Start: p.Piece}
}

// id is a number of 56 digits that no other event has: its time, its stream and its place.
func (e event) id() string {
	h := fnv.New64a()
	h.Write([]byte(e.mark.Stream))
	return fmt.Sprintf("%013d%020d%023d", millis(e.mark.At), h.Sum64(), e.at)
}

// filterEvents gives the events of a group that a pattern matches, those of all streams in the order of time.
func (s *service) filterEvents(ctx context.Context, _ *wire.Call, in *filterInput) (*filterOutput, error) {
	q, err := s.query(ctx, in)
	if err != nil {
		return nil, err
	}
	filter, err := logfilter.Parse(in.Pattern)
	if err != nil {
		return nil, err
	}
	from := eventPlace{At: -1}
	if in.NextToken != "" {
		if err := untoken(in.NextToken, &from); err != nil {
			return nil, err
		}
		q.From = from.mark()
	}
	out := &filterOutput{Events: []filteredEvent{}, Searched: []struct{}{}}
	limit, size := cmp.Or(in.Limit, mostEvents), 0
	next, err := s.each(ctx, q, from, func(e event) bool {
		if !filter.Match(e.text) {
			return true
		}
		if size += len(e.text); len(out.Events) == limit || size > mostBytes && len(out.Events) > 0 {
			return false
		}
		out.Events = append(out.Events, filteredEvent{e.mark.Name, millis(e.mark.At), string(e.text), millis(e.mark.At), e.id()})
		return true
	})
	if next != nil {
		out.NextToken = token(next)
	}
	return out, err
}

// query is which pieces a filter is to look at.
func (s *service) query(ctx context.Context, in *filterInput) (q work.MarkQuery, err error) {
	q = work.MarkQuery{Names: in.Names, Prefix: in.Prefix, Limit: groupBatch}
	if q.Names != nil && q.Prefix != "" {
		return q, fault.Invalid.Errorf("logStreamNamePrefix and logStreamNames are mutually exclusive parameters.")
	}
	if q.Group, err = s.find(ctx, in.named); err != nil {
		return q, err
	}
	for _, name := range in.Names {
		if _, err := s.stream(ctx, q.Group, name); err != nil {
			return q, err
		}
	}
	if in.Start != nil {
		q.Since = time.UnixMilli(*in.Start)
	}
	if in.End != nil {
		q.Until = time.UnixMilli(*in.End).Add(time.Millisecond - time.Microsecond)
	}
	return q, nil
}

// each gives the events of pieces to take, from a place on, until take is false or enough was looked at; next is
// where to go on then.
func (s *service) each(ctx context.Context, q work.MarkQuery, from eventPlace, take func(event) bool) (next *eventPlace, err error) {
	looked, pieces := int64(0), 0
	for {
		marks, err := s.Work.Marks(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, m := range marks {
			place := eventPlace{m.At.UnixMicro(), m.Stream, m.Start, m.Start}
			if looked, pieces = looked+m.Size, pieces+1; pieces > 1 && (looked > mostLooked || pieces > mostPieces) {
				return &place, nil
			}
			text, err := s.piece(ctx, m)
			if err != nil {
				return nil, err
			}
			within := m.Stream == from.Stream && m.Start == from.Piece
			if !lines(m, text, func(e event) bool {
				place.At = e.at
				return within && e.at < from.At || take(e)
			}) {
				return &place, nil
			}
		}
		if len(marks) < q.Limit {
			return nil, nil
		}
		last := marks[len(marks)-1]
		last.Start++ // after it
		q.From = &last
	}
}

type testInput struct {
	Pattern  string   `json:"filterPattern"`
	Messages []string `json:"logEventMessages"`
}

type match struct {
	Number  int               `json:"eventNumber"`
	Message string            `json:"eventMessage"`
	Values  map[string]string `json:"extractedValues"`
}

type testOutput struct {
	Matches []match `json:"matches"`
}

func (s *service) testFilter(_ context.Context, _ *wire.Call, in *testInput) (*testOutput, error) {
	filter, err := logfilter.Parse(in.Pattern)
	if err != nil {
		return nil, err
	}
	out := &testOutput{Matches: []match{}}
	for i, message := range in.Messages {
		if text := []byte(message); filter.Match(text) {
			out.Matches = append(out.Matches, match{i + 1, message, filter.Values(text)})
		}
	}
	return out, nil
}
