package schedule

import (
	"math/bits"
	"strconv"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/word/fault"
)

// cron is a parsed cron expression. Each set has the bit of every value that is due.
type cron struct {
	minutes, hours, months uint64
	years                  [4]uint64 // from firstYear
	days                   uint64    // of the month, if not 0
	lastDay                bool      // L: the last of the month
	nearDay                int       // 15W: the working day nearest to the 15th; with lastDay, the last working day
	weekdays               uint64    // 1 is Sunday, as in the expression
	nth                    int       // 3#2: the second of the one weekday; -1 for 6L, the last
}

const firstYear, lastYear = 1970, 2199

// field is one field of the expression: its bounds and the names of its values.
type field struct {
	name     string
	min, max int
	values   []string // names of min, min+1 …
}

func parseCron(text string) (cron, error) {
	parts := strings.Fields(text)
	if len(parts) != 6 {
		return cron{}, fault.Invalid.Errorf("cron(%s) has %d fields, not 6: minutes hours day-of-month month day-of-week year", text, len(parts))
	}
	if (parts[2] == "?") == (parts[4] == "?") {
		return cron{}, fault.Invalid.Errorf("cron(%s): one of day-of-month and day-of-week must be ?, and only one", text)
	}
	var c cron
	for i, read := range [...]func(string) error{
		func(s string) (err error) { c.minutes, err = parseSet(s, field{name: "minutes", max: 59}); return },
		func(s string) (err error) { c.hours, err = parseSet(s, field{name: "hours", max: 23}); return },
		c.parseDays,
		func(s string) (err error) {
			c.months, err = parseSet(s, field{"month", 1, 12, strings.Fields("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC")})
			return
		},
		c.parseWeekdays,
		c.parseYears,
	} {
		if err := read(parts[i]); err != nil {
			return cron{}, fault.Invalid.Errorf("cron(%s): %w", text, err)
		}
	}
	return c, nil
}

func (c *cron) parseDays(text string) (err error) {
	days := field{name: "day-of-month", min: 1, max: 31}
	switch day, near := strings.CutSuffix(text, "W"); {
	case text == "?":
	case text == "L":
		c.lastDay = true
	case text == "LW":
		c.lastDay, c.nearDay = true, 1
	case near:
		c.nearDay, err = days.value(day)
	default:
		c.days, err = parseSet(text, days)
	}
	return err
}

func (c *cron) parseWeekdays(text string) (err error) {
	days := field{"day-of-week", 1, 7, strings.Fields("SUN MON TUE WED THU FRI SAT")}
	one := func(text string) error {
		day, err := days.value(text)
		c.weekdays = 1 << day
		return err
	}
	day, which, nth := strings.Cut(text, "#")
	switch {
	case text == "?":
	case text == "L": // the last day of a week
		return one("7")
	case nth:
		c.nth, err = strconv.Atoi(which)
		if err != nil || c.nth < 1 || c.nth > 5 {
			return fault.Invalid.Errorf("day-of-week %q: after # stands 1 to 5", text)
		}
		return one(day)
	case strings.HasSuffix(text, "L"):
		c.nth = -1
		return one(strings.TrimSuffix(text, "L"))
	default:
		c.weekdays, err = parseSet(text, days)
	}
	return err
}

func (c *cron) parseYears(text string) error {
	return field{name: "year", min: firstYear, max: lastYear}.each(text, func(v int) {
		c.years[(v-firstYear)/64] |= 1 << ((v - firstYear) % 64)
	})
}

func parseSet(text string, f field) (set uint64, err error) {
	err = f.each(text, func(v int) { set |= 1 << v })
	return set, err
}

// each tells add of every value that a list of values, ranges and steps names.
func (f field) each(text string, add func(int)) error {
	for item := range strings.SplitSeq(text, ",") {
		span, stepText, stepped := strings.Cut(item, "/")
		step := 1
		if stepped {
			var err error
			if step, err = strconv.Atoi(stepText); err != nil || step < 1 || step > f.max {
				return fault.Invalid.Errorf("%s %q: after / stands a number from 1 to %d", f.name, item, f.max)
			}
		}
		from, to, err := f.span(span, stepped)
		if err != nil {
			return err
		}
		for v := from; v <= to; v += step {
			add(v)
		}
	}
	return nil
}

// span is the range that one item means: * is all, a value itself, or with a step all from it on.
func (f field) span(text string, stepped bool) (from, to int, err error) {
	if text == "*" {
		return f.min, f.max, nil
	}
	first, last, isRange := strings.Cut(text, "-")
	if from, err = f.value(first); err != nil {
		return 0, 0, err
	}
	switch {
	case isRange:
		to, err = f.value(last)
	case stepped:
		to = f.max
	default:
		to = from
	}
	if err == nil && to < from {
		err = fault.Invalid.Errorf("%s %q: the range ends before it begins", f.name, text)
	}
	return from, to, err
}

func (f field) value(text string) (int, error) {
	for i, name := range f.values {
		if strings.EqualFold(text, name) {
			return f.min + i, nil
		}
	}
	v, err := strconv.Atoi(text)
	if err != nil || v < f.min || v > f.max || text[0] == '+' {
		return 0, fault.Invalid.Errorf("%s %q is not within %d to %d", f.name, text, f.min, f.max)
	}
	return v, nil
}

// next is the first minute after after that is due, or the zero time.
func (c *cron) next(after time.Time) time.Time {
	t := after.Truncate(time.Minute).Add(time.Minute)
	if t.Year() < firstYear {
		t = time.Date(firstYear, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	for t.Year() <= lastYear {
		if !c.dueYear(t.Year()) {
			t = time.Date(t.Year()+1, 1, 1, 0, 0, 0, 0, time.UTC)
			continue
		}
		if c.months>>t.Month()&1 == 0 {
			t = time.Date(t.Year(), t.Month()+1, 1, 0, 0, 0, 0, time.UTC)
			continue
		}
		if due, ok := c.nextInMonth(t); ok {
			return due
		}
		t = time.Date(t.Year(), t.Month()+1, 1, 0, 0, 0, 0, time.UTC)
	}
	return time.Time{}
}

func (c *cron) dueYear(year int) bool {
	return c.years[(year-firstYear)/64]>>((year-firstYear)%64)&1 == 1
}

// nextInMonth is the first due minute from t on in t's month.
func (c *cron) nextInMonth(t time.Time) (time.Time, bool) {
	due := c.dueDays(t.Year(), t.Month())
	hour, minute := t.Hour(), t.Minute()
	for day := t.Day(); day <= 31; day++ {
		if due>>day&1 == 1 {
			if h, m, ok := c.nextInDay(hour, minute); ok {
				return time.Date(t.Year(), t.Month(), day, h, m, 0, 0, time.UTC), true
			}
		}
		hour, minute = 0, 0
	}
	return time.Time{}, false
}

func (c *cron) nextInDay(hour, minute int) (h, m int, ok bool) {
	for h := hour; h < 24; h++ {
		if c.hours>>h&1 == 1 {
			if later := c.minutes >> minute << minute; later != 0 {
				return h, bits.TrailingZeros64(later), true
			}
		}
		minute = 0
	}
	return 0, 0, false
}

// dueDays is the set of days of that month that are due.
func (c *cron) dueDays(year int, month time.Month) uint64 {
	first := time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
	length := first.AddDate(0, 1, -1).Day()
	weekday := func(day int) int { return (int(first.Weekday())+day-1)%7 + 1 }
	switch {
	case c.nearDay > 0:
		day := c.nearDay
		if c.lastDay {
			day = length
		}
		return workingDay(day, length, weekday)
	case c.lastDay:
		return 1 << length
	case c.days != 0:
		return c.days & (1<<(length+1) - 1)
	}
	var set uint64
	for day := 1; day <= length; day++ {
		inMonth := c.nth == 0 || c.nth > 0 && (day-1)/7+1 == c.nth || c.nth < 0 && day+7 > length
		if inMonth && c.weekdays>>weekday(day)&1 == 1 {
			set |= 1 << day
		}
	}
	return set
}

// workingDay is the Monday to Friday nearest to day within the month; none if the month has no such day.
func workingDay(day, length int, weekday func(int) int) uint64 {
	switch {
	case day > length:
		return 0
	case weekday(day) == 7 && day == 1: // Saturday the 1st: Monday the 3rd
		day = 3
	case weekday(day) == 7:
		day--
	case weekday(day) == 1 && day == length: // Sunday at the end: the Friday before
		day -= 2
	case weekday(day) == 1:
		day++
	}
	return 1 << day
}
