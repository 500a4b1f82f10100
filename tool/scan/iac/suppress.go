package iac

import (
	_ "embed"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/word/diag"
	"go.yaml.in/yaml/v4"
)

// mark is a comment that lets findings be.
type mark struct {
	line   int // from 1
	alone  bool
	by     string   // whose form it has: haechi, checkov, tfsec, hadolint …
	ids    []string // of rules; none: all
	reason string
}

var (
	ownMark = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`haechi:allow((?:[ ,]+[A-Za-z][A-Za-z0-9_./-]*)*?)\s+reason=(.+)`)
	})
	checkovMark = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?:checkov|bridgecrew|cortex):skip=([A-Za-z0-9_./-]+)(?::\s*(.*))?`)
	})
	tfsecMark    = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(tfsec|trivy):ignore:(\S+)`) })
	hadolintMark = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`hadolint\s+(?:global\s+)?ignore=([A-Z0-9, ]+)`) })
	kicsMark     = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`kics-scan\s+(ignore-line|ignore-block|ignore)\b`) })
	zizmorMark   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`zizmor:\s*ignore\[([a-z0-9, -]+)\](?:\s*(.*))?`) })
	markHint     = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`haechi:allow|:skip=|:ignore:|hadolint|kics-scan|zizmor:`)
	})
)

// marksIn are the comments of a file that let findings be.
func marksIn(lines []string) (all []mark) {
	for i, line := range lines {
		if !markHint().MatchString(line) {
			continue
		}
		m := mark{line: i + 1, alone: isComment(line)}
		switch {
		case ownMark().MatchString(line):
			x := ownMark().FindStringSubmatch(line)
			m.by, m.ids, m.reason = "haechi", split(x[1]), ending(x[2])
		case checkovMark().MatchString(line):
			for _, x := range checkovMark().FindAllStringSubmatch(line, 20) {
				m.by, m.ids, m.reason = "checkov", []string{x[1]}, ending(x[2])
				all = append(all, m)
			}
			continue
		case tfsecMark().MatchString(line):
			x := tfsecMark().FindAllStringSubmatch(line, 20)
			for _, y := range x {
				m.by = y[1]
				m.ids = append(m.ids, strings.TrimPrefix(strings.Split(y[2], ":")[0], "custom-"))
			}
		case hadolintMark().MatchString(line):
			m.by, m.ids = "hadolint", split(hadolintMark().FindStringSubmatch(line)[1])
		case zizmorMark().MatchString(line):
			x := zizmorMark().FindStringSubmatch(line)
			m.by, m.ids, m.reason = "zizmor", split(x[1]), ending(x[2])
		case kicsMark().MatchString(line):
			m.by = "kics"
		default:
			continue
		}
		all = append(all, m)
	}
	return all
}

func split(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

// ending takes the end of a comment and quotes off a reason.
func ending(s string) string {
	s = strings.TrimSpace(strings.TrimSuffix(strings.TrimSuffix(strings.TrimSpace(s), "*/"), "-->"))
	return strings.Trim(s, `"' `)
}

func isComment(line string) bool {
	t := strings.TrimSpace(line)
	return strings.HasPrefix(t, "#") || strings.HasPrefix(t, "//") || strings.HasPrefix(t, "/*") || strings.HasPrefix(t, "*") || strings.HasPrefix(t, "<!--")
}

// allowed is the reason for which a finding is let be, by the resource's metadata
// or a comment.
func (s *sources) allowed(doc *guard.Document, v Verdict, place diag.Place) (reason string, ok bool) {
	if reason, ok := byMetadata(v); ok {
		return reason, true
	}
	marks := s.of(place.File).marks
	if len(marks) == 0 {
		return "", false
	}
	first, last := 0, 0
	if v.Resource.Name != nil {
		first = doc.Place(v.Resource.Name).Line
		last = max(first, lastLine(doc, v.Resource.Body, place.File))
	}
	file := strings.HasPrefix(v.Resource.Type, "Haechi::Docker::") // a resource that is its file
	for _, m := range marks {
		if !m.names(v.Rule.Policy.ID) {
			continue
		}
		here := m.line == place.Line || m.alone && s.above(place.File, m.line, place.Line)
		head := first > 0 && !file && (m.line == first || m.alone && s.above(place.File, m.line, first))
		within := first > 0 && m.line >= first && m.line <= last
		switch m.by {
		case "checkov": // stands within the block, or anywhere in a Dockerfile
			if within || file || here || head {
				return m.reason, true
			}
		case "kics":
			if here {
				return "kics-scan " + "ignores the line", true
			}
		default:
			if here || head {
				return m.reason, true
			}
		}
	}
	return "", false
}

// above tells whether only comments stand between the lines mark and line.
func (s *sources) above(file string, mark, line int) bool {
	lines := s.of(file).lines
	if mark >= line || line-mark > 20 || line > len(lines) {
		return false
	}
	for _, l := range lines[mark : line-1] {
		if !isComment(l) {
			return false
		}
	}
	return true
}

// lastLine is the last line of a file on which something of v stands.
func lastLine(doc *guard.Document, v *value, file string) int {
	last := 0
	if p := doc.Place(v); p.File == file {
		last = p.Line
	}
	for _, x := range v.Items() {
		last = max(last, lastLine(doc, x, file))
	}
	for name, x := range v.Members() {
		if p := doc.Place(name); p.File == file {
			last = max(last, p.Line)
		}
		last = max(last, lastLine(doc, x, file))
	}
	return last
}

// byMetadata reads what cfn-guard, cdk-nag, cfn_nag and checkov keep in a resource's metadata.
func byMetadata(v Verdict) (reason string, ok bool) {
	meta := v.Resource.Body.Get("Metadata")
	id := v.Rule.Policy.ID
	for _, x := range meta.Get("guard").Get("SuppressedRules").Items() {
		if name, _ := x.Text(); sameRule(name, id) {
			return "suppressed in the resource's metadata for cfn-guard", true
		}
		if name, _ := x.Get("id").Text(); sameRule(name, id) {
			reason, _ := x.Get("reason").Text()
			return reason, true
		}
	}
	for _, where := range []struct {
		list             *value
		id, reason, tool string
	}{
		{meta.Get("cdk_nag").Get("rules_to_suppress"), "id", "reason", "cdk-nag"},
		{meta.Get("cfn_nag").Get("rules_to_suppress"), "id", "reason", "cfn_nag"},
		{meta.Get("checkov").Get("skip"), "id", "comment", "checkov"},
		{meta.Get("haechi").Get("allow"), "rule", "reason", "haechi"},
	} {
		for _, x := range where.list.Items() {
			if name, _ := x.Get(where.id).Text(); sameRule(name, id) {
				if reason, _ = x.Get(where.reason).Text(); reason == "" {
					reason = "suppressed in the resource's metadata for " + where.tool
				}
				return reason, true
			}
		}
	}
	return "", false
}

// names tells whether the mark is about a rule.
func (m *mark) names(id string) bool {
	if len(m.ids) == 0 {
		return true
	}
	return slices.ContainsFunc(m.ids, func(x string) bool { return sameRule(x, id) })
}

//go:embed aliases.yaml
var aliasTable []byte

// aliases are what other tools call our rules.
var aliases = func() map[string]string {
	var table map[string][]string
	if err := yaml.Unmarshal(aliasTable, &table); err != nil {
		panic("iac: aliases.yaml: " + err.Error()) // only a mistake in the file
	}
	m := map[string]string{}
	for id, names := range table {
		for _, name := range names {
			m[strings.ToLower(name)+"\n"+id] = id
		}
	}
	return m
}()

// sameRule tells whether a name, of ours or of another tool, is that of a rule.
func sameRule(name, id string) bool {
	if name == "" {
		return false
	}
	name = strings.TrimPrefix(name, "iac/")
	return strings.EqualFold(name, id) || strings.EqualFold(name, "all") || aliases[strings.ToLower(name)+"\n"+id] != ""
}
