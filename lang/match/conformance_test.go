package match_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/lang/match"
)

// The engine agrees with two independent matchers on every recorded case, one
// pattern at a time and with all patterns in one set.
func TestConformance(t *testing.T) {
	cases := conformanceCases(t)
	var rules []match.Rule[int]
	met := 0
	var unmet []string
	for i, c := range cases {
		p, err := match.Parse(c.Pattern)
		if err != nil {
			unmet = append(unmet, fmt.Sprintf("case %d: %v", i+1, err))
			continue
		}
		rules = append(rules, match.Rule[int]{ID: i, Pattern: p})
		if got := p.Match(c.Event); got == c.Match {
			met++
		} else {
			unmet = append(unmet, fmt.Sprintf("case %d: got %v\n  pattern %s\n  event %s", i+1, got, c.Pattern, c.Event))
		}
	}
	fmt.Printf("CONFORMANCE events patterns %d/%d\n", met, len(cases))
	for _, u := range unmet[:min(len(unmet), 20)] {
		t.Error(u)
	}
	if met < len(cases) {
		t.Fatalf("%d of %d cases met", met, len(cases))
	}

	set := match.NewSet(rules...)
	for i, c := range cases {
		got, err := set.Match(c.Event, nil)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, id := range got {
			found = found || id == i
		}
		if found != c.Match {
			t.Errorf("case %d: the set says %v, want %v", i+1, found, c.Match)
		}
	}
}

type conformanceCase struct {
	Pattern jsontext.Value `json:"pattern"`
	Event   jsontext.Value `json:"event"`
	Match   bool           `json:"match"`
}

func conformanceCases(t *testing.T) []conformanceCase {
	data := os.Getenv("HAECHI_TESTDATA")
	if data == "" {
		t.Skip("HAECHI_TESTDATA is not set")
	}
	f, err := os.Open(filepath.Join(data, "events", "patterns-conformance.jsonl"))
	if os.IsNotExist(err) {
		t.Skip("no events in HAECHI_TESTDATA")
	} else if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var cases []conformanceCase
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c conformanceCase
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		cases = append(cases, c)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return cases
}
