package intake

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/base/mask"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/record"
)

// An unpacker makes records of what came in: it opens what other services pack
// their records into, tells what kind each is, and masks it.
type unpacker struct {
	now     time.Time
	source  string            // what the sender says it is, or ""
	fields  map[string]string // of all records
	room    int               // bytes that may still be inflated
	header  string            // the last header line of VPC flow logs: it names the fields of what follows
	depth   int               // of packages within packages
	records []record.Record
}

const maxPackages = 4 // one in the other; each is read again

// What one JSON text may be like: as it comes, since what cannot be read here can still be searched for.
var lenient = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// add takes one piece of input: gzip, JSON values one after the other, or lines.
func (u *unpacker) add(text []byte) error {
	if isGzip(text) {
		plain, err := inflate(text, u.room)
		if err != nil {
			return err
		}
		u.room -= len(plain)
		text = plain
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if t := bytes.TrimLeft(text, " \t\r\n"); len(t) > 0 && (t[0] == '{' || t[0] == '[') {
		before := len(u.records)
		err := u.values(t)
		if !errors.Is(err, errNotJSON) {
			return err
		}
		u.records = u.records[:before]
	}
	for line := range bytes.Lines(text) {
		if err := u.line(bytes.TrimRight(line, "\r\n")); err != nil {
			return err
		}
	}
	return nil
}

var errNotJSON = errors.New("no sequence of JSON values")

func (u *unpacker) values(text []byte) error {
	d := jsontext.NewDecoder(bytes.NewReader(text), lenient...)
	for {
		v, err := d.ReadValue()
		switch {
		case err == io.EOF:
			return nil
		case err != nil || v.Kind() != '{' && v.Kind() != '[':
			return errNotJSON
		}
		if err := u.value(v); err != nil {
			return err
		}
	}
}

// line takes one line: JSON, or text.
func (u *unpacker) line(line []byte) error {
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return nil
	}
	if v := jsontext.Value(line); (line[0] == '{' || line[0] == '[') && v.IsValid(lenient...) {
		return u.value(v)
	}
	if isFlowHeader(line) {
		u.header = string(line)
		return nil
	}
	source, at := recogniseText(line)
	var extra map[string]string
	if u.header != "" && (source == "aws.vpcflow" || source == "text" && len(bytes.Fields(line)) == len(strings.Fields(u.header))) {
		source, extra = "aws.vpcflow", map[string]string{"fields": u.header}
		at = flowTime(u.header, line)
	}
	return u.keep(line, source, at, extra)
}

// What others pack records into.
type envelope struct {
	Records     jsontext.Value // CloudTrail's files
	MessageType jsontext.Value `json:"messageType"` // CloudWatch Logs
	LogEvents   jsontext.Value `json:"logEvents"`
	DetailType  jsontext.Value `json:"detail-type"` // EventBridge
	Detail      jsontext.Value `json:"detail"`
	Digest      jsontext.Value `json:"digestS3Bucket"` // CloudTrail's files about its files
	features
}

// value takes one JSON value, opened if others have packed records into it.
func (u *unpacker) value(v jsontext.Value) error {
	if u.depth++; u.depth > maxPackages {
		u.depth--
		return u.keep(v, "json", time.Time{}, nil)
	}
	defer func() { u.depth-- }()
	if v.Kind() == '[' {
		return u.list(v)
	}
	var e envelope
	if err := json.Unmarshal(v, &e, lenient...); err != nil {
		return u.keep(v, "json", time.Time{}, nil) // such as too deep
	}
	switch {
	case e.Records.Kind() == '[':
		return u.list(e.Records)
	case e.LogEvents.Kind() == '[':
		return u.cloudWatch(v)
	case e.Digest.Kind() == '"':
		return nil
	case e.Detail.Kind() == '{' && isPacked(e.DetailType):
		return u.value(e.Detail)
	}
	source, at := e.features.recognise()
	return u.keep(v, source, at, nil)
}

func isPacked(detailType jsontext.Value) bool {
	switch t := unquote(detailType); {
	case strings.HasSuffix(t, " via CloudTrail"), t == "GuardDuty Finding":
		return true
	}
	return false
}

// list takes the objects of a list one by one; a list of anything else is one record.
func (u *unpacker) list(v jsontext.Value) error {
	var all []jsontext.Value
	if err := json.Unmarshal(v, &all, lenient...); err != nil {
		return u.keep(v, "json", time.Time{}, nil)
	}
	for _, x := range all {
		if x.Kind() != '{' {
			return u.keep(v, "json", time.Time{}, nil)
		}
	}
	for _, x := range all {
		if err := u.value(x); err != nil {
			return err
		}
	}
	return nil
}

// cloudWatch takes the lines of a subscription's payload.
func (u *unpacker) cloudWatch(v jsontext.Value) error {
	var p struct {
		MessageType string `json:"messageType"`
		Owner       string `json:"owner"`
		LogGroup    string `json:"logGroup"`
		LogStream   string `json:"logStream"`
		LogEvents   []struct {
			Timestamp int64  `json:"timestamp"`
			Message   string `json:"message"`
		} `json:"logEvents"`
	}
	if err := json.Unmarshal(v, &p, lenient...); err != nil {
		return u.keep(v, "json", time.Time{}, nil)
	}
	if p.MessageType != "DATA_MESSAGE" {
		return nil // such as CONTROL_MESSAGE, by which it asks whether we are there
	}
	inner := unpacker{source: u.source, room: u.room, fields: map[string]string{"owner": p.Owner, "logGroup": p.LogGroup, "logStream": p.LogStream}}
	maps.Copy(inner.fields, u.fields)
	for _, e := range p.LogEvents {
		inner.now = time.UnixMilli(e.Timestamp).UTC()
		if err := inner.message(e.Message); err != nil {
			return err
		}
		if len(u.records)+len(inner.records) > maxRecords {
			return tooMany()
		}
	}
	u.records = append(u.records, inner.records...)
	return nil
}

// message takes one log event, which is one record even where it has several lines.
func (u *unpacker) message(text string) error {
	trimmed := strings.TrimSpace(text)
	if trimmed == "" {
		return nil
	}
	v := jsontext.Value(trimmed)
	if v.Kind() != '{' || !v.IsValid(lenient...) {
		source, at := recogniseText([]byte(trimmed))
		return u.keep([]byte(trimmed), source, at, nil)
	}
	var e envelope
	if err := json.Unmarshal(v, &e, lenient...); err != nil {
		return u.keep(v, "json", time.Time{}, nil)
	}
	source, at := e.features.recognise()
	return u.keep(v, source, at, nil)
}

func tooMany() error {
	return fault.Limit.Errorf("there are more than %d records: send less at once", maxRecords)
}

// keep makes a record. Its time is its own, else when it came in.
func (u *unpacker) keep(text []byte, source string, at time.Time, extra map[string]string) error {
	switch {
	case len(text) > maxRecord:
		return fault.Limit.Errorf("record %d is longer than %d bytes", len(u.records), maxRecord)
	case len(u.records) >= maxRecords:
		return tooMany()
	}
	if bytes.IndexByte(text, '\n') >= 0 {
		if v := jsontext.Value(bytes.Clone(text)); v.Compact(lenient...) == nil {
			text = v
		}
	}
	r := record.Record{Time: at, Source: source, Text: mask.Text(string(text))}
	if !utf8.ValidString(r.Text) {
		r.Text = strings.ToValidUTF8(r.Text, "\ufffd")
	}
	if u.source != "" {
		r.Source = u.source
	}
	if r.Time.IsZero() {
		r.Time = u.now
	}
	switch {
	case len(extra) > 0 && len(u.fields) > 0:
		r.Fields = maps.Clone(u.fields)
		maps.Copy(r.Fields, extra)
	case len(extra) > 0:
		r.Fields = extra
	case len(u.fields) > 0:
		r.Fields = u.fields // the same for many; records are not changed
	}
	u.records = append(u.records, r)
	return nil
}

// unquote is the text of a JSON string, or "" for anything else.
func unquote(v jsontext.Value) string {
	if v.Kind() != '"' {
		return ""
	}
	b, err := jsontext.AppendUnquote(nil, v)
	if err != nil {
		return ""
	}
	return string(b)
}
