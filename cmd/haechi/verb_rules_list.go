package main

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/lang/sigma"
	"github.com/haechi-dev/haechi/rules"
	"github.com/haechi-dev/haechi/tool/scan/secret"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
	"golang.org/x/tools/txtar"
)

// ruleRow is one rule that comes with Haechi, of whatever family.
type ruleRow struct {
	ID       string              `json:"id"`
	Family   string              `json:"family"`
	Severity finding.Label       `json:"severity"`
	Title    string              `json:"title"`
	TitleKo  string              `json:"title_ko,omitzero"`
	Fix      string              `json:"fix,omitzero"`
	FixKo    string              `json:"fix_ko,omitzero"`
	Types    []string            `json:"types,omitzero"`
	Packs    []string            `json:"packs,omitzero"`
	Controls map[string][]string `json:"controls,omitzero"`
	Link     string              `json:"link,omitzero"`
	file     string              // within the family
}

// ruleRows are the rules of families; all without one.
func ruleRows(families ...string) (all []ruleRow, err error) {
	for _, f := range rules.Families() {
		if len(families) > 0 && !slices.Contains(families, f.Name) {
			continue
		}
		var rows []ruleRow
		switch f.Name {
		case "detect":
			rows, err = sigmaRows(f)
		case "secret":
			rows, err = secretRows(f)
		default:
			rows, err = policyRows(f)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
	}
	return all, nil
}

func policyRows(f rules.Family) (all []ruleRow, err error) {
	files, err := fs.Glob(f.Files, "*.txtar")
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		text, err := fs.ReadFile(f.Files, name)
		if err != nil {
			return nil, err
		}
		p, err := guard.ParsePolicy(name, text)
		if err != nil {
			return nil, err
		}
		all = append(all, ruleRow{p.ID, f.Name, p.Severity, p.Title.En, p.Title.Ko, p.Fix.En, p.Fix.Ko, p.Types, p.Packs, p.Controls, p.Link, name})
	}
	slices.SortFunc(all, func(a, b ruleRow) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

func sigmaRows(f rules.Family) (all []ruleRow, err error) {
	files, err := sigma.Load(f.Files)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		for _, r := range file.Rules {
			all = append(all, ruleRow{ID: cmp.Or(r.Name, r.ID), Family: f.Name, Severity: finding.Label(strings.ToUpper(r.Level)), Title: r.Title, file: file.Name})
		}
	}
	return all, nil
}

func secretRows(f rules.Family) (all []ruleRow, err error) {
	parsed, err := secret.ParseRules(f.Files)
	if err != nil {
		return nil, err
	}
	for _, r := range parsed {
		all = append(all, ruleRow{ID: r.ID, Family: f.Name, Severity: r.Severity, Title: r.Title, Fix: r.Fix, Link: r.Link, file: r.ID + ".txtar"})
	}
	return all, nil
}

// rulesFlags are those of list and show.
type rulesFlags struct{ pack, control, kind, severity, lang *string }

func rulesFlagsOf(flags *flag.FlagSet) rulesFlags {
	return rulesFlags{
		pack:     flags.String("pack", "", "list: only the rules of this pack (K-ISMS, CIS AWS, PCI DSS, Pod Security Baseline …)"),
		control:  flags.String("control", "", "list: only the rules that serve this control, of whatever framework (2.6.1, SC-7)"),
		kind:     flags.String("type", "", "list: only the rules about this type of resource (AWS::S3::Bucket)"),
		severity: flags.String("severity", "", "list: only the rules of this severity"),
		lang:     flags.String("lang", "en", "en, ko"),
	}
}

func (f rulesFlags) wants(r ruleRow) bool {
	serves := func() bool {
		for _, numbers := range r.Controls {
			if slices.Contains(numbers, *f.control) {
				return true
			}
		}
		return false
	}
	same := func(a string) func(string) bool {
		return func(b string) bool { return strings.EqualFold(a, b) }
	}
	return (*f.pack == "" || slices.ContainsFunc(r.Packs, same(*f.pack))) && (*f.control == "" || serves()) &&
		(*f.kind == "" || slices.ContainsFunc(r.Types, same(*f.kind))) && (*f.severity == "" || strings.EqualFold(string(r.Severity), *f.severity))
}

func familyNames() (names []string) {
	for _, f := range rules.Families() {
		names = append(names, f.Name)
	}
	return names
}

// listRules is haechi rules list.
func listRules(c call, f rulesFlags, shape string, families []string) error {
	for _, name := range families {
		if !slices.Contains(familyNames(), name) {
			return unknown(name, familyNames()...)
		}
	}
	if *f.lang != "en" && *f.lang != "ko" {
		return unknown(*f.lang, "en", "ko")
	}
	all, err := ruleRows(families...)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(r ruleRow) bool { return !f.wants(r) })
	if shape == "json" {
		return writeJSON(c.stdout, append([]ruleRow{}, all...))
	}
	t := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SEVERITY\tFAMILY\tRULE\tTITLE")
	for _, r := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", r.Severity, r.Family, r.ID, r.title(*f.lang))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(c.stderr, "%d rules\n", len(all))
	return nil
}

func (r ruleRow) title(lang string) string {
	if lang == "ko" {
		return cmp.Or(r.TitleKo, r.Title)
	}
	return r.Title
}

// showRule is haechi rules show: everything that there is to know about a rule.
func showRule(c call, f rulesFlags, shape, id string) error {
	if _, after, ok := strings.Cut(id, "/"); ok { // iac/ID, comply/ID: as findings call it
		id = after
	}
	all, err := ruleRows()
	if err != nil {
		return err
	}
	var ids []string
	for _, r := range all {
		if ids = append(ids, r.ID); strings.EqualFold(r.ID, id) {
			return r.show(c, f, shape)
		}
	}
	return fault.NotFound.Wrap(diag.Errorf(diag.Place{}, "there is no rule %s", id).WithHint("%s", cmp.Or(diag.DidYouMean(strings.ToUpper(id), ids), diag.DidYouMean(id, ids), "haechi rules list names all of them")))
}

func (r ruleRow) show(c call, f rulesFlags, shape string) error {
	if shape == "json" {
		return writeJSON(c.stdout, r)
	}
	var files fs.FS
	for _, family := range rules.Families() {
		if family.Name == r.Family {
			files = family.Files
		}
	}
	text, err := fs.ReadFile(files, r.file)
	if err != nil {
		return err
	}
	archive := txtar.Parse(text)
	w := c.stdout
	fmt.Fprintf(w, "%s  %s  %s\n%s\n\n", r.ID, r.Severity, r.Family, r.title(*f.lang))
	for _, line := range [][2]string{{"types", strings.Join(r.Types, ", ")}, {"packs", strings.Join(r.Packs, ", ")}} {
		if line[1] != "" {
			fmt.Fprintf(w, "%-9s %s\n", line[0], line[1])
		}
	}
	for _, framework := range slices.Sorted(maps.Keys(r.Controls)) {
		fmt.Fprintf(w, "%-9s %s %s\n", "serves", framework, strings.Join(r.Controls[framework], ", "))
	}
	if fix := r.Fix; fix != "" {
		if *f.lang == "ko" {
			fix = cmp.Or(r.FixKo, fix)
		}
		fmt.Fprintf(w, "%-9s %s\n", "fix", fix)
	}
	if r.Link != "" {
		fmt.Fprintf(w, "%-9s %s\n", "read on", r.Link)
	}
	return writeParts(w, archive)
}

// writeParts writes the help and the rule, and names the examples.
func writeParts(w io.Writer, archive *txtar.Archive) error {
	var bad, good []string
	for _, part := range archive.Files {
		switch {
		case part.Name == "help.md" || part.Name == "rule.guard" || part.Name == "rule.yml":
			fmt.Fprintf(w, "\n%s\n", strings.TrimRight(string(part.Data), "\n"))
		case strings.HasPrefix(part.Name, "bad/"):
			bad = append(bad, part.Name)
		case strings.HasPrefix(part.Name, "good/"):
			good = append(good, part.Name)
		}
	}
	_, err := fmt.Fprintf(w, "\nproven by %d bad and %d good examples\n", len(bad), len(good))
	return err
}
