package route

import (
	"time"

	"github.com/haechi-dev/haechi/word/fault"
)

// Pacing says how a target that people read is told of things: together, and
// not too often. Its zero value is the defaults.
type Pacing struct {
	Wait     Span  `json:"wait,omitzero"`     // how long the first of a group waits for others: 1 s
	Interval Span  `json:"interval,omitzero"` // the most that a storm makes news wait: 5 min
	Burst    int   `json:"burst,omitzero"`    // more than this in one message is a storm: 20
	Repeat   Span  `json:"repeat,omitzero"`   // how long a thread is continued: 24 h
	Silent   bool  `json:"silent,omitzero"`   // do not tell when findings are resolved
	Quiet    Quiet `json:"quiet,omitzero"`
}

// Span is a length of time; its text is Go's: 1m30s.
type Span time.Duration

// MarshalText writes 1m30s.
func (s Span) MarshalText() ([]byte, error) { return []byte(time.Duration(s).String()), nil }

// UnmarshalText reads 1m30s.
func (s *Span) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil || d < 0 {
		return fault.Invalid.Errorf("%q is not a length of time like 90s or 5m", text)
	}
	*s = Span(d)
	return nil
}

func (p Pacing) full() Pacing {
	if p.Wait <= 0 {
		p.Wait = Span(time.Second)
	}
	if p.Interval <= 0 {
		p.Interval = Span(5 * time.Minute)
	}
	if p.Burst <= 0 {
		p.Burst = 20
	}
	if p.Repeat <= 0 {
		p.Repeat = Span(24 * time.Hour)
	}
	return p
}

// pace is what a queue remembers between messages. In a storm its steps are
// longer each time, so that ten thousand findings make three messages at most:
// what came in the first second, in the next ten, and in the rest of the interval.
type pace struct {
	Last   int64 `json:"last,omitzero"`   // when the last message was made, in microseconds
	Storm  int   `json:"storm,omitzero"`  // 0 calm, 1, 2
	Window int64 `json:"window,omitzero"` // since when Told counts
	Told   int   `json:"told,omitzero"`
	Down   int   `json:"down,omitzero"` // how often in a row all that was tried failed
}

// ready is when the next message can be made of what has waited since oldest.
func (p pace) ready(o Pacing, oldest time.Time) time.Time {
	hold := [...]Span{o.Wait, 10 * o.Wait, o.Interval}[min(max(p.Storm, 0), 2)]
	at := oldest.Add(time.Duration(o.Wait))
	if next := time.UnixMicro(p.Last).Add(time.Duration(min(hold, max(o.Interval, o.Wait)))); next.After(at) {
		at = next
	}
	return at
}

// after is the pace after a message about n things.
func (p pace) after(o Pacing, now time.Time, n int) pace {
	if now.Sub(time.UnixMicro(p.Window)) > time.Duration(o.Interval) {
		p.Window, p.Told = now.UnixMicro(), 0
	}
	p.Last = now.UnixMicro()
	p.Told += n
	if n > o.Burst || p.Told > 2*o.Burst {
		p.Storm = min(p.Storm+1, 2)
	} else {
		p.Storm = 0
	}
	return p
}

// rest is how long a target that is down is left alone, and the pace with or
// without one failure more.
func (p pace) rest(failed bool, random float64) (pace, time.Duration) {
	if !failed {
		p.Down = 0
		return p, 0
	}
	p.Down++
	return p, min(backOff(p.Down, random), time.Minute)
}

// Quiet is when a target is told of CRITICAL findings only: from one time of
// day to another, which may be on the next day. The zero value is never.
type Quiet struct {
	From string `json:"from,omitzero"` // 22:00
	To   string `json:"to,omitzero"`   // 07:00
	Zone string `json:"zone,omitzero"` // Asia/Seoul; UTC if empty
}

// until is the end of the quiet hours that now is in, or now itself.
func (q Quiet) until(now time.Time) time.Time {
	from, to, zone, err := q.parse()
	if err != nil || from == to {
		return now
	}
	local := now.In(zone)
	// The window that began yesterday, and the one that begins today.
	for _, day := range []int{-1, 0} {
		begin := time.Date(local.Year(), local.Month(), local.Day()+day, 0, from, 0, 0, zone)
		end := time.Date(local.Year(), local.Month(), local.Day()+day, 0, to, 0, 0, zone)
		if to < from {
			end = time.Date(local.Year(), local.Month(), local.Day()+day+1, 0, to, 0, 0, zone)
		}
		if !now.Before(begin) && now.Before(end) {
			return end
		}
	}
	return now
}

// parse gives the two times in minutes of the day.
func (q Quiet) parse() (from, to int, zone *time.Location, err error) {
	if q == (Quiet{}) {
		return 0, 0, time.UTC, nil
	}
	if zone, err = time.LoadLocation(q.Zone); err != nil {
		return 0, 0, nil, fault.Invalid.Errorf("quiet hours: unknown time zone %q", q.Zone)
	}
	minutes := func(text string) int {
		t, bad := time.Parse("15:04", text)
		if bad != nil {
			err = fault.Invalid.Errorf("quiet hours: %q is not a time like 22:00", text)
		}
		return t.Hour()*60 + t.Minute()
	}
	from, to = minutes(q.From), minutes(q.To)
	return from, to, zone, err
}
