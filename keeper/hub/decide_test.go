package hub_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

const alice = "arn:aws:iam::111122223333:user/alice"

func ref(id string) hub.Ref { return hub.Ref{ProductARN: product, ID: id} }

// What can be updated is, and each that cannot says why.
func TestUpdateFailures(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.importing(simple("a"), simple("b"))
		did, err := h.Update(t.Context(), hub.Update{Refs: []hub.Ref{ref("a"), ref("gone"), ref("b"), ref("b"), ref("nul\x00")}, Decision: hub.To(finding.Resolved), By: alice})
		h.check(err)
		var failed []string
		for _, f := range did.Failed {
			failed = append(failed, f.Ref.ID+" "+f.Code+" "+f.Message)
		}
		want := []string{"gone FindingNotFound Finding Not Found", "b DuplicatedFindingIdentifier Finding Identifier is duplicated", "b DuplicatedFindingIdentifier Finding Identifier is duplicated", "nul\x00 FindingNotFound Finding Not Found"}
		if diff := cmp.Diff(want, failed); diff != "" || len(did.Done) != 1 || did.Done[0].ID != "a" {
			t.Errorf("done %v\n%s", did.Done, diff)
		}
		for name, u := range map[string]hub.Update{
			"nothing to change": {Refs: []hub.Ref{ref("a")}},
			"nobody named":      {Decision: hub.To(finding.New)},
			"odd status":        {Refs: []hub.Ref{ref("a")}, Decision: hub.To("OPEN")},
			"confidence 101":    {Refs: []hub.Ref{ref("a")}, Decision: hub.Decision{Confidence: number(101)}},
			"empty severity":    {Refs: []hub.Ref{ref("a")}, Decision: hub.Decision{Severity: &finding.Severity{}}},
			"blank note":        {Refs: []hub.Ref{ref("a")}, Decision: hub.Decision{Note: &hub.Note{Text: " ", UpdatedBy: "x"}}},
			"odd type":          {Refs: []hub.Ref{ref("a")}, Decision: hub.Decision{Types: []string{"odd"}}},
			"no reason":         {Refs: []hub.Ref{ref("a")}, Accept: &hub.Acceptance{Owner: "x"}},
			"accepted as new":   {Refs: []hub.Ref{ref("a")}, Decision: hub.To(finding.New), Accept: &hub.Acceptance{Reason: "r", Owner: "x"}},
			"in the past":       {Refs: []hub.Ref{ref("a")}, Accept: &hub.Acceptance{Reason: "r", Owner: "x", Until: h.time()}},
		} {
			if _, err := h.Update(t.Context(), u); !errors.Is(err, fault.Invalid) {
				t.Errorf("%s: %v, want invalid", name, err)
			}
		}
	})
}

// Every change says who made it, when and why, and the finding can be seen as it was at any time.
func TestHistory(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		states := []*finding.Finding{}
		times := []time.Time{}
		keep := func() {
			states, times = append(states, h.get("a")), append(times, h.time())
			h.pass(time.Hour)
		}
		h.importing(simple("a", func(f *finding.Finding) { f.ProductFields = map[string]string{"a.b": "1", "c": "2"} }))
		keep()
		_, err := h.Update(t.Context(), hub.Update{Refs: []hub.Ref{ref("a")}, Decision: hub.Decision{Workflow: &finding.Workflow{Status: finding.Resolved}, Note: &hub.Note{Text: "n", UpdatedBy: "alice"}}, By: alice, Why: "done"})
		h.check(err)
		keep()
		h.importing(simple("a", updated("2026-01-02T00:00:00Z"), label(finding.Low), func(f *finding.Finding) {
			f.ProductFields = map[string]string{"a.b": "9"}
			f.Extra = []byte(`{"Action":{"ActionType":"X"}}`)
		}))
		keep()
		changes, _, err := h.History(t.Context(), hub.HistoryQuery{Ref: ref("a")})
		h.check(err)
		if len(changes) != 3 || !changes[2].Created || changes[1].Who != alice || changes[1].Why != "done" || changes[1].Kind != "BATCH_UPDATE_FINDINGS" || changes[0].Who != product {
			t.Fatalf("history: %+v", changes)
		}
		var got []string
		for _, f := range slices.Concat(changes[1].Fields, changes[0].Fields) {
			got = append(got, f.Field+"="+f.Old+">"+f.New)
		}
		want := []string{`Note=>{"Text":"n","UpdatedBy":"alice","UpdatedAt":"2026-03-01T13:00:00.000Z"}`, "Workflow.Status=NEW>RESOLVED", `Action=>{"ActionType":"X"}`, "FindingProviderFields.Severity.Label=HIGH>LOW",
			"ProductFields.a.b=1>9", "ProductFields.c=2>", "Severity.Label=HIGH>LOW", "Severity.Normalized=70>1"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		for i, at := range times {
			f, err := h.At(t.Context(), ref("a"), at.Add(30*time.Minute))
			h.check(err)
			if diff := cmp.Diff(string(states[i].JSON()), string(f.JSON())); diff != "" {
				t.Errorf("state %d: %s", i, diff)
			}
		}
		if _, err := h.At(t.Context(), ref("a"), times[0].Add(-time.Second)); !errors.Is(err, fault.NotFound) {
			t.Errorf("before it was there: %v", err)
		}
		page, token, err := h.History(t.Context(), hub.HistoryQuery{Ref: ref("a"), Limit: 2})
		h.check(err)
		rest, end, err := h.History(t.Context(), hub.HistoryQuery{Ref: ref("a"), Limit: 2, Token: token})
		h.check(err)
		if len(page) != 2 || len(rest) != 1 || end != "" || !rest[0].Created {
			t.Errorf("pages of %d and %d", len(page), len(rest))
		}
		since, _, err := h.History(t.Context(), hub.HistoryQuery{Ref: ref("a"), From: times[1]})
		h.check(err)
		if len(since) != 2 {
			t.Errorf("since the update: %d entries", len(since))
		}
	})
}

// A risk is accepted for a reason, by an owner, until it ends: then the finding is NEW again, and told of.
func TestAcceptanceEnds(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.importing(simple("a"), simple("b"), simple("c"))
		until := h.time().Add(48 * time.Hour)
		accept := func(id string, until time.Time) {
			_, err := h.Update(t.Context(), hub.Update{Refs: []hub.Ref{ref(id)}, By: alice, Accept: &hub.Acceptance{Reason: "test data", Owner: "team-a", Until: until}})
			h.check(err)
		}
		accept("a", until)
		accept("b", time.Time{})
		accept("c", until)
		h.update(hub.To(finding.New), "c") // somebody thinks better of it
		list, err := h.Acceptances(t.Context())
		h.check(err)
		if len(list) != 2 || list[0].Ref.ID != "a" || list[0].Owner != "team-a" || list[0].By != alice || list[1].Ref.ID != "b" || !list[1].Until.IsZero() {
			t.Fatalf("in force: %+v", list)
		}
		if next, err := h.Expire(t.Context()); err != nil || !next.Equal(until) || h.get("a").Status() != finding.Suppressed {
			t.Errorf("next end %s, %v", next, err)
		}
		before := len(h.events())
		h.pass(48 * time.Hour)
		if next, err := h.Expire(t.Context()); err != nil || !next.IsZero() {
			t.Errorf("next end %s, %v", next, err)
		}
		if h.get("a").Status() != finding.New || h.get("b").Status() != finding.Suppressed {
			t.Errorf("a is %s, b is %s", h.get("a").Status(), h.get("b").Status())
		}
		if events := h.events(); len(events) != before+1 || told(t, events[before]).ID != "a" {
			t.Errorf("%d events more, want one of a", len(events)-before)
		}
		if _, err := h.AcceptanceOf(t.Context(), ref("a")); !errors.Is(err, fault.NotFound) {
			t.Errorf("acceptance of a: %v", err)
		}
	})
}

// Run ends a suppression on time.
func TestRunExpires(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.importing(simple("a"))
		_, err := h.Update(t.Context(), hub.Update{Refs: []hub.Ref{ref("a")}, By: alice, Accept: &hub.Acceptance{Kind: "snoozed", Reason: "later", Owner: "me", Until: h.time().Add(time.Millisecond)}})
		h.check(err)
		h.pass(time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			defer cancel()
			for ctx.Err() == nil && h.get("a").Status() != finding.New {
				time.Sleep(time.Millisecond)
			}
		}()
		timer := time.AfterFunc(20*time.Second, cancel)
		defer timer.Stop()
		h.check(h.Run(ctx))
		if got := h.get("a").Status(); got != finding.New {
			t.Errorf("status is %s", got)
		}
	})
}

// A suppressor keeps quiet what its pattern matches, names its reason, and lets go when it ends.
func TestSuppressors(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		vendored := func(f *finding.Finding) { f.ProductFields = map[string]string{finding.FieldFile: "vendor/x.go"} }
		h.importing(simple("old", vendored), simple("mine"), simple("person", vendored))
		h.update(hub.To(finding.Resolved), "person")
		pattern := `{"ProductFields": {"haechi/file": [{"prefix": "vendor/"}]}}`
		list, n, err := h.TrySuppressor(t.Context(), pattern, 10)
		h.check(err)
		if n != 2 || len(list) != 2 {
			t.Errorf("a trial finds %d", n)
		}
		s, did, err := h.AddSuppressor(t.Context(), hub.Suppressor{Name: "vendored", Pattern: pattern, Acceptance: hub.Acceptance{Kind: "wont-fix", Reason: "not ours", Owner: "team-a", Until: h.time().Add(time.Hour), By: alice}}, true)
		h.check(err)
		if did != 1 || h.get("old").Status() != finding.Suppressed || h.get("person").Status() != finding.Resolved || h.get("mine").Status() != finding.New {
			t.Errorf("suppressed %d; old %s, person %s, mine %s", did, h.get("old").Status(), h.get("person").Status(), h.get("mine").Status())
		}
		h.importing(simple("fresh", vendored))
		f := h.get("fresh")
		a, err := h.AcceptanceOf(t.Context(), hub.RefOf(*f))
		h.check(err)
		if f.Status() != finding.Suppressed || a.Rule != s.ID || a.Reason != "not ours" {
			t.Errorf("fresh is %s: %+v", f.Status(), a)
		}
		h.update(hub.To(finding.New), "fresh") // a person's word counts more
		h.importing(simple("fresh", vendored, updated("2026-02-01T00:00:00Z")))
		if got := h.get("fresh").Status(); got != finding.New {
			t.Errorf("against a person: %s", got)
		}
		h.pass(time.Hour)
		_, err = h.Expire(t.Context())
		h.check(err)
		if left, err := h.Suppressors(t.Context()); err != nil || len(left) != 0 || h.get("old").Status() != finding.New {
			t.Errorf("afterwards: %v, %v, old is %s", left, err, h.get("old").Status())
		}
		for _, bad := range []hub.Suppressor{{Name: "x", Pattern: `{"a":`, Acceptance: hub.Acceptance{Reason: "r", Owner: "o"}}, {Name: "x", Pattern: pattern}, {Pattern: pattern, Acceptance: hub.Acceptance{Reason: "r", Owner: "o"}}} {
			if _, _, err := h.AddSuppressor(t.Context(), bad, false); !errors.Is(err, fault.Invalid) {
				t.Errorf("%+v: %v", bad, err)
			}
		}
	})
}

func rule(order int, name string, criteria hub.Filters, d hub.Decision, edits ...func(*hub.Rule)) hub.Rule {
	r := hub.Rule{Order: order, Name: name, Description: "d", Criteria: criteria, Actions: []hub.RuleAction{{Type: hub.FieldsUpdate, Update: d}}}
	for _, e := range edits {
		e(&r)
	}
	return r
}

// Automation rules: lowest order first, the later overwrites, a terminal one ends it, and it is done before anybody hears.
func TestAutomation(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		low := hub.Filters{"SeverityLabel": hub.Is("LOW")}
		terminal := func(r *hub.Rule) { r.Terminal = true }
		off := func(r *hub.Rule) { r.Status = "DISABLED" }
		for _, r := range []hub.Rule{
			rule(30, "last", low, hub.Decision{Confidence: number(30), Severity: &finding.Severity{Label: finding.Medium}}),
			rule(10, "first", low, hub.Decision{Confidence: number(10), Criticality: number(10), UserFields: map[string]string{"by": "first"}}),
			rule(20, "title", hub.Filters{"Title": {{Value: "important", Comparison: hub.Contains}}}, hub.Decision{Confidence: number(20), Workflow: &finding.Workflow{Status: finding.Notified}}, terminal),
			rule(5, "off", low, hub.Decision{Criticality: number(5)}, off),
		} {
			_, err := h.CreateRule(t.Context(), r, nil)
			h.check(err)
		}
		h.importing(simple("plain", label(finding.Low)), simple("x", label(finding.Low), func(f *finding.Finding) { f.Title = "an important one" }), simple("high"))
		f := h.get("plain")
		if *f.Confidence != 30 || *f.Criticality != 10 || f.UserFields["by"] != "first" || f.Label() != finding.Medium || f.Provider.Severity.Label != finding.Low || *f.Severity.Normalized != 40 {
			t.Errorf("plain: %s", f.JSON())
		}
		if f := h.get("x"); *f.Confidence != 20 || *f.Criticality != 10 || f.Status() != finding.Notified || f.Label() != finding.Low {
			t.Errorf("x: %s", f.JSON())
		}
		if f := h.get("high"); f.Confidence != nil {
			t.Errorf("high: %s", f.JSON())
		}
		events := h.events()
		if len(events) != 3 || told(t, events[0]).Severity.Label != finding.Medium {
			t.Errorf("%d events; the first tells of %s", len(events), told(t, events[0]).Severity.Label)
		}
		h.update(hub.Decision{Confidence: number(99)}, "plain")
		h.importing(simple("plain", label(finding.Low), updated("2026-02-01T00:00:00Z")))
		if f := h.get("plain"); *f.Confidence != 99 || *f.Criticality != 10 {
			t.Errorf("a rule overwrote a person: %s", f.JSON())
		}
	})
}

// The same scan under rules that change its findings still changes nothing the second time.
func TestAutomationIsStable(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		_, err := h.CreateRule(t.Context(), rule(1, "all", hub.Filters{"RecordState": hub.Is("ACTIVE")}, hub.Decision{Severity: &finding.Severity{Label: finding.Critical}, Note: &hub.Note{Text: "n", UpdatedBy: "rule"}}), nil)
		h.check(err)
		h.scan(scanOf("main", "c1", true), map[string]string{"a": "1"})
		did := h.scan(scanOf("main", "c2", true), map[string]string{"a": "1"})
		if did.Unchanged != 1 || len(h.events()) != 1 || h.get(ownID("a")).Label() != finding.Critical {
			t.Errorf("%+v, %d events", did, len(h.events()))
		}
	})
}

// A trial of a rule says what it would do and with which rules it is at odds, and does nothing.
func TestTryRule(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.importing(many(10)...)
		all := hub.Filters{"RecordState": hub.Is("ACTIVE")}
		_, err := h.CreateRule(t.Context(), rule(50, "other", hub.Filters{"Id": {{Value: "f-000", Comparison: hub.Prefix}}}, hub.Decision{Criticality: number(1), Confidence: number(7)}), nil)
		h.check(err)
		trial, err := h.TryRule(t.Context(), rule(10, "mine", all, hub.Decision{Criticality: number(2), Confidence: number(7)}), 3)
		h.check(err)
		if trial.Matches != 10 || trial.Changes != 10 || len(trial.Examples) != 3 || *trial.Examples[0].Criticality != 2 {
			t.Errorf("%+v", trial)
		}
		if len(trial.Conflicts) != 1 || trial.Conflicts[0].Name != "other" || trial.Conflicts[0].Findings != 10 || !trial.Conflicts[0].Wins || strings.Join(trial.Conflicts[0].Fields, " ") != "Criticality" {
			t.Errorf("conflicts: %+v", trial.Conflicts)
		}
		if h.get("f-0001").Criticality != nil {
			t.Error("the trial changed a finding")
		}
	})
}

// Rules are changed, listed in order and deleted; what is wrong with one is said.
func TestRules(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		good := rule(2, "good", hub.Filters{"SeverityLabel": hub.Is("LOW")}, hub.To(finding.Suppressed))
		made, err := h.CreateRule(t.Context(), good, map[string]string{"team": "sec"})
		h.check(err)
		_, err = h.CreateRule(t.Context(), rule(1, "earlier", good.Criteria, hub.To(finding.Suppressed)), nil)
		h.check(err)
		h.check(h.ChangeRule(t.Context(), made.ARN, func(r *hub.Rule) { r.Name, r.Status = "renamed", "DISABLED" }))
		rules, err := h.Rules(t.Context())
		h.check(err)
		if len(rules) != 2 || rules[0].Name != "earlier" || rules[1].Name != "renamed" || rules[1].CreatedAt != made.CreatedAt {
			t.Errorf("%+v", rules)
		}
		if tags, err := h.Tags(t.Context(), made.ARN); err != nil || tags["team"] != "sec" {
			t.Errorf("tags %v, %v", tags, err)
		}
		h.check(h.DeleteRule(t.Context(), made.ARN))
		if _, err := h.RuleByARN(t.Context(), made.ARN); !errors.Is(err, fault.NotFound) {
			t.Errorf("deleted: %v", err)
		}
		for name, r := range map[string]hub.Rule{
			"order":      rule(0, "x", good.Criteria, hub.To(finding.New)),
			"no name":    rule(1, "", good.Criteria, hub.To(finding.New)),
			"criteria":   rule(1, "x", hub.Filters{"Keyword": hub.Is("x")}, hub.To(finding.New)),
			"everything": rule(1, "x", nil, hub.To(finding.New)),
			"no change":  rule(1, "x", good.Criteria, hub.Decision{}),
			"action":     rule(1, "x", good.Criteria, hub.To(finding.New), func(r *hub.Rule) { r.Actions[0].Type = "EXPLODE" }),
			"actions":    rule(1, "x", good.Criteria, hub.To(finding.New), func(r *hub.Rule) { r.Actions = append(r.Actions, r.Actions[0]) }),
		} {
			if _, err := h.CreateRule(t.Context(), r, nil); !errors.Is(err, fault.Invalid) {
				t.Errorf("%s: %v, want invalid", name, err)
			}
		}
	})
}

// Sending a finding to a custom action is an event that names the action.
func TestActions(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.importing(simple("a"))
		a, err := h.CreateAction(t.Context(), "Ticket", hub.Action{Name: "Ticket", Description: "open a ticket"})
		h.check(err)
		if a.ARN != "arn:aws:securityhub:us-east-1:111122223333:action/custom/Ticket" || a.ID() != "Ticket" {
			t.Errorf("arn %s", a.ARN)
		}
		if _, err := h.CreateAction(t.Context(), "Ticket", a); !errors.Is(err, fault.Exists) {
			t.Errorf("twice: %v", err)
		}
		if _, err := h.CreateAction(t.Context(), "with-dash", a); !errors.Is(err, fault.Invalid) {
			t.Errorf("odd id: %v", err)
		}
		h.check(h.Send(t.Context(), a.ARN, ref("a")))
		if err := h.Send(t.Context(), a.ARN, ref("gone")); !errors.Is(err, fault.NotFound) {
			t.Errorf("sending what is not there: %v", err)
		}
		h.check(h.SendResults(t.Context(), a.ARN, "arn:aws:securityhub:::insight/securityhub/default/3"))
		events := h.events()
		if len(events) != 3 || events[1].Type != finding.CustomAction || events[1].Resources[0] != a.ARN || told(t, events[1]).ID != "a" || !strings.Contains(string(events[1].Detail), `"actionName":"Ticket"`) {
			t.Errorf("%d events: %+v", len(events), events)
		}
		if last := string(events[2].Detail); !strings.Contains(last, `"number of results":1`) || !strings.Contains(last, `{"HIGH":"1"}`) {
			t.Errorf("results: %s", last)
		}
		h.check(h.UpdateAction(t.Context(), hub.Action{ARN: a.ARN, Description: "other"}))
		if got, err := h.Action(t.Context(), a.ARN); err != nil || got.Name != "Ticket" || got.Description != "other" {
			t.Errorf("%+v, %v", got, err)
		}
		h.check(h.DeleteAction(t.Context(), a.ARN))
		if err := h.DeleteAction(t.Context(), a.ARN); !errors.Is(err, fault.NotFound) {
			t.Errorf("deleted twice: %v", err)
		}
	})
}

// The deprecated UpdateFindings changes what filters mean, and a later import takes it back.
func TestUpdateWhere(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.importing(many(3)...)
		n, err := h.UpdateWhere(t.Context(), hub.FilterUpdate{Filters: hub.Filters{"Id": hub.Is("f-0001", "f-0002")}, RecordState: finding.Archived, Note: &hub.Note{Text: "old", UpdatedBy: "me"}, By: alice})
		h.check(err)
		if n != 2 || h.get("f-0001").RecordState != finding.Archived || h.get("f-0000").RecordState != finding.Active || h.get("f-0002").Note.Text != "old" {
			t.Errorf("%d changed", n)
		}
		h.importing(simple("f-0001", updated("2026-02-01T00:00:00Z")))
		if got := h.get("f-0001").RecordState; got != finding.Active {
			t.Errorf("after an import it is %s", got)
		}
		if _, err := h.UpdateWhere(t.Context(), hub.FilterUpdate{RecordState: finding.Archived}); !errors.Is(err, fault.Invalid) {
			t.Errorf("without filters: %v", err)
		}
	})
}

// Standards come with their controls; switching one is kept, and the score follows the findings.
func TestStandards(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		enabled, err := h.EnabledStandards(t.Context())
		h.check(err)
		if len(enabled) != 1 || enabled[0].ARN != "arn:aws:securityhub:us-east-1:111122223333:subscription/k-isms/v/1.0.0" {
			t.Fatalf("%+v", enabled)
		}
		score := func(passed, failed, unknown int) {
			t.Helper()
			list, err := h.Scores(t.Context())
			h.check(err)
			if s := list[0]; s.Passed != passed || s.Failed != failed || s.NoAnswer != unknown {
				t.Errorf("score %+v, want %d %d %d", s, passed, failed, unknown)
			}
		}
		score(0, 0, 2)
		h.importing(simple("one", checked(finding.Passed, "S3.1")), simple("two", checked(finding.Failed, "S3.1")), simple("three", checked(finding.Passed, "IAM.1")))
		score(1, 1, 0)
		h.importing(simple("two", checked(finding.Passed, "S3.1"), updated("2026-02-01T00:00:00Z")))
		score(2, 0, 0)
		h.check(h.SwitchControl(t.Context(), enabled[0].Standard.ARN, "S3.1", false, "not used"))
		score(1, 0, 0)
		if err := h.SwitchControl(t.Context(), enabled[0].Standard.ARN, "S3.1", false, ""); !errors.Is(err, fault.Invalid) {
			t.Errorf("off without a reason: %v", err)
		}
		c, err := h.Control(t.Context(), "S3.1")
		h.check(err)
		if !c.Enabled {
			t.Error("S3.1 is on in the other standard")
		}
		h.check(h.SetParameters(t.Context(), "S3.1", []byte(`{"days":{"ValueType":"CUSTOM","Value":{"Integer":9}}}`), "why"))
		if err := h.SetParameters(t.Context(), "S3.1", []byte(`{"weeks":{}}`), "why"); !errors.Is(err, fault.Invalid) {
			t.Errorf("unknown parameter: %v", err)
		}
		_, err = h.EnableStandard(t.Context(), "arn:aws:securityhub:eu-west-1::standards/other/v/1.0.0")
		h.check(err)
		_, err = h.DisableStandard(t.Context(), enabled[0].ARN)
		h.check(err)
		if left, err := h.EnabledStandards(t.Context()); err != nil || len(left) != 1 || left[0].Standard.Name != "Other" {
			t.Errorf("%+v, %v", left, err)
		}
	})
}

// Counts and trends say what is open without looking at a finding, day after day.
func TestTrend(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		first := h.time()
		h.importing(simple("a"), simple("b", label(finding.Low)), simple("c"))
		h.pass(24 * time.Hour)
		h.update(hub.To(finding.Resolved), "a")
		h.pass(24 * time.Hour)
		h.importing(simple("d"))
		days, err := h.Trend(t.Context(), first.Add(-24*time.Hour), h.time())
		h.check(err)
		var got []string
		for _, d := range days {
			got = append(got, fmt.Sprintf("%s high %d low %d opened %d closed %d default %d", d.Day.Format("01-02"), d.Open[finding.High], d.Open[finding.Low], d.Opened, d.Closed, d.Products["Default"]))
		}
		want := []string{"02-28 high 0 low 0 opened 0 closed 0 default 0", "03-01 high 2 low 1 opened 3 closed 0 default 3", "03-02 high 1 low 1 opened 0 closed 1 default 2", "03-03 high 2 low 1 opened 1 closed 0 default 3"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		counts, err := h.Counts(t.Context())
		h.check(err)
		if len(counts) != 3 || counts[0].Severity != finding.High || counts[0].Status != finding.New || counts[0].Count != 2 {
			t.Errorf("%+v", counts)
		}
	})
}

// An update asks for each value that it sets, and is silent of what it does not.
func TestAsks(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := hub.Update{Refs: []hub.Ref{ref("a")}, Decision: hub.Decision{Workflow: &finding.Workflow{Status: finding.Suppressed}, Severity: &finding.Severity{Label: finding.Low}}}
		want := []iam.Request{{Action: "securityhub:BatchUpdateFindings", Resource: "arn:aws:securityhub:us-east-1:111122223333:hub/default",
			Context: map[string][]string{"securityhub:ASFFSyntaxPath/Workflow.Status": {"SUPPRESSED"}, "securityhub:ASFFSyntaxPath/Severity.Label": {"LOW"}}}}
		if diff := cmp.Diff(want, u.Asks(h.Hub)); diff != "" {
			t.Error(diff)
		}
		if got := (hub.Suppressor{}).Asks(h.Hub); len(got) != 2 || got[1].Context["securityhub:ASFFSyntaxPath/Workflow.Status"][0] != "SUPPRESSED" {
			t.Errorf("a suppressor asks %+v", got)
		}
		asks := hub.Asks(simple("a"), simple("b"))
		if len(asks) != 1 || asks[0].Resource != product || asks[0].Context["securityhub:TargetAccount"][0] != account {
			t.Errorf("%+v", asks)
		}
	})
}

// The hub is told off and on, and keeps what it has.
func TestSettings(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		if err := h.Enable(t.Context(), "", true, nil); !errors.Is(err, fault.Exists) {
			t.Errorf("on twice: %v", err)
		}
		no := false
		h.check(h.Configure(t.Context(), &no, hub.OnePerStandard))
		if s, err := h.Settings(t.Context()); err != nil || s.AutoEnableControls || s.Generator != hub.OnePerStandard {
			t.Errorf("%+v, %v", s, err)
		}
		h.check(h.Disable(t.Context()))
		if _, err := h.Settings(t.Context()); !errors.Is(err, fault.Denied) || !strings.Contains(err.Error(), "Account 111122223333 is not subscribed to AWS Security Hub") {
			t.Errorf("off: %v", err)
		}
		subs, err := h.Subscriptions(t.Context())
		h.check(err)
		if !slices.Contains(subs, "arn:aws:securityhub:us-east-1:111122223333:product-subscription/prowler/prowler") {
			t.Errorf("%v", subs)
		}
		h.check(h.Tag(t.Context(), h.ARN(), map[string]string{"a": "1", "b": "2"}))
		h.check(h.Untag(t.Context(), h.ARN(), "a"))
		if tags, err := h.Tags(t.Context(), h.ARN()); err != nil || len(tags) != 1 || tags["b"] != "2" {
			t.Errorf("%v, %v", tags, err)
		}
	})
}

// A risk was accepted as it was: when it grows, the finding is NEW again. What was suppressed without a reason stays so.
func TestAcceptanceOutgrown(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.importing(simple("risk", label(finding.Low)), simple("false", label(finding.Low)), simple("bare", label(finding.Low)))
		for id, kind := range map[string]string{"risk": "risk-accepted", "false": "false-positive"} {
			_, err := h.Update(t.Context(), hub.Update{Refs: []hub.Ref{ref(id)}, By: alice, Accept: &hub.Acceptance{Kind: kind, Reason: "r", Owner: "o"}})
			h.check(err)
		}
		h.update(hub.To(finding.Suppressed), "bare")
		for i, l := range []finding.Label{finding.Informational, finding.Critical} {
			h.importing(simple("risk", label(l), updated(fmt.Sprintf("2026-01-0%dT00:00:00Z", i+2))), simple("false", label(l), updated(fmt.Sprintf("2026-01-0%dT00:00:00Z", i+2))), simple("bare", label(l), updated(fmt.Sprintf("2026-01-0%dT00:00:00Z", i+2))))
			if i == 0 && h.get("risk").Status() != finding.Suppressed {
				t.Error("a smaller risk was reopened")
			}
		}
		if h.get("risk").Status() != finding.New || h.get("false").Status() != finding.Suppressed || h.get("bare").Status() != finding.Suppressed {
			t.Errorf("risk %s, false %s, bare %s", h.get("risk").Status(), h.get("false").Status(), h.get("bare").Status())
		}
		if _, err := h.AcceptanceOf(t.Context(), ref("risk")); !errors.Is(err, fault.NotFound) {
			t.Errorf("acceptance of the risk: %v", err)
		}
		changes, _, err := h.History(t.Context(), hub.HistoryQuery{Ref: ref("risk"), Limit: 1})
		h.check(err)
		if changes[0].Why != "it was accepted as INFORMATIONAL and is CRITICAL" {
			t.Errorf("why: %q", changes[0].Why)
		}
	})
}
