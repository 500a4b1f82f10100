package secret

import (
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/word/finding"
)

// plainSpec reads a rule.yaml that has one name and value a line, as long as
// nothing in it is written in a way that only YAML knows.
func plainSpec(text string) (*spec, bool) {
	s, seen := &spec{}, map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		name, value, ok := strings.Cut(line, ": ")
		if !ok || seen[name] || !s.set(name, value) {
			return nil, false
		}
		seen[name] = true
	}
	return s, true
}

func (s *spec) set(name, value string) bool {
	texts := map[string]*string{"pattern": &s.Pattern, "check": &s.Check, "lexer": &s.Lexer, "fix": &s.Fix, "link": &s.Link, "says": &s.Says}
	lists := map[string]*[]string{"keywords": &s.Keywords, "names": &s.Names, "with": &s.With}
	numbers := map[string]*int{"before": &s.Before, "after": &s.After}
	var ok bool
	var err error
	switch {
	case texts[name] != nil:
		*texts[name], ok = plainText(value)
	case lists[name] != nil:
		*lists[name], ok = plainList(value)
	case numbers[name] != nil:
		*numbers[name], err = strconv.Atoi(value)
		ok = err == nil
	case name == "severity":
		value, ok = plainText(value)
		s.Severity = finding.Label(value)
	case name == "sure":
		s.Sure, ok = value == "true", value == "true" || value == "false"
	case name == "entropy":
		s.Entropy, err = strconv.ParseFloat(value, 64)
		ok = err == nil
	}
	return ok
}

// plainText is a text in single quotation marks, or of letters that mean nothing else in YAML.
func plainText(value string) (string, bool) {
	if rest, ok := strings.CutPrefix(value, "'"); ok {
		rest, ok = strings.CutSuffix(rest, "'")
		single := strings.ReplaceAll(rest, "''", "")
		return strings.ReplaceAll(rest, "''", "'"), ok && !strings.Contains(single, "'")
	}
	for i := range len(value) {
		if !isAlnum(value[i]) && strings.IndexByte("-_./:", value[i]) < 0 || i == 0 && !isLetter(value[i]) {
			return "", false
		}
	}
	switch strings.ToLower(value) {
	case "", "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		return "", false
	}
	return value, !strings.HasSuffix(value, ":")
}

func plainList(value string) (all []string, ok bool) {
	value, ok = strings.CutPrefix(value, "[")
	if !ok {
		return nil, false
	}
	if value, ok = strings.CutSuffix(value, "]"); !ok {
		return nil, false
	}
	for item := range strings.SplitSeq(value, ", ") {
		text, ok := plainText(item)
		if !ok {
			return nil, false
		}
		all = append(all, text)
	}
	return all, true
}
