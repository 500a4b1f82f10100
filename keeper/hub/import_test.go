package hub_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// A known finding is changed by a later import only, and an import that is passed over tells nobody.
func TestImportTakesTheNewer(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		if did := h.importing(simple("a", updated("2026-01-02T00:00:00Z"))); did.New != 1 || did.Succeeded() != 1 {
			t.Fatalf("first: %+v", did)
		}
		for _, at := range []string{"2026-01-02T00:00:00Z", "2026-01-01T23:59:59.999Z", "2026-01-02T01:00:00+01:00"} {
			did := h.importing(simple("a", updated(at), func(f *finding.Finding) { f.Title = "older" }))
			if did.Ignored != 1 || did.Succeeded() != 1 {
				t.Errorf("import of %s: %+v, want it ignored and counted", at, did)
			}
		}
		if did := h.importing(simple("a", updated("2026-01-02T00:00:00.001Z"), func(f *finding.Finding) { f.Title = "newer" })); did.Changed != 1 {
			t.Errorf("later: %+v", did)
		}
		if got := h.get("a").Title; got != "newer" {
			t.Errorf("title is %q", got)
		}
		events := h.events()
		if len(events) != 2 {
			t.Fatalf("%d events, want 2", len(events))
		}
		e := events[1]
		if e.Type != finding.Imported || e.Source != finding.Source || e.Account != account || e.Resources[0] != product+"/a" || told(t, e).Title != "newer" {
			t.Errorf("event: %+v", e)
		}
	})
}

// A finding that is wrong fails alone, with what is wrong with it.
func TestImportFailures(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		long := func(n int) string { return strings.Repeat("가", n) }
		bad := map[string]func(*finding.Finding){
			"Title":                           func(f *finding.Finding) { f.Title = long(257) },
			"Description":                     func(f *finding.Finding) { f.Description = " " },
			"SchemaVersion":                   func(f *finding.Finding) { f.SchemaVersion = "2019-01-01" },
			"AwsAccountId":                    func(f *finding.Finding) { f.AccountID = "1111" },
			"UpdatedAt":                       func(f *finding.Finding) { f.UpdatedAt = "yesterday" },
			"Resources: ":                     func(f *finding.Finding) { f.Resources = nil },
			"Types[0]":                        func(f *finding.Finding) { f.Types = []string{"Odd/Things"} },
			"Severity.Label":                  func(f *finding.Finding) { f.Severity = &finding.Severity{Label: "BAD"} },
			"FindingProviderFields.Severity:": func(f *finding.Finding) { f.Provider.Severity = &finding.Severity{Original: "x"} },
			"Confidence":                      func(f *finding.Finding) { f.Confidence = number(101) },
			"Workflow.Status":                 func(f *finding.Finding) { f.Workflow = &finding.Workflow{Status: "OPEN"} },
			"Note.Text":                       func(f *finding.Finding) { f.Note = &finding.Note{UpdatedBy: "me"} },
			"Malware":                         func(f *finding.Finding) { f.Extra = []byte(`{"Malware":[{},{},{},{},{},{}]}`) },
			"Malware,":                        func(f *finding.Finding) { f.Extra = []byte(`{"Malware":7}`) },
			"ProductFields":                   func(f *finding.Finding) { f.ProductFields = map[string]string{long(129): "x"} },
			"RelatedFindings":                 func(f *finding.Finding) { f.RelatedFindings = make([]finding.Related, 11) },
			"Id: holds a NUL":                 func(f *finding.Finding) { f.ID = "a\x00b" },
			"UTF-8":                           func(f *finding.Finding) { f.Title = "a\xffb" },
			"JSON":                            func(f *finding.Finding) { f.Resources[0].Details = []byte(`{"broken":`) },
		}
		var list []finding.Finding
		var wants []string
		for want, edit := range bad {
			list, wants = append(list, simple("bad "+want, edit)), append(wants, want)
		}
		list = append(list, simple("good"))
		did, err := h.Import(t.Context(), finding.Scan{}, list...)
		h.check(err)
		if did.New != 1 || len(did.Failed) != len(bad) {
			t.Errorf("%d new, %d failed, want 1 and %d", did.New, len(did.Failed), len(bad))
		}
		for _, want := range wants {
			found := false
			for _, f := range did.Failed {
				found = found || strings.Contains(f.Message, want) && f.Code == hub.CodeInvalidInput
			}
			if !found {
				t.Errorf("no failure speaks of %q: %v", want, did.Failed)
			}
		}
	})
}

// Who may not import hears so, finding by finding.
func TestImportAccess(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ask := func(f finding.Finding) string {
			did, err := h.Import(t.Context(), finding.Scan{}, f)
			h.check(err)
			if len(did.Failed) == 0 {
				return ""
			}
			return did.Failed[0].Code
		}
		other := simple("x", func(f *finding.Finding) {
			f.ProductARN = "arn:aws:securityhub:us-east-1:999999999999:product/999999999999/default"
		})
		acme := simple("x", func(f *finding.Finding) { f.ProductARN = "arn:aws:securityhub:us-east-1::product/acme/scanner" })
		if got := ask(other); got != hub.CodeInvalidAccess {
			t.Errorf("another account's product: %q", got)
		}
		if got := ask(acme); got != hub.CodeInvalidAccess {
			t.Errorf("a product that is not enabled: %q", got)
		}
		sub, err := h.EnableProduct(t.Context(), acme.ProductARN)
		h.check(err)
		if got := ask(acme); got != "" {
			t.Errorf("once enabled: %q", got)
		}
		h.check(h.DisableProduct(t.Context(), sub))
		if got := ask(acme); got != hub.CodeInvalidAccess {
			t.Errorf("once disabled: %q", got)
		}
		h.check(h.Disable(t.Context()))
		if got := ask(simple("y")); got != hub.CodeInvalidAccess {
			t.Errorf("a hub that is off: %q", got)
		}
		h.check(h.Enable(t.Context(), "", true, nil))
		if got := ask(simple("y")); got != "" {
			t.Errorf("a hub that is on again: %q", got)
		}
	})
}

// The table of hub.md: five attributes have two homes.
func TestOwnership(t *testing.T) {
	five, six := number(5), number(6)
	cases := []struct {
		name                  string
		known, decided        bool
		provider, top         *int
		wantProvider, wantTop int
	}{
		{"provider only, new", false, false, five, nil, 5, 5},
		{"top only, new", false, false, nil, five, 5, 5},
		{"both, new", false, false, five, six, 5, 5},
		{"provider only, known", true, false, five, nil, 5, 5},
		{"top only, known", true, false, nil, five, 5, 5},
		{"both, known", true, false, five, six, 5, 6},
		{"neither, known", true, false, nil, nil, 1, 1},
		{"provider only, decided", true, true, five, nil, 5, 9},
		{"top only, decided", true, true, nil, five, 5, 9},
		{"both, decided", true, true, five, six, 5, 9},
	}
	each(t, func(t *testing.T, h *house) {
		for i, c := range cases {
			id := fmt.Sprint("f", i)
			if c.known {
				h.importing(simple(id, func(f *finding.Finding) { f.Provider.Confidence = number(1) }))
			}
			if c.decided {
				h.update(hub.Decision{Confidence: number(9)}, id)
			}
			h.importing(simple(id, updated("2026-01-02T00:00:00Z"), func(f *finding.Finding) { f.Provider.Confidence, f.Confidence = c.provider, c.top }))
			got := h.get(id)
			if *got.Provider.Confidence != c.wantProvider || *got.Confidence != c.wantTop {
				t.Errorf("%s: provider %d, top %d, want %d and %d", c.name, *got.Provider.Confidence, *got.Confidence, c.wantProvider, c.wantTop)
			}
		}
	})
}

// What people decided about a finding survives the next import, and what the hub fills in cannot be said by others.
func TestDecisionsSurvive(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.importing(simple("a"))
		h.update(hub.Decision{
			Note: &hub.Note{Text: "known", UpdatedBy: "alice"}, Severity: &finding.Severity{Label: finding.Low}, Verification: "FALSE_POSITIVE", Criticality: number(3),
			Types: []string{"TTPs/Discovery"}, UserFields: map[string]string{"ticket": "1"}, RelatedFindings: []finding.Related{{ProductARN: product, ID: "b"}},
			Workflow: &finding.Workflow{Status: finding.Suppressed},
		}, "a")
		before := h.get("a")
		if before.UpdatedAt != "2026-01-01T00:00:00Z" || before.Note.UpdatedAt == "" {
			t.Errorf("updated at %s, note %+v", before.UpdatedAt, before.Note)
		}
		h.importing(simple("a", updated("2026-02-01T00:00:00Z"), label(finding.Critical), func(f *finding.Finding) {
			f.Title = "new title"
			f.Note, f.UserFields, f.Verification = &finding.Note{Text: "x", UpdatedBy: "y", UpdatedAt: "z"}, map[string]string{"a": "b"}, "UNKNOWN"
			f.Workflow, f.Region, f.AccountName, f.ProcessedAt = &finding.Workflow{Status: finding.New}, "eu-west-1", "somebody", "never"
		}))
		want := *before
		want.Title, want.UpdatedAt, want.ProcessedAt = "new title", "2026-02-01T00:00:00Z", "2026-03-01T12:00:00.000Z"
		want.Provider = &finding.ProviderFields{Severity: &finding.Severity{Label: finding.Critical}, Types: before.Provider.Types}
		if diff := cmp.Diff(string(want.JSON()), string(h.get("a").JSON())); diff != "" {
			t.Error(diff)
		}
	})
}

// Members that nobody knows come back as they were sent.
func TestUnknownMembersSurvive(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		text := `{"SchemaVersion":"2018-10-08","Id":"u","ProductArn":"` + product + `","GeneratorId":"g","AwsAccountId":"111122223333","CreatedAt":"2026-01-01T00:00:00Z","UpdatedAt":"2026-01-01T00:00:00Z",` +
			`"Title":"t","Description":"d","Severity":{"Label":"LOW","Odd":1.50},"Resources":[{"Type":"Other","Id":"x","Details":{"Other":{"b":"2","a":"1"}},"New":[1e3]}],` +
			`"Zukunft":{"z":1,"a":[1.0,null,"\u00e9"]},"RelatedFindings":[{"ProductArn":"p","Id":"i","Why":{"b":1,"a":2}}]}`
		f, err := finding.Parse([]byte(text))
		h.check(err)
		h.importing(f)
		got := string(h.get("u").JSON())
		for _, want := range []string{`"Odd":1.50`, `{"Other":{"b":"2","a":"1"}}`, `"New":[1e3]`, `"Zukunft":{"z":1,"a":[1.0,null,"\u00e9"]}`, `"Why":{"b":1,"a":2}`} {
			if !strings.Contains(got, want) {
				t.Errorf("%s is not in %s", want, got)
			}
		}
	})
}

// The workflow table of hub.md.
func TestWorkflowResets(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		for i, c := range []struct {
			status     finding.Status
			was, comes func(*finding.Finding)
			want       finding.Status
		}{
			{finding.Notified, record(finding.Archived), record(finding.Active), finding.New},
			{finding.Resolved, record(finding.Archived), record(finding.Active), finding.New},
			{finding.Suppressed, record(finding.Archived), record(finding.Active), finding.Suppressed},
			{finding.Resolved, record(finding.Active), record(finding.Archived), finding.Resolved},
			{finding.Resolved, checked(finding.Passed, ""), checked(finding.Failed, ""), finding.New},
			{finding.Notified, checked(finding.Passed, ""), checked(finding.NotAvailable, ""), finding.New},
			{finding.Notified, checked(finding.Failed, ""), checked(finding.Passed, ""), finding.Notified},
			{finding.Notified, checked(finding.Failed, "S3.1"), checked(finding.Passed, "S3.1"), finding.Resolved},
			{finding.Suppressed, checked(finding.Failed, "S3.1"), checked(finding.Passed, "S3.1"), finding.Suppressed},
		} {
			id := fmt.Sprint("f", i)
			h.importing(simple(id, c.was))
			h.update(hub.To(c.status), id)
			h.importing(simple(id, c.comes, updated("2026-01-02T00:00:00Z")))
			if got := h.get(id).Status(); got != c.want {
				t.Errorf("case %d: %s, want %s", i, got, c.want)
			}
		}
		h.importing(simple("passes", checked(finding.Passed, "S3.1")))
		if got := h.get("passes").Status(); got != finding.Resolved {
			t.Errorf("a control that passes from the start is %s", got)
		}
	})
}

func record(s finding.RecordState) func(*finding.Finding) {
	return func(f *finding.Finding) { f.RecordState = s }
}

func checked(status, control string) func(*finding.Finding) {
	return func(f *finding.Finding) {
		f.Compliance = &finding.Compliance{Status: status, SecurityControlID: control}
	}
}

// A control finding that is too large loses its resources' details; another one is refused.
func TestTooLarge(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		big := func(f *finding.Finding) {
			f.Resources[0].Details = []byte(`{"Other":{"x":"` + strings.Repeat("x", hub.MaxFindingBytes) + `"}}`)
		}
		did, err := h.Import(t.Context(), finding.Scan{}, simple("plain", big), simple("control", big, checked(finding.Failed, "S3.1")))
		h.check(err)
		if did.New != 1 || len(did.Failed) != 1 || did.Failed[0].Code != hub.CodeTooLarge || did.Failed[0].ID != "plain" {
			t.Errorf("%+v", did)
		}
		if got := h.get("control").Resources[0].Details; got != nil {
			t.Errorf("details are still there: %d bytes", len(got))
		}
	})
}

// The hub names what known products send; one's own product names itself.
func TestFilledIn(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.importing(
			simple("own", func(f *finding.Finding) { f.ProductName, f.CompanyName = "Mine", "Me" }),
			simple("plain"),
			simple("p", func(f *finding.Finding) { f.ProductARN, f.ProductName = prowler, "Other" }),
		)
		if f := h.get("own"); f.ProductName != "Mine" || f.CompanyName != "Me" || f.Region != "us-east-1" {
			t.Errorf("own: %s of %s in %s", f.ProductName, f.CompanyName, f.Region)
		}
		if f := h.get("plain"); f.ProductName != "Default" || f.CompanyName != "Personal" || f.Status() != finding.New || f.RecordState != finding.Active || f.ProcessedAt == "" {
			t.Errorf("plain: %+v", f)
		}
		f, err := h.Get(t.Context(), hub.Ref{ProductARN: prowler, ID: "p"})
		h.check(err)
		if f.ProductName != "Prowler" || f.CompanyName != "Prowler" {
			t.Errorf("prowler's: %s of %s", f.ProductName, f.CompanyName)
		}
		if s := f.Severity; s == nil || s.Label != finding.High || *s.Normalized != 70 {
			t.Errorf("severity %+v", s)
		}
	})
}

// The same finding twice in one call: the later one counts, and both are told of.
func TestTwiceInOneCall(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		did := h.importing(simple("a"), simple("a", updated("2026-01-03T00:00:00Z"), label(finding.Low)), simple("a", updated("2026-01-02T00:00:00Z")))
		if did.New != 1 || did.Changed != 1 || did.Ignored != 1 {
			t.Errorf("%+v", did)
		}
		if got := h.get("a").Label(); got != finding.Low {
			t.Errorf("severity is %s", got)
		}
		if n := len(h.events()); n != 2 {
			t.Errorf("%d events, want 2", n)
		}
	})
}

var shop = finding.Scan{Tool: "secret", Target: "shop", Branch: "main", Complete: true}

func scanOf(branch, commit string, complete bool) finding.Scan {
	s := shop
	s.Branch, s.Commit, s.Complete = branch, commit, complete
	return s
}

// own are findings of our own scanner at these lines.
func (h *house) own(s finding.Scan, rules map[string]string) (list []finding.Finding) {
	maker := finding.Maker{Account: account, Region: "us-east-1"}
	for rule, line := range rules {
		list = append(list, maker.Own(s, finding.Finding{
			GeneratorID: rule, Title: rule, Description: "found", Severity: &finding.Severity{Label: finding.High}, Types: []string{"Software and Configuration Checks"},
			ProductFields: map[string]string{finding.FieldFile: "a.env", finding.FieldLine: line, finding.FieldFingerprint: rule},
		}, h.time()))
	}
	return list
}

func (h *house) scan(s finding.Scan, rules map[string]string) hub.Imported {
	h.t.Helper()
	did, err := h.Import(h.t.Context(), s, h.own(s, rules)...)
	h.check(err)
	if len(did.Failed) > 0 {
		h.t.Fatalf("failed: %v", did.Failed)
	}
	h.pass(time.Minute)
	return did
}

func ownID(rule string) string { return shop.FindingID(rule) }

// Scanning twice changes nothing: not when a line has moved, not on another branch.
func TestScanTwice(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.scan(scanOf("main", "c1", true), map[string]string{"a": "1", "b": "2"})
		first := h.get(ownID("a"))
		did := h.scan(scanOf("main", "c2", true), map[string]string{"a": "7", "b": "2"})
		if did.Unchanged != 2 || did.Changed+did.New+did.Closed != 0 || len(h.events()) != 2 {
			t.Errorf("second scan: %+v, %d events", did, len(h.events()))
		}
		h.scan(scanOf("dev", "c3", true), map[string]string{"a": "7"})
		if n := len(h.events()); n != 2 {
			t.Errorf("after another branch: %d events", n)
		}
		got := h.get(ownID("a"))
		if got.UpdatedAt != first.UpdatedAt || got.CreatedAt != first.CreatedAt || got.FirstObservedAt != first.FirstObservedAt || got.LastObservedAt == first.LastObservedAt {
			t.Errorf("times: %s %s %s %s", got.CreatedAt, got.UpdatedAt, got.FirstObservedAt, got.LastObservedAt)
		}
		if got.ProductFields[finding.FieldLine] != "7" || got.ProductFields[finding.FieldBranch] != "dev" {
			t.Errorf("place: %v", got.ProductFields)
		}
		if history, _, err := h.History(t.Context(), hub.HistoryQuery{Ref: hub.RefOf(*got)}); err != nil || len(history) != 1 {
			t.Errorf("history has %d entries, %v", len(history), err)
		}
	})
}

// What a complete scan lacks is archived when no branch has it any more, and is NEW when it comes back.
func TestClosing(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		both := map[string]string{"a": "1", "b": "2"}
		h.scan(scanOf("main", "c1", true), both)
		h.scan(scanOf("dev", "c1", true), both)
		state := func(want finding.RecordState, status finding.Status) {
			t.Helper()
			if f := h.get(ownID("b")); f.RecordState != want || f.Status() != status {
				t.Errorf("b is %s and %s, want %s and %s", f.RecordState, f.Status(), want, status)
			}
		}
		h.update(hub.To(finding.Notified), ownID("b"))
		if did := h.scan(scanOf("main", "c2", true), map[string]string{"a": "1"}); did.Closed != 0 {
			t.Errorf("closed though dev has it: %+v", did)
		}
		state(finding.Active, finding.Notified)
		if did := h.scan(scanOf("dev", "c3", false), nil); did.Closed != 0 {
			t.Errorf("a partial scan closed: %+v", did)
		}
		state(finding.Active, finding.Notified)
		before := len(h.events())
		if did := h.scan(scanOf("dev", "c3", true), map[string]string{"a": "1"}); did.Closed != 1 {
			t.Errorf("%+v, want 1 closed", did)
		}
		state(finding.Archived, finding.Notified)
		if events := h.events(); len(events) != before+1 || told(t, events[before]).RecordState != finding.Archived {
			t.Errorf("%d events more, want one that tells it is archived", len(events)-before)
		}
		if did := h.scan(scanOf("main", "c4", true), both); did.Changed != 1 {
			t.Errorf("coming back: %+v", did)
		}
		state(finding.Active, finding.New)
		closed, err := h.Forget(t.Context(), "shop", "main", "git")
		h.check(err)
		if closed != 1 {
			t.Errorf("forgetting main closed %d, want b alone", closed)
		}
		state(finding.Archived, finding.New)
		scans, err := h.Scans(t.Context(), "shop", 10)
		h.check(err)
		if len(scans) != 6 || !scans[0].Done || scans[0].Commit != "c4" || scans[0].Found != 2 || scans[1].Closed != 1 || scans[2].Complete {
			t.Errorf("scans: %+v", scans)
		}
	})
}

// A scan of which a finding failed closes nothing, nor does another tool's.
func TestNoClosing(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.scan(scanOf("main", "c1", true), map[string]string{"a": "1"})
		broken := simple("broken", func(f *finding.Finding) { f.Resources = nil })
		did, err := h.Import(t.Context(), scanOf("main", "c2", true), broken)
		h.check(err)
		if did.Closed != 0 || len(did.Failed) != 1 {
			t.Errorf("%+v", did)
		}
		other := scanOf("main", "c3", true)
		other.Tool = "deps"
		if did := h.scan(other, nil); did.Closed != 0 {
			t.Errorf("another tool: %+v", did)
		}
		if h.get(ownID("a")).RecordState != finding.Active {
			t.Error("a was closed")
		}
	})
}

// New since the base branch is what head has and base lacks.
func TestNewSince(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.scan(scanOf("main", "c1", true), map[string]string{"old": "1"})
		h.scan(scanOf("dev", "c2", true), map[string]string{"old": "1", "new": "2"})
		fresh, err := h.NewSince(t.Context(), "shop", "dev", "main")
		h.check(err)
		if len(fresh) != 1 || fresh[0].GeneratorID != "new" {
			t.Errorf("new since main: %v", fresh)
		}
		all, err := h.NewSince(t.Context(), "shop", "dev", "never")
		h.check(err)
		if len(all) != 2 {
			t.Errorf("against a branch never scanned: %d", len(all))
		}
		places, err := h.PresenceOf(t.Context(), hub.Ref{ProductARN: product, ID: ownID("old")})
		h.check(err)
		if len(places) != 2 || places[0].Branch != "dev" || places[0].Commit != "c2" || places[1].Branch != "main" {
			t.Errorf("presence: %+v", places)
		}
	})
}

// A scanner's text that is too long is cut, and the finding kept.
func TestScanShortens(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		f := h.own(shop, map[string]string{"a": "1"})[0]
		f.Title, f.Description = strings.Repeat("x", 300), strings.Repeat("가", 2000)
		did, err := h.Import(t.Context(), shop, f)
		h.check(err)
		got := h.get(f.ID)
		if did.New != 1 || len(got.Title) != 255+len("…") || len([]rune(got.Description)) != 1024 {
			t.Errorf("%+v: title of %d bytes", did, len(got.Title))
		}
	})
}

// Texts that one database takes and the other does not are refused or harmless on both.
func TestHostileTexts(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		nul := "a\x00b"
		did, err := h.Import(t.Context(), finding.Scan{}, simple("good"),
			simple("title", func(f *finding.Finding) { f.Title, f.Description, f.GeneratorID = nul, nul, nul }),
			simple("resource", func(f *finding.Finding) { f.Resources[0].ID, f.Resources[0].Tags = nul, map[string]string{nul: nul} }),
			simple("name", func(f *finding.Finding) { f.ProductName = nul }),
			simple(nul), simple("a\xffb"))
		h.check(err)
		if did.New != 3 || len(did.Failed) != 3 {
			t.Errorf("%+v", did)
		}
		if got := h.get("title").Title; got != nul {
			t.Errorf("title is %q", got)
		}
		if ids := h.ids(hub.Query{Filters: hub.Filters{"ResourceId": hub.Is(nul)}}); len(ids) != 1 {
			t.Errorf("found by its resource: %v", ids)
		}
		if _, err := h.Update(t.Context(), hub.Update{Refs: []hub.Ref{ref("good")}, Decision: hub.To(finding.Resolved), By: nul, Why: "\xff" + nul}); err != nil {
			t.Error(err)
		}
		for name, err := range map[string]error{
			"scan": func() error { _, err := h.Import(t.Context(), finding.Scan{Tool: "x", Target: nul}); return err }(),
			"accept": func() error {
				_, err := h.Update(t.Context(), hub.Update{Refs: []hub.Ref{ref("good")}, Accept: &hub.Acceptance{Reason: nul, Owner: "o"}})
				return err
			}(),
			"action": func() error {
				_, err := h.CreateAction(t.Context(), "x", hub.Action{Name: nul, Description: "d"})
				return err
			}(),
			"tag": h.Tag(t.Context(), h.ARN(), map[string]string{nul: "x"}),
		} {
			if !errors.Is(err, fault.Invalid) {
				t.Errorf("%s: %v, want invalid", name, err)
			}
		}
		for name, err := range map[string]error{
			"get":     func() error { _, err := h.Get(t.Context(), hub.Ref{ProductARN: product, ID: nul}); return err }(),
			"rule":    h.DeleteRule(t.Context(), nul),
			"insight": h.DeleteInsight(t.Context(), nul),
			"removed": h.RemoveSuppressor(t.Context(), nul, ""),
		} {
			if !errors.Is(err, fault.NotFound) {
				t.Errorf("%s: %v, want not found", name, err)
			}
		}
	})
}

// A rule that had its say when a finding came in is named in its history.
func TestHistoryNamesRules(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		_, err := h.CreateRule(t.Context(), rule(1, "quiet", hub.Filters{"SeverityLabel": hub.Is("LOW")}, hub.To(finding.Suppressed)), nil)
		h.check(err)
		h.importing(simple("a", label(finding.Low)))
		changes, _, err := h.History(t.Context(), hub.HistoryQuery{Ref: ref("a")})
		h.check(err)
		if len(changes) != 1 || !changes[0].Created || changes[0].Why != "automation rule quiet" {
			t.Errorf("%+v", changes)
		}
	})
}

// While the hub is off a scan fails as a whole, and closes nothing.
func TestScanWhileOff(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.scan(scanOf("main", "c1", true), map[string]string{"a": "1"})
		h.check(h.Disable(t.Context()))
		if _, err := h.Import(t.Context(), scanOf("main", "c2", true)); !errors.Is(err, fault.Denied) {
			t.Errorf("got %v, want denied", err)
		}
		h.check(h.Enable(t.Context(), "", true, nil))
		if h.get(ownID("a")).RecordState != finding.Active {
			t.Error("a was closed")
		}
	})
}
