package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/word/diag"
)

// guardTests is guard test as JSON.
type guardTests struct {
	Files        int          `json:"files"`
	Cases        int          `json:"cases"`
	Expectations int          `json:"expectations"`
	Met          int          `json:"met"`
	Unmet        []unmet      `json:"unmet"`
	Errors       []jsonError  `json:"errors,omitzero"`
	suites       []junitSuite // of what was run
	badRules     bool
}

type unmet struct {
	File string `json:"file"`
	Case string `json:"case"`
	Rule string `json:"rule"`
	Want string `json:"want"`
	Got  string `json:"got"`
}

// pairing is a file of rules and the files of tests about it.
type pairing struct {
	rules string
	tests []string
}

func guardTest(c call, f *guardFlags, paths []string) error {
	paths = append(append(slices.Clone([]string(f.rules)), f.data...), paths...)
	if len(paths) == 0 {
		return usagef("name a folder of rules with their tests, or a file of rules and its tests")
	}
	pairs, err := pairings(paths)
	if err != nil {
		return err
	}
	t := runTests(pairs)
	switch *f.format {
	case "json":
		err = writeJSON(c.stdout, t)
	case "junit":
		all := junitSuites{Name: "haechi guard test", Suites: t.suites}
		err = all.write(c.stdout)
	default:
		for _, u := range t.Unmet {
			fmt.Fprintf(c.stdout, "UNMET  %s: %s: %s is %s, expected %s\n", u.File, u.Case, u.Rule, u.Got, u.Want)
		}
		fmt.Fprintf(c.stdout, "%d of %d expectations met (%d files, %d cases)\n", t.Met, t.Expectations, t.Files, t.Cases)
	}
	for _, e := range t.Errors {
		fmt.Fprintf(c.stderr, "not read: %s\n", e.Error)
	}
	switch {
	case err != nil:
		return err
	case *f.codes == "cfn-guard" && t.badRules:
		return exit(guardTestRules)
	case *f.codes == "cfn-guard" && len(t.Errors) > 0:
		return exit(guardOther)
	case *f.codes == "cfn-guard" && len(t.Unmet) > 0:
		return exit(guardTestUnmet)
	case len(t.Unmet) > 0 || len(t.Errors) > 0:
		return exit(exitWrong)
	}
	return nil
}

// runTests runs pairs, as many at a time as there are processors; what they say comes in their order.
func runTests(pairs []pairing) guardTests {
	parts := make([]guardTests, len(pairs))
	var group errgroup.Group
	group.SetLimit(max(1, runtime.GOMAXPROCS(0)))
	for i, p := range pairs {
		group.Go(func() error {
			parts[i].run(p)
			return nil
		})
	}
	_ = group.Wait() // what is wrong is in the parts
	t := guardTests{Unmet: []unmet{}}
	for _, p := range parts {
		t.Files, t.Cases, t.Expectations, t.Met = t.Files+p.Files, t.Cases+p.Cases, t.Expectations+p.Expectations, t.Met+p.Met
		t.Unmet, t.Errors, t.suites = append(t.Unmet, p.Unmet...), append(t.Errors, p.Errors...), append(t.suites, p.suites...)
		t.badRules = t.badRules || p.badRules
	}
	return t
}

// pairings finds tests as upstream does: RULES.guard has tests/RULES_tests.yaml (or
// .yml, .json, or RULES_test…) beside it. A file of rules that is named with files
// of tests goes with these.
func pairings(paths []string) (all []pairing, err error) {
	var single pairing
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, usagef("%w", err)
		}
		switch {
		case !info.IsDir() && isRules(p) && filepath.Ext(p) != ".txtar":
			if single.rules != "" {
				return nil, usagef("%s: one file of rules at a time, or a folder", p)
			}
			single.rules = p
		case !info.IsDir():
			single.tests = append(single.tests, p)
		case single.rules != "":
			more, err := filesOf([]string{p}, isData)
			if err != nil {
				return nil, err
			}
			single.tests = append(single.tests, more...)
		default:
			more, err := inFolder(p)
			if err != nil {
				return nil, err
			}
			all = append(all, more...)
		}
	}
	if single.rules == "" {
		if len(single.tests) > 0 {
			return nil, usagef("name the file of rules that %s tests", single.tests[0])
		}
		return all, nil
	}
	if len(single.tests) == 0 {
		single.tests = testsOf(single.rules)
	}
	if len(single.tests) == 0 {
		return nil, usagef("there is no test of %s: name it, or put it into tests/ beside", single.rules)
	}
	return append(all, single), nil
}

func inFolder(dir string) (all []pairing, err error) {
	names, err := filesOf([]string{dir}, func(name string) bool { return filepath.Ext(name) == ".guard" || filepath.Ext(name) == ".ruleset" })
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if tests := testsOf(name); len(tests) > 0 {
			all = append(all, pairing{name, tests})
		}
	}
	if len(all) == 0 {
		return nil, usagef("there are no rules with tests in %s (RULES.guard with tests/RULES_tests.yaml)", dir)
	}
	return all, nil
}

// testsOf are the files beside rules that test them.
func testsOf(rules string) (all []string) {
	base := strings.TrimSuffix(filepath.Base(rules), filepath.Ext(rules))
	for _, dir := range []string{filepath.Join(filepath.Dir(rules), "tests"), filepath.Join(filepath.Dir(rules), "test")} {
		for _, suffix := range []string{"_tests", "_test", "-tests", "-test"} {
			for _, ext := range []string{".yml", ".yaml", ".json", ".jsn"} {
				name := filepath.Join(dir, base+suffix+ext)
				if _, err := os.Stat(name); err == nil {
					all = append(all, name)
				}
			}
		}
	}
	return all
}

// run runs the tests of one file of rules.
func (t *guardTests) run(p pairing) {
	wrong := func(file string, err error) {
		t.Errors = append(t.Errors, jsonError{filepath.ToSlash(file), diag.Detail(err)})
	}
	text, err := os.ReadFile(p.rules)
	if err != nil {
		wrong(p.rules, err)
		return
	}
	rules, err := guard.Parse(filepath.ToSlash(p.rules), text)
	if err != nil {
		t.badRules = true
		wrong(p.rules, err)
		return
	}
	for _, file := range p.tests {
		t.Files++
		text, err := os.ReadFile(file)
		if err != nil {
			wrong(file, err)
			continue
		}
		tests, err := guard.ParseTests(filepath.ToSlash(file), text)
		if err != nil {
			wrong(file, err)
			continue
		}
		s := junitSuite{Name: filepath.ToSlash(file)}
		for i, x := range tests {
			t.Cases++
			name := x.Name
			if name == "" {
				name = fmt.Sprintf("case %d", i+1)
			}
			for _, e := range x.Run(rules, time.Now()) {
				t.expect(filepath.ToSlash(file), name, e, &s)
			}
		}
		t.suites = append(t.suites, s)
	}
}

func (t *guardTests) expect(file, name string, e guard.Expectation, s *junitSuite) {
	t.Expectations++
	c := junitCase{Name: name + ": " + e.Rule, Class: file}
	if e.Got == e.Want {
		t.Met++
	} else {
		t.Unmet = append(t.Unmet, unmet{file, name, e.Rule, e.Want.String(), e.Got.String()})
		c.Failure = &junitMessage{Message: fmt.Sprintf("%v, expected %v", e.Got, e.Want)}
	}
	s.add(c)
}
