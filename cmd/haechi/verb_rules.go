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
	"github.com/haechi-dev/haechi/tool/scan/iac"
	"github.com/haechi-dev/haechi/tool/scan/secret"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
	"golang.org/x/tools/txtar"
)

func rulesVerb() verb {
	return verb{name: "rules", args: "test DIR…", summary: "let rules prove themselves on their own examples", help: `
  haechi rules test rules/detect          each rule, ok or why not
  haechi rules test -format json my-rules

A rule is one file, NAME.txtar: its help, the rule, bad examples that it must
find and good ones that it must leave alone. Which kind of rule it is, the file
says by its parts:

  rule.yml                a Sigma rule over log records, with bad/*.jsonl and good/*.jsonl
  rule.yaml, rule.guard   a Guard policy over templates and configuration items
  rule.yaml               a secret: keywords, pattern, checks

It needs no server, and exits 1 if one rule does not prove itself.`, run: rules}
}

// proof is what became of one file.
type proof struct {
	File   string   `json:"file"`
	Family string   `json:"family"`
	Count  int      `json:"examples"`
	Unmet  []string `json:"unmet"`
}

func rules(_ context.Context, c call, flags *flag.FlagSet) error {
	format := formatFlag(flags, "table", "json")
	rest, err := parse(c, flags, 2, -1)
	if err != nil {
		return err
	}
	if rest[0] != "test" {
		return unknown(rest[0], "test")
	}
	shape, err := format()
	if err != nil {
		return err
	}
	all := []proof{}
	for _, folder := range rest[1:] {
		proofs, err := prove(folder)
		if err != nil {
			return err
		}
		all = append(all, proofs...)
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

// prove tries every rule of a folder.
func prove(folder string) ([]proof, error) {
	root := os.DirFS(folder)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fault.Invalid.Wrap(err)
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
