package secret

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
	"go.yaml.in/yaml/v4"
	"golang.org/x/tools/txtar"
)

// Rule tells one kind of secret. It is what a file of rules/secret says.
type Rule struct {
	ID          string
	Title       string // the heading of its help
	Description string // the first paragraph
	Severity    finding.Label
	Fix         string // where and how to make the secret worthless
	Link        string
	Bad, Good   []Example

	keywords []string // in lower case; one of them stands in every secret of the kind, or in the name before it
	source   string   // of the pattern
	pattern  func() *regexp.Regexp
	before   int // how far the secret may begin before the keyword
	after    int // how far it may reach from there
	names    []string
	says     bool // the name must say besides that it is of a secret
	check    check
	with     []string // rules whose hits nearby belong to this secret: the id of a key
	entropy  float64  // least, in bits a character
	rank     int      // of two rules for one place, the higher counts
	lexer    string   // which hand-written lexer finds it; "" for the pattern
}

// Example is a file that holds such a secret, or does not.
type Example struct {
	Path    string
	Content []byte
}

// spec is rule.yaml.
type spec struct {
	Severity finding.Label `yaml:"severity"`
	Keywords []string      `yaml:"keywords"`
	Pattern  string        `yaml:"pattern"`
	Before   int           `yaml:"before"`
	After    int           `yaml:"after"`
	Names    []string      `yaml:"names"`
	Says     string        `yaml:"says"`
	Sure     bool          `yaml:"sure"`
	Check    string        `yaml:"check"`
	With     []string      `yaml:"with"`
	Entropy  float64       `yaml:"entropy"`
	Lexer    string        `yaml:"lexer"`
	Fix      string        `yaml:"fix"`
	Link     string        `yaml:"link"`
}

// readSpec reads rule.yaml. Most are so plain that no YAML parser is needed:
// at the start of every scan it would take as long as all the rest.
func readSpec(text []byte) (*spec, error) {
	if said, ok := plainSpec(string(text)); ok {
		return said, nil
	}
	said := new(spec)
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	return said, d.Decode(said)
}

// Ranks: the surer a rule is of what it sees, the higher.
const (
	rankGeneric = iota
	rankNamed   // the name and the shape of the value
	rankShape   // a shape of its own
	rankSure    // the name, and a shape that is nobody else's with it
)

// ParseRules reads every *.txtar of files, sorted by id.
func ParseRules(files fs.FS) ([]*Rule, error) {
	names, err := fs.Glob(files, "*.txtar")
	if err != nil {
		return nil, err
	}
	var rules []*Rule
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		r, err := ParseRule(name, text)
		if err != nil {
			return nil, err
		}
		rules = append(rules, r)
	}
	return rules, nil
}

// ParseRule reads one rule; name is that of its file.
func ParseRule(name string, text []byte) (*Rule, error) {
	r := &Rule{ID: strings.TrimSuffix(path.Base(name), ".txtar")}
	wrong := func(format string, a ...any) error {
		return fault.Invalid.Wrap(diag.Errorf(diag.Place{File: name}, format, a...))
	}
	var said *spec
	for _, f := range txtar.Parse(text).Files {
		switch kind, _, _ := strings.Cut(f.Name, "/"); {
		case f.Name == "help.md":
			r.Title, r.Description = help(f.Data)
		case f.Name == "rule.yaml":
			var err error
			if said, err = readSpec(f.Data); err != nil {
				return nil, wrong("rule.yaml: %v", err)
			}
		case kind == "bad", kind == "good":
			e, err := example(f)
			if err != nil {
				return nil, wrong("%s: %v", f.Name, err)
			}
			if kind == "bad" {
				r.Bad = append(r.Bad, e)
			} else {
				r.Good = append(r.Good, e)
			}
		default:
			return nil, wrong("unexpected part %q, want help.md, rule.yaml, bad/ and good/", f.Name)
		}
	}
	if said == nil {
		return nil, wrong("no rule.yaml")
	}
	if r.Title == "" || r.Description == "" {
		return nil, wrong("help.md needs a heading and a paragraph")
	}
	if err := r.compile(*said); err != nil {
		return nil, wrong("rule.yaml: %v", err)
	}
	return r, nil
}

// help is the heading and the first paragraph of a Markdown text.
func help(text []byte) (title, first string) {
	for part := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
		part = strings.Join(strings.Fields(part), " ")
		switch heading, ok := strings.CutPrefix(part, "# "); {
		case ok && title == "":
			title = heading
		case title != "" && first == "":
			first = part
		}
	}
	return title, first
}

func example(f txtar.File) (Example, error) {
	name := f.Name[strings.IndexByte(f.Name, '/')+1:]
	plain, ok := strings.CutSuffix(name, ".hex")
	if !ok {
		return Example{Path: name, Content: f.Data}, nil
	}
	content, err := hex.DecodeString(strings.Join(strings.Fields(string(f.Data)), ""))
	return Example{Path: plain, Content: content}, err
}

func (r *Rule) compile(s spec) error {
	r.Severity, r.Fix, r.Link = s.Severity, s.Fix, s.Link
	r.before, r.after, r.entropy, r.names, r.lexer, r.with = s.Before, s.After, s.Entropy, s.Names, s.Lexer, s.With
	for _, k := range s.Keywords {
		r.keywords = append(r.keywords, strings.ToLower(k))
	}
	switch {
	case r.Severity.Rank() < 0:
		return fmt.Errorf("severity is %q, want one of %v", s.Severity, finding.Labels)
	case r.Fix == "":
		return fmt.Errorf("fix is empty: say where the secret is made worthless")
	case s.Says != "" && s.Says != "secret", s.Says != "" && len(r.names) == 0:
		return fmt.Errorf("says is %q, want secret, beside names", s.Says)
	case r.before < 0, r.before > 256, r.after < 0, r.after > 1<<16:
		return fmt.Errorf("before is at most 256 and after at most 65536 bytes")
	}
	if s.Check != "" {
		known := checks()
		if r.check = known[s.Check]; r.check == nil {
			return fmt.Errorf("unknown check %q", s.Check)
		}
	}
	if r.lexer != "" {
		if !slices.Contains(lexers(), r.lexer) {
			return fmt.Errorf("unknown lexer %q, want one of %v", r.lexer, lexers())
		}
		return nil
	}
	r.says = s.Says != ""
	return r.compilePattern(s)
}

// compilePattern checks the pattern now and compiles it when it is first needed:
// most rules are never needed in a scan.
func (r *Rule) compilePattern(s spec) error {
	pattern := s.Pattern
	r.source = pattern
	if pattern == "" || len(r.keywords) == 0 && !r.says { // key, token, secret and password are looked for as they are
		return fmt.Errorf("a rule needs keywords and a pattern, or a lexer")
	}
	if slices.ContainsFunc(r.keywords, func(k string) bool { return len(k) < 3 }) {
		return fmt.Errorf("a keyword has at least three characters")
	}
	parsed, err := parseRegexp(pattern)
	if err != nil {
		return err
	}
	r.rank = rankShape
	anchored := `\A(?:` + pattern + `)`
	if len(r.names) > 0 {
		r.rank = rankNamed
		anchored += `\z`
	}
	if s.Sure {
		r.rank = rankSure
	}
	if r.before > 0 {
		anchored = pattern
	}
	if r.after == 0 {
		r.after = longest(parsed)
	}
	r.pattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(anchored) })
	return nil
}
