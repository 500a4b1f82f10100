package sbom

import (
	"bytes"
	"path"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
)

// IsNamed tells by its name that a file may be a bill of materials.
func IsNamed(name string) bool {
	base := strings.ToLower(path.Base(name))
	for _, suffix := range []string{".cdx.json", ".cdx.xml", ".cyclonedx.json", ".cyclonedx.xml", ".spdx.json", ".spdx", ".spdx.tag", "-bom.json", ".bom.json", "-sbom.json", ".sbom.json"} {
		if strings.HasSuffix(base, suffix) {
			return true
		}
	}
	return slices.Contains([]string{"bom.json", "bom.xml", "sbom.json", "sbom.xml", "cyclonedx.json", "cyclonedx.xml", "sbom.spdx", "spdx.json"}, base)
}

// Read reads a document of CycloneDX (JSON or XML) or SPDX (JSON or tag-value),
// whichever it is. Every component gets the line on which it stands.
func Read(file string, text []byte) (Document, error) {
	text = bytes.ToValidUTF8(bytes.TrimPrefix(text, []byte("\ufeff")), []byte("\uFFFD"))
	start := bytes.TrimLeft(text, " \t\r\n")
	head := start[:min(len(start), 64<<10)]
	switch {
	case bytes.HasPrefix(start, []byte("{")) && bytes.Contains(text, []byte(`"spdxVersion"`)):
		return readSPDX(file, text)
	case bytes.HasPrefix(start, []byte("{")) && bytes.Contains(text, []byte(`"bomFormat"`)):
		return readCycloneDX(file, text)
	case bytes.HasPrefix(start, []byte("<")) && bytes.Contains(head, []byte("cyclonedx")):
		return readCycloneDXML(file, text)
	case bytes.Contains(head, []byte("SPDXVersion:")):
		return readTagValue(file, text)
	}
	return Document{}, diag.Errorf(diag.Place{File: file}, "this is no bill of materials of CycloneDX or SPDX")
}

// links is who needs whom by the references of a document.
type links map[string][]string

// connect fills in what a document says apart from its components: who is asked
// for directly, the way, and what each needs. refs are of the components, in order.
func connect(root string, refs []string, components []component.Component, edges links) {
	at := map[string]int{}
	for i, ref := range refs {
		if _, ok := at[ref]; !ok && ref != "" {
			at[ref] = i
		}
	}
	for i, ref := range refs {
		c := &components[i]
		for _, to := range edges[ref] {
			if j, ok := at[to]; ok && j != i {
				c.Needs = append(c.Needs, components[j].Locator())
			}
		}
		slices.Sort(c.Needs)
		c.Needs = slices.Compact(c.Needs)
	}
	from := map[int]int{}
	var queue []int
	for _, ref := range edges[root] {
		if i, ok := at[ref]; ok {
			components[i].Direct = true
			if _, seen := from[i]; !seen {
				from[i] = -1
				queue = append(queue, i)
			}
		}
	}
	for len(queue) > 0 {
		i := queue[0]
		queue = queue[1:]
		for _, ref := range edges[refs[i]] {
			if j, ok := at[ref]; ok {
				if _, seen := from[j]; !seen {
					from[j] = i
					queue = append(queue, j)
				}
			}
		}
	}
	for i := range components {
		if _, ok := from[i]; !ok {
			continue
		}
		var way []string
		for j := i; j >= 0; j = from[j] {
			way = append(way, components[j].Name)
		}
		slices.Reverse(way)
		components[i].Path = way
	}
}

// lines tells the line of an offset, going forward only.
type lines struct {
	text []byte
	at   int
	line int
}

func (l *lines) of(offset int) int {
	offset = min(offset, len(l.text))
	if offset < l.at {
		l.at, l.line = 0, 0
	}
	l.line += bytes.Count(l.text[l.at:offset], []byte("\n"))
	l.at = offset
	return l.line + 1
}
