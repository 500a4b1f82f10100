package hub

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Ref names a finding. Account is only needed where two accounts have findings of the same product and Id.
type Ref struct {
	ProductARN string `json:"ProductArn"`
	ID         string `json:"Id"`
	Account    string `json:"-"`
}

// RefOf names f.
func RefOf(f finding.Finding) Ref {
	return Ref{ProductARN: f.ProductARN, ID: f.ID, Account: f.AccountID}
}

// Imported is what became of an import.
type Imported struct {
	Scan      string // its ID, made up where there was none
	New       int
	Changed   int // known, and told of again
	Unchanged int // known and the same: only when and where it was seen last moved
	Ignored   int // known, and the import was not newer
	Closed    int // archived, since a complete scan lacks them
	Failed    []Failure
}

// Succeeded is how many findings were accepted.
func (i Imported) Succeeded() int { return i.New + i.Changed + i.Unchanged + i.Ignored }

// Failure says why a finding was not imported.
type Failure struct{ ID, Code, Message string }

// importChunk is how many findings one transaction takes in.
const importChunk = 500

// Import takes findings in. One that is wrong fails alone, with the others taken.
//
// Without a target in s it is an import as Security Hub does it: a known
// finding is changed only by a later UpdatedAt, and each change is told of.
// Without a tool either it comes over the API, and its product must be enabled.
//
// With a target it is an observation by a scan. When the finding was first
// seen and made stays; a finding that says nothing new only moves when and
// where it was seen last (LastObservedAt, ProductFields haechi/branch, commit,
// line, column) and is not told of again. What the target's branch showed
// before to the same tool, and a Complete scan no longer shows, is gone from
// that branch; a finding that is on no branch is archived. A scan that is
// imported in parts says Complete with the last one. A scan of which a finding
// failed closes nothing.
func (h *Hub) Import(ctx context.Context, s finding.Scan, findings ...finding.Finding) (Imported, error) {
	result := Imported{Scan: s.ID}
	if s.Target != "" {
		if err := checkScan(s); err != nil {
			return result, err
		}
		s.ID = cmp.Or(s.ID, bus.ID())
		result.Scan = s.ID
	}
	began := h.now()
	for start := 0; start < len(findings) || start == 0; start += importChunk {
		part := findings[start:min(start+importChunk, len(findings))]
		var did Imported
		err := h.change(ctx, func(b *batch) (err error) {
			did, err = b.take(s, part)
			if err != nil || start > 0 || s.Target == "" {
				return err
			}
			return b.begin(s)
		})
		if err != nil {
			return result, fmt.Errorf("importing findings: %w", err)
		}
		result.add(did)
	}
	if s.Target == "" {
		return result, nil
	}
	if s.Complete && len(result.Failed) == 0 {
		closed, err := h.closeMissing(ctx, s, began)
		result.Closed = closed
		if err != nil {
			return result, fmt.Errorf("closing what scan %s no longer saw: %w", s.ID, err)
		}
	}
	return result, h.finish(ctx, s, result)
}

func checkScan(s finding.Scan) error {
	if s.Tool == "" {
		return fault.Invalid.Errorf("a scan of %q does not say by which tool", s.Target)
	}
	for name, text := range map[string]string{"id": s.ID, "tool": s.Tool, "version": s.Version, "target": s.Target, "branch": s.Branch, "commit": s.Commit, "digest": s.Digest} {
		if !storable(text) || len(text) > 2048 {
			return fault.Invalid.Errorf("the scan's %s is too long or no text: %.60q", name, text)
		}
	}
	return nil
}

func (i *Imported) add(o Imported) {
	i.New, i.Changed, i.Unchanged, i.Ignored = i.New+o.New, i.Changed+o.Changed, i.Unchanged+o.Unchanged, i.Ignored+o.Ignored
	i.Failed = append(i.Failed, o.Failed...)
}

func (i *Imported) fail(f *finding.Finding, p *problem) {
	message := p.Error()
	if p.code == "" {
		message = "Finding does not adhere to Amazon Finding Format. " + message
	}
	i.Failed = append(i.Failed, Failure{strings.ToValidUTF8(f.ID, "\uFFFD"), cmp.Or(p.code, CodeInvalidInput), strings.ToValidUTF8(message, "\uFFFD")})
}

// take imports part of an import in one transaction.
func (b *batch) take(s finding.Scan, part []finding.Finding) (did Imported, err error) {
	open, err := b.hub.access(b.tx)
	if err != nil {
		return did, err
	}
	if !open.enabled && s.Tool != "" {
		return did, b.hub.off() // a scan that is not kept must not pass for one that found nothing
	}
	rules, err := b.hub.rules.load(b.hub, b.tx, b.at)
	if err != nil {
		return did, err
	}
	var good []finding.Finding
	var wanted []identity
	for _, f := range part {
		if s.Target != "" {
			shorten(&f)
		}
		p := validate(&f)
		if p == nil {
			p = open.refuses(&f, s.Tool == "")
		}
		if p != nil {
			did.fail(&f, p)
			continue
		}
		good, wanted = append(good, f), append(wanted, identityOf(&f))
	}
	if err := b.load(wanted); err != nil {
		return did, err
	}
	for i := range good {
		if err := b.takeOne(s, &good[i], rules, &did); err != nil {
			return did, err
		}
	}
	return did, nil
}

// takeOne imports one finding that is valid.
func (b *batch) takeOne(s finding.Scan, f *finding.Finding, rules *ruleset, did *Imported) error {
	given, scan := *f, s.Target != ""
	r := b.rows[identityOf(f)]
	var was *finding.Finding
	if !r.isNew() {
		was = &r.finding
	}
	if was != nil && !scan && !later(f.UpdatedAt, was.UpdatedAt) {
		did.Ignored++
		return nil
	}
	arn, _ := parseProductARN(f.ProductARN)
	b.merge(s, f, was, r, arn)
	outgrown, err := b.outgrown(f, was, r)
	if err != nil {
		return err
	}
	why, accept := rules.apply(f, r.decided, b.at)
	quiet := scan && was != nil && sameButSeen(f, was, r.doc)
	if quiet {
		f.UpdatedAt, f.ProcessedAt = was.UpdatedAt, was.ProcessedAt
	}
	doc, p := encode(f, isControl(f, arn))
	if p != nil {
		did.fail(&given, p)
		return nil
	}
	switch {
	case quiet:
		did.Unchanged++
	case was == nil:
		did.New++
	default:
		did.Changed++
	}
	switch {
	case !scan:
	case f.RecordState == finding.Active:
		b.present(r, s)
	default:
		b.absent(r, s)
	}
	b.decide(r, f, accept)
	b.put(r, *f, doc, cause{byImport, f.ProductARN, strings.Trim(outgrown+", "+why, ", ")}, quiet)
	return nil
}

// merge makes of what came in what it becomes beside what is known and was decided.
func (b *batch) merge(s finding.Scan, f, was *finding.Finding, r *row, arn productARN) {
	settle(f, was, r.decided, s.Target != "")
	if was != nil {
		keepDecided(f, was)
	}
	b.hub.fill(f, was, arn)
	if s.Target != "" {
		observe(f, was, b.at)
	}
	if reset(f, was, arn, r.decided.has(fieldWorkflow)) {
		r.decided &^= fieldWorkflow
	}
	f.ProcessedAt = finding.Stamp(b.at)
}

// later tells whether a is after b. What was stored with an unreadable time gives way.
func later(a, b string) bool {
	x, _ := parseTime(a)
	y, _ := parseTime(b)
	return x.After(y)
}

// observe sets the times of what a scan saw: first seen and made when they
// were, changed now unless the scanner knows of a later change.
func observe(f, was *finding.Finding, now time.Time) {
	stamp := finding.Stamp(now)
	f.LastObservedAt = cmp.Or(f.LastObservedAt, stamp)
	if was == nil {
		f.FirstObservedAt = cmp.Or(f.FirstObservedAt, stamp)
		return
	}
	f.FirstObservedAt = cmp.Or(was.FirstObservedAt, f.FirstObservedAt, stamp)
	f.CreatedAt = was.CreatedAt
	if !later(f.UpdatedAt, was.UpdatedAt) {
		f.UpdatedAt = stamp
	}
}

// seenFields say where a scan saw a finding last.
var seenFields = [...]string{finding.FieldBranch, finding.FieldCommit, finding.FieldLine, finding.FieldColumn}

// sameButSeen tells whether f, but for when and where it was seen, says what doc says, which is was.
func sameButSeen(f, was *finding.Finding, doc []byte) bool {
	g := *f
	g.UpdatedAt, g.LastObservedAt, g.ProcessedAt = was.UpdatedAt, was.LastObservedAt, was.ProcessedAt
	g.ProductFields = maps.Clone(f.ProductFields)
	for _, name := range seenFields {
		delete(g.ProductFields, name)
		if v, ok := was.ProductFields[name]; ok {
			if g.ProductFields == nil {
				g.ProductFields = map[string]string{}
			}
			g.ProductFields[name] = v
		}
	}
	text, p := encode(&g, false)
	return p == nil && bytes.Equal(text, doc)
}
