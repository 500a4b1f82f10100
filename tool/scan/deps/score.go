package deps

import (
	"fmt"
	"strings"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/word/component"
)

// Step is one reason for a score, and what it adds.
type Step struct {
	Why string
	Add float64
}

// Exposure is who can reach what a component runs in.
type Exposure string

const (
	Unknown  Exposure = ""
	Internet Exposure = "internet" // anybody
	Internal Exposure = "internal" // the own network only
)

// Reach is what is known of the way from the project's own code to a component.
type Reach string

const (
	NotLooked  Reach = ""             // nobody looked
	Imported   Reach = "imported"     // a file of the project imports it
	NoImport   Reach = "not imported" // the project asks for it, and no file imports it
	Called     Reach = "called"       // a function with the bug is called
	NeverCalls Reach = "not called"   // none is
)

// Context is where a vulnerable component stands.
type Context struct {
	Scope    component.Scope
	Exposure Exposure
	Reach    Reach
	Fixed    string // the version that mends it
}

// Score is how urgent a bug is here, from 0 to 10, with every step that led there:
// how bad it is, whether it is used in attacks, and what its context adds and takes.
func Score(bug advisory.Match, c Context) (score float64, steps []Step) {
	add := func(n float64, format string, a ...any) {
		steps = append(steps, Step{fmt.Sprintf(format, a...), n})
	}
	if s := bug.Severity; s.Score > 0 {
		add(s.Score, "base score by %s", s.Source)
	} else if n := map[string]float64{"LOW": 3, "MEDIUM": 5.5, "HIGH": 8, "CRITICAL": 9.5}[s.Label]; n > 0 {
		add(n, "rated %s by %s", s.Label, s.Source)
	} else {
		add(5, "nobody rated it")
	}
	if k := bug.Exploited; k != nil {
		why := "known to be exploited since " + k.Added
		if k.Ransomware {
			why += ", in ransomware"
		}
		add(1.5, "%s", why)
	}
	if o := bug.Odds; o != nil {
		n := 0.0
		switch {
		case o.Score >= 0.5:
			n = 1
		case o.Score >= 0.1:
			n = 0.5
		case o.Score < 0.001:
			n = -0.5
		}
		add(n, "EPSS %.3f: likelier than %.0f %% of all", o.Score, 100*o.Percentile)
	}
	if c.Scope == component.Development {
		add(-2, "for development only")
	}
	switch c.Exposure {
	case Internet:
		add(0.5, "reached from the internet")
	case Internal:
		add(-0.5, "reached from the own network only")
	}
	switch c.Reach {
	case Imported:
		add(0.3, "a file of the project imports it")
	case Called:
		add(0.5, "the project calls a function with the bug")
	case NoImport:
		add(-1.5, "no file of the project imports it")
	case NeverCalls:
		add(-3, "the project calls no function with the bug")
	}
	if c.Fixed == "" {
		add(-0.3, "no version mends it")
	} else {
		add(0, "mended in %s", c.Fixed)
	}
	for _, s := range steps {
		score += s.Add
	}
	return min(max(score, 0), 10), steps
}

// told is the steps in one line: 7.5 base score by CVSS 3.1; +1.5 known to be exploited …
func told(steps []Step) string {
	var parts []string
	for i, s := range steps {
		sign := "%+.1f %s"
		if i == 0 {
			sign = "%.1f %s"
		}
		parts = append(parts, fmt.Sprintf(sign, s.Add, s.Why))
	}
	return strings.Join(parts, "; ")
}
