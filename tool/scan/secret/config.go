package secret

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/lang/toml"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Config is rules and allowlists in the form of gitleaks, as its .gitleaks.toml
// has them: https://github.com/gitleaks/gitleaks#configuration
type Config struct {
	rules   []*foreign
	allow   []*allowlist            // of every rule
	of      map[string][]*allowlist // of our own rules, by id
	own     bool                    // our own rules count, too
	without map[string]bool         // but these
	words   *automaton              // all keywords
	byWord  [][]*foreign
	always  []*foreign // rules without keywords
	version string
}

// foreign is a rule of such a file.
type foreign struct {
	rule     *Rule // what findings say of it
	pattern  *regexp.Regexp
	size     int // of the pattern, compiled
	path     *regexp.Regexp
	group    int
	entropy  float64
	keywords []string
	allow    []*allowlist
	required []required
	silent   bool // it only counts for those that require it
}

type required struct {
	id             string
	lines, columns int // -1: anywhere
}

// allowlist says which finds of a rule are none.
type allowlist struct {
	all       bool // every condition must hold, not one
	commits   []string
	paths     []*regexp.Regexp
	target    string // secret, match or line
	regexes   []*regexp.Regexp
	stopwords []string
}

const (
	mostInstructions = 50_000  // of one pattern, compiled
	mostRules        = 5_000   // of a file
	longestPattern   = 1 << 16 // bytes
	deepestExtend    = 2       // files that extend files, as gitleaks has it
)

// ParseConfig reads such a file. What it extends is opened from files, beside
// it; "useDefault" are Haechi's own rules, which may be disabled and overridden
// by gitleaks' names for them.
func ParseConfig(file string, text []byte, files fs.FS) (*Config, error) {
	c, err := parseConfig(file, text, files, 0)
	if err != nil {
		return nil, err
	}
	c.build()
	sum := sha256.Sum256(text)
	c.version = hex.EncodeToString(sum[:6])
	return c, nil
}

// table is a TOML table whose names are read in any case, as gitleaks does.
type table struct {
	file   string
	values toml.Table
}

func (t table) get(name string) any {
	for key, v := range t.values {
		if strings.EqualFold(key, name) {
			return v
		}
	}
	return nil
}

func (t table) wrong(format string, a ...any) error {
	return fault.Invalid.Wrap(diag.Errorf(diag.Place{File: t.file}, format, a...))
}

func (t table) text(name string) (string, error) {
	switch v := t.get(name).(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	}
	return "", t.wrong("%s is no text", name)
}

func (t table) number(name string) (n float64, said bool, err error) {
	switch v := t.get(name).(type) {
	case nil:
		return 0, false, nil
	case int64:
		return float64(v), true, nil
	case float64:
		return v, true, nil
	}
	return 0, true, t.wrong("%s is no number", name)
}

func (t table) flag(name string) bool {
	v, _ := t.get(name).(bool)
	return v
}

func (t table) texts(name string) (all []string, err error) {
	switch v := t.get(name).(type) {
	case nil:
	case string:
		all = []string{v}
	case []any:
		for _, item := range v {
			s, ok := item.(string)
			if !ok {
				return nil, t.wrong("%s holds something that is no text", name)
			}
			all = append(all, s)
		}
	default:
		return nil, t.wrong("%s is no list of texts", name)
	}
	return all, nil
}

// tables are the tables of a list, or the only one.
func (t table) tables(name string) (all []table, err error) {
	switch v := t.get(name).(type) {
	case nil:
	case toml.Table:
		all = []table{{t.file, v}}
	case []any:
		for _, item := range v {
			one, ok := item.(toml.Table)
			if !ok {
				return nil, t.wrong("%s holds something that is no table", name)
			}
			all = append(all, table{t.file, one})
		}
	default:
		return nil, t.wrong("%s is no list of tables", name)
	}
	return all, nil
}

func (t table) pattern(name string) (*regexp.Regexp, int, error) {
	text, err := t.text(name)
	if err != nil || text == "" {
		return nil, 0, err
	}
	re, size, err := compileBounded(text)
	if err != nil {
		err = t.wrong("%s %q: %v", name, finding.Shorten(text, 80), err)
	}
	return re, size, err
}

func (t table) patterns(name string) (all []*regexp.Regexp, err error) {
	texts, err := t.texts(name)
	for _, text := range texts {
		re, _, err := compileBounded(text)
		if err != nil {
			return nil, t.wrong("%s %q: %v", name, finding.Shorten(text, 80), err)
		}
		all = append(all, re)
	}
	return all, err
}

// compileBounded compiles a pattern that somebody brings, if it is of a size
// that a scan can afford.
func compileBounded(text string) (re *regexp.Regexp, size int, err error) {
	if len(text) > longestPattern {
		return nil, 0, fmt.Errorf("it has %d bytes, and may have %d", len(text), longestPattern)
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, 0, err
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, 0, err
	}
	if size = len(program.Inst); size > mostInstructions {
		return nil, 0, fmt.Errorf("it is too large: %d steps, and there may be %d", size, mostInstructions)
	}
	re, err = regexp.Compile(text)
	return re, size, err
}

func parseConfig(file string, text []byte, files fs.FS, depth int) (*Config, error) {
	doc, err := toml.Parse(file, text)
	if err != nil {
		return nil, err
	}
	t := table{file, doc}
	c := &Config{of: map[string][]*allowlist{}, without: map[string]bool{}}
	rules, err := t.tables("rules")
	if err != nil {
		return nil, err
	}
	if len(rules) > mostRules {
		return nil, t.wrong("it has %d rules, and may have %d", len(rules), mostRules)
	}
	for _, r := range rules {
		if err := c.addRule(r); err != nil {
			return nil, err
		}
	}
	targeted, err := c.globalAllowlists(t)
	if err != nil {
		return nil, err
	}
	if err := c.extend(t, files, depth); err != nil {
		return nil, err
	}
	for id, lists := range targeted {
		if i := c.index(id); i >= 0 {
			c.rules[i].allow = append(c.rules[i].allow, lists...)
		} else {
			c.of[ownName(id)] = append(c.of[ownName(id)], lists...)
		}
	}
	return c, c.check(t, depth)
}

func (c *Config) index(id string) int {
	return slices.IndexFunc(c.rules, func(f *foreign) bool { return f.rule.ID == id })
}

func (c *Config) addRule(t table) (err error) {
	f := &foreign{silent: t.flag("skipReport")}
	id, err := t.text("id")
	if err != nil {
		return err
	}
	if strings.TrimSpace(id) == "" {
		return t.wrong("a rule has no id")
	}
	wrong := func(err error) error { return fmt.Errorf("rule %s: %w", id, err) }
	description, err := t.text("description")
	if err != nil {
		return wrong(err)
	}
	f.rule = &Rule{ID: id, Title: id, Description: description, Severity: finding.High, rank: rankShape,
		Fix: "Revoke it where it was issued and issue a new one; let the program read it from a secret store or from its environment."}
	if description == "" {
		f.rule.Description = "What the rule " + id + " of " + path.Base(t.file) + " looks for."
	}
	if f.pattern, f.size, err = t.pattern("regex"); err != nil {
		return wrong(err)
	}
	if f.path, _, err = t.pattern("path"); err != nil {
		return wrong(err)
	}
	group, _, err := t.number("secretGroup")
	if err != nil {
		return wrong(err)
	}
	f.group = int(group)
	if f.entropy, _, err = t.number("entropy"); err != nil {
		return wrong(err)
	}
	if f.keywords, err = t.texts("keywords"); err != nil {
		return wrong(err)
	}
	for i := range f.keywords {
		f.keywords[i] = strings.ToLower(f.keywords[i])
	}
	f.keywords = slices.DeleteFunc(f.keywords, func(k string) bool { return k == "" })
	for _, name := range []string{"allowlist", "allowlists"} {
		lists, err := t.tables(name)
		if err != nil {
			return wrong(err)
		}
		for _, l := range lists {
			a, err := l.allowlist()
			if err != nil {
				return wrong(err)
			}
			f.allow = append(f.allow, a)
		}
	}
	if err := f.requires(t); err != nil {
		return wrong(err)
	}
	if i := c.index(id); i >= 0 { // the last one counts
		c.rules[i] = f
		return nil
	}
	c.rules = append(c.rules, f)
	return nil
}

func (f *foreign) requires(t table) error {
	list, err := t.tables("required")
	if err != nil {
		return err
	}
	for _, r := range list {
		q := required{lines: -1, columns: -1}
		if q.id, err = r.text("id"); err != nil || q.id == "" {
			return t.wrong("required: a rule has no id")
		}
		for name, to := range map[string]*int{"withinLines": &q.lines, "withinColumns": &q.columns} {
			n, said, err := r.number(name)
			if err != nil {
				return err
			}
			if said {
				*to = int(n)
			}
		}
		f.required = append(f.required, q)
	}
	return nil
}

func (t table) allowlist() (*allowlist, error) {
	a := &allowlist{}
	condition, err := t.text("condition")
	if err != nil {
		return nil, err
	}
	switch strings.ToUpper(condition) {
	case "AND", "&&":
		a.all = true
	case "", "OR", "||":
	default:
		return nil, t.wrong("the condition of an allowlist is and, or or, not %q", condition)
	}
	if a.target, err = t.text("regexTarget"); err != nil {
		return nil, err
	}
	if !slices.Contains([]string{"", "secret", "match", "line"}, a.target) {
		return nil, t.wrong("the regexTarget of an allowlist is secret, match or line, not %q", a.target)
	}
	if a.commits, err = t.texts("commits"); err != nil {
		return nil, err
	}
	for i := range a.commits {
		a.commits[i] = strings.ToLower(strings.TrimSpace(a.commits[i]))
	}
	if a.paths, err = t.patterns("paths"); err != nil {
		return nil, err
	}
	if a.regexes, err = t.patterns("regexes"); err != nil {
		return nil, err
	}
	if a.stopwords, err = t.texts("stopwords"); err != nil {
		return nil, err
	}
	for i := range a.stopwords {
		a.stopwords[i] = strings.ToLower(a.stopwords[i])
	}
	if len(a.commits)+len(a.paths)+len(a.regexes)+len(a.stopwords) == 0 {
		return nil, t.wrong("an allowlist says none of commits, paths, regexes and stopwords")
	}
	return a, nil
}

// globalAllowlists reads those of all rules, and gives back those of some.
func (c *Config) globalAllowlists(t table) (map[string][]*allowlist, error) {
	targeted := map[string][]*allowlist{}
	for _, name := range []string{"allowlist", "allowlists"} {
		lists, err := t.tables(name)
		if err != nil {
			return nil, err
		}
		for _, l := range lists {
			a, err := l.allowlist()
			if err != nil {
				return nil, err
			}
			targets, err := l.texts("targetRules")
			if err != nil {
				return nil, err
			}
			if len(targets) == 0 {
				c.allow = append(c.allow, a)
			}
			for _, id := range targets {
				targeted[id] = append(targeted[id], a)
			}
		}
	}
	return targeted, nil
}

// extend adds what the file extends: our own rules, or another file.
func (c *Config) extend(t table, files fs.FS, depth int) error {
	extends, err := t.tables("extend")
	if err != nil || len(extends) == 0 || depth >= deepestExtend {
		return err
	}
	e := extends[0]
	other, err := e.text("path")
	if err != nil {
		return err
	}
	disabled, err := e.texts("disabledRules")
	if err != nil {
		return err
	}
	switch {
	case other != "" && e.flag("useDefault"):
		return t.wrong("extend: path and useDefault cannot both be said")
	case e.get("url") != nil && e.get("url") != "":
		return t.wrong("extend: url is not followed; fetch the file and say path")
	case e.flag("useDefault"):
		c.extendOwn(disabled)
	case other != "":
		return c.extendFile(t, other, files, disabled, depth)
	}
	return nil
}

// extendOwn lets our own rules count. A rule of the file that is called as one
// of ours takes its place, or, where it has no pattern, only adds to it.
func (c *Config) extendOwn(disabled []string) {
	c.own = true
	for _, id := range disabled {
		c.without[ownName(id)] = true
	}
	c.rules = slices.DeleteFunc(c.rules, func(f *foreign) bool {
		if f.pattern != nil || f.path != nil {
			if _, known := ownNames()[f.rule.ID]; known {
				c.without[ownName(f.rule.ID)] = true
			}
			return false
		}
		c.of[ownName(f.rule.ID)] = append(c.of[ownName(f.rule.ID)], f.allow...)
		return true
	})
}

func (c *Config) extendFile(t table, other string, files fs.FS, disabled []string, depth int) error {
	name := path.Clean(strings.ReplaceAll(other, "\\", "/"))
	if files == nil || !fs.ValidPath(name) {
		return t.wrong("extend: %q does not lie beside the file", other)
	}
	text, err := fs.ReadFile(files, name)
	if err != nil {
		return t.wrong("extend: %v", err)
	}
	base, err := parseConfig(name, text, files, depth+1)
	if err != nil {
		return err
	}
	for _, b := range base.rules {
		if slices.Contains(disabled, b.rule.ID) {
			continue
		}
		if i := c.index(b.rule.ID); i >= 0 {
			c.rules[i].over(b)
		} else {
			c.rules = append(c.rules, b)
		}
	}
	c.own = base.own
	for id := range base.without {
		c.without[id] = true
	}
	for id, lists := range base.of {
		c.of[id] = append(c.of[id], lists...)
	}
	c.allow = append(c.allow, base.allow...)
	return nil
}

// over fills in what f does not say itself from the rule that it extends.
func (f *foreign) over(base *foreign) {
	if f.pattern == nil {
		f.pattern, f.size = base.pattern, base.size
	}
	if f.path == nil {
		f.path = base.path
	}
	if f.entropy == 0 {
		f.entropy = base.entropy
	}
	if f.group == 0 {
		f.group = base.group
	}
	if strings.HasPrefix(f.rule.Description, "What the rule ") {
		f.rule.Description = base.rule.Description
	}
	f.keywords = append(base.keywords, f.keywords...)
	f.allow = append(base.allow, f.allow...)
	f.required = append(base.required, f.required...)
}

func (c *Config) check(t table, depth int) error {
	if depth > 0 { // the file that extends may complete it
		return nil
	}
	for _, f := range c.rules {
		switch {
		case f.pattern == nil && f.path == nil:
			return t.wrong("rule %s has neither regex nor path, and would find nothing", f.rule.ID)
		case f.pattern != nil && (f.group < 0 || f.group > f.pattern.NumSubexp()):
			return t.wrong("rule %s: secretGroup is %d, and the regex has %d groups", f.rule.ID, f.group, f.pattern.NumSubexp())
		}
		for _, q := range f.required {
			if c.index(q.id) < 0 {
				return t.wrong("rule %s requires %q, which is no rule of the file", f.rule.ID, q.id)
			}
		}
	}
	return nil
}

func (c *Config) build() {
	b := map[string][]*foreign{}
	var words []string
	for _, f := range c.rules {
		if f.pattern == nil || len(f.keywords) == 0 {
			c.always = append(c.always, f)
			continue
		}
		for _, k := range f.keywords {
			if b[k] == nil {
				words = append(words, k)
			}
			b[k] = append(b[k], f)
		}
	}
	if len(words) == 0 {
		return
	}
	c.words, c.byWord = build(words), make([][]*foreign, len(words))
	for i, w := range words {
		c.byWord[i] = b[w]
	}
}
