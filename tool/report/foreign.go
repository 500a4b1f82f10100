package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Options say how a foreign report is read.
type Options struct {
	Tool    string   // whose findings these are; "" is what the report says
	Salt    []byte   // of the hash that tells one secret from another; the secrets themselves are not kept
	Mapping *Mapping // how JSON or CSV of no known tool is read
}

// Told is what a report says beside its findings.
type Told struct {
	Format     string       `json:"format"`
	Tool       string       `json:"tool"`
	Version    string       `json:"version,omitzero"`
	Records    int          `json:"records"`             // what the tool says is wrong
	Findings   int          `json:"findings"`            // told apart; equal records are occurrences of one
	Suppressed int          `json:"suppressed,omitzero"` // of the findings
	Passed     int          `json:"passed,omitzero"`     // records that say all is well: no findings
	Complete   bool         `json:"complete"`            // the tool saw all that it was to look at
	Incomplete string       `json:"incomplete,omitzero"` // why not
	Skipped    []diag.Place `json:"-"`                   // what the tool could not look at
	Warnings   []string     `json:"warnings,omitzero"`   // what was read by a default
	VEX        []Statement  `json:"-"`                   // what it says of other tools' findings
	Made       time.Time    `json:"made,omitzero"`       // when, if it says so
}

// Report is a foreign report that was read to its end.
type Report struct {
	Told
	doc     *doc
	format  *format
	options Options
	index   *index
}

// Foreign reads a report of another tool, told by what it holds. It reads all of
// it before it answers: a report that is torn, too deep, too large or of no known
// tool is an error, with the place where that shows, and no finding of it is seen.
func Foreign(in io.ReaderAt, size int64, o Options) (*Report, error) {
	d, err := look(in, size)
	if err != nil {
		return nil, err
	}
	f := recognise(d, o)
	if f == nil {
		return nil, fault.Unsupported.Errorf("this is %s that no known tool writes (%s): formats are told by what is in them, and a mapping reads other JSON and CSV", d.kindName(), d.hint())
	}
	if o.Tool == "" && o.Mapping == nil && d.emptyList() {
		return nil, fault.Unsupported.Errorf("it is an empty list, which several tools write when they found nothing: the tool must be said (-tool)")
	}
	r := &Report{doc: d, format: f, options: o, index: &index{groups: map[key][]variant{}}}
	r.Format = f.name
	first := r.reading(func(rec *record) error { return r.index.add(rec) })
	if err := f.read(first); err != nil {
		return nil, fmt.Errorf("reading it as %s: %w", f.name, err)
	}
	r.Told = first.told
	r.Format, r.Tool = f.name, cmp.Or(o.Tool, slug(r.Tool), slug(f.tool))
	r.Findings = r.index.close()
	r.Complete = r.Incomplete == ""
	return r, nil
}

func (r *Report) reading(sink func(*record) error) *reading {
	return &reading{doc: r.doc, options: r.options, sink: sink, told: Told{Tool: r.format.tool}, warned: map[string]bool{}}
}

// Each hands over the findings, one after the other, each once. They lack what the owner
// says of them (finding.Maker.Own): account, product and Id, but for ASFF's own.
func (r *Report) Each(each func(finding.Finding) error) error {
	return r.eachOf(func(f finding.Finding, _ *record, _ node) error { return each(f) })
}

// EachRaw hands over each finding with what makes JSON of the record that it was made of, masked, and cut where it
// is long. raw is to be called before each returns, if at all.
func (r *Report) EachRaw(each func(f finding.Finding, raw func() string) error) error {
	return r.eachOf(func(f finding.Finding, rec *record, n node) error {
		return each(f, func() string { return rawOf(n, rec.plain) })
	})
}

func (r *Report) eachOf(each func(finding.Finding, *record, node) error) error {
	emitted := map[key]bool{}
	var second *reading
	second = r.reading(func(rec *record) error {
		base, v := rec.identity()
		n, count := r.index.find(base, v)
		id := base.ordinal(n)
		if emitted[id] {
			return nil
		}
		emitted[id] = true
		return each(rec.finding(id, count, r.Tool), rec, second.node)
	})
	return r.format.read(second)
}

// reading is one pass over a report.
type reading struct {
	*doc
	options Options
	sink    func(*record) error
	told    Told
	warned  map[string]bool
	node    node // what is being read
}

// each hands over the parts of the report, and remembers which is being read.
func (r *reading) each(path string, visit func(at []string, n node) error) error {
	return r.doc.each(path, func(at []string, n node) error {
		r.node = n
		return visit(at, n)
	})
}

// add takes what the tool says is wrong.
func (r *reading) add(rec record) error {
	r.told.Records++
	if r.told.Records > most {
		return fault.Limit.Errorf("it has more than %d records", most)
	}
	if rec.suppressed {
		r.told.Suppressed++
	}
	rec.plain = rec.secret
	rec.complete(r)
	r.state(&rec)
	return r.sink(&rec)
}

// passed counts a record that says that all is well.
func (r *reading) passed() { r.told.Passed++ }

// partial says that the tool did not see everything.
func (r *reading) partial(format string, a ...any) {
	if r.told.Incomplete == "" {
		r.told.Incomplete = finding.Shorten(fmt.Sprintf(format, a...), 512)
	}
}

// made says when the tool looked. Of several times the earliest counts.
func (r *reading) made(text string) {
	if at, ok := finding.Time(stamp(text)); ok && (r.told.Made.IsZero() || at.Before(r.told.Made)) {
		r.told.Made = at
	}
}

// skipped says that the tool could not look at a file or package: what was known there stays. Where it
// says not at what, it did not see everything.
func (r *reading) skipped(file, why string) {
	if file = finding.Shorten(cleanPath(file), 512); file == "" || len(r.told.Skipped) == maxSkipped {
		r.partial("%s: %s", cmp.Or(file, "the tool says"), why)
		return
	}
	r.told.Skipped = append(r.told.Skipped, diag.Place{File: file, Why: finding.Shorten(why, 256)})
	r.warn("%s was not looked at, and what was known there stays: %s", file, finding.Shorten(why, 256))
}

// maxSkipped is how many files a tool may have failed at in a run that still counts as complete.
const maxSkipped = 1000

func (r *reading) warn(format string, a ...any) {
	if text := fmt.Sprintf(format, a...); !r.warned[text] && len(r.warned) < 100 {
		r.warned[text] = true
		r.told.Warnings = append(r.told.Warnings, text)
	}
}

// slug is a name as tools are called: small letters, digits and single dashes.
func slug(name string) string {
	words := strings.FieldsFunc(strings.ToLower(name), func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '_'
	})
	return finding.Shorten(strings.Join(words, "-"), 64)
}

// Formats are the names of the formats that are read.
func Formats() []string {
	var names []string
	for _, f := range formats() {
		if !slices.Contains(names, f.name) {
			names = append(names, f.name)
		}
	}
	return names
}
