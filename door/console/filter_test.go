package console

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/keeper/inventory"
	"github.com/haechi-dev/haechi/word/fault"
)

func newRequest(accept string) (*http.Request, error) {
	r, err := http.NewRequest(http.MethodGet, "/", nil)
	if err == nil {
		r.Header.Set("Accept-Language", accept)
	}
	return r, err
}

// What people type becomes GetFindings' filters.
func TestFilter(t *testing.T) {
	equals := func(value string) hub.Condition { return hub.Condition{Value: value, Comparison: "EQUALS"} }
	for text, want := range map[string]hub.Filters{
		"":                         {},
		"severity:critical,high":   {"SeverityLabel": {equals("CRITICAL"), equals("HIGH")}},
		"-severity:low":            {"SeverityLabel": {{Value: "LOW", Comparison: "NOT_EQUALS"}}},
		"resource:arn:aws:s3*":     {"ResourceId": {{Value: "arn:aws:s3", Comparison: "PREFIX"}}},
		"-rule:secret/*":           {"GeneratorId": {{Value: "secret/", Comparison: "PREFIX_NOT_EQUALS"}}},
		`title:"a longer title"`:   {"Title": {equals("a longer title")}},
		"lodash":                   {"Keyword": {{Value: "lodash"}}},
		"arn:aws:s3:::shop":        {"Keyword": {{Value: "arn:aws:s3:::shop"}}},
		"https://example.com/":     {"Keyword": {{Value: "https://example.com/"}}},
		"tool:secret":              {"ProductFields": {{Key: "haechi/tool", Value: "secret", Comparison: "EQUALS"}}},
		"state:active 결제":          {"RecordState": {equals("ACTIVE")}, "Keyword": {{Value: "결제"}}},
		"SEVERITY:High":            {"SeverityLabel": {equals("HIGH")}},
		`"two words" severity:low`: {"Keyword": {{Value: "two words"}}, "SeverityLabel": {equals("LOW")}},
	} {
		got, err := parseFilter(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
	for text, want := range map[string]string{
		"sevrity:high":   "severity",
		"nonsense:x":     "there are",
		"severity:":      "colon",
		"tool:sec*":      "whole values",
		"severity:huge*": "",
		"severity:hihg":  `did you mean "HIGH"`,
		"status:purple":  "there are NEW",
	} {
		if _, err := parseFilter(text); want != "" && (!errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want Invalid that says %q", text, err, want)
		}
	}
}

// No filter, address of a finding or address of a resource does harm, whatever somebody types.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{"", "severity:critical,high -status:new", `title:"a b`, "a:b:c", "tool:x,,y", "-", ":", "::", `"`, "\x00", "id:*", "해치 심각도:높음"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		filters, err := parseFilter(text)
		if err != nil {
			if fault.Of(err) != fault.Invalid {
				t.Fatalf("%q: %v is not the person's mistake", text, err)
			}
			return
		}
		if err := filters.Check(); err != nil {
			t.Fatalf("%q gives filters that the hub refuses: %v", text, err)
		}
	})
}

func FuzzRef(f *testing.F) {
	f.Add(encodeRef(hub.Ref{Account: "1", ProductARN: "arn", ID: "한글/<x>"}))
	f.Add(strings.TrimPrefix(resourcePath(inventory.Key{Account: "1", Region: "r", Type: "T", ID: "i"}), "/resources/"))
	f.Add("")
	f.Add("bnVsbA")
	f.Fuzz(func(t *testing.T, text string) {
		if ref, err := decodeRef(text); err == nil {
			if again, err := decodeRef(encodeRef(ref)); err != nil || again != ref {
				t.Fatalf("%q: %v becomes %v, %v", text, ref, again, err)
			}
		} else if fault.Of(err) != fault.NotFound {
			t.Fatalf("%q: %v", text, err)
		}
		if key, err := decodeKey(text); err == nil {
			if again, err := decodeKey(strings.TrimPrefix(resourcePath(key), "/resources/")); err != nil || again != key {
				t.Fatalf("%q: %v becomes %v, %v", text, key, again, err)
			}
		}
	})
}

// After signing in one goes to a page of this site and nowhere else.
func TestWithin(t *testing.T) {
	for next, want := range map[string]string{
		"/findings?q=a%20b": "/findings?q=a%20b", "/": "/", "": "/", "//evil.example": "/", "https://evil.example/": "/", "/\\evil.example": "/", "javascript:alert(1)": "/",
		"findings": "/", "/\t/evil.example": "/", "/a\r\nSet-Cookie: x": "/", "///evil.example": "/", "/%2f/evil.example": "/%2f/evil.example",
	} {
		if got := within(next); got != want {
			t.Errorf("%q: %q, want %q", next, got, want)
		}
	}
}
