package testreport

import (
	"errors"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// simpleCov reads SimpleCov's .resultset.json, whose keys are the names of test
// suites, and its coverage.json.
func simpleCov(text []byte, r *reading) error {
	var whole map[string]jsontext.Value
	if err := json.Unmarshal(text, &whole, loose()); err != nil {
		return err
	}
	r.files = map[string]*lines{}
	seen := false
	take := func(coverage jsontext.Value) error {
		var files map[string]jsontext.Value
		if err := json.Unmarshal(coverage, &files, loose()); err != nil {
			return err
		}
		seen = true
		for name, value := range files {
			if err := r.ruby(name, value); err != nil {
				return err
			}
		}
		return nil
	}
	if v, ok := whole["coverage"]; ok {
		return take(v)
	}
	for _, v := range whole {
		var suite struct {
			Coverage jsontext.Value `json:"coverage"`
		}
		if json.Unmarshal(v, &suite, loose()) == nil && suite.Coverage.Kind() == '{' {
			if err := take(suite.Coverage); err != nil {
				return err
			}
		}
	}
	return must(&seen, "there is no coverage in it")
}

// ruby takes one file: {"lines": [...], "branches": ...}, or the lines alone.
func (r *reading) ruby(name string, value jsontext.Value) error {
	var file struct {
		Lines    []jsontext.Value `json:"lines"`
		Branches jsontext.Value   `json:"branches"`
	}
	var err error
	if value.Kind() == '[' {
		err = json.Unmarshal(value, &file.Lines, loose())
	} else {
		err = json.Unmarshal(value, &file, loose())
	}
	if err != nil {
		return err
	}
	f := r.file(name)
	for i, hits := range file.Lines {
		if hits.Kind() != '0' { // null, or "ignored"
			continue
		}
		if err := r.line(f, i+1, number(string(hits)) > 0); err != nil {
			return err
		}
	}
	switch file.Branches.Kind() {
	case '{':
		var all map[string]map[string]jsontext.Value
		if err := json.Unmarshal(file.Branches, &all, loose()); err != nil {
			return err
		}
		for at, ways := range all {
			for way, hits := range ways {
				if err := r.branch(f, at+"/"+way, number(string(hits)) > 0); err != nil {
					return err
				}
			}
		}
	case '[':
		var all []struct {
			Coverage jsontext.Value `json:"coverage"`
		}
		if err := json.Unmarshal(file.Branches, &all, loose()); err != nil {
			return err
		}
		for i, b := range all {
			if b.Coverage.Kind() != '0' {
				continue
			}
			if err := r.branch(f, strconv.Itoa(i), number(string(b.Coverage)) > 0); err != nil {
				return err
			}
		}
	case 'n', 0:
	default:
		return errors.New("branches of a file are no list")
	}
	return nil
}
