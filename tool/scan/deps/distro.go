package deps

import (
	"bytes"
	"cmp"
	"context"
	"io/fs"
	"path"
	"strings"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
)

// release is what a system says of itself in os-release.
type release struct{ id, version, like string }

// releaseOf reads the os-release of the system that a file such as
// var/lib/dpkg/status belongs to: below is what it lies under.
func releaseOf(tree fs.FS, file, below string) release {
	root := strings.TrimSuffix(strings.TrimSuffix(file, below), "/")
	for _, name := range []string{"etc/os-release", "usr/lib/os-release"} {
		text, ok := readBeside(tree, path.Join(root, name))
		if !ok {
			continue
		}
		fields := map[string]string{}
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
				fields[name] = strings.Trim(value, `"'`)
			}
		}
		return release{strings.ToLower(fields["ID"]), fields["VERSION_ID"], fields["ID_LIKE"]}
	}
	return release{}
}

// ecosystem is OSV's name for the packages of the system, of a kind that is given where nothing is said.
func (r release) ecosystem(kind string) string {
	return cmp.Or(advisory.Distribution(r.id, r.version), kind)
}

func join(separator, a, b string) string {
	if b == "" {
		return a
	}
	return a + separator + b
}

// namespace is the vendor in package URLs.
func (r release) namespace(otherwise string) string {
	switch r.id {
	case "":
		return otherwise
	case "rhel":
		return "redhat"
	}
	return r.id
}

func (r release) qualifiers(architecture string) string {
	var parts []string
	if architecture != "" {
		parts = append(parts, "arch="+component.Escape(architecture))
	}
	if r.id != "" {
		parts = append(parts, "distro="+component.Escape(join("-", r.id, r.version)))
	}
	return strings.Join(parts, "&")
}

const (
	dpkgStatus  = "var/lib/dpkg/status"
	dpkgFolder  = "var/lib/dpkg/status.d/"
	apkDatabase = "lib/apk/db/installed"
)

func isDpkg(name string) bool {
	name = "/" + name
	return strings.HasSuffix(name, "/"+dpkgStatus) || strings.Contains(name, "/"+dpkgFolder) && !strings.HasSuffix(name, ".md5sums")
}

func isApk(name string) bool { return strings.HasSuffix("/"+name, "/"+apkDatabase) }

// dpkg lists the packages that Debian's package manager says are installed.
func dpkg(ctx context.Context, f manifest, out func(component.Component)) error {
	below := dpkgStatus
	if i := strings.LastIndex(f.path, dpkgFolder); i >= 0 {
		below = f.path[i:]
	}
	r := releaseOf(f.tree, f.path, below)
	g := newGraph()
	err := paragraphs(ctx, f, func(line int, text []byte) error {
		fields := mailFields(text)
		if status := fields["Status"]; status != "" && !strings.HasSuffix(status, " installed") || fields["Package"] == "" {
			return nil
		}
		c := component.Component{PURL: component.PURL("deb", r.namespace("debian"), fields["Package"]), Qualifiers: r.qualifiers(fields["Architecture"]), Ecosystem: r.ecosystem("Debian"), Name: fields["Package"],
			Version: fields["Version"], State: component.Resolved, Scope: component.Runtime, Place: diag.Place{File: f.path, Line: line}, Supplier: fields["Maintainer"]}
		c.Source, c.SourceVersion = sourceOf(fields["Source"])
		if c.Version == "" {
			c.State = component.Unresolved
		}
		n := g.add(c.Name, c)
		for _, list := range []string{"Depends", "Pre-Depends"} {
			for d := range strings.SplitSeq(fields[list], ",") {
				name := strings.TrimLeft(d, " \n")
				if i := strings.IndexAny(name, " (:|\n"); i >= 0 {
					name = name[:i]
				}
				if name != "" {
					n.needs = append(n.needs, name)
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return g.emit(ctx, nil, nil, out)
}

// sourceOf reads "openssl (1.1.1n-0)", or "openssl".
func sourceOf(s string) (name, version string) {
	name, version, _ = strings.Cut(s, " (")
	return strings.TrimSpace(name), strings.TrimSuffix(version, ")")
}

// apk lists the packages that Alpine's package manager says are installed.
func apk(ctx context.Context, f manifest, out func(component.Component)) error {
	r := releaseOf(f.tree, f.path, apkDatabase)
	g := newGraph()
	err := paragraphs(ctx, f, func(line int, text []byte) error {
		fields := map[string]string{}
		for l := range bytes.Lines(text) {
			if l = bytes.TrimRight(l, "\r\n"); len(l) > 2 && l[1] == ':' && fields[string(l[:1])] == "" {
				fields[string(l[:1])] = string(l[2:])
			}
		}
		if fields["P"] == "" {
			return nil
		}
		c := component.Component{PURL: component.PURL("apk", r.namespace("alpine"), fields["P"]), Qualifiers: r.qualifiers(fields["A"]), Ecosystem: r.ecosystem("Alpine"), Name: fields["P"],
			Version: fields["V"], State: component.Resolved, Scope: component.Runtime, Place: diag.Place{File: f.path, Line: line}, Supplier: fields["m"], Integrity: fields["C"], Source: fields["o"]}
		if c.Version == "" {
			c.State = component.Unresolved
		}
		if fields["L"] != "" {
			c.Licences = []string{fields["L"]}
		}
		n := g.add(c.Name, c, apkNames(fields["D"])...)
		for _, provided := range apkNames(fields["p"]) {
			g.also(provided, n)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return g.emit(ctx, nil, nil, out)
}

// apkNames are the names in "so:libc.musl-x86_64.so.1 busybox>=1.2 !other".
func apkNames(list string) []string {
	var names []string
	for d := range strings.FieldsSeq(list) {
		if i := strings.IndexAny(d, "<>=~"); i >= 0 {
			d = d[:i]
		}
		if d != "" && d[0] != '!' {
			names = append(names, d)
		}
	}
	return names
}

// paragraphs calls each for every run of lines between empty ones, with the number of its first line.
func paragraphs(ctx context.Context, f manifest, each func(line int, text []byte) error) error {
	line, start, begun := 1, 0, 1
	text := f.content
	for i := 0; i <= len(text); i++ {
		if i < len(text) && text[i] != '\n' {
			continue
		}
		end := i == len(text)
		if end || i+1 < len(text) && text[i+1] == '\n' || i+1 == len(text) {
			if part := bytes.Trim(text[start:i], "\n"); len(part) > 0 {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				skipped := bytes.IndexFunc(text[start:i], func(r rune) bool { return r != '\n' })
				if err := each(begun+max(skipped, 0), part); err != nil {
					return err
				}
			}
			start, begun = i, line
		}
		line++
	}
	return nil
}
