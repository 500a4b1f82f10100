package deps

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
)

// Reaching is s that searches the sources of JavaScript, Python and Java for what
// they import, so that a finding can say whether anybody does.
func (s *Scanner) Reaching() *Scanner {
	other := *s
	other.reaching = true
	return &other
}

// languageOf is the ecosystem that a source file imports from, or "".
func languageOf(name string) string {
	switch path.Ext(name) {
	case ".js", ".jsx", ".ts", ".tsx", ".mjs", ".cjs", ".mts", ".cts", ".vue", ".svelte":
		return "npm"
	case ".py", ".pyi":
		return "PyPI"
	case ".java", ".kt", ".kts", ".groovy", ".scala":
		return "Maven"
	}
	return ""
}

// imports is what the sources of a tree import, each with the first place.
type imports struct {
	mu  sync.Mutex
	all map[string]map[string]diag.Place // ecosystem, module: place
}

func newImports() *imports { return &imports{all: map[string]map[string]diag.Place{}} }

var (
	importJS = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?:\bfrom\s*|\brequire(?:\.resolve)?\s*\(\s*|\bimport\s*\(?\s*)["']([^"'\s./][^"'\s]*)["']`)
	})
	importPython = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^\s*(?:from\s+([A-Za-z_][A-Za-z0-9_.]*)\s+import\b|import\s+(.+))`)
	})
	importJava = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^\s*import\s+(?:static\s+)?([A-Za-z_][A-Za-z0-9_.]*)`)
	})
)

// read collects what a source file imports.
func (m *imports) read(name string, content []byte) {
	const longest = 4096
	ecosystem := languageOf(name)
	number := 0
	for line := range bytes.Lines(content) {
		number++
		if len(line) > longest || !bytes.Contains(line, []byte("import")) && !bytes.Contains(line, []byte("require")) && !bytes.Contains(line, []byte("from")) {
			continue
		}
		place := diag.Place{File: name, Line: number}
		switch ecosystem {
		case "npm":
			for _, found := range importJS().FindAllSubmatch(line, -1) {
				m.add(ecosystem, npmModule(string(found[1])), place)
			}
		case "PyPI":
			if found := importPython().FindSubmatch(line); found != nil {
				for part := range strings.SplitSeq(string(found[1])+string(found[2]), ",") {
					module, _, _ := strings.Cut(strings.TrimSpace(part), " ")
					m.add(ecosystem, module, place)
				}
			}
		case "Maven":
			if found := importJava().FindSubmatch(line); found != nil {
				m.add(ecosystem, string(found[1]), place)
			}
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all[ecosystem] == nil { // there are sources, though they import nothing
		m.all[ecosystem] = map[string]diag.Place{}
	}
}

func (m *imports) add(ecosystem, module string, place diag.Place) {
	const most = 100_000
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.all[ecosystem]
	if known == nil {
		known = map[string]diag.Place{}
		m.all[ecosystem] = known
	}
	first, ok := known[module]
	if !ok && len(known) >= most {
		return
	}
	if !ok || place.File < first.File || place.File == first.File && place.Line < first.Line {
		known[module] = place
	}
}

// npmModule is the package of @scope/name/path and name/path.
func npmModule(s string) string {
	parts := strings.SplitN(strings.TrimPrefix(s, "npm:"), "/", 3)
	if strings.HasPrefix(s, "@") && len(parts) > 1 {
		return parts[0] + "/" + parts[1]
	}
	return parts[0]
}

// of tells whether a component is imported: itself where the project asks for it,
// else what brings it in. Without sources of its language nothing can be said.
func (m *imports) of(c component.Component) (Reach, string) {
	known := m.all[c.Ecosystem]
	name := c.Name
	if !c.Direct {
		if len(c.Path) < 2 {
			return NotLooked, ""
		}
		name = c.Path[0]
	}
	if len(known) == 0 {
		return NotLooked, ""
	}
	place, ok := m.find(c.Ecosystem, name, known)
	if ok {
		return Imported, place.String()
	}
	if c.Scope == component.Development { // a tool is run, not imported
		return NotLooked, ""
	}
	return NoImport, ""
}

func (m *imports) find(ecosystem, name string, known map[string]diag.Place) (diag.Place, bool) {
	switch ecosystem {
	case "npm":
		place, ok := known[name]
		if !ok {
			place, ok = known["@types/"+name]
		}
		return place, ok
	case "PyPI":
		return firstPlace(known, func(module string) bool { return pythonModule(module, name) })
	case "Maven":
		return firstPlace(known, func(module string) bool { return javaModule(module, name) })
	}
	return diag.Place{}, false
}

func firstPlace(known map[string]diag.Place, matches func(module string) bool) (first diag.Place, found bool) {
	for module, place := range known {
		if matches(module) && (!found || place.File < first.File || place.File == first.File && place.Line < first.Line) {
			first, found = place, true
		}
	}
	return first, found
}

// pythonModule tells whether a module belongs to a distribution, which often is called otherwise.
func pythonModule(module, distribution string) bool {
	top, _, _ := strings.Cut(module, ".")
	normal := advisory.Normal("PyPI", top)
	if normal == distribution || normal == strings.TrimPrefix(distribution, "python-") || normal == strings.TrimPrefix(distribution, "py") || advisory.Normal("PyPI", strings.ReplaceAll(module, ".", "-")) == distribution {
		return true
	}
	return slices.Contains(pythonModules(distribution), top)
}

// pythonModules are the modules of distributions whose name does not tell them.
func pythonModules(distribution string) []string {
	switch distribution {
	case "pyyaml":
		return []string{"yaml", "_yaml"}
	case "pillow":
		return []string{"PIL"}
	case "beautifulsoup4":
		return []string{"bs4"}
	case "scikit-learn":
		return []string{"sklearn"}
	case "opencv-python", "opencv-python-headless", "opencv-contrib-python":
		return []string{"cv2"}
	case "pycryptodome", "pycrypto":
		return []string{"Crypto"}
	case "pycryptodomex":
		return []string{"Cryptodome"}
	case "pyopenssl":
		return []string{"OpenSSL"}
	case "mysqlclient", "mysql-python":
		return []string{"MySQLdb"}
	case "psycopg2-binary":
		return []string{"psycopg2"}
	case "gitpython":
		return []string{"git"}
	case "protobuf":
		return []string{"google"}
	case "attrs":
		return []string{"attr", "attrs"}
	case "setuptools":
		return []string{"setuptools", "pkg_resources"}
	case "djangorestframework":
		return []string{"rest_framework"}
	case "django-cors-headers":
		return []string{"corsheaders"}
	case "msgpack-python":
		return []string{"msgpack"}
	case "ruamel-yaml":
		return []string{"ruamel"}
	case "pyzmq":
		return []string{"zmq"}
	case "markupsafe":
		return []string{"markupsafe"}
	case "dnspython":
		return []string{"dns"}
	case "python-jose":
		return []string{"jose"}
	}
	return nil
}

// javaModule tells whether an imported name may come from an artifact: its group is
// how the name begins, or the beginning of its group and the last word of the artifact are in it.
func javaModule(module, name string) bool {
	group, artifact, _ := strings.Cut(name, ":")
	if module == group || strings.HasPrefix(module, group+".") {
		return true
	}
	parts := strings.Split(group, ".")
	stem := strings.Join(parts[:min(len(parts), 2)], ".")
	if len(parts) < 2 || !strings.HasPrefix(module, stem+".") {
		return len(parts) < 2 && slices.Contains(strings.Split(module, "."), artifact)
	}
	words := strings.Split(artifact, "-")
	return slices.Contains(strings.Split(module, "."), words[len(words)-1])
}
