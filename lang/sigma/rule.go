// Package sigma reads Sigma's detection rules and tells which of them a log record fulfils.
//
// It understands the rules of https://sigmahq.io/sigma-specification/ and the
// correlations event_count and value_count. What it does not understand it
// refuses, with the place and a hint, rather than to evaluate half a rule.
package sigma

import (
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/haechi-dev/haechi/word/diag"
)

// Rule is one rule: a detection over single records, or a correlation of what others detect.
type Rule struct {
	ID, Name, Title, Status, Description, Author, Level string // Level: informational, low, medium, high, critical, or ""

	Tags, FalsePositives, References []string
	Source                           LogSource
	Correlation                      *Correlation // nil for a detection
	Place                            diag.Place   // where it begins

	detection expression
	custom    map[string]*yaml.Node
}

// LogSource says which records a rule is about. What is empty says nothing.
type LogSource struct{ Category, Product, Service string }

// Covers tells whether records of a source are meant: "aws.cloudtrail" is product aws, service cloudtrail;
// a category stands for itself, and for what is below it.
func (l LogSource) Covers(source string) bool {
	if l.Product == "" && l.Service == "" {
		return l.Category != "" && under(source, l.Category)
	}
	name := l.Product
	if l.Service != "" {
		if name != "" {
			name += "."
		}
		name += l.Service
	}
	return under(source, name)
}

func under(source, name string) bool {
	return source == name || len(source) > len(name) && source[:len(name)] == name && source[len(name)] == '.'
}

// Correlation counts what other rules detect.
type Correlation struct {
	Kind     Kind
	Rules    []string // ids or names
	GroupBy  []string // fields whose values count apart
	Timespan time.Duration
	Least    int    // how many make it true
	Field    string // whose different values ValueCount counts
	Generate bool   // the rules it counts are raised by themselves, too
}

// Kind is what a correlation counts.
type Kind string

const (
	EventCount Kind = "event_count"
	ValueCount Kind = "value_count"
)

// Custom reads a member that Sigma does not define, strictly, into out, and tells whether the rule has it.
func (r *Rule) Custom(name string, out any) (bool, error) {
	n, ok := r.custom[name]
	if !ok {
		return false, nil
	}
	text, err := yaml.Dump(n)
	if err != nil {
		return true, err
	}
	if err := yaml.Load(text, out, yaml.WithKnownFields()); err != nil {
		return true, &diag.Error{Place: diag.Place{File: r.Place.File, Line: n.Line, Column: n.Column}, Message: "in " + name + ": " + err.Error()}
	}
	return true, nil
}
