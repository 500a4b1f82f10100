package testreport

import (
	"bytes"
	"encoding/xml"
	"errors"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/word/fault"
)

// mostLines is how many lines and branches of all files of a report are counted.
const mostLines = 4_000_000

// lines is what is known of one file: which of its lines and branches ran.
type lines struct {
	hit      map[int]bool
	branches map[string]bool
	counted  *Count // where only sums are said
}

func (r *reading) file(name string) *lines {
	if r.files == nil {
		r.files = map[string]*lines{}
	}
	name = clip(name, mostName)
	f := r.files[name]
	if f == nil {
		f = &lines{hit: map[int]bool{}, branches: map[string]bool{}}
		r.files[name] = f
	}
	return f
}

var errLines = fault.Limit.Errorf("it has more than %d lines", mostLines)

func (r *reading) line(f *lines, number int, hit bool) error {
	if r.seen++; r.seen > mostLines {
		return errLines
	}
	f.hit[number] = f.hit[number] || hit
	return nil
}

func (r *reading) branch(f *lines, key string, hit bool) error {
	if r.seen++; r.seen > mostLines {
		return errLines
	}
	f.branches[key] = f.branches[key] || hit
	return nil
}

// done makes the coverage of what was seen.
func (r *reading) done() *Report {
	if r.files == nil {
		return r.report
	}
	c := &Coverage{}
	r.report.Coverage = c
	for _, name := range slices.Sorted(maps.Keys(r.files)) {
		f := File{Path: name}
		l := r.files[name]
		if l.counted != nil && len(l.hit) == 0 {
			f.Count = *l.counted
		}
		for _, hit := range l.hit {
			if hit {
				f.LinesCovered++
			} else {
				f.LinesMissed++
			}
		}
		for _, hit := range l.branches {
			if hit {
				f.BranchesCovered++
			} else {
				f.BranchesMissed++
			}
		}
		c.Count.plus(f.Count)
		if len(c.Files) == MostFiles {
			c.Dropped++
			continue
		}
		c.Files = append(c.Files, f)
	}
	return r.report
}

// number is a whole number, not below zero; what is none counts as zero.
func number(text string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n < 0 || n > 1<<40 {
		return 0
	}
	return n
}

// cobertura reads what Cobertura, coverage.py, gocover-cobertura, coverlet and many others write.
func cobertura(text []byte, r *reading) error {
	var f *lines
	seen := false
	return errors.Join(walk(text, func(path []string, e xml.StartElement) error {
		switch e.Name.Local {
		case "packages":
			if seen = true; r.files == nil {
				r.files = map[string]*lines{}
			}
		case "class":
			f = r.file(attr(e, "filename"))
		case "line":
			if n := len(path); f == nil || n < 3 || path[n-3] != "class" { // those of methods stand there once more
				return nil
			}
			at := int(number(attr(e, "number")))
			if err := r.line(f, at, number(attr(e, "hits")) > 0); err != nil {
				return err
			}
			if attr(e, "branch") != "true" {
				return nil
			}
			covered, all := conditions(attr(e, "condition-coverage"))
			for i := range all {
				if err := r.branch(f, strconv.Itoa(at)+"/"+strconv.FormatInt(i, 10), i < covered); err != nil {
					return err
				}
			}
		}
		return nil
	}, func([]string, string) error { return nil }), must(&seen, "there are no packages in it"))
}

// must is an error where something was not seen.
func must(seen *bool, what string) error {
	if *seen {
		return nil
	}
	return errors.New(what)
}

// conditions reads "50% (1/2)".
func conditions(text string) (covered, all int64) {
	_, rest, _ := strings.Cut(text, "(")
	rest, _, ok := strings.Cut(rest, ")")
	a, b, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 {
		return 0, 0
	}
	covered, all = number(a), number(b)
	return min(covered, all), min(all, 10_000)
}

// jacoco reads what JaCoCo writes: the sums of each source file.
func jacoco(text []byte, r *reading) error {
	var pkg string
	var f *lines
	seen := false
	return errors.Join(walk(text, func(at []string, e xml.StartElement) error {
		switch e.Name.Local {
		case "package":
			pkg, seen = attr(e, "name"), true
		case "sourcefile":
			f = r.file(path.Join(pkg, attr(e, "name")))
			f.counted = &Count{}
		case "counter":
			if n := len(at); n < 2 || at[n-2] != "sourcefile" || f == nil {
				return nil
			}
			missed, covered := number(attr(e, "missed")), number(attr(e, "covered"))
			switch attr(e, "type") {
			case "LINE":
				f.counted.LinesMissed, f.counted.LinesCovered = missed, covered
			case "BRANCH":
				f.counted.BranchesMissed, f.counted.BranchesCovered = missed, covered
			}
		}
		return nil
	}, func([]string, string) error { return nil }), func() error {
		if r.files == nil {
			r.files = map[string]*lines{}
		}
		return must(&seen, "there is no package in it")
	}())
}

// clover reads what Clover, PHPUnit, Istanbul and others write.
func clover(text []byte, r *reading) error {
	var f *lines
	seen := false
	return errors.Join(walk(text, func(at []string, e xml.StartElement) error {
		switch e.Name.Local {
		case "project":
			if seen = true; r.files == nil {
				r.files = map[string]*lines{}
			}
		case "file":
			name := attr(e, "path")
			if name == "" {
				name = attr(e, "name")
			}
			f = r.file(name)
		case "metrics":
			if n := len(at); n >= 2 && at[n-2] == "file" && f != nil {
				all, covered := number(attr(e, "statements")), number(attr(e, "coveredstatements"))
				branches, taken := number(attr(e, "conditionals")), number(attr(e, "coveredconditionals"))
				f.counted = &Count{min(covered, all), all - min(covered, all), min(taken, branches), branches - min(taken, branches)}
			}
		case "line":
			if f == nil || attr(e, "type") == "method" {
				return nil
			}
			at := int(number(attr(e, "num")))
			yes, no := number(attr(e, "truecount")) > 0, number(attr(e, "falsecount")) > 0
			if attr(e, "type") != "cond" {
				return r.line(f, at, number(attr(e, "count")) > 0)
			}
			key := strconv.Itoa(at)
			return errors.Join(r.line(f, at, yes || no || number(attr(e, "count")) > 0), r.branch(f, key+"+", yes), r.branch(f, key+"-", no))
		}
		return nil
	}, func(at []string, _ string) error {
		if at[len(at)-1] == "file" {
			f = nil
		}
		return nil
	}), must(&seen, "there is no project in it"))
}

// goCover reads the profiles of go test -coverprofile; each statement counts as a line.
func goCover(text []byte, r *reading) error {
	type block struct {
		statements int64
		hit        bool
	}
	files := map[string]map[string]block{}
	for n, line := range bytes.Split(text, []byte("\n")) {
		line := strings.TrimSpace(string(line))
		if line == "" || strings.HasPrefix(line, "mode: ") {
			continue
		}
		fields := strings.Fields(line)
		i := strings.LastIndexByte(fields[0], ':')
		if len(fields) != 3 || i <= 0 || !strings.Contains(fields[0][i:], ",") {
			return errors.New("line " + strconv.Itoa(n+1) + " is no block of a profile")
		}
		if r.seen++; r.seen > mostLines {
			return errLines
		}
		name, at := fields[0][:i], fields[0][i+1:]
		if files[name] == nil {
			files[name] = map[string]block{}
		}
		files[name][at] = block{number(fields[1]), files[name][at].hit || number(fields[2]) > 0}
	}
	r.files = map[string]*lines{}
	for name, blocks := range files {
		f := r.file(name)
		f.counted = &Count{}
		for _, b := range blocks {
			if b.hit {
				f.counted.LinesCovered += b.statements
			} else {
				f.counted.LinesMissed += b.statements
			}
		}
	}
	return nil
}

// lcov reads the trace files of lcov, Istanbul, cargo-llvm-cov and others.
func lcov(text []byte, r *reading) error {
	var f *lines
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		kind, rest, _ := strings.Cut(strings.TrimSpace(string(line)), ":")
		parts := strings.Split(rest, ",")
		var err error
		switch {
		case kind == "SF":
			f = r.file(rest)
		case kind == "end_of_record":
			f = nil
		case f == nil && (kind == "DA" || kind == "BRDA" || kind == "LF"):
			return errors.New(kind + " stands where no file has begun")
		case kind == "DA" && len(parts) >= 2:
			err = r.line(f, int(number(parts[0])), number(parts[1]) > 0)
		case kind == "BRDA" && len(parts) == 4:
			err = r.branch(f, strings.Join(parts[:3], ","), number(parts[3]) > 0)
		case kind == "LF" || kind == "LH" || kind == "BRF" || kind == "BRH":
			f.sum(kind, number(rest))
		}
		if err != nil {
			return err
		}
	}
	if r.files == nil {
		return errors.New("there is no file in it")
	}
	return nil
}

// sum takes what lcov says in sums.
func (l *lines) sum(kind string, n int64) {
	if l == nil {
		return
	}
	if l.counted == nil {
		l.counted = &Count{}
	}
	c := l.counted
	switch kind {
	case "LF":
		c.LinesMissed = n - min(n, c.LinesCovered)
	case "LH":
		all := c.LinesCovered + c.LinesMissed
		c.LinesCovered, c.LinesMissed = n, max(0, all-n)
	case "BRF":
		c.BranchesMissed = n - min(n, c.BranchesCovered)
	case "BRH":
		all := c.BranchesCovered + c.BranchesMissed
		c.BranchesCovered, c.BranchesMissed = n, max(0, all-n)
	}
}
