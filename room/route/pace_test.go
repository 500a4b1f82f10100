package route

import (
	"testing"
	"time"

	"github.com/haechi-dev/haechi/word/finding"
)

// However ten thousand things come within the interval, they make three messages at most.
func TestPaceOfAStorm(t *testing.T) {
	o := Pacing{}.full()
	for _, every := range []time.Duration{10 * time.Microsecond, 300 * time.Microsecond, time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond} {
		const things = 10000
		var p pace
		start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		arrives := func(i int) time.Time { return start.Add(time.Duration(i) * every) }
		messages, told := 0, 0
		for told < things {
			at := p.ready(o, arrives(told))
			n := 0
			for told+n < things && !arrives(told+n).After(at) {
				n++
			}
			p = p.after(o, at, n)
			told += n
			messages++
		}
		if messages > 3 {
			t.Errorf("one every %s: %d messages", every, messages)
		}
	}
}

// In calm times news is told after the wait, and again as soon as a message a second allows.
func TestPaceInCalm(t *testing.T) {
	o := Pacing{}.full()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var p pace
	for i := range 20 {
		at := p.ready(o, now)
		if waited := at.Sub(now); waited > 2*time.Second {
			t.Fatalf("message %d waits for %s", i, waited)
		}
		p = p.after(o, at, 2)
		now = at.Add(300 * time.Millisecond)
	}
	p = pace{}.after(o, now, 500)
	if waited := p.ready(o, now.Add(time.Second)).Sub(now); waited != 10*time.Second {
		t.Errorf("in a storm: %s, want 10s", waited)
	}
	p = p.after(o, now.Add(time.Hour), 1)
	if p.Storm != 0 {
		t.Errorf("the storm is not over after an hour")
	}
}

// The quiet hours that a time is in end at the right moment, also over midnight and in other zones.
func TestQuiet(t *testing.T) {
	for _, c := range []struct {
		quiet     Quiet
		now, want string
	}{
		{Quiet{}, "2026-01-01T23:00:00Z", "2026-01-01T23:00:00Z"},
		{Quiet{From: "22:00", To: "07:00"}, "2026-01-01T23:00:00Z", "2026-01-02T07:00:00Z"},
		{Quiet{From: "22:00", To: "07:00"}, "2026-01-02T06:59:59Z", "2026-01-02T07:00:00Z"},
		{Quiet{From: "22:00", To: "07:00"}, "2026-01-02T07:00:00Z", "2026-01-02T07:00:00Z"},
		{Quiet{From: "22:00", To: "07:00"}, "2026-01-02T21:59:59Z", "2026-01-02T21:59:59Z"},
		{Quiet{From: "12:00", To: "13:00"}, "2026-01-02T12:30:00Z", "2026-01-02T13:00:00Z"},
		{Quiet{From: "12:00", To: "12:00"}, "2026-01-02T12:00:00Z", "2026-01-02T12:00:00Z"},
		{Quiet{From: "22:00", To: "07:00", Zone: "Asia/Seoul"}, "2026-01-01T14:00:00Z", "2026-01-01T22:00:00Z"},
		{Quiet{From: "01:00", To: "04:00", Zone: "Europe/Berlin"}, "2026-03-29T00:30:00Z", "2026-03-29T02:00:00Z"}, // the hour from 2 to 3 is missing
	} {
		if got := c.quiet.until(at(c.now)); !got.Equal(at(c.want)) {
			t.Errorf("%+v at %s ends %s, want %s", c.quiet, c.now, got.UTC(), c.want)
		}
	}
}

func TestRetryPolicy(t *testing.T) {
	now := at("2026-01-01T00:00:00Z")
	three, minute := 3, 60
	p := &RetryPolicy{Attempts: &three, Age: &minute}
	for _, c := range []struct {
		attempts  int
		wait      time.Duration
		random    float64
		want      time.Duration
		exhausted string
	}{
		{1, 0, 0, time.Second, ""}, {2, 0, 0, 2 * time.Second, ""}, {3, 0, 0.5, 3 * time.Second, ""}, {4, 0, 0, 0, exhaustedAttempts},
		{1, 30 * time.Second, 0, 30 * time.Second, ""}, {1, 90 * time.Second, 0, 0, exhaustedAge},
	} {
		next, exhausted := p.again(now, now, c.attempts, c.wait, c.random)
		if exhausted != c.exhausted || exhausted == "" && next.Sub(now) != c.want {
			t.Errorf("%+v: got %s %q", c, next.Sub(now), exhausted)
		}
	}
	var none *RetryPolicy
	if next, exhausted := none.again(now, now, 100, 0, 0); exhausted != "" || next.Sub(now) != 10*time.Minute {
		t.Errorf("by default: %s %q", next.Sub(now), exhausted)
	}
	if _, exhausted := none.again(now.Add(25*time.Hour), now, 100, 0, 0); exhausted != exhaustedAge {
		t.Errorf("after a day: %q", exhausted)
	}
}

// What is the same problem in the same place is one group.
func TestGroup(t *testing.T) {
	vulnerable := func(version string) finding.Finding {
		return finding.Finding{GeneratorID: "x" + version, AccountID: "1", Vulnerabilities: []finding.Vulnerability{{ID: "CVE-1", Packages: []finding.Package{{Name: "left-pad", Version: version}}}}, Resources: []finding.Resource{{ID: "shop/a/package-lock.json"}}}
	}
	control := func(standard, id string) finding.Finding {
		return finding.Finding{GeneratorID: standard, AccountID: "1", Compliance: &finding.Compliance{SecurityControlID: "S3.1"}, Resources: []finding.Resource{{ID: id}}}
	}
	for _, c := range []struct {
		a, b finding.Finding
		same bool
	}{
		{vulnerable("1"), vulnerable("2"), true},
		{control("cis", "arn:aws:s3:::b"), control("fsbp", "arn:aws:s3:::b/key"), true},
		{control("cis", "arn:aws:s3:::b"), control("cis", "arn:aws:s3:::c"), false},
		{control("cis", "arn:aws:ecs:r:1:task/cluster/1"), control("cis", "arn:aws:ecs:r:1:task/cluster/2"), true},
		{control("cis", "arn:aws:ec2:r:1:instance/i-1"), control("cis", "arn:aws:ec2:r:1:instance/i-2"), false},
		{control("cis", "https://a.example/x"), control("cis", "https://a.example/y"), true},
	} {
		if got := groupOf(&c.a) == groupOf(&c.b); got != c.same {
			t.Errorf("%q and %q", groupOf(&c.a), groupOf(&c.b))
		}
	}
}

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}
