package schedule

import (
	"errors"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/word/fault"
)

// A schedule is due when the expression says, in UTC, over leap years and month ends.
func TestScheduleNext(t *testing.T) {
	for _, c := range []struct{ expression, after, want string }{
		{"cron(0 18 ? * MON-FRI *)", "2026-01-02T18:00:00Z", "2026-01-05T18:00:00Z"}, // a Friday
		{"cron(0 18 ? * MON-FRI *)", "2026-01-02T17:59:59Z", "2026-01-02T18:00:00Z"},
		{"cron(0/15 * * * ? *)", "2026-01-01T10:15:00Z", "2026-01-01T10:30:00Z"},
		{"cron(0/15 * * * ? *)", "2026-12-31T23:45:00Z", "2027-01-01T00:00:00Z"},
		{"cron(5,35 8-9 1 * ? *)", "2026-01-01T08:35:00Z", "2026-01-01T09:05:00Z"},
		{"cron(0 0 29 2 ? *)", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"},
		{"cron(0 0 29 2 ? *)", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"}, // 2100 is no leap year
		{"cron(0 0 31 * ? *)", "2026-04-01T00:00:00Z", "2026-05-31T00:00:00Z"},
		{"cron(0 0 L * ? *)", "2028-02-01T00:00:00Z", "2028-02-29T00:00:00Z"},
		{"cron(0 0 L 2 ? *)", "2026-01-01T00:00:00Z", "2026-02-28T00:00:00Z"},
		{"cron(0 0 3W * ? *)", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"},  // the 3rd is a Saturday
		{"cron(0 0 1W * ? *)", "2026-07-31T00:00:00Z", "2026-08-03T00:00:00Z"},  // the 1st is a Saturday: not back into July
		{"cron(0 0 4W * ? *)", "2026-01-02T00:00:00Z", "2026-01-05T00:00:00Z"},  // the 4th is a Sunday
		{"cron(0 0 31W * ? *)", "2026-05-01T00:00:00Z", "2026-05-29T00:00:00Z"}, // Sunday the 31st: not on into June
		{"cron(0 0 31W 2 ? *)", "2026-05-01T00:00:00Z", ""},
		{"cron(0 0 LW * ? *)", "2026-01-01T00:00:00Z", "2026-01-30T00:00:00Z"}, // the 31st is a Saturday
		{"cron(0 9 ? * 6L *)", "2026-01-01T00:00:00Z", "2026-01-30T09:00:00Z"}, // the last Friday
		{"cron(0 9 ? * FRIL *)", "2026-01-30T09:00:00Z", "2026-02-27T09:00:00Z"},
		{"cron(0 9 ? * L *)", "2026-01-01T00:00:00Z", "2026-01-03T09:00:00Z"},   // Saturdays
		{"cron(0 9 ? * 3#2 *)", "2026-01-01T00:00:00Z", "2026-01-13T09:00:00Z"}, // the second Tuesday
		{"cron(0 9 ? * 5#5 *)", "2026-01-30T00:00:00Z", "2026-04-30T09:00:00Z"}, // months with five Thursdays
		{"cron(0 12 1/10 * ? *)", "2026-01-01T12:00:00Z", "2026-01-11T12:00:00Z"},
		{"cron(0 0 1 jan-mar ? *)", "2026-03-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		{"cron(0 0 1 1 ? 2030/20)", "2026-01-01T00:00:00Z", "2030-01-01T00:00:00Z"},
		{"cron(0 0 1 1 ? 2030/20)", "2030-01-01T00:00:00Z", "2050-01-01T00:00:00Z"},
		{"cron(0 0 1 1 ? 2020)", "2026-01-01T00:00:00Z", ""},
		{"cron(0 0 30 2 ? *)", "2026-01-01T00:00:00Z", ""},
		{"cron(59 23 31 12 ? 2199)", "2026-01-01T00:00:00Z", "2199-12-31T23:59:00Z"},
		{"cron(* * * * ? *)", "2026-01-01T08:00:00+09:00", "2025-12-31T23:01:00Z"},
		{"rate(5 minutes)", "2026-01-01T00:00:00Z", "2026-01-01T00:05:00Z"},
		{"rate(5 minutes)", "2026-01-01T03:07:11Z", "2026-01-01T03:10:00Z"},
		{"rate(1 day)", "2026-01-05T00:00:00Z", "2026-01-06T00:00:00Z"},
		{"rate(1 hour)", "2025-01-01T00:00:00Z", "2026-01-01T01:00:00Z"},
	} {
		s, err := Parse(c.expression)
		if err != nil {
			t.Errorf("%s: %v", c.expression, err)
			continue
		}
		got := s.Next(at("2026-01-01T00:00:00Z"), at(c.after))
		if want := at(c.want); !got.Equal(want) {
			t.Errorf("%s after %s is %s, want %s", c.expression, c.after, got, want)
		}
	}
}

func TestScheduleRefused(t *testing.T) {
	for _, text := range []string{
		"", "every 5 minutes", "rate()", "rate(0 minutes)", "rate(-1 minutes)", "rate(1 minutes)", "rate(5 minute)", "rate(5 weeks)", "rate(1.5 hours)", "rate(5minutes)", "rate(5 minutes", "rate(99999999 days)",
		"cron()", "cron(0 18 * * *)", "cron(0 18 * * * *)", "cron(0 18 ? * ? *)", "cron(60 18 ? * 2 *)", "cron(0 24 ? * 2 *)", "cron(0 18 0 * ? *)", "cron(0 18 32 * ? *)",
		"cron(0 18 ? 13 2 *)", "cron(0 18 ? * 8 *)", "cron(0 18 ? * 0 *)", "cron(0 18 ? * MONDAY *)", "cron(0 18 ? * 2#6 *)", "cron(0 18 ? * 2#1,3#1 *)", "cron(0 18 5L * ? *)", "cron(0 18 1 * ? 1969)", "cron(0 18 1 * ? 2200)",
		"cron(30-10 18 1 * ? *)", "cron(0/0 18 1 * ? *)", "cron(0,, 18 1 * ? *)", "cron(+5 18 1 * ? *)", "cron(0 18 1,L * ? *)", "cron(0 18 W * ? *)", "cron(? 18 1 * ? *)",
	} {
		if _, err := Parse(text); !errors.Is(err, fault.Invalid) {
			t.Errorf("%q: got %v, want it refused", text, err)
		}
	}
}

// The next time is after the last, on a whole minute, and the same from any moment in between.
func FuzzSchedule(f *testing.F) {
	for _, s := range []string{"rate(5 minutes)", "cron(0 18 ? * MON-FRI *)", "cron(0/5 1-3,7 3W 1/2 ? 2020-2199/3)", "cron(1 1 ? 2 5#5 *)", "cron(0 0 LW * ? *)"} {
		f.Add(s, int64(1767225600))
	}
	f.Fuzz(func(t *testing.T, text string, unix int64) {
		s, err := Parse(text)
		if err != nil {
			return
		}
		start := time.Unix(0, 0)
		after := time.Unix(unix%7e9, 0)
		next := s.Next(start, after)
		if next.IsZero() {
			return
		}
		if !next.After(after) || next.Second() != 0 {
			t.Fatalf("%q: after %s comes %s", text, after, next)
		}
		if again := s.Next(start, next.Add(-time.Second)); !again.Equal(next) {
			t.Fatalf("%q: just before %s it is %s", text, next, again)
		}
	})
}

func at(text string) time.Time {
	if text == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}
