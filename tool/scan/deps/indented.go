package deps

import (
	"strings"

	"github.com/haechi-dev/haechi/word/diag"
)

// branch is a line of a file that is nested by indentation, with what stands
// below it: the part of YAML that package managers write their lock files in,
// and yarn's first format, which is close to it. An item of a list has no key.
type branch struct {
	key, value string
	line       int
	children   []*branch
}

func (b *branch) child(key string) *branch {
	if b == nil {
		return nil
	}
	for _, c := range b.children {
		if c.key == key {
			return c
		}
	}
	return nil
}

// text is the value of a child, or "".
func (b *branch) text(key string) string {
	if c := b.child(key); c != nil {
		return c.value
	}
	return ""
}

// all are the children of a child; those of a flow mapping in one line, too.
func (b *branch) all(key string) []*branch {
	c := b.child(key)
	if c == nil {
		return nil
	}
	return c.entries()
}

func (b *branch) entries() []*branch {
	if len(b.children) == 0 && strings.HasPrefix(b.value, "{") {
		return flow(b.value, b.line)
	}
	return b.children
}

// flow reads {a: b, "c": d} of one level.
func flow(text string, line int) []*branch {
	var all []*branch
	for part := range strings.SplitSeq(strings.Trim(text, "{}"), ",") {
		if key, value, ok := cutKey(strings.TrimSpace(part)); ok {
			all = append(all, &branch{key: key, value: value, line: line})
		}
	}
	return all
}

// parseIndented reads a file. Lines that are neither `key: value` nor `- item`
// are kept as values without a key: a part of a longer text, mostly.
func parseIndented(name string, text []byte) (*branch, error) {
	const deepest = 100
	root := &branch{}
	stack := []*branch{root}
	indents := []int{-1}
	pending := ""
	number := 0
	for raw := range strings.Lines(string(text)) {
		number++
		line := strings.TrimRight(raw, " \t\r\n")
		body := strings.TrimLeft(line, " ")
		if body == "" || body[0] == '#' || body == "---" {
			continue
		}
		indent := len(line) - len(body)
		if body[0] == '\t' {
			return nil, diag.Errorf(diag.Place{File: name, Line: number, Column: indent + 1}, "a tab cannot indent").In(text)
		}
		if rest, ok := strings.CutPrefix(body, "? "); ok { // a key too long for its line
			pending = unquote(strings.TrimSpace(rest))
			continue
		}
		if pending != "" && (body == ":" || strings.HasPrefix(body, ": ")) {
			body = `"` + pending + `"` + body
		}
		pending = ""
		for len(indents) > 1 && indents[len(indents)-1] >= indent {
			indents, stack = indents[:len(indents)-1], stack[:len(stack)-1]
		}
		for {
			b := &branch{line: number}
			top := stack[len(stack)-1]
			top.children = append(top.children, b)
			if len(stack) > deepest {
				return nil, diag.Errorf(diag.Place{File: name, Line: number}, "nested more than %d deep", deepest).In(text)
			}
			stack, indents = append(stack, b), append(indents, indent)
			rest, item := strings.CutPrefix(body, "- ")
			if !item && body != "-" {
				var ok bool
				if b.key, b.value, ok = cutKey(body); !ok {
					b.value = unquote(body)
				}
				break
			}
			rest = strings.TrimLeft(rest, " ")
			if body == "-" || rest == "" {
				break
			}
			if _, _, ok := cutKey(rest); !ok {
				b.value = unquote(rest)
				break
			}
			indent += len(body) - len(rest)
			body = rest
		}
	}
	return root, nil
}

// cutKey parts `key: value`, `"key": value` and `key "value"`, as yarn writes it.
func cutKey(s string) (key, value string, ok bool) {
	if s == "" {
		return "", "", false
	}
	if s[0] == '"' || s[0] == '\'' {
		if yarnList(s) {
			return strings.TrimSuffix(s, ":"), "", true
		}
		end := strings.IndexByte(s[1:], s[0])
		if end < 0 {
			return "", "", false
		}
		key, s = s[1:1+end], s[end+2:]
		switch {
		case s == ":":
			return key, "", true
		case strings.HasPrefix(s, ": "):
			return key, unquote(strings.TrimSpace(s[2:])), true
		case strings.HasPrefix(s, " "):
			return key, unquote(strings.TrimSpace(s)), true
		}
		return "", "", false
	}
	if strings.HasSuffix(s, ":") && !strings.Contains(s, ": ") {
		return s[:len(s)-1], "", true
	}
	if i := strings.Index(s, ": "); i >= 0 {
		return s[:i], unquote(strings.TrimSpace(s[i+2:])), true
	}
	if i := strings.IndexByte(s, ' '); i > 0 && !strings.ContainsAny(s[:i], "{}[],") && (strings.HasPrefix(s[i+1:], `"`) || strings.Count(s, " ") == 1) {
		return s[:i], unquote(s[i+1:]), true
	}
	return "", "", false
}

// yarnList tells `"a@1", "a@2":`, which is one key.
func yarnList(s string) bool {
	return strings.HasSuffix(s, ":") && (strings.Contains(s, `", `) || strings.Contains(s, `, "`))
}

func unquote(s string) string {
	if n := len(s); n >= 2 && (s[0] == '"' || s[0] == '\'') && s[n-1] == s[0] {
		s = s[1 : n-1]
		if strings.Contains(s, `\"`) {
			s = strings.ReplaceAll(s, `\"`, `"`)
		}
		return s
	}
	if strings.HasPrefix(s, "'") || strings.HasPrefix(s, `"`) { // 'a' # a comment
		if i := strings.IndexByte(s[1:], s[0]); i >= 0 {
			return s[1 : 1+i]
		}
	}
	if i := strings.Index(s, " #"); i >= 0 {
		return strings.TrimRight(s[:i], " ")
	}
	return s
}
