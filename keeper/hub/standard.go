package hub

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Standard is a set of controls that can be enabled as a whole.
type Standard struct {
	ARN              string // arn:aws:securityhub:REGION::standards/NAME/v/VERSION
	Name             string
	Description      string
	Company, Product string // who keeps it
	EnabledByDefault bool
	Controls         []Control
}

// Control is one thing that a standard asks for.
type Control struct {
	ID             string // S3.1; the same in all standards that hold it
	Title          string
	Description    string
	RemediationURL string
	Severity       finding.Label  // LOW to CRITICAL
	Requirements   []string       // what the standard calls it
	Parameters     jsontext.Value // their definitions as GetSecurityControlDefinition has them, or nil
}

// Subscription is a standard that is enabled.
type Subscription struct {
	ARN      string // arn:aws:securityhub:REGION:ACCOUNT:subscription/NAME/v/VERSION
	Standard Standard
	Since    time.Time
}

// ControlStatus is a control within a standard, and whether it is on.
type ControlStatus struct {
	Control
	StandardARN string
	Enabled     bool
	Reason      string    // why it is off
	UpdatedAt   time.Time // zero if it was never switched
}

// ControlARN is a control's ARN, whatever the standard.
func (h *Hub) ControlARN(id string) string { return h.arn("security-control/" + id) }

// StandardControlARN is that of a control within a standard.
func (h *Hub) StandardControlARN(standardARN, id string) string {
	_, name, _ := strings.Cut(standardARN, ":standards/")
	return h.arn("control/" + name + "/" + id)
}

// SubscriptionARN is that of a standard, once it is enabled.
func (h *Hub) SubscriptionARN(standardARN string) string {
	_, name, _ := strings.Cut(standardARN, ":standards/")
	return h.arn("subscription/" + name)
}

// Standards are all that can be enabled.
func (h *Hub) Standards() []Standard { return slices.Clone(h.config.Standards) }

// standard finds one by its ARN or that of its subscription. Regions may differ: one hub answers for all.
func (h *Hub) standard(arn string) (Standard, error) {
	_, name, ok := strings.Cut(arn, ":standards/")
	if !ok {
		_, name, ok = strings.Cut(arn, ":subscription/")
	}
	for _, s := range h.config.Standards {
		if _, known, _ := strings.Cut(s.ARN, ":standards/"); ok && known == name {
			return s, nil
		}
	}
	return Standard{}, fault.NotFound.Errorf("there is no standard %q", arn)
}

func enableStandard(tx *db.Tx, arn string, at time.Time) error {
	_, err := tx.Exec("INSERT INTO hub_standards (arn, at) VALUES (?, ?) ON CONFLICT (arn) DO NOTHING", arn, at.UnixMicro())
	return err
}

// EnabledStandards are the standards that are on.
func (h *Hub) EnabledStandards(ctx context.Context) (list []Subscription, err error) {
	type enabled struct {
		arn string
		at  int64
	}
	var rows []enabled
	err = h.db.Read(ctx, func(tx *db.Tx) error {
		rows, err = db.All(tx, func(scan db.Scan) (e enabled, err error) { return e, scan(&e.arn, &e.at) }, "SELECT arn, at FROM hub_standards ORDER BY arn")
		return err
	})
	for _, r := range rows {
		if s, err := h.standard(r.arn); err == nil { // a pack may be gone
			list = append(list, Subscription{h.SubscriptionARN(s.ARN), s, time.UnixMicro(r.at).UTC()})
		}
	}
	return list, err
}

// EnableStandard turns a standard on; being on already is fine.
func (h *Hub) EnableStandard(ctx context.Context, arn string) (Subscription, error) {
	s, err := h.standard(arn)
	if err != nil {
		return Subscription{}, err
	}
	now := h.now()
	return Subscription{h.SubscriptionARN(s.ARN), s, now}, h.db.Write(ctx, func(tx *db.Tx) error { return enableStandard(tx, s.ARN, now) })
}

// DisableStandard turns a standard off, by its subscription's ARN.
func (h *Hub) DisableStandard(ctx context.Context, subscription string) (Subscription, error) {
	s, err := h.standard(subscription)
	if err != nil {
		return Subscription{}, err
	}
	return Subscription{ARN: h.SubscriptionARN(s.ARN), Standard: s}, h.db.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec("DELETE FROM hub_standards WHERE arn = ?", s.ARN)
		if err == nil && n == 0 {
			err = fault.NotFound.Errorf("standard %q is not enabled", s.Name)
		}
		return err
	})
}

type switched struct {
	standard, control, status, reason string
	at                                int64
}

// Controls are those of all standards, or of the one with that ARN.
func (h *Hub) Controls(ctx context.Context, standardARN string) (list []ControlStatus, err error) {
	standards := h.config.Standards
	if standardARN != "" {
		s, err := h.standard(standardARN)
		if err != nil {
			return nil, err
		}
		standards = []Standard{s}
	}
	var rows []switched
	err = h.db.Read(ctx, func(tx *db.Tx) error {
		rows, err = db.All(tx, func(scan db.Scan) (s switched, err error) {
			return s, scan(&s.standard, &s.control, &s.status, &s.reason, &s.at)
		}, "SELECT standard, control, status, reason, at FROM hub_controls")
		return err
	})
	states := map[[2]string]switched{}
	for _, r := range rows {
		states[[2]string{r.standard, r.control}] = r
	}
	for _, s := range standards {
		for _, c := range s.Controls {
			status := ControlStatus{Control: c, StandardARN: s.ARN, Enabled: true}
			if w, ok := states[[2]string{s.ARN, c.ID}]; ok {
				status.Enabled, status.Reason, status.UpdatedAt = w.status == "ENABLED", w.reason, time.UnixMicro(w.at).UTC()
			}
			list = append(list, status)
		}
	}
	return list, err
}

// SwitchControl turns a control of a standard on or off; off needs a reason.
func (h *Hub) SwitchControl(ctx context.Context, standardARN, control string, on bool, reason string) error {
	s, err := h.standard(standardARN)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(s.Controls, func(c Control) bool { return c.ID == control }) {
		return fault.NotFound.Errorf("standard %q has no control %q", s.Name, control)
	}
	status := "ENABLED"
	if !on {
		status = "DISABLED"
		if blank(reason) {
			return fault.Invalid.Errorf("turning control %s off needs a reason", control)
		}
	}
	if p := checkText("reason", reason, 0, 2048); p != nil || !storable(reason) {
		return fault.Invalid.Errorf("the reason is too long or not a text")
	}
	return h.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("INSERT INTO hub_controls (standard, control, status, reason, at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (standard, control) DO UPDATE SET status = excluded.status, reason = excluded.reason, at = excluded.at",
			s.ARN, control, status, reason, h.now().UnixMicro())
		return err
	})
}

// Control is a control by its ID or ARN, whatever the standard: on where one of them has it on.
func (h *Hub) Control(ctx context.Context, id string) (ControlStatus, error) {
	if _, last, ok := strings.Cut(id, ":security-control/"); ok {
		id = last
	}
	all, err := h.Controls(ctx, "")
	if err != nil {
		return ControlStatus{}, err
	}
	var found ControlStatus
	for _, c := range all {
		switch {
		case c.ID != id:
		case found.ID == "":
			found = c
		default:
			if c.Enabled && !found.Enabled {
				found.Enabled, found.Reason, found.UpdatedAt = true, "", c.UpdatedAt
			}
			if found.Parameters == nil {
				found.Parameters = c.Parameters
			}
		}
	}
	if found.ID == "" {
		return found, fault.NotFound.Errorf("there is no control %q", id)
	}
	return found, nil
}

// ControlParameters are what was set of a control's parameters, as UpdateSecurityControl has them, and why.
type ControlParameters struct {
	Values jsontext.Value
	Reason string
}

// SetParameters changes a control's parameters. Those that it does not have are refused.
func (h *Hub) SetParameters(ctx context.Context, id string, values jsontext.Value, reason string) error {
	c, err := h.Control(ctx, id)
	if err != nil {
		return err
	}
	if c.Parameters.Kind() != '{' {
		return fault.Invalid.Errorf("control %s has no parameters", c.ID)
	}
	if values.Kind() != '{' || !values.IsValid() {
		return fault.Invalid.Errorf("the parameters of control %s must be an object", c.ID)
	}
	defined := members(c.Parameters)
	for name := range members(values) {
		if defined[name] == nil {
			return fault.Invalid.Errorf("control %s has no parameter %q", c.ID, name)
		}
	}
	return h.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("INSERT INTO hub_parameters (control, doc, reason, at) VALUES (?, ?, ?, ?) ON CONFLICT (control) DO UPDATE SET doc = excluded.doc, reason = excluded.reason, at = excluded.at",
			c.ID, string(values), clean(reason), h.now().UnixMicro())
		return err
	})
}

// Parameters are what was set of all controls' parameters, by control.
func (h *Hub) Parameters(ctx context.Context) (map[string]ControlParameters, error) {
	all := map[string]ControlParameters{}
	return all, h.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Each(func(scan db.Scan) error {
			var id string
			var doc []byte
			var p ControlParameters
			err := scan(&id, &doc, &p.Reason)
			p.Values = doc
			all[id] = p
			return err
		}, "SELECT control, doc, reason FROM hub_parameters")
	})
}

// Score is how well a standard is met: passed of those enabled controls that there is an answer for.
type Score struct {
	Standard                 Standard
	Passed, Failed, NoAnswer int
}

// Percent is the score, rounded; 0 where there is no answer at all.
func (s Score) Percent() int {
	if s.Passed+s.Failed == 0 {
		return 0
	}
	return (100*s.Passed + (s.Passed+s.Failed)/2) / (s.Passed + s.Failed)
}

// Scores are those of the enabled standards, as things stand now. A control
// fails if a finding of it that is active and not suppressed does.
func (h *Hub) Scores(ctx context.Context) (list []Score, err error) {
	enabled, err := h.EnabledStandards(ctx)
	if err != nil || len(enabled) == 0 {
		return nil, err
	}
	about := func(status string) (map[string]bool, error) {
		groups, err := h.GroupBy(ctx, Filters{"RecordState": Is("ACTIVE"), "WorkflowStatus": {{Value: "SUPPRESSED", Comparison: NotEquals}}, "ComplianceStatus": Is(status)}, "ComplianceSecurityControlId", 100_000)
		set := map[string]bool{}
		for _, g := range groups {
			set[g.Value] = true
		}
		return set, err
	}
	passed, err := about(finding.Passed)
	if err != nil {
		return nil, err
	}
	failed, err := about(finding.Failed)
	if err != nil {
		return nil, err
	}
	for _, sub := range enabled {
		controls, err := h.Controls(ctx, sub.Standard.ARN)
		if err != nil {
			return nil, err
		}
		s := Score{Standard: sub.Standard}
		for _, c := range controls {
			switch {
			case !c.Enabled:
			case failed[c.ID]:
				s.Failed++
			case passed[c.ID]:
				s.Passed++
			default:
				s.NoAnswer++
			}
		}
		list = append(list, s)
	}
	return list, nil
}

func checkStandards(standards []Standard) error {
	seen := map[string]bool{}
	for _, s := range standards {
		if !strings.Contains(s.ARN, ":standards/") || seen[s.ARN] {
			return fault.Invalid.Errorf("standard %q: its ARN %q is none, or there twice", s.Name, s.ARN)
		}
		seen[s.ARN] = true
		for _, c := range s.Controls {
			if c.ID == "" || cmp.Or(c.Severity, finding.Medium).Rank() < 1 {
				return fault.Invalid.Errorf("standard %q: control %q of severity %q", s.Name, c.ID, c.Severity)
			}
			if c.Parameters != nil && (c.Parameters.Kind() != '{' || !c.Parameters.IsValid()) {
				return fault.Invalid.Errorf("standard %q: parameters of control %q: %s", s.Name, c.ID, fmt.Sprint(c.Parameters))
			}
		}
	}
	return nil
}
