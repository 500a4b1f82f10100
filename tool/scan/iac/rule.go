package iac

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/finding"
)

// RulesFolder is where a repository keeps rules of its own: policies (*.txtar) and
// plain Guard files (*.guard).
const RulesFolder = ".haechi/rules"

// Rule is a policy, and where it comes from.
type Rule struct {
	Policy   *guard.Policy
	From     string // a file of the repository; "" for one that comes with the program or from the server
	Proposal bool   // it does not count yet

	requirements []string // the controls that it serves, once for all its findings
}

// Rules are policies that come with the program, or from the server.
func Rules(policies ...*guard.Policy) []Rule {
	all := make([]Rule, len(policies))
	for i, p := range policies {
		all[i] = Rule{Policy: p, requirements: requirements(p)}
	}
	return all
}

// RulesIn reads the rules of a folder. What cannot be read is named.
func RulesIn(tree fs.FS, folder string) (all []Rule, unread []diag.Place) {
	entries, err := fs.ReadDir(tree, folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, []diag.Place{{File: folder, Why: err.Error()}}
	}
	const largest = 1 << 20
	for _, e := range entries {
		name := path.Join(folder, e.Name())
		ext := path.Ext(name)
		if e.IsDir() || ext != ".txtar" && ext != ".guard" && ext != ".ruleset" {
			continue
		}
		info, err := e.Info()
		if err == nil && info.Size() > largest {
			unread = append(unread, diag.Place{File: name, Why: "a rule file larger than 1 MB"})
			continue
		}
		content, err := fs.ReadFile(tree, name)
		if err != nil {
			unread = append(unread, diag.Place{File: name, Why: err.Error()})
			continue
		}
		rules, err := RulesOf(name, content)
		if err != nil {
			place := unreadOf(err)
			if place.File == "." {
				place.File = name
			}
			unread = append(unread, place)
		}
		all = append(all, rules...)
	}
	return all, unread
}

// RulesOf are the rules of one file: a policy, or what a Guard file holds.
func RulesOf(name string, content []byte) ([]Rule, error) {
	if path.Ext(name) == ".txtar" {
		p, err := guard.ParsePolicy(name, content)
		if err != nil {
			return nil, err
		}
		return []Rule{{Policy: p, From: name, requirements: requirements(p)}}, nil
	}
	parsed, err := guard.Parse(name, content)
	if err != nil {
		return nil, err
	}
	var all []Rule
	for _, id := range parsed.Names() {
		all = append(all, Rule{Policy: parsed.Plain(id, content), From: name})
	}
	return all, nil
}

// byType are the numbers of rules by the types that they are about; those that do
// not say are under "".
func byType(rules []Rule) map[string][]int {
	m := map[string][]int{}
	for i, r := range rules {
		if len(r.Policy.Types) == 0 {
			m[""] = append(m[""], i)
		}
		for _, t := range r.Policy.Types {
			if !slices.Contains(m[t], i) {
				m[t] = append(m[t], i)
			}
		}
	}
	return m
}

// severity is that of a rule's findings.
func (r *Rule) severity() finding.Label {
	if r.Proposal {
		return finding.Informational
	}
	return r.Policy.Severity
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
