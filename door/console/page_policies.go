package console

import (
	"bytes"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/tool/scan/iac"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

const (
	policiesPath = "/policies"
	tryPath      = "/policies/try"
)

func policyPath(id string) string { return policiesPath + "/" + url.PathEscape(id) }

type policyRow struct {
	ID, Title, Path, Kind, About string
	Severity                     finding.Label
	Examples                     int
}

type policiesView struct {
	Search  string
	Kinds   []chip
	Rows    []policyRow
	Total   int
	TryPath string
}

// kindOf is what a rule is about, for people.
func kindOf(p *guard.Policy) string {
	if len(p.Types) == 0 {
		return "Own"
	}
	t := p.Types[0]
	for _, k := range [][2]string{{"AWS::", "AWS"}, {"Haechi::Kubernetes::", "Kubernetes"}, {"Haechi::Docker::", "Docker"}, {"Haechi::Compose::", "Compose"},
		{"Haechi::GitHub::", "GitHub Actions"}, {"Haechi::CodeBuild::", "buildspec"}, {"Haechi::Terraform::", "Terraform"}} {
		if strings.HasPrefix(t, k[0]) {
			return k[1]
		}
	}
	return "Own"
}

func (o *Console) policies() page {
	asks := func(r *request) []iam.Request { return r.ask("config:DescribeConfigRules", "") }
	return page{name: "policies", path: policiesPath, nav: "Rules", asks: asks, view: o.policiesView}
}

func (o *Console) policiesView(r *request) (any, error) {
	v := policiesView{Search: strings.TrimSpace(r.FormValue("q")), TryPath: tryPath}
	kind := r.FormValue("kind")
	var kinds []string
	rules := o.config.Policies()
	v.Total = len(rules)
	for _, x := range rules {
		p := x.Policy
		k := kindOf(p)
		if !slices.Contains(kinds, k) {
			kinds = append(kinds, k)
		}
		title := r.in(p.Title)
		if kind != "" && k != kind || !matches(v.Search, p.ID, title, p.Title.En, strings.Join(p.Types, " ")) {
			continue
		}
		v.Rows = append(v.Rows, policyRow{ID: p.ID, Title: title, Path: policyPath(p.ID), Kind: k, About: strings.Join(p.Types, ", "), Severity: p.Severity, Examples: len(p.Examples())})
	}
	slices.SortStableFunc(v.Rows, func(a, b policyRow) int {
		if c := b.Severity.Rank() - a.Severity.Rank(); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	to := func(k string) string {
		q := url.Values{}
		if k != "" {
			q.Set("kind", k)
		}
		if v.Search != "" {
			q.Set("q", v.Search)
		}
		return strings.TrimSuffix(policiesPath+"?"+q.Encode(), "?")
	}
	v.Kinds = append(v.Kinds, chip{r.t("all"), to(""), kind == ""})
	for _, k := range kinds {
		v.Kinds = append(v.Kinds, chip{k, to(k), k == kind})
	}
	return v, nil
}

// matches tells whether every word of a search stands in one of texts.
func matches(search string, texts ...string) bool {
	all := strings.ToLower(strings.Join(texts, "\n"))
	for word := range strings.FieldsSeq(strings.ToLower(search)) {
		if !strings.Contains(all, word) {
			return false
		}
	}
	return true
}

type proofRow struct {
	Name, Text string
	Bad        bool
	Status     string
	Holds      bool // it comes out as it should
	Why        string
	Try        string // where it can be tried
}

type policyView struct {
	ID, Title, Fix, Help, Link, Source, From string
	Severity                                 finding.Label
	Types, Controls                          []string
	Proofs                                   []proofRow
	Findings                                 string
}

func (o *Console) policy() page {
	asks := func(r *request) []iam.Request { return r.ask("config:DescribeConfigRules", "") }
	return page{name: "policy", path: policiesPath + "/{id}", under: "policies", asks: asks, view: o.policyView}
}

func (o *Console) policyOf(id string) (*guard.Policy, error) {
	for _, x := range o.config.Policies() {
		if x.Policy.ID == id {
			return x.Policy, nil
		}
	}
	return nil, fault.NotFound.Errorf("there is no rule %s", id)
}

func (o *Console) policyView(r *request) (any, error) {
	p, err := o.policyOf(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	v := policyView{ID: p.ID, Title: r.in(p.Title), Fix: r.in(p.Fix), Help: p.Help, Link: p.Link, Source: p.Source, Severity: p.Severity, Types: p.Types,
		Findings: "/findings?q=" + url.QueryEscape("generator:iac/"+p.ID)}
	for framework, numbers := range p.Controls {
		for _, n := range numbers {
			v.Controls = append(v.Controls, framework+" "+n)
		}
	}
	slices.Sort(v.Controls)
	for i, x := range p.Examples() {
		v.Proofs = append(v.Proofs, proofOf(p, x, i))
	}
	return v, nil
}

// proofOf holds a policy against one of its examples, as rules test does.
func proofOf(p *guard.Policy, x guard.Example, n int) proofRow {
	row := proofRow{Name: x.Name, Text: string(x.Text), Bad: x.Bad, Try: fmt.Sprintf("%s?rule=%s&example=%d", tryPath, url.QueryEscape(p.ID), n)}
	docs, err := iac.Documents(x.Name, x.Text)
	if err != nil {
		row.Status, row.Why = "ERROR", err.Error()
		return row
	}
	want, worst := guard.Pass, guard.Skip
	if x.Bad {
		want = guard.Fail
	}
	row.Holds = len(docs) > 0
	for _, d := range docs {
		verdict := p.Check(d, time.Now())
		worst = max(worst, verdict.Status)
		row.Holds = row.Holds && verdict.Status == want
		if len(verdict.Failures) > 0 && row.Why == "" {
			row.Why = failureText(verdict.Failures[0])
		}
	}
	row.Status = worst.String()
	return row
}

func failureText(f guard.Failure) string {
	switch {
	case f.Why != "":
		return f.Why + " (" + f.Text + ")"
	case f.Path == "":
		return f.Text
	}
	return fmt.Sprintf("%s: %s, %s", f.Path, f.Got, f.Want)
}

// kinds of documents that can be tried, by the name that they are read under.
var tryNames = []option{
	{Value: "template.yaml", Title: "CloudFormation, SAM, Kubernetes, compose, configuration item"}, {Value: "main.tf", Title: "Terraform"}, {Value: "plan.json", Title: "Terraform plan"},
	{Value: "Dockerfile", Title: "Dockerfile"}, {Value: ".github/workflows/ci.yml", Title: "GitHub Actions"}, {Value: "buildspec.yml", Title: "buildspec"},
}

type triedRule struct {
	Rule, Status string
	Failures     []triedFailure
	Omitted      int
}

type triedFailure struct {
	Place, Text, Message string
}

type tryView struct {
	Names             []option
	Name              string
	Rule, Document    string
	Problem           string // with the rule or the document, with its place
	Rules             []triedRule
	Documents         int
	Resources         []string
	Explanation       string
	Known             []option
	RuleRows, DocRows int
}

func (o *Console) try() page {
	asks := func(r *request) []iam.Request { return r.ask("config:DescribeConfigRules", "") }
	return page{
		name: "try", path: tryPath, under: "policies", asks: asks, view: o.tryView,
		actions: map[string]action{tryPath: {asks: asks, show: o.tryView}},
	}
}

const (
	mostTriedRule     = 64 << 10
	mostTriedDocument = 512 << 10
)

const firstRule = `# A rule: every disk is encrypted.
let disks = Resources.*[ Type == 'AWS::EC2::Volume' ]

rule DISKS_ARE_ENCRYPTED when %disks !empty {
  %disks.Properties.Encrypted == true <<encrypt it>>
}
`

const firstDocument = `Parameters:
  Encrypt: {Type: String}
Resources:
  Logs:
    Type: AWS::EC2::Volume
    Properties: {AvailabilityZone: us-east-1a, Encrypted: false}
  Data:
    Type: AWS::EC2::Volume
    Properties: {AvailabilityZone: us-east-1a, Encrypted: !Ref Encrypt}
`

// tryView holds a rule against a document, both as they were typed.
func (o *Console) tryView(r *request) (any, error) {
	v := tryView{Name: r.value("name"), Rule: r.FormValue("text"), Document: r.FormValue("document")}
	if r.Method == "GET" {
		if err := o.startOf(r, &v); err != nil {
			return nil, err
		}
	}
	v.Names = slices.Clone(tryNames)
	if v.Name == "" {
		v.Name = v.Names[0].Value
	}
	i := slices.IndexFunc(v.Names, func(n option) bool { return n.Value == v.Name })
	if i < 0 {
		v.Names = append(v.Names, option{Value: path.Clean("/" + v.Name)[1:], Title: v.Name})
		i = len(v.Names) - 1
	}
	v.Names[i].Chosen = true
	v.RuleRows = min(30, max(14, strings.Count(v.Rule, "\n")+2))
	v.DocRows = v.RuleRows
	v.hold()
	return v, nil
}

// startOf is what the page begins with: a rule and one of its examples, or the first ones.
func (o *Console) startOf(r *request, v *tryView) error {
	v.Rule, v.Document = firstRule, firstDocument
	id := r.value("rule")
	if id == "" {
		return nil
	}
	p, err := o.policyOf(id)
	if err != nil {
		return err
	}
	v.Rule = p.Source
	var n int
	_, _ = fmt.Sscan(r.value("example"), &n) // else the first
	if all := p.Examples(); n >= 0 && n < len(all) {
		v.Document = string(all[n].Text)
		_, v.Name, _ = strings.Cut(all[n].Name, "/")
		if ext := path.Ext(v.Name); ext == ".yaml" || ext == ".yml" && !strings.Contains(v.Name, "/") && v.Name != "buildspec.yml" {
			v.Name = "template.yaml"
		}
	}
	return nil
}

// hold evaluates what was typed.
func (v *tryView) hold() {
	if len(v.Rule) > mostTriedRule || len(v.Document) > mostTriedDocument {
		v.Problem = fmt.Sprintf("a rule of at most %d KB is tried on a document of at most %d KB", mostTriedRule>>10, mostTriedDocument>>10)
		return
	}
	rules, err := guard.Parse("rule.guard", []byte(v.Rule))
	if err != nil {
		v.Problem = diag.Detail(err)
		return
	}
	docs, err := iac.Documents(v.Name, []byte(v.Document))
	if err != nil {
		v.Problem = diag.Detail(err)
		return
	}
	v.Documents = len(docs)
	var why bytes.Buffer
	for _, d := range docs {
		for _, x := range d.Resources() {
			v.Resources = append(v.Resources, x.Type+" "+x.ID)
		}
		for _, verdict := range rules.Check(d, time.Now()).Rules {
			v.Rules = append(v.Rules, triedOf(verdict))
		}
		for _, s := range rules.Explain(d, guard.Focus{}, time.Now()) {
			writeStep(&why, s, 0)
		}
	}
	const most = 50_000
	v.Explanation = finding.Shorten(why.String(), most)
}

func triedOf(v guard.Verdict) triedRule {
	const most = 50
	t := triedRule{Rule: v.Rule, Status: v.Status.String(), Omitted: v.Omitted}
	if v.Err != nil {
		t.Failures = append(t.Failures, triedFailure{Place: v.Place.String(), Text: v.Err.Error()})
	}
	for i, f := range v.Failures {
		if i == most {
			t.Omitted += len(v.Failures) - most
			break
		}
		t.Failures = append(t.Failures, triedFailure{Place: f.Place.String(), Text: failureText(f), Message: strings.Join(strings.Fields(f.Message), " ")})
	}
	return t
}

// writeStep writes a step of an explanation, and those within it.
func writeStep(b *bytes.Buffer, s *guard.Step, depth int) {
	const deepest = 40
	if depth > deepest {
		return
	}
	indent := strings.Repeat("  ", depth)
	fmt.Fprintf(b, "%s%-7s %s\n", indent, s.Status, s.Text)
	if s.Kind == "filter" && s.Status == guard.Pass {
		return
	}
	for _, v := range s.Values {
		why := v.Why
		if why == "" {
			why = finding.Shorten(v.Got, 80)
		}
		fmt.Fprintf(b, "%s        %-7s %s  %s\n", indent, v.Status, v.Path, why)
	}
	for _, x := range s.Steps {
		writeStep(b, x, depth+1)
	}
}
