package schedule

import (
	"errors"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/word/fault"
)

// A window is open in the minutes that its expression names, by the clock of its zone.
func TestWindow(t *testing.T) {
	for _, c := range []struct {
		expression, zone, at string
		open                 bool
		next                 string
	}{
		{"* * 9-17 ? * MON-FRI *", "", "2026-01-02T17:59:59Z", true, "2026-01-05T09:00:00Z"}, // a Friday
		{"* * 9-17 ? * MON-FRI *", "", "2026-01-02T18:00:00Z", false, "2026-01-05T09:00:00Z"},
		{"0 0 9 ? * MON", "UTC", "2026-01-05T09:00:30Z", true, "2026-01-12T09:00:00Z"},
		{"* * 9-17 ? * * *", "UTC+9", "2026-01-02T00:30:00Z", true, "2026-01-02T00:31:00Z"},
		{"* * 9-17 ? * * *", "UTC-03:30", "2026-01-02T12:29:00Z", false, "2026-01-02T12:30:00Z"},
		{"* * 9 ? * * *", "Europe/Paris", "2026-07-01T07:30:00Z", true, "2026-07-01T07:31:00Z"},
		{"0 30 2 29 3 ? 2026", "Europe/Paris", "2026-03-28T00:00:00Z", false, "2026-03-29T01:30:00Z"}, // the clock leaves that hour out
		{"* * * * * ? 2020", "", "2026-01-01T00:00:00Z", false, ""},
	} {
		w, err := ParseWindow(c.expression, c.zone)
		if err != nil {
			t.Errorf("%s: %v", c.expression, err)
			continue
		}
		if open := w.Open(at(c.at)); open != c.open {
			t.Errorf("%s %s at %s: open is %v", c.expression, c.zone, c.at, open)
		}
		if next := w.Next(at(c.at)); !next.Equal(at(c.next)) {
			t.Errorf("%s %s after %s opens at %s, want %s", c.expression, c.zone, c.at, next, c.next)
		}
	}
}

func TestWindowRefused(t *testing.T) {
	for _, c := range [][2]string{{"", ""}, {"* * * * *", ""}, {"60 * * ? * * *", ""}, {"* * * * * * *", ""}, {"* * * ? * * *", "Atlantis"}, {"* * * ? * * *", "UTC+x"}, {"* * * ? * * *", "Local"}} {
		if _, err := ParseWindow(c[0], c[1]); !errors.Is(err, fault.Invalid) {
			t.Errorf("%q %q: got %v, want it refused", c[0], c[1], err)
		}
	}
}

// No expression and no zone makes it panic or run for long, and what opens next is after now.
func FuzzWindow(f *testing.F) {
	f.Add("* * 9-17 ? * MON-FRI *", "Europe/Paris", int64(1767225600))
	f.Add("0 0 0 LW * ?", "UTC-11", int64(0))
	f.Fuzz(func(t *testing.T, expression, zone string, unix int64) {
		w, err := ParseWindow(expression, zone)
		if err != nil {
			return
		}
		now := time.Unix(unix%7e9, 0)
		_ = w.Open(now)
		if next := w.Next(now); !next.IsZero() && !next.After(now) {
			t.Fatalf("%q %q: after %s comes %s", expression, zone, now, next)
		}
	})
}
