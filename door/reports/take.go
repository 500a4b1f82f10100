package reports

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/tool/report"
	"github.com/haechi-dev/haechi/tool/scan/secret"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Answer is what became of a report, or would.
type Answer struct {
	report.Told
	Target    string    `json:"target"`
	Branch    string    `json:"branch,omitzero"`
	Commit    string    `json:"commit,omitzero"`
	Scan      string    `json:"scan,omitzero"`
	Preview   bool      `json:"preview,omitzero"`
	Same      bool      `json:"same,omitzero"` // it is what was imported last, and was not read again
	New       int       `json:"new"`
	Changed   int       `json:"changed"`
	Unchanged int       `json:"unchanged"`
	Closed    int       `json:"closed"`
	Opens     []Line    `json:"opens,omitzero"` // of a preview, at most maxLines
	Changes   []Line    `json:"changes,omitzero"`
	Closes    []Line    `json:"closes,omitzero"`
	Older     string    `json:"older,omitzero"`      // why nothing of it was imported: a newer report was
	Bill      int       `json:"components,omitzero"` // of a bill of materials: what it lists, which is kept and judged
	VEX       int       `json:"vex,omitzero"`        // findings of other tools that it says are none
	Proposed  int       `json:"proposed,omitzero"`   // statements of VEX that count for nothing: whoever brought them may not suppress findings
	Failed    []Failure `json:"failed,omitzero"`     // findings that the hub refused, at most maxLines; nothing is closed then
}

// Line is a finding in few words.
type Line struct {
	ID       string        `json:"id"`
	Severity finding.Label `json:"severity"`
	Where    string        `json:"where"`
	Rule     string        `json:"rule"`
	Title    string        `json:"title"`
}

// Failure says why a finding was refused.
type Failure struct {
	ID      string `json:"id"`
	Message string `json:"message"`
}

const (
	maxLines = 200
	chunk    = 500 // findings that are in memory at once
)

// ask is what a request says beside the report.
type ask struct {
	scan    finding.Scan
	options report.Options
	preview bool
	partial string // why the sender knows that it is not all
	vex     bool   // what it says of other tools' findings counts
	own     bool   // what its tool suppresses itself is suppressed
}

func (d *Door) asked(r *http.Request) (ask, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return ask{}, fault.Invalid.Errorf("the query: %w", err)
	}
	for name := range q {
		if !slices.Contains([]string{"target", "branch", "commit", "tool", "preview", "mapping", "partial"}, name) {
			return ask{}, fault.Invalid.Errorf("%.40q is unknown; there is target, branch, commit, tool, preview, mapping, partial", name)
		}
	}
	a := ask{scan: finding.Scan{Target: q.Get("target"), Branch: q.Get("branch"), Commit: q.Get("commit")}, options: report.Options{Tool: q.Get("tool"), Salt: secret.SaltOf(d.Salt, q.Get("target"))}}
	a.partial = finding.Shorten(q.Get("partial"), 512)
	switch q.Get("preview") {
	case "", "0", "false":
	case "1", "true":
		a.preview = true
	default:
		return ask{}, fault.Invalid.Errorf("preview is 1 or 0")
	}
	if strings.TrimSpace(a.scan.Target) == "" {
		return ask{}, fault.Invalid.Errorf("target is required: what the tool looked at, such as the name of the repository")
	}
	if text := q.Get("mapping"); text != "" {
		var m report.Mapping
		if err := json.Unmarshal([]byte(text), &m, json.RejectUnknownMembers(true)); err != nil {
			return ask{}, fault.Invalid.Errorf("the mapping: %w", err)
		}
		if err := m.Check(); err != nil {
			return ask{}, err
		}
		a.options.Mapping = &m
	}
	return a, nil
}

// reading is what a report's digest holds beside the report: a later way to read it reads the same report anew.
const reading = "2"

// digest is of the report and of all that decides what is read in it.
func (d *Door) digest(a ask, sum string) string {
	h := sha256.New()
	mapping, err := json.Marshal(a.options.Mapping, json.Deterministic(true))
	if err != nil {
		mapping = []byte(err.Error()) // a mapping came from JSON, and always marshals
	}
	fmt.Fprintf(h, "%s %s %q %s %x", reading, sum, a.options.Tool, mapping, d.Salt)
	if !a.vex || !a.own { // who may more says more with the same report
		fmt.Fprintf(h, " %t %t", a.vex, a.own)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// take reads a report and imports it, or tells what would come of that.
func (d *Door) take(ctx context.Context, a ask, in io.ReaderAt, size int64) (*Answer, error) {
	if !a.preview && a.partial == "" {
		was, err := d.Hub.Known(ctx, a.scan.Target, a.scan.Branch, a.scan.Commit, a.scan.Digest)
		if err == nil {
			told := report.Told{Tool: was.Tool, Version: was.Version, Findings: was.Found, Complete: true}
			return &Answer{Told: told, Target: was.Target, Branch: was.Branch, Commit: was.Commit, Scan: was.ID, Unchanged: was.Found, Same: true}, nil
		}
		if fault.Of(err) != fault.NotFound {
			return nil, err
		}
	}
	r, err := report.Foreign(in, size, a.options)
	if err != nil {
		return d.takeBill(ctx, a, in, size, err)
	}
	if a.partial != "" {
		r.Complete, r.Incomplete = false, cmp.Or(r.Incomplete, a.partial)
	}
	if d.Own != nil && d.Own(ctx, a.scan.Target, r.Tool) {
		r.Tool = "import-" + r.Tool // nobody else speaks for our own scanners where these look themselves
	}
	a.scan.Tool, a.scan.Version, a.scan.Skipped = r.Tool, finding.Shorten(r.Version, 128), r.Skipped
	said := &Answer{Told: r.Told, Target: a.scan.Target, Branch: a.scan.Branch, Commit: a.scan.Commit, Preview: a.preview}
	a.scan.Made = r.Made
	if said.Older, err = d.older(ctx, a.scan); err != nil || said.Older != "" {
		return said, err
	}
	if a.preview {
		return said, d.look(ctx, a.scan, r, said)
	}
	a.scan.ID = cmp.Or(a.scan.ID, bus.ID())
	said.Scan = a.scan.ID
	if err := d.keepListed(ctx, a.scan, r, in, size, said); err != nil {
		return said, err
	}
	if err := d.keep(ctx, a, r, said); err != nil {
		return said, err
	}
	if !a.vex {
		said.Proposed = len(r.VEX)
	} else if r.Complete && len(said.Failed) == 0 {
		return said, d.applyVEX(ctx, a.scan, r, said)
	}
	return said, nil
}

// older tells that a report was made before one that was imported: what it has and the newer has not was mended
// since, and what it lacks was not there yet. It is passed over as a whole.
func (d *Door) older(ctx context.Context, s finding.Scan) (string, error) {
	if s.Made.IsZero() {
		return "", nil
	}
	newest, err := d.Hub.Newest(ctx, s.Target, s.Branch, s.Tool)
	if err != nil || !s.Made.Before(newest) {
		return "", err
	}
	return fmt.Sprintf("it is of %s, and a report by %s of %s was imported: nothing is opened, changed or closed", s.Made.UTC().Format(time.RFC3339), s.Tool, newest.Format(time.RFC3339)), nil
}

// keep imports the findings in parts. The last part says whether the report is complete: what
// it lacks is closed then, and not where one of its findings was refused.
func (d *Door) keep(ctx context.Context, a ask, r *report.Report, said *Answer) error {
	s, now := a.scan, d.Now()
	raws, err := d.keepRaw(s)
	if err != nil {
		return err
	}
	kept := false
	defer func() {
		if !kept {
			raws.drop()
		}
	}()
	parts := make(chan []finding.Finding)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var unread error
	reported := map[string]bool{} // only where something may have to stay that was not
	go func() {                   // one part is read while the one before is imported
		defer close(parts)
		var part []finding.Finding
		hand := func() error {
			select {
			case parts <- part:
				part = nil
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		unread = r.EachRaw(func(f finding.Finding, raw func() string) error {
			f = d.Maker.Own(s, f, now)
			if !a.own && f.Status() == finding.Suppressed {
				f.Workflow = &finding.Workflow{Status: finding.New}
				delete(f.ProductFields, report.FieldSuppressed)
			}
			if err := raws.add(&f, raw); err != nil {
				return err
			}
			if len(s.Skipped) > 0 {
				reported[f.ID] = true
			}
			part = append(part, f)
			if len(part) < chunk {
				return nil
			}
			return hand()
		})
		if unread == nil {
			unread = hand()
		}
	}()
	for part := range parts {
		if err != nil {
			continue // until the reader has noticed
		}
		var did hub.Imported
		did, err = d.bring(ctx, s, part)
		said.add(did)
		if err != nil {
			cancel()
		}
	}
	if err = cmp.Or(err, unread); err != nil {
		return err
	}
	stays, err := d.unseen(ctx, s, reported)
	if err != nil {
		return err
	}
	s.Complete = r.Complete && len(said.Failed) == 0
	did, err := d.Hub.Import(ctx, s, stays...)
	did.Unchanged = 0 // they are not the report's
	said.add(did)
	if err != nil {
		return err
	}
	kept = true
	return raws.done(fmt.Sprintf("%020d", now.UnixNano()))
}

// unseen are the findings that the tool knew where it could not look this time, as they were: they are still there.
func (d *Door) unseen(ctx context.Context, s finding.Scan, reported map[string]bool) (stays []finding.Finding, err error) {
	if len(s.Skipped) == 0 {
		return nil, nil
	}
	present, err := d.Hub.Present(ctx, s.Target, s.Branch)
	if err != nil {
		return nil, err
	}
	for _, f := range present {
		if f.ProductFields[finding.FieldTool] == s.Tool && f.RecordState != finding.Archived && !reported[f.ID] && skipped(s, f) {
			stays = append(stays, d.Maker.Own(s, f, d.Now()))
		}
	}
	return stays, nil
}

// skipped tells whether a finding is where the scan could not look: in a file, or in a package.
func skipped(s finding.Scan, f finding.Finding) bool {
	return slices.ContainsFunc(s.Skipped, func(p diag.Place) bool {
		return p.File == f.Place().File || p.File == f.ProductFields[finding.FieldPackage]
	})
}

// bring imports a part. What its tool suppresses from now on is suppressed in the hub, once: who opens it again has the last word.
func (d *Door) bring(ctx context.Context, s finding.Scan, part []finding.Finding) (did hub.Imported, err error) {
	var refs []hub.Ref
	for _, f := range part {
		if f.Status() != finding.Suppressed {
			continue
		}
		was, err := d.Hub.Get(ctx, hub.RefOf(f))
		if fault.Of(err) == fault.NotFound {
			continue
		}
		if err != nil {
			return did, err
		}
		if was.Open() && was.ProductFields[report.FieldSuppressed] == "" {
			refs = append(refs, hub.RefOf(f))
		}
	}
	if did, err = d.Hub.Import(ctx, s, part...); err != nil {
		return did, err
	}
	for some := range slices.Chunk(refs, 100) {
		if _, err := d.Hub.Update(ctx, hub.Update{Refs: some, Decision: hub.To(finding.Suppressed), By: s.Tool, Why: "the tool suppresses it"}); err != nil {
			return did, err
		}
	}
	return did, nil
}

func (a *Answer) add(did hub.Imported) {
	a.New, a.Changed, a.Unchanged, a.Closed = a.New+did.New, a.Changed+did.Changed, a.Unchanged+did.Unchanged+did.Ignored, a.Closed+did.Closed
	for _, f := range did.Failed {
		if len(a.Failed) < maxLines {
			a.Failed = append(a.Failed, Failure{f.ID, f.Message})
		}
	}
}

// look tells what an import would open, change and close. It changes nothing.
func (d *Door) look(ctx context.Context, s finding.Scan, r *report.Report, said *Answer) error {
	present, err := d.Hub.Present(ctx, s.Target, s.Branch)
	if err != nil {
		return err
	}
	known := map[hub.Ref]*finding.Finding{}
	for i, f := range present {
		if f.ProductFields[finding.FieldTool] == s.Tool {
			known[hub.RefOf(f)] = &present[i]
		}
	}
	now := time.Time{}
	err = r.Each(func(f finding.Finding) error {
		f = d.Maker.Own(s, f, now)
		was, ok := known[hub.RefOf(f)]
		delete(known, hub.RefOf(f))
		switch {
		case !ok && f.RecordState == finding.Archived:
			said.Unchanged++
		case !ok:
			said.New++
			said.Opens = lineOf(said.Opens, f)
		case differs(f, *was):
			said.Changed++
			said.Changes = lineOf(said.Changes, f)
		default:
			said.Unchanged++
		}
		return nil
	})
	if err != nil || !r.Complete {
		return err
	}
	for ref, f := range known {
		if f.RecordState == finding.Archived || skipped(s, *f) {
			continue
		}
		elsewhere, err := d.Hub.PresenceOf(ctx, ref)
		if err != nil {
			return err
		}
		if len(elsewhere) == 1 { // and not on another branch
			said.Closed++
			said.Closes = lineOf(said.Closes, *f)
		}
	}
	slices.SortFunc(said.Closes, func(a, b Line) int { return strings.Compare(a.ID, b.ID) })
	return nil
}

func lineOf(list []Line, f finding.Finding) []Line {
	if len(list) == maxLines {
		return list
	}
	return append(list, Line{f.ID, f.Label(), f.Where(), f.GeneratorID, f.Title})
}

// differs tells whether the provider says something else than what is known, but for where and when it was seen.
func differs(f, was finding.Finding) bool {
	fields := func(m map[string]string) map[string]string {
		m = maps.Clone(m)
		for _, name := range []string{finding.FieldBranch, finding.FieldCommit, finding.FieldLine, finding.FieldColumn} {
			delete(m, name)
		}
		return m
	}
	severity := func(f finding.Finding) (finding.Label, string) {
		if f.Provider != nil && f.Provider.Severity != nil {
			return f.Provider.Severity.Label, f.Provider.Severity.Original
		}
		return f.Label(), ""
	}
	a, x := severity(f)
	b, y := severity(was)
	return f.Title != was.Title || f.Description != was.Description || a != b || x != y || !maps.Equal(fields(f.ProductFields), fields(was.ProductFields)) || f.RecordState != was.RecordState
}
