package wire

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// timestamp reads a time in whichever way the protocols write them, and writes
// it as RFC 3339 inward, and as the protocol has it outward.
func (w *walk) timestamp(s *modelType) error {
	k := w.in.PeekKind()
	if k != '"' && k != '0' {
		return w.mistyped("a timestamp")
	}
	raw, err := w.in.ReadValue()
	if err != nil {
		return err
	}
	at, ok := parseTime(raw)
	if !ok {
		return &badShape{w.at(), "a timestamp"}
	}
	format := s.Format
	if format == "" {
		format = "unixTimestamp"
		if w.model.Protocol == Query {
			format = "iso8601"
		}
	}
	switch {
	case w.way == strict && (k == '0') != (format == "unixTimestamp"):
		w.problem("", "must be a timestamp written as %s", format)
		w.out = append(w.out, raw...)
	case w.way == strict:
		w.out = append(w.out, raw...)
	case w.way == outward && format == "unixTimestamp":
		w.out = appendEpoch(w.out, at)
	case w.way == outward && format == "rfc822":
		w.out = strconv.AppendQuote(w.out, at.UTC().Format(http.TimeFormat))
	case w.way == outward:
		w.out = strconv.AppendQuote(w.out, at.UTC().Format("2006-01-02T15:04:05.999Z"))
	default:
		w.out = at.UTC().AppendFormat(append(w.out, '"'), time.RFC3339Nano)
		w.out = append(w.out, '"')
	}
	return nil
}

// parseTime reads epoch seconds as a number or a text, ISO 8601, or HTTP's own date.
func parseTime(raw jsontext.Value) (time.Time, bool) {
	text := string(raw)
	if raw.Kind() == '"' {
		text = unquote(raw)
		for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02", http.TimeFormat} {
			if at, err := time.Parse(layout, text); err == nil {
				return at, inRange(at)
			}
		}
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(seconds) || math.Abs(seconds) > 1e12 {
		return time.Time{}, false
	}
	whole, part := math.Modf(seconds)
	at := time.Unix(int64(whole), int64(math.Round(part*1e6))*1000)
	return at, inRange(at)
}

// inRange keeps to the years that RFC 3339 can write.
func inRange(at time.Time) bool {
	y := at.UTC().Year()
	return y >= 1 && y <= 9999
}

// appendEpoch writes seconds, with milliseconds where there are any.
func appendEpoch(b []byte, at time.Time) []byte {
	ms := at.UnixMilli()
	if ms%1000 == 0 {
		return strconv.AppendInt(b, ms/1000, 10)
	}
	return strconv.AppendFloat(b, float64(ms)/1000, 'f', 3, 64)
}
