package match_test

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/lang/match"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// No text makes Parse panic; what it refuses has a place, and what it accepts
// is JSON and can be matched.
func FuzzParse(f *testing.F) {
	for _, s := range patternSeeds() {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := match.Parse(text)
		if err != nil {
			e, ok := errors.AsType[*diag.Error](err)
			if !ok || e.Line < 1 || e.Column < 1 || e.Detail() == "" || fault.Of(err) != fault.Invalid {
				t.Fatalf("%q: %v has no place", text, err)
			}
			return
		}
		if _, err := decode(text); err != nil {
			t.Fatalf("%q is accepted, and is not JSON: %v", text, err)
		}
		again, err := match.Parse([]byte(p.String()))
		if err != nil {
			t.Fatalf("%q cannot be parsed again: %v", text, err)
		}
		for _, event := range eventSeeds() {
			if p.Match([]byte(event)) != again.Match([]byte(event)) {
				t.Fatalf("%q is not itself on %s", text, event)
			}
		}
	})
}

// No event makes matching panic; a pattern alone, a set and the oracle agree,
// and what is a JSON object is decided as the JSON decoder decides it.
func FuzzMatch(f *testing.F) {
	for i, p := range patternSeeds() {
		events := eventSeeds()
		f.Add([]byte(p), []byte(events[i%len(events)]))
	}
	var rules []match.Rule[int]
	var decoded []node
	for _, text := range patternSeeds() {
		if p, err := match.Parse([]byte(text)); err == nil {
			n, err := decode([]byte(text))
			if err != nil {
				f.Fatal(err)
			}
			rules = append(rules, match.Rule[int]{ID: len(rules), Pattern: p})
			decoded = append(decoded, n)
		}
	}
	base := match.NewSet(rules...)
	// The oracle's numbers would take for ever to write out.
	huge := regexp.MustCompile(`[eE][+-]?0*[1-9][0-9]{4,}`)
	f.Fuzz(func(t *testing.T, pattern, event []byte) {
		if huge.Match(pattern) || huge.Match(event) || len(event) > 2000 || len(pattern) > 2000 {
			return
		}
		set, wants := base, decoded
		if p, err := match.Parse(pattern); err == nil {
			n, err := decode(pattern)
			if err != nil {
				t.Fatalf("%q is accepted, and is not JSON: %v", pattern, err)
			}
			set, wants = set.With(match.Rule[int]{ID: len(wants), Pattern: p}), append(slices.Clip(wants), n)
		}
		n, err := decode(event)
		valid := err == nil && n.kind == '{'
		got, err := set.Match(event, nil)
		if (match.Check(event) == nil) != valid || !valid && (err == nil || len(got) > 0) {
			t.Fatalf("%q: %v, %v; is an object: %v", event, got, err, valid)
		}
		if !valid || err != nil {
			return
		}
		for i, want := range wants {
			matches, gaveUp := oracle(want, n)
			p := set.Get(i)
			if why := p.Why(event); !gaveUp && (slices.Contains(got, i) != matches || p.Match(event) != matches || why.Matched != matches) {
				t.Fatalf("pattern %s\nevent %q\nset %v, alone %v, oracle %v\n%v", p, event, slices.Contains(got, i), p.Match(event), matches, why)
			}
		}
	})
}

// Addresses are read as the standard library reads them, but without zones.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{"10.0.0.1", "1.2.3.04", "256.1.1.1", "::", "::1", "1::", "2001:db8::1:2", "::ffff:1.2.3.4", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:1.2.3.4",
		"1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1::2::3", "fe80::1%eth0", "12345::", ":1", "1:", "1.2.3", "1.2.3.4.", "::1.2.3.4:5"} {
		f.Add(s)
	}
	four, err := match.Parse([]byte(`{"a": [{"cidr": "0.0.0.0/0"}]}`))
	if err != nil {
		f.Fatal(err)
	}
	six, err := match.Parse([]byte(`{"a": [{"cidr": "::/0"}]}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		quoted, err := jsontext.AppendQuote(nil, text)
		if err != nil {
			return
		}
		event := fmt.Appendf(nil, `{"a": %s}`, quoted)
		a, err := netip.ParseAddr(text)
		want := err == nil && a.Zone() == ""
		if four.Match(event) != (want && a.Is4()) || six.Match(event) != (want && a.Is6()) {
			t.Fatalf("%q is %v, %v", text, a, err)
		}
		if !want {
			return
		}
		// And one address is the same however it is written.
		p, err := match.Parse(fmt.Appendf(nil, `{"a": [%q]}`, a.StringExpanded()))
		if err != nil || !p.Match(event) {
			t.Fatalf("%q is not %s, %v", text, a.StringExpanded(), err)
		}
	})
}

func patternSeeds() []string {
	return []string{
		`{"source": ["aws.securityhub"], "detail": {"findings": {"Severity": {"Label": ["HIGH", "CRITICAL"]}}}}`,
		`{"a": [{"prefix": "x"}, {"suffix": {"equals-ignore-case": "Y"}}, {"wildcard": "a*b\\*"}, null, true]}`,
		`{"a": [{"numeric": [">", 0, "<=", 5e0]}, {"cidr": "10.0.0.0/8"}, {"anything-but": {"wildcard": ["x*", "*y"]}}]}`,
		`{"a": {"b": ["x"], "c": [{"exists": false}]}, "$or": [{"d": [1]}, {"a.b": [{"anything-but": [1, 2]}]}]}`,
		`{"a": {"x": ["1", {"exists": false}], "y": [{"exists": false}], "z": [{"exists": true}]}}`,
		`{"a": ["2001:db8::1", {"cidr": "::/0"}, 12345678901234567890], "": [{"equals-ignore-case": "é"}]}`,
		`{"$or": [{"prefix": "x"}, {"exactly": "y"}]}`,
		`{"a": [{"wildcard": "a**"}]}`,
	}
}

func eventSeeds() []string {
	return []string{
		`{"source": "aws.securityhub", "detail": {"findings": [{"Severity": {"Label": "HIGH"}}]}}`,
		`{"a": ["x", ["xY"], "a b*", null, {"b": "x"}], "a.b": "\u0078"}`,
		`{"a": [{"x": "1", "y": 2}, {"y": "1", "z": [null]}], "a": {"x": "1"}, "$or": "x"}`,
		`{"a": "2001:DB8:0::1", "": "É", "d": 1.0e0}`,
		`{"a": 12345678901234567891, "d": [-0.0, 5, "\ud83d\ude00"]}`,
		`{"a": {"b": {}}, "c": []`,
	}
}
