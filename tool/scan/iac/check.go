package iac

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/haechi-dev/haechi/base/mask"
	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/word/asset"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/finding"
)

// What the findings say in ProductFields, beside word/finding's fields.
const (
	FieldRule     = "haechi/rule"
	FieldPath     = "haechi/path"     // of the offending value, within its resource
	FieldFound    = "haechi/found"    //
	FieldExpected = "haechi/expected" //
	FieldResource = "haechi/resource" // its ID in the template
	FieldCDK      = "haechi/cdk"      // the path of its construct
	FieldProposal = "haechi/proposal" // the file of a rule that does not count yet
	FieldTitleKo  = "haechi/title-ko"
	FieldFixKo    = "haechi/fix-ko"
)

// Verdict is what a rule says about a resource of a document.
type Verdict struct {
	Rule     Rule
	Resource guard.Resource // zero where a rule is about the document as a whole
	guard.Verdict
}

// Judge holds a document against rules: each rule against every resource that it is
// about. Rules that do not name types are held against the document as a whole, and
// what they find is told by resource.
func Judge(doc *guard.Document, rules []Rule, now time.Time) (all []Verdict) {
	judge(doc, doc.Resources(), rules, byType(rules), now, func(v Verdict) { all = append(all, v) })
	return all
}

// judge tells each verdict as it comes: of a large plan there are many.
func judge(doc *guard.Document, resources []guard.Resource, rules []Rule, about map[string][]int, now time.Time, tell func(Verdict)) {
	for _, r := range resources {
		for _, i := range about[r.Type] {
			tell(Verdict{rules[i], r, rules[i].Policy.CheckResource(doc, r.ID, now)})
		}
	}
	for _, i := range about[""] {
		for _, v := range whole(doc, rules[i], now) {
			tell(v)
		}
	}
}

// whole holds a rule without types against a document, and parts what it says by resource.
func whole(doc *guard.Document, r Rule, now time.Time) []Verdict {
	v := r.Policy.Rules.CheckResource(doc, guard.Focus{Rule: r.Policy.ID}, now)
	if v.Status != guard.Fail && v.Status != guard.Unsure {
		return []Verdict{{Rule: r, Verdict: v}}
	}
	parts := map[string][]guard.Failure{}
	var ids []string
	for _, f := range v.Failures {
		id := resourceIn(f.Path)
		if parts[id] == nil {
			ids = append(ids, id)
		}
		parts[id] = append(parts[id], f)
	}
	resources := map[string]guard.Resource{}
	for _, x := range doc.Resources() {
		resources[x.ID] = x
	}
	var all []Verdict
	for _, id := range ids {
		part := v
		part.Failures, part.Omitted = parts[id], 0
		all = append(all, Verdict{r, resources[id], part})
	}
	if len(ids) == 0 {
		all = []Verdict{{Rule: r, Verdict: v}}
	}
	return all
}

// resourceIn is the resource that a path leads into, or "".
func resourceIn(path string) string {
	rest, ok := strings.CutPrefix(path, "/Resources/")
	if !ok {
		return ""
	}
	id, _, _ := strings.Cut(rest, "/")
	return strings.ReplaceAll(strings.ReplaceAll(id, "~1", "/"), "~0", "~")
}

// check tells of a document's resources, and of what breaks the rules. content is
// the text of file, where there is one file only.
func (p *pass) check(doc *guard.Document, file string, content []byte) error {
	if p.ctx.Err() != nil {
		return p.ctx.Err()
	}
	s := &sources{tree: p.tree, texts: map[string]*source{}}
	if content != nil {
		s.texts[file] = newSource(content)
	}
	for _, r := range doc.Resources() {
		p.out.Item(item(doc, r))
	}
	p.judge(doc, s)
	return nil
}

// judge holds a document against the rules. The resources of a large one are judged
// side by side.
func (p *pass) judge(doc *guard.Document, s *sources) {
	tell := func(v Verdict) {
		switch {
		case v.Err != nil:
			p.out.Unread(diag.Place{File: doc.Name(), Why: fmt.Sprintf("the rule %s cannot be evaluated: %v", v.Rule.Policy.ID, v.Err)})
		case v.Status == guard.Fail || v.Status == guard.Unsure:
			p.keep(s.finding(doc, v))
		}
	}
	const few = 200
	resources := doc.Resources()
	if len(resources) <= few {
		judge(doc, resources, p.rules, p.byType, time.Time{}, tell)
		return
	}
	parts := max(1, runtime.GOMAXPROCS(0))
	size := (len(resources) + parts - 1) / parts
	var group sync.WaitGroup
	for part := range slices.Chunk(resources, size) {
		group.Go(func() {
			defer func() {
				if r := recover(); r != nil {
					p.out.Unread(diag.Place{File: doc.Name(), Why: fmt.Sprintf("the scanner broke on it: %v", r)})
				}
			}()
			byType := p.byType
			if &part[0] != &resources[0] { // rules about whole documents are asked once
				byType = maps.Clone(byType)
				delete(byType, "")
			}
			judge(doc, part, p.rules, byType, time.Time{}, tell)
		})
	}
	group.Wait()
}

// keep keeps a finding, once: what fails counts over what is unknown.
func (p *pass) keep(f finding.Finding) {
	fingerprint := f.ProductFields[finding.FieldFingerprint]
	p.mu.Lock()
	defer p.mu.Unlock()
	old, ok := p.found[fingerprint]
	if !ok || before(f, old) {
		p.found[fingerprint] = f
	}
}

// before tells which of two findings of the same place is told.
func before(a, b finding.Finding) bool {
	if x, y := a.Compliance.Status == finding.Failed, b.Compliance.Status == finding.Failed; x != y {
		return x
	}
	if x, y := a.ProductFields[FieldResource], b.ProductFields[FieldResource]; x != y {
		return x < y
	}
	return string(a.JSON()) < string(b.JSON())
}

// item is a resource as an asset.
func item(doc *guard.Document, r guard.Resource) asset.Item {
	i := asset.Item{Type: r.Type, ID: r.ID, Place: doc.Place(r.Name), Places: map[string]diag.Place{}}
	if properties := r.Body.Get("Properties"); properties != nil {
		i.Configuration = properties.JSON()
		places(doc, properties, "", i.Places)
	}
	for _, t := range r.Body.Get("Properties").Get("Tags").Items() {
		key, _ := t.Get("Key").Text()
		v, ok := t.Get("Value").Scalar()
		if ok && key != "" {
			if i.Tags == nil {
				i.Tags = map[string]string{}
			}
			i.Tags[key] = v
		}
	}
	return i
}

// places are where the properties stand, by their JSON pointers.
func places(doc *guard.Document, v *value, at string, into map[string]diag.Place) {
	for name, x := range v.Members() {
		key, _ := name.Text()
		path := at + "/" + strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
		into[path] = doc.Place(name)
		places(doc, x, path, into)
	}
	for n, x := range v.Items() {
		if x.IsMap() || x.IsList() {
			places(doc, x, fmt.Sprintf("%s/%d", at, n), into)
		}
	}
}

// finding is what a verdict is to a report.
func (s *sources) finding(doc *guard.Document, v Verdict) finding.Finding {
	p := v.Rule.Policy
	place := doc.Place(nil)
	id := v.Resource.ID
	if v.Resource.Name != nil {
		place = doc.Place(v.Resource.Name)
	}
	start := place
	var first guard.Failure
	if len(v.Failures) > 0 {
		first = v.Failures[0]
		if first.Place.Line > 0 && (id == "" || resourceIn(first.Path) == id) {
			place = first.Place
		}
	}
	place.Why = ""
	local := localID(doc, v.Resource)
	const most = 16 // fields of a finding
	fields := make(map[string]string, most)
	for k, v := range finding.At(place) {
		fields[k] = v
	}
	fields[finding.FieldFingerprint] = finding.Fingerprint(p.ID, start.File, local)
	fields[FieldRule] = p.ID
	fields[FieldTitleKo], fields[FieldFixKo] = p.Title.Ko, p.Fix.Ko
	put := func(name, text string) {
		if text != "" {
			fields[name] = finding.Shorten(text, 1000)
		}
	}
	put(FieldResource, id)
	put(FieldPath, strings.TrimPrefix(first.Path, "/Resources/"+escaped(id)))
	put(FieldFound, mask.Text(first.Got))
	put(FieldExpected, first.Want)
	put(finding.FieldEvidence, mask.Text(evidence(v.Failures)))
	put(finding.FieldExcerpt, s.excerpt(place))
	construct, _ := v.Resource.Body.Get("Metadata").Get("aws:cdk:path").Text()
	put(FieldCDK, construct)
	if reason, ok := s.allowed(doc, v, place); ok {
		fields[finding.FieldAllow] = cmp.Or(finding.Shorten(reason, 500), "no reason is given")
	}
	if v.Rule.Proposal {
		put(FieldProposal, v.Rule.From)
	}
	f := finding.Finding{
		GeneratorID: "iac/" + p.ID, Title: finding.Shorten(p.Title.En, 256), Severity: &finding.Severity{Label: v.Rule.severity()},
		Types:       []string{"Software and Configuration Checks/Infrastructure as Code"},
		Remediation: &finding.Remediation{Recommendation: &finding.Recommendation{Text: finding.Shorten(p.Fix.En, 512), URL: p.Link}},
		Compliance:  &finding.Compliance{Status: finding.Failed, SecurityControlID: p.ID, RelatedRequirements: v.Rule.requirements}, ProductFields: fields,
	}
	if v.Status == guard.Unsure {
		f.Compliance.Status = finding.Warning
		f.Severity.Label = finding.Informational
		f.Title = finding.Shorten("It cannot be known here: "+lower(p.Title.En), 256)
		fields[FieldTitleKo] = "여기서는 알 수 없음: " + p.Title.Ko
	}
	f.Description = finding.Shorten(mask.Text(description(v, first, construct)), 1024)
	kind := finding.ResourceType(v.Resource.Type)
	if id != "" {
		f.Resources = []finding.Resource{{Type: kind, ID: finding.Shorten(start.File+"#"+id, 512), Partition: "aws"}}
	}
	return f
}

// Finding is what a verdict is to a report, of a document whose text nobody has.
func Finding(doc *guard.Document, v Verdict) finding.Finding {
	s := &sources{texts: map[string]*source{}}
	return s.finding(doc, v)
}

// localID is a resource's ID in its own file, which is the same in every stack or
// module that uses the file, and for all instances of it.
func localID(doc *guard.Document, r guard.Resource) string {
	if name, ok := r.Body.Get("Terraform").Get("Name").Text(); ok {
		return name
	}
	if r.Name != nil && doc.Place(r.Name).File != doc.Name() { // of a nested stack
		return r.ID[strings.LastIndexByte(r.ID, '.')+1:]
	}
	return r.ID
}

func escaped(id string) string {
	return strings.ReplaceAll(strings.ReplaceAll(id, "~", "~0"), "/", "~1")
}

func description(v Verdict, first guard.Failure, construct string) string {
	var b strings.Builder
	if v.Resource.ID != "" {
		fmt.Fprintf(&b, "%s %s: ", v.Resource.Type, v.Resource.ID)
	}
	if first.Message != "" {
		b.WriteString(oneLine(first.Message) + " ")
	}
	b.WriteString(sentence(first))
	if construct != "" {
		fmt.Fprintf(&b, " The construct is %s.", construct)
	}
	if v.Rule.Proposal {
		fmt.Fprintf(&b, " The rule is a proposal of this change (%s): it stops nothing.", v.Rule.From)
	}
	if b.Len() == 0 {
		return v.Rule.Policy.Title.En
	}
	return b.String()
}

// sentence says what is wrong with a value.
func sentence(f guard.Failure) string {
	switch {
	case f.Text == "":
		return ""
	case f.Why != "":
		return fmt.Sprintf("%s (%s).", f.Why, f.Text)
	case f.Path == "":
		return fmt.Sprintf("%s does not hold.", f.Text)
	}
	return fmt.Sprintf("%s is %s, expected %s.", f.Path, f.Got, f.Want)
}

func evidence(failures []guard.Failure) string {
	const most = 10
	var all []string
	for _, f := range failures[:min(len(failures), most)] {
		if s := sentence(f); !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return strings.Join(all, "\n")
}

func requirements(p *guard.Policy) (all []string) {
	const most = 32 // in ASFF
	for framework, controls := range p.Controls {
		for _, number := range controls {
			all = append(all, framework+" "+number)
		}
	}
	slices.Sort(all)
	return all[:min(len(all), most)]
}

// lower begins a title with a small letter, unless it begins with an acronym.
func lower(s string) string {
	r := []rune(s)
	if len(r) > 1 && unicode.IsUpper(r[0]) && unicode.IsLower(r[1]) {
		r[0] = unicode.ToLower(r[0])
	}
	return string(r)
}

// sources are the texts of files, for excerpts and for what comments say.
type sources struct {
	tree fs.FS

	mu    sync.Mutex
	texts map[string]*source
}

// source is the text of a file, in lines.
type source struct {
	lines []string
	marks []mark
}

func newSource(content []byte) *source {
	s := &source{lines: strings.Split(string(content), "\n")}
	if markHint().Match(content) {
		s.marks = marksIn(s.lines)
	}
	return s
}

func (s *sources) of(file string) *source {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x, ok := s.texts[file]; ok {
		return x
	}
	x := &source{}
	if s.tree == nil {
		return x
	}
	if info, err := fs.Stat(s.tree, file); err == nil && info.Size() <= maxTemplate {
		if content, err := fs.ReadFile(s.tree, file); err == nil {
			x = newSource(content)
		}
	}
	s.texts[file] = x
	return x
}

// excerpt is a few lines around a place, without secrets.
func (s *sources) excerpt(p diag.Place) string {
	const around, widest = 2, 160
	lines := s.of(p.File).lines
	if p.Line < 1 || p.Line > len(lines) {
		return ""
	}
	var b strings.Builder
	for i := max(1, p.Line-around); i <= min(len(lines), p.Line+around); i++ {
		line := strings.TrimRight(lines[i-1], "\r")
		if len(line) > widest && i == p.Line && p.Column > widest/2 {
			line = "…" + line[min(p.Column-widest/2, len(line)):]
		}
		sign := " "
		if i == p.Line {
			sign = ">"
		}
		most := widest
		if i != p.Line {
			most = widest / 2
		}
		fmt.Fprintf(&b, "%s%4d %s\n", sign, i, finding.Shorten(line, most))
	}
	return mask.Text(strings.TrimRight(b.String(), "\n"))
}
