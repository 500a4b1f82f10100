// Package schedule tells when something is due: rate and cron expressions as EventBridge has them, and windows as CodePipeline has them.
package schedule

import (
	"strconv"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/word/fault"
)

// Schedule is when something is due by itself, in UTC: every so often, or as a cron expression says.
type Schedule struct {
	every time.Duration // 0 for cron
	cron  cron
}

// Parse reads rate(5 minutes) or cron(0 18 ? * MON-FRI *).
func Parse(text string) (Schedule, error) {
	if len(text) > 256 {
		return Schedule{}, fault.Invalid.Errorf("schedule expression is longer than 256 characters")
	}
	if inner, ok := within(text, "rate("); ok {
		every, err := parseRate(inner)
		return Schedule{every: every}, err
	}
	if inner, ok := within(text, "cron("); ok {
		c, err := parseCron(inner)
		return Schedule{cron: c}, err
	}
	return Schedule{}, fault.Invalid.Errorf("schedule expression %q is neither rate(…) nor cron(…)", text)
}

// Next is the first time after after at which the schedule is due. A rate
// counts from start; a cron expression does not ask for it. The zero time
// says that it is never due again.
func (s Schedule) Next(start, after time.Time) time.Time {
	if s.every == 0 {
		return s.cron.next(after.UTC())
	}
	if after.Before(start) {
		return start.Add(s.every).UTC()
	}
	return start.Add((after.Sub(start)/s.every + 1) * s.every).UTC()
}

// within is what stands between open and the closing bracket at the end.
func within(text, open string) (string, bool) {
	rest, ok := strings.CutPrefix(text, open)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, ")")
}

func parseRate(text string) (time.Duration, error) {
	number, unit, _ := strings.Cut(strings.TrimSpace(text), " ")
	n, err := strconv.ParseUint(number, 10, 31)
	if err != nil || n == 0 {
		return 0, fault.Invalid.Errorf("rate(%s): %q is not a positive whole number", text, number)
	}
	unit = strings.TrimSpace(unit)
	one, many := strings.CutSuffix(unit, "s")
	if many != (n > 1) {
		return 0, fault.Invalid.Errorf("rate(%s): write 1 minute, but 2 minutes", text)
	}
	units := map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}
	length, ok := units[one]
	if !ok {
		return 0, fault.Invalid.Errorf("rate(%s): the unit %q is not minutes, hours or days", text, unit)
	}
	const longest = 100 * 366 * 24 * time.Hour
	if n > uint64(longest/length) {
		return 0, fault.Invalid.Errorf("rate(%s) is longer than a hundred years", text)
	}
	return time.Duration(n) * length, nil
}
