package main

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/lang/sigma"
	"github.com/haechi-dev/haechi/rules"
	"github.com/haechi-dev/haechi/tool/scan/iac"
	"github.com/haechi-dev/haechi/tool/scan/secret"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
	"golang.org/x/tools/txtar"
)

func rulesVerb() verb {
	return verb{name: "rules", args: "list [FAMILY…] | show RULE | test [DIR…]", summary: "the rules that there are, and whether they prove themselves", help: `
  haechi rules list                       all that come with Haechi
  haechi rules list -pack K-ISMS -lang ko
  haechi rules list -type AWS::S3::Bucket aws
  haechi rules show RDS_STORAGE_ENCRYPTED what it is about, what to do
  haechi rules test                       each rule of Haechi, ok or why not
  haechi rules test -format json my-rules those of a folder

A rule is one file, NAME.txtar: its help, the rule, bad examples that it must
find and good ones that it must leave alone. Which kind of rule it is, the file
says by its parts:

  rule.yml                a Sigma rule, with bad/*.jsonl and good/*.jsonl
  rule.yaml, rule.guard   a Guard policy over templates, manifests, build files
                          and configuration items
  rule.yaml               a secret: keywords, pattern, checks

It needs no server; test exits 1 if one rule does not prove itself.`, run: rulesRun}
}

// proof is what became of one file.
type proof struct {
	File   string   `json:"file"`
	Family string   `json:"family"`
	Count  int      `json:"examples"`
	Unmet  []string `json:"unmet"`
}

func rulesRun(_ context.Context, c call, flags *flag.FlagSet) error {
	format := formatFlag(flags, "table", "json")
	which := rulesFlagsOf(flags)
	rest, err := parse(c, flags, 1, -1)
	if err != nil {
		return err
	}
	shape, err := format()
	if err != nil {
		return err
	}
	switch rest[0] {
	case "list":
		return listRules(c, which, shape, rest[1:])
	case "show":
		if err := only(flags, "rules show", "format", "lang"); err != nil {
			return err
		}
		if len(rest) != 2 {
			return usagef("show takes the name of one rule")
		}
		return showRule(c, which, shape, rest[1])
	case "test":
		if err := only(flags, "rules test", "format"); err != nil {
			return err
		}
		return testRules(c, shape, rest[1:])
	}
	return unknown(rest[0], "list", "show", "test")
}

// testRules lets the rules of folders prove themselves; without one, those that
// come with Haechi.
func testRules(c call, shape string, folders []string) error {
	all := []proof{}
	for _, folder := range folders {
		proofs, err := prove(folder, os.DirFS(folder))
		if err != nil {
			return err
		}
		all = append(all, proofs...)
	}
	if len(folders) == 0 {
		for _, f := range rules.Families() {
			proofs, err := prove("rules/"+f.Name, f.Files)
			if err != nil {
				return err
			}
			all = append(all, proofs...)
		}
	}
	if shape == "json" {
		if err := writeJSON(c.stdout, all); err != nil {
			return err
		}
	}
	failed := 0
	for _, p := range all {
		word := "ok"
		if len(p.Unmet) > 0 {
			failed++
			word = "FAILED"
		}
		if shape == "json" {
			continue
		}
		fmt.Fprintf(c.stdout, "%-7s %-10s %s (%d examples)\n", word, p.Family, p.File, p.Count)
		for _, u := range p.Unmet {
			fmt.Fprintf(c.stdout, "        %s\n", strings.ReplaceAll(strings.TrimRight(u, "\n"), "\n", "\n        "))
		}
	}
	if shape != "json" {
		fmt.Fprintf(c.stdout, "%d of %d prove themselves\n", len(all)-failed, len(all))
	}
	if failed > 0 {
		return exit(exitWrong)
	}
	return nil
}

// prove tries every rule of a folder, root.
func prove(folder string, root fs.FS) ([]proof, error) {
	entries, err := fs.ReadDir(root, ".")
	if err != nil {
		return nil, fault.Invalid.Errorf("reading rules in %s: %w", folder, err)
	}
	var proofs []proof
	var secrets []string
	for _, e := range entries {
		if e.IsDir() || path.Ext(e.Name()) != ".txtar" {
			continue
		}
		text, err := fs.ReadFile(root, e.Name())
		if err != nil {
			return nil, err
		}
		p := proof{File: e.Name(), Family: familyOf(text), Unmet: []string{}}
		one := oneFile{root, e.Name()}
		switch p.Family {
		case "detection":
			p.sigma(one)
		case "policy":
			p.guard(one)
		case "secret":
			secrets = append(secrets, e.Name())
			continue
		default:
			p.Unmet = []string{"it has no rule.yml, no rule.yaml and no rule.guard"}
		}
		proofs = append(proofs, p)
	}
	if len(secrets) > 0 { // all at once: no rule may find another's good examples
		found, err := secret.Prove(someFiles{root, secrets})
		if err != nil {
			return nil, err
		}
		for _, p := range found {
			proofs = append(proofs, proof{p.File, "secret", p.Bad + p.Good, append([]string{}, p.Unmet...)})
		}
	}
	if len(proofs) == 0 {
		return nil, fault.Invalid.Errorf("there are no rules (*.txtar) in %s", folder)
	}
	slices.SortFunc(proofs, func(a, b proof) int { return strings.Compare(a.File, b.File) })
	for i := range proofs {
		proofs[i].File = path.Join(folder, proofs[i].File)
	}
	return proofs, nil
}

func familyOf(text []byte) (family string) {
	for _, f := range txtar.Parse(text).Files {
		switch f.Name {
		case "rule.guard":
			return "policy"
		case "rule.yml":
			return "detection"
		case "rule.yaml":
			family = "secret"
		}
	}
	return family
}

func (p *proof) sigma(one fs.FS) {
	found, err := sigma.Prove(one)
	if err != nil {
		p.Unmet = append(p.Unmet, diag.Detail(err))
	}
	for _, f := range found {
		p.Count += f.Bad + f.Good
		p.Unmet = append(p.Unmet, f.Unmet...)
	}
}

func (p *proof) guard(one fs.FS) {
	found, err := guard.Prove(one, iac.Documents)
	p.Count = found.Examples
	if err != nil {
		p.Unmet = append(p.Unmet, diag.Detail(err))
	}
}

// oneFile is a folder of which only one file is listed.
type oneFile struct {
	fs.FS
	name string
}

// ReadDir lists that file.
func (o oneFile) ReadDir(name string) ([]fs.DirEntry, error) {
	return someFiles{o.FS, []string{o.name}}.ReadDir(name)
}

// someFiles is a folder of which only some files are listed.
type someFiles struct {
	fs.FS
	names []string
}

// ReadDir lists those files.
func (s someFiles) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(s.FS, name)
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return !slices.Contains(s.names, e.Name()) }), err
}
