package iac

import (
	"bytes"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/base/shape"
	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
	"golang.org/x/tools/txtar"
)

// What a file may be at most.
const maxTemplate = 32 << 20 // bytes

var tooMany = fault.Limit.Errorf("more than %d resources", maxResources)

// Documents reads one file on its own as rules see it: infrastructure of every
// kind, and what holds AWS's configuration items. It is a guard.Reader.
func Documents(name string, content []byte) ([]*guard.Document, error) {
	if path.Ext(name) == ".tf" {
		return oneFile(name, content)
	}
	read, err := readFile(nil, name, content)
	switch {
	case err != nil:
		return nil, err
	case len(read) > 0:
		return read, nil
	}
	if bytes.Contains(content, []byte(`"resourceType"`)) {
		return shape.New().Documents(name, content)
	}
	doc, err := guard.Load(name, content) // a document of no kind: as it is
	if err != nil {
		return nil, err
	}
	return []*guard.Document{doc}, nil
}

// oneFile is a module of one file.
func oneFile(name string, content []byte) ([]*guard.Document, error) {
	tree, err := txtar.FS(&txtar.Archive{Files: []txtar.File{{Name: path.Base(name), Data: content}}})
	if err != nil {
		return nil, fault.Invalid.Wrap(err)
	}
	docs, wrong := Modules(tree, path.Dir(name))
	if len(wrong) > 0 {
		return nil, wrong[0]
	}
	return docs, nil
}

// readFile makes the documents of one file; there are none where it holds nothing
// that we know. tree is where it refers to, or nil.
func readFile(tree fs.FS, name string, content []byte) ([]*guard.Document, error) {
	switch {
	case len(content) > maxTemplate:
		return nil, fault.Limit.Errorf("%s is larger than %d MB", name, maxTemplate>>20)
	case scan.IsDockerfile(name):
		doc, err := dockerfile(name, content)
		return []*guard.Document{doc}, err
	case !mayHold(name, content):
		return nil, nil
	}
	docs, err := guard.LoadAll(name, content)
	if err != nil {
		if surely(name, content) {
			return nil, err
		}
		return nil, nil // a file of something else
	}
	return readDocuments(tree, name, docs)
}

func readDocuments(tree fs.FS, name string, docs []*guard.Document) ([]*guard.Document, error) {
	var objects []*value
	for _, d := range docs {
		if isKubernetes(d.Root()) && !isCloudFormation(d.Root()) {
			objects = append(objects, d.Root())
		}
	}
	if len(objects) > 0 {
		return []*guard.Document{kubernetes(name, objects)}, nil
	}
	if len(docs) != 1 {
		return nil, nil
	}
	switch root := docs[0].Root(); {
	case isPlan(root):
		doc, err := plan(docs[0])
		return []*guard.Document{doc}, err
	case isCloudFormation(root):
		doc, _, err := cloudFormation(tree, docs[0])
		return []*guard.Document{doc}, err
	case isWorkflow(name, root):
		return []*guard.Document{workflow(name, root)}, nil
	case isAction(root):
		return []*guard.Document{actionFile(name, root)}, nil
	case isBuildspec(name, root):
		return []*guard.Document{buildspec(name, root)}, nil
	case isCompose(name, root):
		return []*guard.Document{compose(name, root)}, nil
	}
	return nil, nil
}

// isCloudFormation tells whether a document is a template.
func isCloudFormation(root *value) bool {
	resources := root.Get("Resources")
	if !resources.IsMap() {
		return false
	}
	for _, r := range resources.Members() {
		if t, ok := r.Get("Type").Text(); ok && strings.Contains(t, "::") {
			return true
		}
	}
	return root.Get("AWSTemplateFormatVersion") != nil
}

var (
	strong = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?m)AWSTemplateFormatVersion|AWS::[A-Za-z0-9]+::[A-Za-z0-9]+|^apiVersion:|"apiVersion"\s*:`)
	})
	// What other programs fill in before it is YAML or JSON.
	templated = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(^|[^$])\{\{|\{%|<%`) })
	weak      = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?m)AWSTemplateFormatVersion|::|^\s*-?\s*["']?apiVersion|"apiVersion"|^["']?(services|jobs|phases|runs)["']?\s*:|^\{`)
	})
)

// mayHold tells by a glance whether a file is worth reading.
func mayHold(name string, content []byte) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".yaml", ".yml", ".json", ".template", ".jsn":
		return weak().Match(content)
	}
	return false
}

// surely tells whether a file that cannot be read was meant to be infrastructure.
func surely(name string, content []byte) bool {
	base, dir := path.Base(name), path.Dir(name)
	return strings.HasSuffix(dir, ".github/workflows") || composeName().MatchString(base) || buildspecName().MatchString(base) || strong().Match(content)
}

// Modules are the documents of Terraform's root modules in a tree, with the modules
// on disk that they call. prefix stands before the names of files. A file that
// cannot be read is an error beside the documents of the others.
func Modules(tree fs.FS, prefix string) (docs []*guard.Document, wrong []error) {
	p := &pass{tree: tree, library: newLibrary(tree), modules: map[string]bool{}}
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules"):
			return fs.SkipDir
		case !d.IsDir() && (path.Ext(name) == ".tf" || strings.HasSuffix(name, ".tf.json")):
			p.modules[path.Dir(name)] = true
		}
		return nil
	})
	if err != nil {
		return nil, []error{err}
	}
	var unread []diag.Place
	for _, dir := range p.rootModules() {
		doc, r := terraform(p.library, dir)
		unread = append(unread, r.unread...)
		if doc != nil {
			docs = append(docs, doc.Below(prefix))
		}
	}
	for _, u := range unrepeated(append(p.library.torn, unread...)) {
		wrong = append(wrong, fault.Invalid.Wrap(diag.Errorf(diag.Place{File: path.Join(prefix, u.File), Line: u.Line, Column: u.Column}, "%s", u.Why)))
	}
	return docs, wrong
}
