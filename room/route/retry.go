package route

import (
	"math"
	"time"

	"github.com/haechi-dev/haechi/word/fault"
)

// RetryPolicy says how often and for how long a delivery is tried again. Its JSON is EventBridge's.
type RetryPolicy struct {
	Attempts *int `json:"MaximumRetryAttempts,omitzero"`     // after the first: 0 to 185, default 185
	Age      *int `json:"MaximumEventAgeInSeconds,omitzero"` // 60 to 86,400, the default
}

func (p *RetryPolicy) check() error {
	if p == nil {
		return nil
	}
	if n := p.Attempts; n != nil && (*n < 0 || *n > 185) {
		return fault.Invalid.Errorf("MaximumRetryAttempts %d is not within 0 to 185", *n)
	}
	if n := p.Age; n != nil && (*n < 60 || *n > 86400) {
		return fault.Invalid.Errorf("MaximumEventAgeInSeconds %d is not within 60 to 86,400", *n)
	}
	return nil
}

func (p *RetryPolicy) limits() (attempts int, age time.Duration) {
	attempts, age = 185, 24*time.Hour
	if p != nil && p.Attempts != nil {
		attempts = *p.Attempts
	}
	if p != nil && p.Age != nil {
		age = time.Duration(*p.Age) * time.Second
	}
	return attempts, age
}

// What ends the tries, in the words of EventBridge's dead letters.
const (
	exhaustedAttempts = "MaximumRetryAttempts"
	exhaustedAge      = "MaximumEventAgeInSeconds"
)

// again is when to try next after attempts tries that failed, or which limit
// was reached. wait is what the receiver asked for; random is in [0, 1).
func (p *RetryPolicy) again(now, created time.Time, attempts int, wait time.Duration, random float64) (at time.Time, exhausted string) {
	most, age := p.limits()
	if attempts > most {
		return time.Time{}, exhaustedAttempts
	}
	at = now.Add(max(backOff(attempts, random), wait))
	if at.After(created.Add(age)) {
		return time.Time{}, exhaustedAge
	}
	return at, ""
}

// backOff doubles from a second to ten minutes, less a random part of at most half.
func backOff(attempts int, random float64) time.Duration {
	const first, longest = float64(time.Second), float64(10 * time.Minute)
	full := min(first*math.Pow(2, float64(min(max(attempts, 1), 30)-1)), longest)
	return time.Duration(full * (1 - random/2))
}
