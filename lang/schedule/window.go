package schedule

import (
	"strings"
	"time"

	"github.com/haechi-dev/haechi/word/fault"
)

// Window is the times at which a deployment window is open: the minutes that a
// Quartz cron expression names, in a time zone.
type Window struct {
	cron cron
	zone *time.Location
}

// ParseWindow reads the expression of a DeploymentWindow rule: seconds, minutes, hours, day of
// month, month, day of week and, if one likes, year, such as "* * 9-17 ? * MON-FRI *". The zone is a
// name such as Europe/Paris, or an offset such as UTC+2 or UTC-03:30; "" is UTC.
func ParseWindow(expression, zone string) (Window, error) {
	fields := strings.Fields(expression)
	if len(expression) > 256 || len(fields) != 6 && len(fields) != 7 {
		return Window{}, fault.Invalid.Errorf("window %q has %d fields, not 6 or 7: seconds minutes hours day-of-month month day-of-week year", clip(expression), len(fields))
	}
	if _, err := parseSet(fields[0], field{name: "seconds", max: 59}); err != nil {
		return Window{}, err
	}
	if len(fields) == 6 {
		fields = append(fields, "*")
	}
	c, err := parseCron(strings.Join(fields[1:], " "))
	if err != nil {
		return Window{}, err
	}
	location, err := parseZone(zone)
	return Window{cron: c, zone: location}, err
}

func clip(text string) string { return text[:min(len(text), 100)] }

func parseZone(text string) (*time.Location, error) {
	bad := fault.Invalid.Errorf("time zone %q is neither a name such as Europe/Paris nor an offset such as UTC+2", clip(text))
	if offset, ok := strings.CutPrefix(text, "UTC"); ok && offset != "" {
		for _, layout := range []string{"-07:00", "-0700", "-07"} {
			if len(offset) == 2 { // UTC+2
				offset = offset[:1] + "0" + offset[1:]
			}
			if t, err := time.Parse(layout, offset); err == nil {
				_, seconds := t.Zone()
				return time.FixedZone(text, seconds), nil
			}
		}
		return nil, bad
	}
	if text == "Local" {
		return nil, bad
	}
	zone, err := time.LoadLocation(text)
	if err != nil {
		return nil, bad
	}
	return zone, nil
}

// wall is the time that a clock on a wall of the zone shows, as if it were UTC.
func (w Window) wall(t time.Time) time.Time {
	l := t.In(w.zone)
	return time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), 0, 0, time.UTC)
}

// Open tells whether the window is open at t.
func (w Window) Open(t time.Time) bool {
	at := w.wall(t)
	return w.cron.next(at.Add(-time.Minute)).Equal(at)
}

// Next is when the window opens next after t, or the zero time.
func (w Window) Next(t time.Time) time.Time {
	at := w.wall(t)
	for range 100 { // an hour that a clock leaves out, or shows twice
		if at = w.cron.next(at); at.IsZero() {
			return at
		}
		next := time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), 0, 0, w.zone)
		if next.After(t) {
			return next.UTC()
		}
	}
	return time.Time{}
}
