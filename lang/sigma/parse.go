package sigma

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// What a rule file may hold at most.
const (
	maxFile      = 1 << 20
	maxDocuments = 1000
	maxDepth     = 32
)

// Levels are what a rule may say about how bad it is, the least bad first.
var levels = [...]string{"informational", "low", "medium", "high", "critical"}

var members = [...]string{
	"title", "id", "name", "related", "taxonomy", "status", "description", "license", "references", "author", "date", "modified",
	"tags", "logsource", "detection", "correlation", "fields", "falsepositives", "level", "scope", "filter", "action",
}

// Parse reads all rules of a file. An error is a *diag.Error at the place of the first mistake.
func Parse(file string, text []byte) ([]*Rule, error) {
	rules, err := parse(file, text)
	var e *diag.Error
	if errors.As(err, &e) {
		e.In(text)
	}
	return rules, fault.Invalid.Wrap(err)
}

func parse(file string, text []byte) ([]*Rule, error) {
	if len(text) > maxFile {
		return nil, diag.Errorf(diag.Place{File: file}, "the file is larger than %d bytes", maxFile)
	}
	loader, err := yaml.NewLoader(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	var rules []*Rule
	for range maxDocuments {
		var doc yaml.Node
		err := loader.Load(&doc)
		switch {
		case err == io.EOF && len(rules) == 0:
			return nil, diag.Errorf(diag.Place{File: file}, "there is no rule in the file")
		case err == io.EOF:
			return rules, nil
		case err != nil:
			return nil, syntaxError(file, err)
		}
		p := parser{file: file}
		r, err := p.rule(&doc)
		if err != nil {
			return nil, err
		}
		rules = append(rules, r)
	}
	return nil, diag.Errorf(diag.Place{File: file}, "more than %d rules in one file", maxDocuments)
}

func syntaxError(file string, err error) error {
	p := diag.Place{File: file}
	var e *yaml.LoadError
	if errors.As(err, &e) {
		p.Line, p.Column = e.Mark.Line, e.Mark.Column
		return diag.Errorf(p, "this is not YAML: %s", e.Message)
	}
	return diag.Errorf(p, "this is not YAML: %v", err)
}

type parser struct{ file string }

func (p parser) at(n *yaml.Node) diag.Place {
	return diag.Place{File: p.file, Line: n.Line, Column: n.Column}
}

func (p parser) errorf(n *yaml.Node, format string, a ...any) *diag.Error {
	return diag.Errorf(p.at(n), format, a...)
}

// A pair is one member of a mapping.
type pair struct {
	key   string
	node  *yaml.Node // the key's
	value *yaml.Node
}

func (p parser) pairs(n *yaml.Node, what string) ([]pair, error) {
	if n.Kind != yaml.MappingNode {
		return nil, p.errorf(n, "%s must be a mapping", what)
	}
	var all []pair
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			return nil, p.errorf(k, "a name is expected here")
		}
		if k.Tag == "!!merge" {
			return nil, p.errorf(k, "merge keys are not supported").WithHint("write the members out")
		}
		if seen[k.Value] {
			return nil, p.errorf(k, "%q is there twice", k.Value)
		}
		seen[k.Value] = true
		all = append(all, pair{k.Value, k, v})
	}
	return all, nil
}

// plain refuses what YAML can do and rules need not: aliases, which can grow without end, and depth.
func (p parser) plain(n *yaml.Node, depth int) error {
	if n.Kind == yaml.AliasNode {
		return p.errorf(n, "aliases are not supported").WithHint("write %q out", n.Value)
	}
	if depth > maxDepth {
		return p.errorf(n, "nested deeper than %d", maxDepth)
	}
	for _, c := range n.Content {
		if err := p.plain(c, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (p parser) rule(doc *yaml.Node) (*Rule, error) {
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil, p.errorf(doc, "a rule is expected here")
	}
	root := doc.Content[0]
	if err := p.plain(root, 0); err != nil {
		return nil, err
	}
	all, err := p.pairs(root, "a rule")
	if err != nil {
		return nil, err
	}
	r := &Rule{Place: p.at(root), custom: map[string]*yaml.Node{}}
	var detection, correlation, source *yaml.Node
	for _, m := range all {
		switch m.key {
		case "detection":
			detection = m.value
		case "correlation":
			correlation = m.value
		case "logsource":
			source = m.value
		case "filter", "action":
			return nil, p.errorf(m.node, "%s is not supported", m.key).WithHint("write each rule out as a document of its own")
		default:
			if err := p.member(r, m); err != nil {
				return nil, err
			}
		}
	}
	switch {
	case r.Title == "":
		return nil, p.missing(root, "title", r)
	case detection != nil && correlation != nil:
		return nil, p.errorf(correlation, "a rule is a detection or a correlation, not both").WithHint("make two documents of it, with --- between them")
	case correlation != nil:
		r.Correlation, err = p.correlation(correlation)
		return r, err
	case detection == nil:
		return nil, p.missing(root, "detection", r)
	case source == nil:
		return nil, p.missing(root, "logsource", r)
	}
	if r.Source, err = p.source(source); err != nil {
		return nil, err
	}
	r.detection, err = p.detection(detection)
	return r, err
}

func (p parser) missing(root *yaml.Node, name string, r *Rule) error {
	e := p.errorf(root, "the rule has no %s", name)
	for k, n := range r.custom {
		if diag.Nearest(k, []string{name}) != "" {
			return p.errorf(n, "the rule has no %s", name).WithHint("is %q meant to be it?", k)
		}
	}
	return e
}

// member reads one of the members that only describe.
func (p parser) member(r *Rule, m pair) (err error) {
	switch m.key {
	case "title":
		r.Title, err = p.text(m.value, "title")
	case "id":
		r.ID, err = p.text(m.value, "id")
	case "name":
		r.Name, err = p.text(m.value, "name")
	case "status":
		r.Status, err = p.text(m.value, "status")
	case "description":
		r.Description, err = p.text(m.value, "description")
	case "author":
		r.Author, err = p.text(m.value, "author")
	case "tags":
		r.Tags, err = p.texts(m.value, "tags")
	case "falsepositives":
		r.FalsePositives, err = p.texts(m.value, "falsepositives")
	case "references":
		r.References, err = p.texts(m.value, "references")
	case "level":
		if r.Level, err = p.text(m.value, "level"); err == nil && !contains(levels[:], r.Level) {
			return p.errorf(m.value, "unknown level %q", r.Level).WithHint("one of %s", strings.Join(levels[:], ", "))
		}
	default:
		if !contains(members[:], m.key) {
			r.custom[m.key] = m.value
		}
	}
	return err
}

func contains(all []string, s string) bool {
	for _, x := range all {
		if x == s {
			return true
		}
	}
	return false
}

func (p parser) text(n *yaml.Node, what string) (string, error) {
	if n.Kind != yaml.ScalarNode {
		return "", p.errorf(n, "%s must be a text", what)
	}
	if n.Tag == "!!null" {
		return "", nil
	}
	return n.Value, nil
}

// texts is a list of texts, or one.
func (p parser) texts(n *yaml.Node, what string) ([]string, error) {
	if n.Kind != yaml.SequenceNode {
		s, err := p.text(n, what)
		if s == "" {
			return nil, err
		}
		return []string{s}, err
	}
	var all []string
	for _, c := range n.Content {
		s, err := p.text(c, what)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func (p parser) source(n *yaml.Node) (l LogSource, err error) {
	all, err := p.pairs(n, "logsource")
	if err != nil {
		return l, err
	}
	for _, m := range all {
		switch m.key {
		case "category":
			l.Category, err = p.text(m.value, m.key)
		case "product":
			l.Product, err = p.text(m.value, m.key)
		case "service":
			l.Service, err = p.text(m.value, m.key)
		case "definition":
		default:
			return l, p.errorf(m.node, "unknown member %q of logsource", m.key).WithHint("%s", hintOr(diag.DidYouMean(m.key, []string{"category", "product", "service", "definition"}), "category, product, service or definition"))
		}
		if err != nil {
			return l, err
		}
	}
	if l == (LogSource{}) {
		return l, p.errorf(n, "the logsource says nothing").WithHint("give a category, a product or a service")
	}
	return l, nil
}

func hintOr(hint, other string) string {
	if hint != "" {
		return hint
	}
	return other
}

func (p parser) correlation(n *yaml.Node) (*Correlation, error) {
	all, err := p.pairs(n, "correlation")
	if err != nil {
		return nil, err
	}
	c := &Correlation{}
	var condition *yaml.Node
	for _, m := range all {
		switch m.key {
		case "type":
			c.Kind, err = p.kind(m.value)
		case "rules":
			c.Rules, err = p.texts(m.value, "rules")
		case "group-by":
			c.GroupBy, err = p.texts(m.value, "group-by")
		case "timespan":
			c.Timespan, err = p.timespan(m.value)
		case "generate":
			c.Generate, err = p.boolean(m.value, "generate")
		case "condition":
			condition = m.value
		default:
			return nil, p.errorf(m.node, "%q of a correlation is not supported", m.key).WithHint("type, rules, group-by, timespan, condition and generate are")
		}
		if err != nil {
			return nil, err
		}
	}
	switch {
	case c.Kind == "":
		return nil, p.errorf(n, "the correlation has no type").WithHint("%s or %s", EventCount, ValueCount)
	case len(c.Rules) == 0:
		return nil, p.errorf(n, "the correlation has no rules")
	case c.Timespan == 0:
		return nil, p.errorf(n, "the correlation has no timespan").WithHint("such as 5m")
	case condition == nil:
		return nil, p.errorf(n, "the correlation has no condition").WithHint("such as gte: 10")
	}
	return c, p.threshold(c, condition)
}

func (p parser) kind(n *yaml.Node) (Kind, error) {
	s, err := p.text(n, "type")
	switch k := Kind(s); k {
	case EventCount, ValueCount:
		return k, err
	}
	return "", p.errorf(n, "correlation type %q is not supported", s).WithHint("%s and %s are", EventCount, ValueCount)
}

const maxTimespan = 31 * 24 * time.Hour

func (p parser) timespan(n *yaml.Node) (time.Duration, error) {
	s, err := p.text(n, "timespan")
	if err != nil {
		return 0, err
	}
	wrong := p.errorf(n, "%q is no timespan", s).WithHint("a number and s, m, h or d, such as 5m; at most 31d")
	if len(s) < 2 {
		return 0, wrong
	}
	unit, ok := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}[s[len(s)-1]]
	count, err := strconv.ParseUint(s[:len(s)-1], 10, 31)
	if !ok || err != nil || count == 0 || count > uint64(maxTimespan/unit) {
		return 0, wrong
	}
	return time.Duration(count) * unit, nil
}

func (p parser) boolean(n *yaml.Node, what string) (bool, error) {
	if n.Kind == yaml.ScalarNode && (n.Value == "true" || n.Value == "false") {
		return n.Value == "true", nil
	}
	return false, p.errorf(n, "%s must be true or false", what)
}

const maxLeast = 10_000 // a window holds at least so many entries

func (p parser) threshold(c *Correlation, n *yaml.Node) error {
	all, err := p.pairs(n, "condition")
	if err != nil {
		return err
	}
	for _, m := range all {
		switch m.key {
		case "gte", "gt":
			count, err := strconv.Atoi(m.value.Value)
			if m.key == "gt" {
				count++
			}
			if err != nil || count < 1 || count > maxLeast || c.Least != 0 {
				return p.errorf(m.value, "one number from 1 to %d is expected here", maxLeast)
			}
			c.Least = count
		case "field":
			if c.Field, err = p.text(m.value, "field"); err != nil {
				return err
			}
		default:
			return p.errorf(m.node, "%q in the condition of a correlation is not supported", m.key).WithHint("gt and gte are: what has not happened cannot be told from what comes in late")
		}
	}
	switch {
	case c.Least == 0:
		return p.errorf(n, "the condition has no number").WithHint("such as gte: 10")
	case c.Kind == ValueCount && c.Field == "":
		return p.errorf(n, "value_count has no field in its condition").WithHint("field: names whose different values are counted")
	case c.Kind == EventCount && c.Field != "":
		return p.errorf(n, "event_count has no use for a field").WithHint("value_count counts a field's different values")
	}
	return nil
}
