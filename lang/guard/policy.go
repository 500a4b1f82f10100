package guard

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
	"go.yaml.in/yaml/v4"
	"golang.org/x/tools/txtar"
)

// Policy is a rule with what people need to know about it. It is one txtar file:
// help.md, rule.yaml (ID, severity, title, fix, types, packs, controls, link), rule.guard
// with a rule of that ID, and examples that break it (bad/) and keep it (good/).
type Policy struct {
	ID       string              // AWS's identifier, where AWS has such a rule
	Severity finding.Label       //
	Title    Text                // what is wrong where it is broken
	Fix      Text                // what to do
	Types    []string            // the resources it is about, as CloudFormation calls them
	Packs    []string            // the packs that ask for it
	Controls map[string][]string // framework to the numbers of its controls
	Link     string              // where to read on
	Help     string              // Markdown
	Rules    *Rules              // holds a rule called ID
	Digest   string              // SHA-256 of the file, in hex
	Source   string              // its rule.guard
	bad      []txtar.File
	good     []txtar.File
}

// Example is a file that a policy proves itself on.
type Example struct {
	Name string
	Bad  bool // it breaks the rule
	Text []byte
}

// Examples are those of a policy, the bad ones first.
func (p *Policy) Examples() (all []Example) {
	for _, f := range p.bad {
		all = append(all, Example{f.Name, true, f.Data})
	}
	for _, f := range p.good {
		all = append(all, Example{f.Name, false, f.Data})
	}
	return all
}

// Text is said in English and in Korean.
type Text struct {
	En string `yaml:"en"`
	Ko string `yaml:"ko"`
}

// Check is what the policy says about a document.
func (p *Policy) Check(doc *Document, now time.Time) Verdict {
	for _, v := range p.Rules.Check(doc, now).Rules {
		if v.Rule == p.ID {
			return v
		}
	}
	panic("guard: a policy without its rule") // ParsePolicy sees to it
}

// CheckResource is what the policy says about one resource of a document.
func (p *Policy) CheckResource(doc *Document, id string, now time.Time) Verdict {
	return p.Rules.CheckResource(doc, Focus{Resource: id, Types: p.Types, Rule: p.ID}, now)
}

// ParsePolicy reads the txtar file of one policy.
func ParsePolicy(name string, text []byte) (*Policy, error) {
	sum := sha256.Sum256(text)
	p := &Policy{Digest: hex.EncodeToString(sum[:])}
	var rule, meta []byte
	for _, f := range txtar.Parse(text).Files {
		switch folder, _ := path.Split(f.Name); {
		case f.Name == "help.md":
			p.Help = strings.TrimSpace(string(f.Data))
		case f.Name == "rule.yaml":
			meta = f.Data
		case f.Name == "rule.guard":
			rule = f.Data
		case folder == "bad/":
			p.bad = append(p.bad, f)
		case folder == "good/":
			p.good = append(p.good, f)
		default:
			return nil, fault.Invalid.Errorf("%s: a policy has no file %s", name, f.Name)
		}
	}
	if err := p.describe(meta); err != nil {
		return nil, fault.Invalid.Errorf("%s: rule.yaml: %w", name, err)
	}
	p.Source = string(rule)
	var err error
	if p.Rules, err = Parse(name+"/rule.guard", rule); err != nil {
		return nil, err
	}
	if !slices.Contains(p.Rules.Names(), p.ID) {
		return nil, fault.Invalid.Wrap(diag.Errorf(diag.Place{File: name + "/rule.guard"}, "there is no rule %s", p.ID).WithHint("%s", diag.DidYouMean(p.ID, p.Rules.Names())))
	}
	return p, nil
}

// description is rule.yaml.
type description struct {
	ID       string              `yaml:"id"`
	Severity finding.Label       `yaml:"severity"`
	Title    Text                `yaml:"title"`
	Fix      Text                `yaml:"fix"`
	Types    []string            `yaml:"types"`
	Packs    []string            `yaml:"packs"`
	Controls map[string][]string `yaml:"controls"`
	Link     string              `yaml:"link"`
}

func (p *Policy) describe(meta []byte) error {
	var d description
	y := yaml.NewDecoder(bytes.NewReader(meta))
	y.KnownFields(true)
	if err := y.Decode(&d); err != nil {
		return err
	}
	const longest = 512 // of a recommendation in ASFF
	switch {
	case d.ID == "":
		return errors.New("there is no id")
	case d.Severity.Rank() < 0:
		return fmt.Errorf("severity %q is none of %v", d.Severity, finding.Labels)
	case d.Title.En == "" || d.Title.Ko == "" || d.Fix.En == "" || d.Fix.Ko == "":
		return errors.New("title and fix are said in English and Korean")
	case len([]rune(d.Fix.En)) > longest || len([]rune(d.Fix.Ko)) > longest:
		return fmt.Errorf("fix is longer than %d characters", longest)
	case len(d.Types) == 0:
		return errors.New("there are no types")
	}
	p.ID, p.Severity, p.Title, p.Fix, p.Types, p.Packs, p.Controls, p.Link = d.ID, d.Severity, d.Title, d.Fix, d.Types, d.Packs, d.Controls, d.Link
	return nil
}

// ParsePolicies reads every policy (*.txtar) of a folder, in the order of their IDs.
func ParsePolicies(fsys fs.FS) ([]*Policy, error) {
	files, err := fs.Glob(fsys, "*.txtar")
	if err != nil {
		return nil, err
	}
	all, wrong := make([]*Policy, len(files)), make([]error, len(files))
	var work sync.WaitGroup
	for first := range workers { // a start waits for this
		work.Go(func() {
			for i := first; i < len(files); i += workers {
				all[i], wrong[i] = readPolicy(fsys, files[i])
			}
		})
	}
	work.Wait()
	from := map[string]string{}
	for i, p := range all {
		if wrong[i] != nil {
			return nil, wrong[i]
		}
		if from[p.ID] != "" {
			return nil, fault.Invalid.Errorf("%s: %s says %s too", files[i], from[p.ID], p.ID)
		}
		from[p.ID] = files[i]
	}
	slices.SortFunc(all, func(a, b *Policy) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// workers is how many policies are read at a time.
const workers = 4

func readPolicy(fsys fs.FS, file string) (*Policy, error) {
	text, err := fs.ReadFile(fsys, file)
	if err != nil {
		return nil, err
	}
	return ParsePolicy(file, text)
}

// Reader makes documents of an example: one of a template, one or more of a file of configuration items.
type Reader func(name string, text []byte) ([]*Document, error)

// Proof is how many policies and examples Prove looked at.
type Proof struct{ Policies, Examples int }

// Prove holds every policy of a folder against its own examples: each bad one must
// fail and say where, each good one must pass; so must single resources of them
// that the policy is about. A policy has at least one of each.
// The error joins everything that is not so.
func Prove(fsys fs.FS, read Reader) (Proof, error) {
	policies, err := ParsePolicies(fsys)
	if err != nil {
		return Proof{}, err
	}
	proof := Proof{Policies: len(policies)}
	var wrong []error
	for _, p := range policies {
		if len(p.bad) == 0 || len(p.good) == 0 {
			wrong = append(wrong, fmt.Errorf("%s: there is no bad or no good example", p.ID))
		}
		for _, f := range append(slices.Clip(p.bad), p.good...) {
			proof.Examples++
			want := Pass
			if strings.HasPrefix(f.Name, "bad/") {
				want = Fail
			}
			if err := p.prove(f, want, read); err != nil {
				wrong = append(wrong, fmt.Errorf("%s: %s: %w", p.ID, f.Name, err))
			}
		}
	}
	return proof, errors.Join(wrong...)
}

func (p *Policy) prove(f txtar.File, want Status, read Reader) error {
	docs, err := read(f.Name, f.Data)
	if err != nil {
		return err
	}
	if len(docs) == 0 {
		return errors.New("there is no document in it")
	}
	for _, doc := range docs {
		v := p.Check(doc, time.Time{})
		switch {
		case v.Err != nil:
			return v.Err
		case v.Status != want:
			return fmt.Errorf("%v, want %v %s", v.Status, want, explain(v.Failures))
		case want == Fail && !slices.ContainsFunc(v.Failures, func(x Failure) bool { return x.Path != "" || x.Why != "" }):
			return errors.New("the failure does not say where")
		}
		if err := p.proveAlone(doc, want); err != nil {
			return err
		}
	}
	return nil
}

// proveAlone asks for the same of single resources: one of those that the policy is
// about is found in a bad document, and none in a good one.
func (p *Policy) proveAlone(doc *Document, want Status) error {
	about := doc.Resources(p.Types...)
	if len(about) == 0 || len(p.Types) == 0 {
		return nil
	}
	found := false
	for _, r := range about {
		v := p.CheckResource(doc, r.ID, time.Time{})
		switch {
		case v.Err != nil:
			return v.Err
		case want == Pass && v.Status != Pass && v.Status != Skip:
			return fmt.Errorf("of %s alone it is %v %s", r.ID, v.Status, explain(v.Failures))
		}
		found = found || v.Status == Fail
	}
	if want == Fail && !found {
		return errors.New("of no resource alone it is FAIL")
	}
	return nil
}

func explain(failures []Failure) string {
	if len(failures) == 0 {
		return ""
	}
	f := failures[0]
	return fmt.Sprintf("(%s: %s, got %s %s)", f.Path, f.Text, f.Got, f.Why)
}

// Plain is the policy that a rule of a Guard file is, of which no more is known than
// its name and messages.
func (r *Rules) Plain(id string, text []byte) *Policy {
	sum := sha256.Sum256(append([]byte(id+"\n"), text...))
	said := "The resource breaks the rule " + id + "."
	fix := "See what the rule expects, and change the resource, or let it be with a reason."
	return &Policy{ID: id, Severity: finding.Medium, Title: Text{En: said, Ko: "리소스가 " + id + " 규칙을 위반함"},
		Fix: Text{En: fix, Ko: "규칙이 기대하는 값을 확인하여 리소스를 고치거나, 사유를 적어 예외로 두십시오."}, Rules: r, Source: string(text), Digest: hex.EncodeToString(sum[:])}
}

// Alone tells whether the policy decides by the resource itself: it looks at no
// other type than those that it is about.
func (p *Policy) Alone() bool {
	for _, t := range p.Rules.Mentions() {
		if !slices.Contains(p.Types, t) {
			return false
		}
	}
	return true
}
