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

// Whatever is called ASFF is taken or fails alone. What was taken is storable,
// can be read and found again, and says nothing new the second time.
func FuzzImport(f *testing.F) {
	good := generated(1)
	good.AccountID, good.ProductARN = "111122223333", "arn:aws:securityhub:us-east-1:111122223333:product/111122223333/default"
	f.Add([]byte(good.JSON()))
	f.Add([]byte(strings.Replace(string(good.JSON()), `"Title"`, `"Malware":[{}],"Note":{"Text":"x","UpdatedBy":"y"},"Title"`, 1)))
	f.Add([]byte(strings.ReplaceAll(string(good.JSON()), `"Label":"LOW"`, `"Label":"LOW","Odd":[1e999,"\u0000"]`)))
	h := &Hub{config: Config{Account: "111122223333", Region: "us-east-1"}}
	rules, err := prepareRules([]Rule{{Status: "ENABLED", Name: "r", Criteria: Filters{"Title": {{Value: "a", Comparison: Contains}}}, Actions: []RuleAction{{Type: FieldsUpdate, Update: To(finding.Suppressed)}}}}, nil, time.Unix(0, 0))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		one, err := finding.Parse(text)
		if err != nil {
			return
		}
		for _, scan := range []finding.Scan{{}, {Tool: "fuzz", Target: "t"}} {
			var did Imported
			take := func(now time.Time, f finding.Finding) *row {
				if p := validate(&f); p != nil {
					did.fail(&f, p)
					return nil
				}
				b := &batch{hub: h, at: now, rows: map[identity]*row{}, trend: map[trendKey]*trendCount{}}
				r := &row{identity: identityOf(&f)}
				b.rows[r.identity] = r
				if err := b.takeOne(scan, &f, rules, &did); err != nil {
					t.Fatal(err)
				}
				b.at = now.Add(time.Hour)
				again := one
				if err := b.takeOne(scan, &again, rules, &did); err != nil {
					t.Fatal(err)
				}
				return r
			}
			r := take(time.Unix(1e9, 0), one)
			if len(did.Failed) > 0 {
				continue
			}
			if did.New != 1 || did.Ignored+did.Unchanged != 1 {
				t.Fatalf("the second time it is %+v\n%s", did, r.doc)
			}
			if !storable(r.account, r.product, r.id, r.finding.ProductName, string(r.doc)) {
				t.Fatalf("cannot be stored: %q", r.doc)
			}
			stored, err := finding.Parse(r.doc)
			if err != nil {
				t.Fatal(err)
			}
			ix := newIndex()
			if err := ix.apply([]indexRow{{seq: 1, rev: 1, facets: facetsOf(&stored)}}); err != nil {
				t.Fatal(err)
			}
			if blank(stored.ID) {
				t.Fatalf("without an Id: %s", r.doc)
			}
			p, err := compile(Filters{"Id": Is(stored.ID), "SeverityLabel": Is(string(stored.Label())), "ResourceId": Is(stored.Resources[0].ID), "RecordState": Is(string(stored.RecordState))}, asQuery, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if !ix.look(p).may(0) || !p.match(r.doc) {
				t.Fatalf("is not found: %s", r.doc)
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
