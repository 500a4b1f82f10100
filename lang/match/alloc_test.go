//go:build !race

package match_test

import (
	"fmt"
	"testing"

	"github.com/haechi-dev/haechi/lang/match"
)

// Matching allocates nothing. (The race detector makes a pool forget on purpose.)
func TestNoAllocations(t *testing.T) {
	var rules []match.Rule[string]
	for i := range 500 {
		for _, text := range []string{ruleA(i), ruleB(i), ruleC(i), ruleW(i)} {
			rules = append(rules, match.Rule[string]{ID: fmt.Sprint(len(rules)), Pattern: parse(t, text)})
		}
	}
	for _, text := range []string{
		`{"detail": {"findings": {"Title": [{"prefix": {"equals-ignore-case": "cve-2026"}}], "Severity": {"Normalized": [5, 50, 70]}}}}`,
		`{"detail": {"findings": {"Network": {"SourceIpV4": ["2001:db8::1", {"cidr": "172.0.0.0/8"}]}}}}`,
		`{"detail": {"findings": {"Title": [{"wildcard": "*a piece that is longer than thirty-two bytes*"}, {"wildcard": "CVE*world"}]}}}`,
	} {
		rules = append(rules, match.Rule[string]{ID: fmt.Sprint(len(rules)), Pattern: parse(t, text)})
	}
	set := match.NewSet(rules...)
	events := findings(50)
	events = append(events, []byte(`{"source": "aws.securit\u0079hub", "detail": {"findings": [{"Title": "x"}, {"Title": "CVE\t world", "Network": {"SourceIpV4": ["::1", "x:y"]}}]}}`))
	ids := make([]string, 0, len(rules))
	if n := testing.AllocsPerRun(100, func() {
		for _, e := range events {
			ids, _ = set.Match(e, ids[:0])
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
