package hub

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Filters are understood or refused as invalid, and what is understood can be written and asked.
func FuzzFilters(f *testing.F) {
	for _, seed := range []string{`{}`, `{"Title":[{"Value":"a","Comparison":"PREFIX"}]}`, `{"UpdatedAt":[{"DateRange":{"Value":7,"Unit":"DAYS"}}],"Confidence":[{"Gte":1,"Lt":2e308}]}`,
		`{"ResourceTags":[{"Key":"k","Value":"v","Comparison":"NOT_EQUALS"}],"NetworkSourceIpV4":[{"Cidr":"10.0.0.0/8"}],"Sample":[{"Value":false}]}`, `{"Keyword":[{"Value":"x"}],"CreatedAt":[{"Start":"2026-01-01T00:00:00Z","End":"x"}]}`, `[[[`} {
		f.Add([]byte(seed), []byte(`{"Id":"a","Title":"abc","Resources":[{"Tags":{"k":"v"}}],"Severity":{"Normalized":1e999}}`))
	}
	f.Fuzz(func(t *testing.T, text, doc []byte) {
		filters, err := ParseFilters(text)
		if err != nil {
			if !errors.Is(err, fault.Invalid) {
				t.Fatalf("%v is not invalid", err)
			}
			return
		}
		p, err := compile(filters, asQuery, time.Unix(1e9, 0))
		if err != nil {
			t.Fatalf("checked and then refused: %v", err)
		}
		again, err := json.Marshal(filters)
		if err != nil {
			t.Fatal(err)
		}
		same, err := ParseFilters(again)
		if err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		q, err := compile(same, asQuery, time.Unix(1e9, 0))
		if err != nil || p.match(doc) != q.match(doc) {
			t.Fatalf("%s and %s answer otherwise", text, again)
		}
	})
}

func fuzzHub(f *testing.F) *Hub {
	d, err := db.Open(context.Background(), "sqlite:"+filepath.Join(f.TempDir(), "state.db"), bus.Schema(), Schema())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { d.Close() })
	h, err := New(context.Background(), Config{DB: d, Bus: bus.New(d), Account: "111122223333"})
	if err != nil {
		f.Fatal(err)
	}
	return h
}

// A page token is of the question or refused as invalid; nothing else happens.
func FuzzToken(f *testing.F) {
	h := fuzzHub(f)
	var list []finding.Finding
	for n := range 30 {
		one := generated(n)
		list = append(list, one)
	}
	if _, err := h.Import(context.Background(), finding.Scan{}, list...); err != nil {
		f.Fatal(err)
	}
	queries := []Query{{Limit: 4}, {Limit: 4, Sort: []Sort{{Field: "Title"}, {Field: "Confidence", SortOrder: "desc"}}}, {Limit: 4, Sort: []Sort{{Field: "UpdatedAt"}}}}
	for i, q := range queries {
		page, err := h.Find(context.Background(), q)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(page.Token, uint8(i))
	}
	f.Fuzz(func(t *testing.T, token string, which uint8) {
		q := queries[int(which)%len(queries)]
		q.Token = token
		if _, err := h.Find(t.Context(), q); err != nil && !errors.Is(err, fault.Invalid) {
			t.Fatal(err)
		}
	})
}

// Whatever is called ASFF is taken or fails alone; what was taken can be asked for and changed.
func FuzzImport(f *testing.F) {
	h := fuzzHub(f)
	good := generated(1)
	good.AccountID, good.ProductARN = "111122223333", "arn:aws:securityhub:us-east-1:111122223333:product/111122223333/default"
	f.Add([]byte(good.JSON()))
	f.Add([]byte(strings.Replace(string(good.JSON()), `"Title"`, `"Malware":[{}],"Note":{"Text":"x","UpdatedBy":"y"},"Title"`, 1)))
	f.Add([]byte(strings.Replace(string(good.JSON()), `"Label":"LOW"`, `"Label":"LOW","Odd":[1e999,"\u0000"]`, -1)))
	f.Fuzz(func(t *testing.T, text []byte) {
		one, err := finding.Parse(text)
		if err != nil {
			return
		}
		for _, scan := range []finding.Scan{{}, {Tool: "fuzz", Target: "t", Branch: "b", Complete: true}} {
			did, err := h.Import(t.Context(), scan, one, good)
			if err != nil {
				t.Fatalf("the whole import fails: %v", err)
			}
			if len(did.Failed) > 0 {
				continue
			}
			stored, err := h.Get(t.Context(), RefOf(one))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := h.Update(t.Context(), Update{Refs: []Ref{RefOf(stored)}, Decision: Decision{Confidence: new(int)}}); err != nil {
				t.Fatal(err)
			}
			if page, err := h.Find(t.Context(), Query{Filters: Filters{"Id": Is(stored.ID)}}); err != nil && !errors.Is(err, fault.Invalid) || err == nil && len(page.Findings) != 1 {
				t.Fatalf("%q is found %d times, %v", stored.ID, len(page.Findings), err)
			}
		}
	})
}

// What index rows are made of can be anything; broken ones are refused.
func FuzzFacets(f *testing.F) {
	one := generated(7)
	f.Add(facetsOf(&one))
	f.Add([]byte{0x80, 0x80, 0x80, 0x80, 0x80, 1})
	f.Fuzz(func(t *testing.T, facets []byte) {
		ix := newIndex()
		if err := ix.apply([]indexRow{{seq: 1, rev: 1, facets: facets}}); err != nil {
			return
		}
		p, err := compile(Filters{"SeverityLabel": Is("HIGH"), "SeverityNormalized": {{Gte: new(float64)}}, "ResourceId": Is("x")}, asQuery, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		o, _ := ix.orderBy("SeverityNormalized", true)
		ix.look(p).top(o, 3, nil)
	})
}
