package deps

import (
	"context"
	"errors"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
)

// bunLock lists the packages of a bun.lock: JSON with comments and trailing commas.
func bunLock(ctx context.Context, f manifest, out func(component.Component)) error {
	f.content = plainJSON(f.content)
	lines := newLineIndex(f.content)
	g := newGraph()
	runtime, development := map[string]bool{}, map[string]bool{}
	err := readJSON(f, func(r jsonReader) error {
		return r.members(func(section string, _ int) error {
			switch section {
			case "workspaces":
				return r.members(func(string, int) error {
					var p packageFile
					if err := r.value(&p); err != nil {
						return err
					}
					for name := range p.Dependencies {
						runtime[name] = true
					}
					for name := range p.Optional {
						runtime[name] = true
					}
					for name := range p.Development {
						development[name] = true
					}
					return nil
				})
			case "packages":
				return r.members(func(key string, offset int) error {
					return bunPackage(f, g, r, key, lines.line(offset))
				})
			}
			return r.d.SkipValue()
		})
	})
	if err != nil {
		return err
	}
	for _, n := range g.order {
		for i, want := range n.needs {
			n.needs[i] = bunResolve(g, want)
		}
	}
	return g.emit(ctx, sortedKeys(runtime), sortedKeys(development), once(out))
}

// bunResolve finds what is asked for at a/b/name as Node.js does: a copy of its own, then further up.
func bunResolve(g *graph, want string) string {
	parts := strings.Split(want, "/")
	last := len(parts) - 1
	if last > 0 && strings.HasPrefix(parts[last-1], "@") {
		last--
	}
	name := strings.Join(parts[last:], "/")
	for ; last > 0; last-- {
		key := strings.Join(parts[:last], "/") + "/" + name
		if g.nodes[key] != nil {
			return key
		}
	}
	return name
}

// bunPackage reads ["name@version", registry, {dependencies…}, integrity] under
// the place where it is installed: a, or b/a below b.
func bunPackage(f manifest, g *graph, r jsonReader, key string, line int) error {
	var parts []jsontext.Value
	if err := r.value(&parts); err != nil {
		return err
	}
	var id string
	if len(parts) == 0 || json.Unmarshal(parts[0], &id) != nil {
		return diag.Errorf(diag.Place{File: f.path, Line: line}, "%s is no package", key).In(f.content)
	}
	name, version := cutAt(id)
	if strings.HasPrefix(version, "workspace:") || name == "" {
		return nil
	}
	c := npmComponent(name, strings.TrimPrefix(version, "npm:"))
	c.Place = diag.Place{File: f.path, Line: line}
	n := g.add(key, c)
	for _, part := range parts[1:] {
		var facts packageFile
		var text string
		switch {
		case json.Unmarshal(part, &text) == nil:
			if strings.HasPrefix(text, "sha") {
				n.component.Integrity = text
			}
		case json.Unmarshal(part, &facts, lenient) == nil:
			for _, list := range []map[string]string{facts.Dependencies, facts.Optional} {
				for d := range list {
					n.needs = append(n.needs, key+"/"+d)
				}
			}
		}
	}
	return nil
}

// bunBinary says what to do about the format that only bun itself reads.
func bunBinary(_ context.Context, f manifest, _ func(component.Component)) error {
	if exists(f.tree, strings.TrimSuffix(f.path, "b")) {
		return nil // the text beside it says the same
	}
	return diag.Errorf(diag.Place{File: f.path}, "bun's binary lock file cannot be read").WithHint("write it as text with `bun install --save-text-lockfile`, which makes a bun.lock")
}

// plainJSON puts blanks where comments and trailing commas stand, so that places stay.
func plainJSON(text []byte) []byte {
	plain := append([]byte(nil), text...)
	comma := -1
	for i := 0; i < len(plain); i++ {
		switch c := plain[i]; {
		case c == '"':
			comma = -1
			for i++; i < len(plain) && plain[i] != '"'; i++ {
				if plain[i] == '\\' {
					i++
				}
			}
		case c == '/' && i+1 < len(plain) && plain[i+1] == '/':
			for ; i < len(plain) && plain[i] != '\n'; i++ {
				plain[i] = ' '
			}
		case c == '/' && i+1 < len(plain) && plain[i+1] == '*':
			for ; i < len(plain); i++ {
				end := plain[i] == '/' && i > 0 && text[i-1] == '*'
				if plain[i] != '\n' {
					plain[i] = ' '
				}
				if end {
					break
				}
			}
		case c == ',':
			comma = i
		case c == '}' || c == ']':
			if comma >= 0 {
				plain[comma] = ' '
			}
			comma = -1
		case c != ' ' && c != '\t' && c != '\r' && c != '\n':
			comma = -1
		}
	}
	return plain
}

// wrongJSON says where a file stops being what it should be.
func wrongJSON(f manifest, err error) error {
	var at *diag.Error
	if errors.As(err, &at) {
		return at
	}
	var syntax *jsontext.SyntacticError
	var semantic *json.SemanticError
	offset := 0
	switch {
	case errors.As(err, &syntax):
		offset = int(syntax.ByteOffset)
	case errors.As(err, &semantic):
		offset = int(semantic.ByteOffset)
	}
	return diag.Errorf(diag.At(f.path, f.content, min(offset, len(f.content))), "this cannot be read: %v", err).In(f.content)
}
