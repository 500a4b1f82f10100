package logs

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/lang/logquery"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/word/fault"
)

// The bounds of a query.
const (
	mostQueried = 512 << 20 // bytes of log that it looks at
	mostAnswer  = 8 << 20   // bytes of its answer
	mostGroups  = 50
)

type queryInput struct {
	Group       string   `json:"logGroupName"`
	Groups      []string `json:"logGroupNames"`
	Identifiers []string `json:"logGroupIdentifiers"`
	Start       int64    `json:"startTime"` // seconds; milliseconds are understood, too
	End         int64    `json:"endTime"`
	Query       string   `json:"queryString"`
	Limit       int      `json:"limit"`
	Language    string   `json:"queryLanguage"`
}

// groups are the names that were given, in one of the three ways.
func (in *queryInput) groups(s *service) []string {
	all := slices.Clone(in.Groups)
	if in.Group != "" {
		all = append(all, in.Group)
	}
	for _, one := range in.Identifiers {
		all = append(all, s.nameOf(one))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (s *service) askQuery(c *wire.Call, in *queryInput) []iam.Request {
	var all []string
	for _, name := range in.groups(s) {
		all = append(all, s.resource(name, ""))
	}
	if len(all) == 0 {
		all = append(all, s.resource("", ""))
	}
	return c.Ask(all...)
}

type queryOutput struct {
	ID string `json:"queryId"`
}

// answer is what is kept of a query.
type answer struct {
	Rows    [][]logquery.Cell `json:"rows"`
	Matched int               `json:"matched"`
	Scanned int               `json:"scanned"`
	Bytes   int64             `json:"bytes"`
	Groups  int               `json:"groups"`
}

// startQuery answers a query at once, and keeps the answer until it is fetched.
func (s *service) startQuery(ctx context.Context, _ *wire.Call, in *queryInput) (*queryOutput, error) {
	ways := 0
	for _, is := range []bool{in.Group != "", in.Groups != nil, in.Identifiers != nil} {
		if is {
			ways++
		}
	}
	groups := in.groups(s)
	switch {
	case in.Language != "" && in.Language != "CWLI":
		return nil, fault.Invalid.Errorf("queryLanguage %s is not spoken here: CWLI is", in.Language)
	case ways != 1:
		return nil, fault.Invalid.Errorf("Exactly one of logGroupName, logGroupNames and logGroupIdentifiers is needed")
	case len(groups) == 0 || len(groups) > mostGroups:
		return nil, fault.Invalid.Errorf("a query is about 1 to %d log groups", mostGroups)
	case in.End < in.Start:
		return nil, wire.Errorf("MalformedQueryException", "End time should not be before start time")
	}
	for _, name := range groups {
		if _, err := s.find(ctx, named{Group: name}); err != nil {
			return nil, err
		}
	}
	q, err := logquery.Parse(in.Query)
	if err != nil {
		return nil, wire.Errorf("MalformedQueryException", "%v", err)
	}
	select { // one after the other: they take much of the machine
	case s.queries <- struct{}{}:
		defer func() { <-s.queries }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	a, err := s.answer(ctx, q, in, groups)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(a, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return nil, err
	}
	if len(body) > mostAnswer {
		return nil, fault.Limit.Errorf("the answer has more than %d bytes: limit it, or ask for less of each event", mostAnswer)
	}
	id := bus.ID()
	return &queryOutput{id}, s.Work.KeepAnswer(ctx, id, body)
}

// seconds reads a time in seconds, or in milliseconds where it could be nothing else.
func seconds(n int64, last bool) time.Time {
	switch {
	case n > 1e11:
		return time.UnixMilli(n)
	case last: // the whole second counts
		return time.Unix(n, 0).Add(time.Second - time.Microsecond)
	}
	return time.Unix(n, 0)
}

// answer goes through the events from the newest to the oldest, as far as the query needs them.
func (s *service) answer(ctx context.Context, q *logquery.Query, in *queryInput, groups []string) (*answer, error) {
	run := q.Run(cmp.Or(in.Limit, mostEvents))
	a := &answer{Groups: len(groups)}
	pieces := work.MarkQuery{Groups: groups, Since: seconds(in.Start, false), Until: seconds(in.End, true), Descending: true, Limit: groupBatch}
	more := true
	for more {
		marks, err := s.Work.Marks(ctx, pieces)
		if err != nil {
			return nil, err
		}
		for _, m := range marks {
			if a.Bytes += m.Size; a.Bytes > mostQueried {
				return nil, fault.Limit.Errorf("the query would look at more than %d bytes of log: name a shorter time, or fewer groups", mostQueried)
			}
			text, err := s.piece(ctx, m)
			if err != nil {
				return nil, err
			}
			for _, start := range slices.Backward(starts(text)) {
				line, _, _ := bytes.Cut(text[start:], []byte("\n"))
				a.Scanned++
				if more = run.Add(s.lookup(m, m.Start+int64(start), line)); !more {
					break
				}
			}
			if !more {
				break
			}
		}
		if len(marks) < pieces.Limit {
			break
		}
		last := marks[len(marks)-1]
		last.Start-- // before it
		pieces.From = &last
	}
	var err error
	a.Matched = run.Matched()
	a.Rows, err = run.Rows()
	return a, err
}

// lookup is an event as a query sees it: what every event has, and what one that is JSON says itself.
func (s *service) lookup(m work.Mark, at int64, line []byte) logquery.Lookup {
	line = bytes.TrimSuffix(line, []byte("\r"))
	var fields map[string]any
	read := false
	return func(name string) (string, bool) {
		switch name {
		case "@message":
			return string(line), true
		case "@timestamp", "@ingestionTime":
			return logquery.Time(m.At), true
		case "@logStream":
			return m.Name, true
		case "@log":
			return s.Account + ":" + m.Group, true
		case "@ptr":
			return token(pointer{m.Group, m.Name, m.Start, at}), true
		}
		if !read {
			read = true
			if text := bytes.TrimSpace(line); len(text) > 0 && text[0] == '{' {
				_ = json.Unmarshal(text, &fields, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) // what is no JSON has no fields
			}
		}
		return within(fields, name)
	}
}

// within is what JSON has under a name, in which dots lead inwards.
func within(fields map[string]any, name string) (string, bool) {
	if v, ok := fields[name]; ok {
		return written(v)
	}
	for i := range len(name) {
		if name[i] != '.' {
			continue
		}
		var inner map[string]any
		switch v := fields[name[:i]].(type) {
		case map[string]any:
			inner = v
		case []any:
			index, rest, deeper := strings.Cut(name[i+1:], ".")
			n, err := strconv.Atoi(index)
			if err != nil || n < 0 || n >= len(v) {
				return "", false
			}
			if !deeper {
				return written(v[n])
			}
			inner, _ = v[n].(map[string]any)
			return within(inner, rest)
		}
		if text, ok := within(inner, name[i+1:]); ok {
			return text, true
		}
	}
	return "", false
}

func written(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", false
	case string:
		return v, true
	}
	text, err := json.Marshal(v, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	return string(text), err == nil
}

type resultsInput struct {
	ID        string `json:"queryId"`
	NextToken string `json:"nextToken"`
	Most      int    `json:"maxItems"`
}

type resultField struct {
	Field string `json:"field"`
	Value string `json:"value"`
}

type resultsOutput struct {
	Language   string          `json:"queryLanguage"`
	Results    [][]resultField `json:"results"`
	Statistics struct {
		Matched int   `json:"recordsMatched"`
		Scanned int   `json:"recordsScanned"`
		Bytes   int64 `json:"bytesScanned"`
		Groups  int   `json:"logGroupsScanned"`
	} `json:"statistics"`
	Status    string `json:"status"`
	NextToken string `json:"nextToken,omitzero"`
}

func (s *service) queryResults(ctx context.Context, _ *wire.Call, in *resultsInput) (*resultsOutput, error) {
	body, err := s.Work.Answer(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	var a answer
	if err := json.Unmarshal(body, &a, jsontext.AllowInvalidUTF8(true)); err != nil {
		return nil, err
	}
	from := 0
	if in.NextToken != "" {
		if err := untoken(in.NextToken, &from); err != nil || from < 0 || from > len(a.Rows) {
			return nil, fault.Invalid.Errorf("The specified nextToken is invalid.")
		}
	}
	out := &resultsOutput{Language: "CWLI", Results: [][]resultField{}, Status: "Complete"}
	out.Statistics.Matched, out.Statistics.Scanned, out.Statistics.Bytes, out.Statistics.Groups = a.Matched, a.Scanned, a.Bytes, a.Groups
	to := len(a.Rows)
	if in.Most > 0 && from+in.Most < to {
		to = from + in.Most
		out.NextToken = token(to)
	}
	for _, row := range a.Rows[from:to] {
		fields := []resultField{}
		for _, c := range row {
			fields = append(fields, resultField(c))
		}
		out.Results = append(out.Results, fields)
	}
	return out, nil
}

// pointer says where an event is: @ptr.
type pointer struct {
	Group  string `json:"g"`
	Stream string `json:"n"`
	Piece  int64  `json:"p"`
	At     int64  `json:"a"`
}

type recordInput struct {
	Pointer string `json:"logRecordPointer"`
}

func (s *service) askRecord(c *wire.Call, in *recordInput) []iam.Request {
	var p pointer
	_ = untoken(in.Pointer, &p) // it is read once more when it is answered
	return c.Ask(s.resource(p.Group, p.Stream))
}

type recordOutput struct {
	Record map[string]string `json:"logRecord"`
}

// record is all of one event: what every event has, and the fields of JSON.
func (s *service) record(ctx context.Context, _ *wire.Call, in *recordInput) (*recordOutput, error) {
	var p pointer
	if err := untoken(in.Pointer, &p); err != nil {
		return nil, fault.Invalid.Errorf("The specified logRecordPointer is invalid.")
	}
	gone := fault.NotFound.Errorf("The log record is not kept any more.")
	stream, err := s.stream(ctx, p.Group, p.Stream)
	if err != nil {
		return nil, err
	}
	marks, err := s.Work.Marks(ctx, work.MarkQuery{Stream: stream.ID, Beyond: p.At, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(marks) == 0 {
		return nil, gone
	}
	m := marks[0]
	text, err := s.piece(ctx, m)
	if err != nil {
		return nil, err
	}
	var found []byte
	lines(m, text, func(e event) bool {
		if e.at == p.At {
			found = bytes.TrimSuffix(e.text, []byte("\n"))
		}
		return found == nil
	})
	if found == nil {
		return nil, gone
	}
	look, out := s.lookup(m, p.At, found), &recordOutput{map[string]string{"@timestamp": strconv.FormatInt(millis(m.At), 10), "@ingestionTime": strconv.FormatInt(millis(m.At), 10)}}
	for _, name := range []string{"@message", "@logStream", "@log", "@ptr"} {
		out.Record[name], _ = look(name)
	}
	var fields map[string]any
	if json.Unmarshal(found, &fields, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) == nil {
		flatten(out.Record, "", fields)
	}
	return out, nil
}

// mostFields is how many fields of JSON are told of one event.
const mostFields = 200

func flatten(into map[string]string, prefix string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, one := range v {
			flatten(into, prefix+name+".", one)
		}
	case []any:
		for i, one := range v {
			flatten(into, prefix+strconv.Itoa(i)+".", one)
		}
	default:
		if text, ok := written(v); ok && len(into) < mostFields {
			into[strings.TrimSuffix(prefix, ".")] = text
		}
	}
}
