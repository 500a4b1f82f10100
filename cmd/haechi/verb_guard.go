package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/tool/scan/iac"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

func guardVerb() verb {
	return verb{name: "guard", args: "check|test|explain PATH…", summary: "Guard rules against templates, plans, manifests, tests", help: `
  haechi guard check rules.guard template.yaml
  haechi guard check -format sarif rules/ templates/ > guard.sarif
  haechi guard check -resolve rules/ main.tf   parameters, variables put in
  haechi guard test rules/                     upstream's test files
  haechi guard explain rules.guard template.yaml

Files of rules end in .guard, .ruleset or .txtar; a folder that holds such is one
of rules. All else is what is held against them. check reads templates as they
are, as cfn-guard does; -resolve reads them as a scan does, so that what cannot
be known is UNKNOWN. Terraform, Dockerfiles and the like are always read so.

Exits 0 if all is well, 1 if something is not, 2 if it was asked wrongly;
-exit-codes cfn-guard exits as cfn-guard does (0, 19, 5, 7, 255).`, run: runGuard}
}

// guardFlags are what was asked.
type guardFlags struct {
	format, codes, show, rule, resource *string
	resolve, strict                     *bool
	rules, data, params                 listFlag
}

// listFlag is a flag that may come more than once.
type listFlag []string

// String is for the flag package.
func (l *listFlag) String() string { return strings.Join(*l, ",") }

// Set adds one.
func (l *listFlag) Set(s string) error { *l = append(*l, s); return nil }

// Exit codes of cfn-guard.
const (
	guardNotCompliant = 19
	guardRuleFile     = 5
	guardTestUnmet    = 7
	guardTestRules    = 1
	guardOther        = 255
)

func runGuard(_ context.Context, c call, flags *flag.FlagSet) error {
	f := guardFlags{
		format: flags.String("format", "table", "table, json, sarif or junit"), codes: flags.String("exit-codes", "haechi", "haechi, or cfn-guard for upstream's"),
		show: flags.String("show", "fail", "in a table: all, pass, fail, unknown, skip or none"), rule: flags.String("rule", "", "explain: this rule alone"),
		resource: flags.String("resource", "", "explain: this resource alone, of its type"), resolve: flags.Bool("resolve", false, "put parameters, conditions and functions in"),
		strict: flags.Bool("strict", false, "what is UNKNOWN fails too"),
	}
	flags.Var(&f.rules, "rules", "a file or folder of rules (repeatable)")
	flags.Var(&f.data, "data", "a file or folder that is held against them (repeatable)")
	flags.Var(&f.params, "params", "a file of parameters, put beside every document (repeatable)")
	rest, err := parse(c, flags, 1, -1)
	if err != nil {
		return err
	}
	if !slices.Contains([]string{"haechi", "cfn-guard"}, *f.codes) {
		return usagef("-exit-codes is haechi or cfn-guard, not %q", *f.codes)
	}
	if !slices.Contains([]string{"all", "pass", "fail", "unknown", "skip", "none"}, *f.show) {
		return usagef("-show is all, pass, fail, unknown, skip or none, not %q", *f.show)
	}
	debug.SetGCPercent(400) // it is over soon: collecting would cost a third of it
	debug.SetMemoryLimit(512 << 20)
	switch rest[0] {
	case "check":
		if !slices.Contains([]string{"table", "json", "sarif", "junit"}, *f.format) {
			return usagef("-format is table, json, sarif or junit, not %q", *f.format)
		}
		return guardCheck(c, &f, rest[1:])
	case "test":
		if !slices.Contains([]string{"table", "json", "junit"}, *f.format) {
			return usagef("-format is table, json or junit, not %q", *f.format)
		}
		return guardTest(c, &f, rest[1:])
	case "explain":
		return guardExplain(c, &f, rest[1:])
	}
	return unknown(rest[0], "check", "test", "explain")
}

// isRules tells whether a file is one of rules.
func isRules(name string) bool {
	return slices.Contains([]string{".guard", ".ruleset", ".txtar"}, filepath.Ext(name))
}

// ruleFile is a file of rules, or what is wrong with it.
type ruleFile struct {
	name  string
	rules *guard.Rules
	err   error
}

// dataFile is a document to hold against rules, or what is wrong with its file.
type dataFile struct {
	name string
	doc  *guard.Document
	err  error
}

// filesOf are the files that were named, those in folders too.
func filesOf(paths []string, want func(string) bool) (all []string, err error) {
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, usagef("%w", err)
		}
		if !info.IsDir() {
			all = append(all, p)
			continue
		}
		err = filepath.WalkDir(p, func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && name != p && strings.HasPrefix(d.Name(), ".git"):
				return fs.SkipDir
			case d.Type().IsRegular() && want(name):
				all = append(all, name)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// sorted parts what was named into rules and what is held against them.
func (f *guardFlags) sorted(paths []string) (rules, data []string, err error) {
	rules, data = f.rules, f.data
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil && p != "-" {
			return nil, nil, usagef("%w", err)
		}
		isFolderOfRules := false
		if err == nil && info.IsDir() {
			found, err := filesOf([]string{p}, isRules)
			if err != nil {
				return nil, nil, err
			}
			isFolderOfRules = len(found) > 0
		}
		if isFolderOfRules || p != "-" && !info.IsDir() && isRules(p) {
			rules = append(rules, p)
		} else {
			data = append(data, p)
		}
	}
	return rules, data, nil
}

// readRules reads rule files: one that cannot be parsed is told, the others go on.
func readRules(paths []string) (all []ruleFile, err error) {
	names, err := filesOf(paths, isRules)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, usagef("%w", err)
		}
		r := ruleFile{name: filepath.ToSlash(name)}
		if filepath.Ext(name) == ".txtar" {
			var p *guard.Policy
			if p, r.err = guard.ParsePolicy(r.name, text); r.err == nil {
				r.rules = p.Rules
			}
		} else if len(strings.TrimSpace(string(text))) > 0 {
			r.rules, r.err = guard.Parse(r.name, text)
		}
		all = append(all, r)
	}
	if len(all) == 0 {
		return nil, usagef("there are no rules (.guard, .ruleset, .txtar)")
	}
	return all, nil
}

func isData(name string) bool {
	switch filepath.Ext(name) {
	case ".yaml", ".yml", ".json", ".jsn", ".template", ".tf":
		return true
	}
	return (&iac.Scanner{}).Wants(filepath.ToSlash(name))
}

// readData reads what is held against rules; - is the standard input.
func readData(c call, paths []string, resolve bool) (all []dataFile, err error) {
	for _, p := range paths {
		if p == "-" {
			text, err := io.ReadAll(io.LimitReader(c.stdin, 64<<20))
			if err != nil {
				return nil, err
			}
			all = append(all, documentsOf("standard input", text, resolve)...)
			continue
		}
		names, err := filesOf([]string{p}, isData)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(names, func(n string) bool { return filepath.Ext(n) == ".tf" }) {
			all = append(all, modulesOf(p)...)
		}
		for _, name := range names {
			if filepath.Ext(name) == ".tf" {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				return nil, usagef("%w", err)
			}
			all = append(all, documentsOf(filepath.ToSlash(name), text, resolve)...)
		}
	}
	if len(all) == 0 {
		return nil, usagef("there is nothing to hold against the rules")
	}
	return all, nil
}

// modulesOf are Terraform's modules in a folder, or that of a file.
func modulesOf(p string) (all []dataFile) {
	if filepath.Ext(p) == ".tf" {
		p = filepath.Dir(p)
	}
	docs, wrong := iac.Modules(os.DirFS(p), filepath.ToSlash(p))
	for _, d := range docs {
		all = append(all, dataFile{name: d.Name(), doc: d})
	}
	for _, err := range wrong {
		all = append(all, dataFile{name: filepath.ToSlash(p), err: err})
	}
	return all
}

// documentsOf are the documents of a file: as it is, or as a scan reads it.
func documentsOf(name string, text []byte, resolve bool) []dataFile {
	ext := filepath.Ext(name)
	raw := slices.Contains([]string{".yaml", ".yml", ".json", ".jsn", ".template"}, ext) || name == "standard input"
	if raw && !resolve {
		doc, err := guard.Load(name, text)
		return []dataFile{{name, doc, err}}
	}
	docs, err := iac.Documents(name, text)
	if err != nil {
		return []dataFile{{name, nil, err}}
	}
	var all []dataFile
	for _, d := range docs {
		all = append(all, dataFile{name, d, nil})
	}
	return all
}

// result is what one file of rules says about one document.
type guardResult struct {
	rules, data string
	report      guard.Report
}

// read reads rules and the documents that are to be held against them.
func (f *guardFlags) read(c call, paths []string) (rules []ruleFile, data []dataFile, err error) {
	ruleNames, dataNames, err := f.sorted(paths)
	if err != nil {
		return nil, nil, err
	}
	if rules, err = readRules(ruleNames); err != nil {
		return nil, nil, err
	}
	if len(dataNames) == 0 {
		return nil, nil, usagef("name what is to be held against the rules, or - for the standard input")
	}
	if data, err = readData(c, dataNames, *f.resolve); err != nil {
		return nil, nil, err
	}
	return rules, data, withParams(f, data)
}

func guardCheck(c call, f *guardFlags, paths []string) error {
	rules, data, err := f.read(c, paths)
	if err != nil {
		return err
	}
	var results []guardResult
	now := time.Now()
	for _, d := range data {
		for _, r := range rules {
			if d.doc != nil && r.rules != nil {
				results = append(results, guardResult{r.name, d.name, r.rules.Check(d.doc, now)})
			}
		}
	}
	out := guardOutput{rules, data, results}
	switch *f.format {
	case "json":
		err = out.json(c.stdout)
	case "sarif":
		err = out.sarif(c.stdout)
	case "junit":
		err = out.junit(c.stdout)
	default:
		out.table(c.stdout, *f.show)
	}
	if err != nil {
		return err
	}
	out.mistakes(c.stderr)
	return out.exit(f)
}

// withParams puts parameters beside every document.
func withParams(f *guardFlags, data []dataFile) error {
	var params []*guard.Document
	for _, p := range f.params {
		text, err := os.ReadFile(p)
		if err != nil {
			return usagef("-params: %w", err)
		}
		doc, err := guard.Load(p, text)
		if err != nil {
			return err
		}
		params = append(params, doc)
	}
	for i, d := range data {
		if d.doc == nil {
			continue
		}
		if data[i].doc, data[i].err = d.doc.With(params...); data[i].err != nil {
			data[i].doc = nil
		}
	}
	return nil
}

// exit is the code: something broke a rule, or could not be read.
func (o *guardOutput) exit(f *guardFlags) error {
	worst := guard.Skip
	for _, r := range o.results {
		worst = max(worst, r.report.Status)
	}
	broken := worst == guard.Fail || *f.strict && worst == guard.Unsure
	badRules := slices.ContainsFunc(o.rules, func(r ruleFile) bool { return r.err != nil })
	badData := slices.ContainsFunc(o.data, func(d dataFile) bool { return d.err != nil })
	if *f.codes == "cfn-guard" {
		switch {
		case badRules:
			return exit(guardRuleFile)
		case badData:
			return exit(guardOther)
		case broken:
			return exit(guardNotCompliant)
		}
		return nil
	}
	if broken || badRules || badData {
		return exit(exitWrong)
	}
	return nil
}

// mistakes tells what could not be read, with its place.
func (o *guardOutput) mistakes(w io.Writer) {
	for _, r := range o.rules {
		if r.err != nil {
			fmt.Fprintln(w, "not read:", diag.Detail(r.err))
		}
	}
	for _, d := range o.data {
		if d.err != nil {
			fmt.Fprintln(w, "not read:", diag.Detail(d.err))
		}
	}
	for _, r := range o.results {
		for _, v := range r.report.Rules {
			if v.Err != nil {
				fmt.Fprintf(w, "%s: the rule %s cannot be evaluated: %v\n", r.data, v.Rule, v.Err)
			}
		}
	}
}

func guardExplain(c call, f *guardFlags, paths []string) error {
	rules, data, err := f.read(c, paths)
	if err != nil {
		return err
	}
	worst := guard.Skip
	shown := false
	for _, d := range data {
		if d.err != nil {
			return d.err
		}
		for _, r := range rules {
			switch {
			case r.err != nil:
				return r.err
			case r.rules == nil || *f.rule != "" && !slices.Contains(r.rules.Names(), *f.rule):
				continue
			}
			shown = true
			steps, err := explainSteps(r.rules, d.doc, f)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.stdout, "%s against %s\n", r.name, d.name)
			for _, s := range steps {
				worst = max(worst, s.Status)
				explain(c.stdout, s, 1)
			}
		}
	}
	if !shown {
		return usagef("-rule: there is no rule %s in the files", *f.rule)
	}
	if worst == guard.Fail || *f.strict && worst == guard.Unsure {
		return exit(exitWrong)
	}
	return nil
}

func explainSteps(r *guard.Rules, doc *guard.Document, f *guardFlags) ([]*guard.Step, error) {
	focus := guard.Focus{Rule: *f.rule, Resource: *f.resource}
	if focus.Resource != "" {
		i := slices.IndexFunc(doc.Resources(), func(x guard.Resource) bool { return x.ID == focus.Resource })
		if i < 0 {
			var ids []string
			for _, x := range doc.Resources() {
				ids = append(ids, x.ID)
			}
			return nil, fault.Invalid.Wrap(diag.Errorf(diag.Place{File: doc.Name()}, "there is no resource %s", focus.Resource).WithHint("%s", diag.DidYouMean(focus.Resource, ids)))
		}
		focus.Types = []string{doc.Resources()[i].Type}
	}
	return r.Explain(doc, focus, time.Now()), nil
}

// explain writes a step and those within it.
func explain(w io.Writer, s *guard.Step, depth int) {
	indent := strings.Repeat("  ", depth)
	place := ""
	if s.Place.Line > 0 {
		place = fmt.Sprintf("  (%s)", diag.Place{File: filepath.Base(s.Place.File), Line: s.Place.Line})
	}
	text := s.Text
	if s.Kind != "clause" && s.Kind != "block" && s.Kind != text {
		text = s.Kind + " " + text
	}
	fmt.Fprintf(w, "%s%-7s %s%s\n", indent, s.Status, text, place)
	if s.Kind == "filter" && s.Status == guard.Pass {
		return // what was let through is seen behind the filter
	}
	for _, v := range s.Values {
		at := v.Path
		if v.Place.Line > 0 {
			at += " (" + v.Place.String() + ")"
		}
		why := v.Why
		if why == "" {
			why = "is " + finding.Shorten(v.Got, 80)
		}
		fmt.Fprintf(w, "%s          %-7s %s %s\n", indent, v.Status, at, why)
	}
	for _, x := range s.Steps {
		explain(w, x, depth+1)
	}
	if s.Omitted > 0 {
		fmt.Fprintf(w, "%s          … and %d more\n", indent, s.Omitted)
	}
}
