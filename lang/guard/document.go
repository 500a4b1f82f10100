package guard

import (
	"bytes"
	"slices"
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// What a document may be at most.
const (
	maxBytes = 64 << 20 // of its text
	maxDepth = 200      // of maps and lists within each other
	maxNodes = 4 << 20  // of values, with aliases written out
	maxAlias = 100_000  // of values that aliases add

	maxDocuments = 10_000 // in one file
)

// Document is a template, a plan, a manifest or a configuration item that rules
// are held against. It is not changed after Load and may be used by many at once.
type Document struct {
	name  string
	root  *Value
	files []string // that its values are in, where they are several

	once  sync.Once
	index *index
}

// Name is what Load was told the file is called.
func (d *Document) Name() string { return d.name }

// Load reads JSON, or YAML with CloudFormation's short forms (!Ref, !GetAtt, !Sub …),
// which become the long ones. A name that comes twice in a map, a second
// document in the file, and what is too deep or too large is refused. The error
// is a *diag.Error of kind fault.Invalid.
func Load(name string, text []byte) (*Document, error) {
	root, err := load(name, text)
	if err != nil {
		return nil, fault.Invalid.Wrap(err.In(text))
	}
	return &Document{name: name, root: root}, nil
}

func load(name string, text []byte) (*Value, *diag.Error) {
	if len(text) > maxBytes {
		return nil, diag.Errorf(diag.Place{File: name}, "the file is larger than %d MB", maxBytes>>20)
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	trimmed := bytes.TrimLeft(text, " \t\r\n")
	if len(trimmed) == 0 {
		return nil, diag.Errorf(diag.Place{File: name, Line: 1, Column: 1}, "the file is empty")
	}
	if trimmed[0] != '{' && trimmed[0] != '[' {
		return loadYAML(name, text)
	}
	root, err := loadJSON(name, text)
	if err == nil || strings.HasSuffix(name, ".json") {
		return root, err
	}
	if root, yamlErr := loadYAML(name, text); yamlErr == nil {
		return root, nil // a flow mapping of YAML looks like JSON
	}
	return nil, err
}

// LoadAll is Load for a file that may hold several documents, one after the other:
// a stream of YAML. Those that are empty are left out.
func LoadAll(name string, text []byte) ([]*Document, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	trimmed := bytes.TrimLeft(text, " \t\r\n")
	if len(text) > maxBytes || len(trimmed) == 0 {
		doc, err := Load(name, text) // says what is wrong
		return []*Document{doc}, err
	}
	var roots []*Value
	var err *diag.Error
	if trimmed[0] != '{' && trimmed[0] != '[' {
		roots, err = loadAllYAML(name, text, maxDocuments)
	} else {
		var wrong *diag.Error
		if roots, wrong = loadAllJSON(name, text, maxDocuments); wrong == nil || strings.HasSuffix(name, ".json") {
			err = wrong
		} else if roots, err = loadAllYAML(name, text, maxDocuments); err != nil {
			err = wrong
		}
	}
	if err != nil {
		return nil, fault.Invalid.Wrap(err.In(text))
	}
	var all []*Document
	for _, r := range roots {
		all = append(all, &Document{name: name, root: r})
	}
	return all, nil
}

// With is the document with the members of others beside its own at the top, as
// parameters of the rules are handed in. A name may stand in one of them only.
func (d *Document) With(others ...*Document) (*Document, error) {
	if len(others) == 0 {
		return d, nil
	}
	fields := slices.Clone(d.root.fields)
	from := map[string]string{}
	for _, f := range fields {
		from[f.key.text] = d.name
	}
	files := []string{d.name}
	for i, o := range others {
		if d.root.kind != kindMap || o.root.kind != kindMap {
			return nil, fault.Invalid.Wrap(diag.Errorf(diag.Place{File: o.name}, "parameters can only be put beside the members of a map"))
		}
		files = append(files, o.name)
		for _, f := range o.root.fields {
			if other, ok := from[f.key.text]; ok {
				return nil, fault.Invalid.Wrap(diag.Errorf(f.key.place(o.name), "%s is in %s too", f.key.text, other))
			}
			from[f.key.text] = o.name
			fields = append(fields, field{f.key.Clone().InFileAll(i + 1), f.value.Clone().InFileAll(i + 1)})
		}
	}
	own := make([]field, len(fields))
	for i, f := range fields {
		if own[i] = f; f.value.parent == d.root {
			own[i] = field{f.key.Clone(), f.value.Clone()}
		}
	}
	return &Document{name: d.name, root: newMap(own), files: files}, nil
}
