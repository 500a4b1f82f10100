package route

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/lang/match"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
)

// Entry is an event as a caller puts it on a bus. Its JSON is EventBridge's.
type Entry struct {
	Time      time.Time `json:"Time,omitzero"`
	Source    string    `json:"Source,omitzero"`
	Resources []string  `json:"Resources,omitzero"`
	Type      string    `json:"DetailType,omitzero"`
	Detail    string    `json:"Detail,omitzero"` // the text of a JSON object
	Bus       string    `json:"EventBusName,omitzero"`
	Trace     string    `json:"TraceHeader,omitzero"`
}

// Put is what became of one entry: an event's id, or why not.
type Put struct {
	EventID string `json:"EventId,omitzero"`
	Code    string `json:"ErrorCode,omitzero"`
	Message string `json:"ErrorMessage,omitzero"`
}

const (
	mostEntries = 10
	mostBytes   = 256 << 10
	deepest     = 1000
)

// size is what an entry counts towards the limit.
func (e *Entry) size() int {
	n := len(e.Source) + len(e.Type) + len(e.Detail)
	if !e.Time.IsZero() {
		n += 14
	}
	for _, r := range e.Resources {
		n += len(r)
	}
	return n
}

// check tells why an entry cannot be put, if so.
func (e *Entry) check() Put {
	bad := func(code, format string, a ...any) Put {
		return Put{Code: code, Message: fault.Invalid.Errorf(format, a...).Error()}
	}
	switch {
	case e.Source == "":
		return bad("InvalidArgument", "Parameter Source is not valid. Reason: Source is a required argument.")
	case e.Type == "":
		return bad("InvalidArgument", "Parameter DetailType is not valid. Reason: DetailType is a required argument.")
	case e.Detail == "":
		return bad("InvalidArgument", "Parameter Detail is not valid. Reason: Detail is a required argument.")
	case len(e.Source) > 256:
		return bad("InvalidArgument", "Source is longer than 256 characters.")
	case len(e.Type) > 128:
		return bad("InvalidArgument", "DetailType is longer than 128 characters.")
	case strings.HasPrefix(e.Source, "aws."):
		return bad("NotAuthorizedForSourceException", "Not authorized for the source.")
	}
	for _, text := range append([]string{e.Source, e.Type}, e.Resources...) {
		if !utf8.ValidString(text) {
			return bad("InvalidArgument", "a text is not UTF-8")
		}
	}
	if y := e.Time.Year(); !e.Time.IsZero() && (y < 1970 || y > 9999) {
		return bad("InvalidArgument", "Time is not within the years 1970 to 9999.")
	}
	if err := checkDetail([]byte(e.Detail)); err != nil {
		return bad("MalformedDetail", "Detail is malformed: %v.", err)
	}
	return Put{}
}

// checkDetail refuses what is not a JSON object, is deeper than 1,000 levels
// or holds an integer beyond 64 bits.
func checkDetail(text []byte) error {
	d := jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true))
	if d.PeekKind() != '{' {
		return errors.New("it is not a JSON object")
	}
	for {
		token, err := d.ReadToken()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return errors.New(strings.TrimPrefix(err.Error(), "jsontext: "))
		}
		if d.StackDepth() > deepest {
			return errors.New("it is nested deeper than 1,000 levels")
		}
		if token.Kind() == '0' {
			if err := checkInteger(token.String()); err != nil {
				return err
			}
		}
		if d.StackDepth() == 0 && (token.Kind() == '}') {
			if rest := bytes.TrimSpace(text[d.InputOffset():]); len(rest) > 0 {
				return errors.New("something follows the object")
			}
			return nil
		}
	}
}

func checkInteger(number string) error {
	if strings.ContainsAny(number, ".eE") {
		if f, err := strconv.ParseFloat(number, 64); err != nil || math.IsInf(f, 0) {
			return errors.New("the number " + excerpt(number) + " is too large")
		}
		return nil
	}
	if _, err := strconv.ParseInt(number, 10, 64); err != nil {
		return errors.New("the integer " + clip(number, 40) + " does not fit in 64 bits")
	}
	return nil
}

// PutEvents puts events on their buses, each for itself: the answers are in
// the order of the entries. allow, if not nil, tells whether the caller may put
// events on a bus. The whole call fails if it is too large or says nothing at all.
func (r *Router) PutEvents(ctx context.Context, account string, entries []Entry, allow func(EventBus) error) ([]Put, error) {
	if err := checkCall(entries); err != nil {
		return nil, err
	}
	puts := make([]Put, len(entries))
	err := r.db.Write(ctx, func(tx *db.Tx) error {
		var events []event.Event
		for i := range entries {
			e, put := r.accept(tx, account, &entries[i], allow)
			if puts[i] = put; put.Code == "" {
				events = append(events, e)
			}
		}
		return r.config.Bus.Publish(tx, events...)
	})
	return puts, err
}

func checkCall(entries []Entry) error {
	if len(entries) < 1 || len(entries) > mostEntries {
		return fault.Invalid.Errorf("PutEvents takes 1 to %d entries, not %d", mostEntries, len(entries))
	}
	size, said := 0, false
	for i := range entries {
		size += entries[i].size()
		said = said || entries[i].Source != "" && entries[i].Type != "" && entries[i].Detail != ""
	}
	if size > mostBytes {
		return fault.Invalid.Errorf("Total size of the entries in the request is over the limit.")
	}
	if !said {
		return fault.Invalid.Errorf("no entry has a Source, a DetailType and a Detail")
	}
	return nil
}

func (r *Router) accept(tx *db.Tx, account string, entry *Entry, allow func(EventBus) error) (event.Event, Put) {
	if put := entry.check(); put.Code != "" {
		return event.Event{}, put
	}
	name := busName(entry.Bus)
	b, err := readBus(tx, name)
	if err == nil && strings.HasPrefix(entry.Bus, "arn:") && entry.Bus != r.BusARN(name) {
		err = fault.NotFound.Errorf("Event bus %s does not exist.", entry.Bus)
	}
	if err != nil {
		if fault.Of(err) == fault.NotFound {
			return event.Event{}, Put{Code: "InvalidArgument", Message: err.Error()}
		}
		return event.Event{}, Put{Code: "InternalFailure", Message: "Internal failure."}
	}
	if allow != nil {
		b.ARN = r.BusARN(name)
		if err := allow(b); err != nil {
			return event.Event{}, Put{Code: "AccessDeniedException", Message: err.Error()}
		}
	}
	detail := jsontext.Value(entry.Detail)
	if !detail.IsValid() {
		return event.Event{}, Put{Code: "MalformedDetail", Message: "Detail is malformed: a name is said twice in one object, or a text is not UTF-8."}
	}
	e := event.Event{ID: bus.ID(), Type: entry.Type, Source: entry.Source, Account: account, Region: r.config.Region, Time: entry.Time, Resources: entry.Resources, Detail: detail, Bus: name}
	if e.Time.IsZero() {
		e.Time = r.config.Now()
	}
	return e, Put{EventID: e.ID}
}

// TestPattern tells whether a pattern matches an event, and why.
func TestPattern(pattern, text string) (match.Reason, error) {
	p, err := parsePattern(pattern)
	if err != nil {
		return match.Reason{}, err
	}
	if err := match.Check([]byte(text)); err != nil {
		return match.Reason{}, fault.Invalid.Errorf("the event is not valid: %w", err)
	}
	for _, name := range []string{"id", "account", "source", "time", "region", "resources", "detail-type"} {
		if (path{{name: name}}).find(jsontext.Value(text)) == nil {
			return match.Reason{}, fault.Invalid.Errorf("the event has no %q", name)
		}
	}
	return p.Why([]byte(text)), nil
}
