package deps

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
)

func isJar(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".jar", ".war", ".ear", ".par", ".sar", ".hpi", ".jpi", ".kar", ".lpkg", ".nar":
		return true
	}
	return false
}

// Bounds of archives within archives: above what real ones have, and far below what a bomb would make of them.
const (
	deepestJar  = 5
	mostEntries = 200_000
	mostNested  = 1 << 30 // unpacked bytes of all archives within one
	largestJar  = 256 << 20
	largestProp = 1 << 20
)

// jar lists what a Java archive says that it is, and what is packed inside.
func jar(ctx context.Context, f manifest, out func(component.Component)) error {
	r := jarReader{ctx: ctx, file: f.path, out: out}
	return r.archive(f.content, f.path, nil)
}

type jarReader struct {
	ctx     context.Context
	file    string
	out     func(component.Component)
	entries int
	bytes   int64
}

func (r *jarReader) wrong(inside, format string, a ...any) error {
	where := ""
	if inside != r.file {
		where = strings.TrimPrefix(inside, r.file+"!/") + " inside: "
	}
	return diag.Errorf(diag.Place{File: r.file}, "%s%s", where, fmt.Sprintf(format, a...))
}

func (r *jarReader) archive(content []byte, name string, way []string) error {
	if r.ctx.Err() != nil {
		return r.ctx.Err()
	}
	z, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return r.wrong(name, "no archive: %v", err)
	}
	if r.entries += len(z.File); r.entries > mostEntries {
		return r.wrong(name, "more than %d entries", mostEntries)
	}
	var coordinates []component.Component
	var inner []*zip.File
	var title map[string]string
	for _, entry := range z.File {
		switch {
		case strings.HasPrefix(entry.Name, "META-INF/maven/") && strings.HasSuffix(entry.Name, "/pom.properties"):
			text, err := r.read(entry, largestProp, name)
			if err != nil {
				return err
			}
			if c, ok := pomProperties(text); ok {
				coordinates = append(coordinates, c)
			}
		case strings.EqualFold(entry.Name, "META-INF/MANIFEST.MF"):
			text, err := r.read(entry, largestProp, name)
			if err != nil {
				return err
			}
			title = mailFields(bytes.ReplaceAll(text, []byte("\r\n "), nil))
		case isJar(entry.Name):
			inner = append(inner, entry)
		}
	}
	own := jarOwn(coordinates, title, path.Base(name), len(inner) > 0)
	if own != nil {
		own.Integrity = "sha1:" + hexSHA1(content)
		way = append(append([]string(nil), way...), own.Name)
	}
	for i, c := range coordinates {
		c.Place, c.Direct = diag.Place{File: r.file, Line: 1}, len(way) <= 1
		c.Path = way
		if own != nil && c.Name != own.Name { // shaded into it
			c.Path, c.Direct = append(append([]string(nil), way...), c.Name), false
		}
		if own != nil && c.Name == own.Name {
			c.Integrity, c.Licences = own.Integrity, own.Licences
		}
		coordinates[i] = c
		r.out(c)
	}
	if own != nil && len(coordinates) == 0 {
		own.Place, own.Path, own.Direct = diag.Place{File: r.file, Line: 1}, way, len(way) <= 1
		r.out(*own)
	}
	for _, entry := range inner {
		if strings.Count(name, "!/") >= deepestJar {
			return r.wrong(name, "archives nested more than %d deep", deepestJar)
		}
		text, err := r.read(entry, largestJar, name)
		if err != nil {
			return err
		}
		if err := r.archive(text, name+"!/"+strings.ToValidUTF8(entry.Name, "\uFFFD"), way); err != nil {
			return err
		}
	}
	return nil
}

// read unpacks an entry, bounded by itself and by all that was unpacked before.
func (r *jarReader) read(entry *zip.File, most int64, name string) ([]byte, error) {
	e, err := entry.Open()
	if err != nil {
		return nil, r.wrong(name, "%s cannot be unpacked: %v", shownName(entry.Name), err)
	}
	defer e.Close()
	text, err := io.ReadAll(io.LimitReader(e, most+1))
	if err != nil {
		return nil, r.wrong(name, "%s cannot be unpacked: %v", shownName(entry.Name), err)
	}
	if r.bytes += int64(len(text)); int64(len(text)) > most || r.bytes > mostNested {
		return nil, r.wrong(name, "%s unpacks to more than is read", shownName(entry.Name))
	}
	return text, nil
}

func shownName(name string) string { return strings.ToValidUTF8(name, "\uFFFD") }

func hexSHA1(content []byte) string {
	sum := sha1.Sum(content)
	return hex.EncodeToString(sum[:])
}

// pomProperties are the coordinates that Maven packs into what it builds.
func pomProperties(text []byte) (component.Component, bool) {
	fields := map[string]string{}
	for line := range bytes.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(string(line)), "="); ok {
			fields[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	c := mavenComponent(fields["groupId"], fields["artifactId"], fields["version"])
	return c, fields["groupId"] != "" && fields["artifactId"] != ""
}

var jarName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([A-Za-z][A-Za-z0-9_.]*(?:-[A-Za-z][A-Za-z0-9_.]*)*)-([0-9][A-Za-z0-9_.-]*?)\.[a-z]+$`)
})

// jarOwn is the archive itself: the coordinates whose artifact the file is named
// after, else what its manifest says. One that says neither has a name and no
// more: its version is UNRESOLVED unless the file's name holds it.
func jarOwn(coordinates []component.Component, title map[string]string, file string, container bool) *component.Component {
	stem := strings.TrimSuffix(file, path.Ext(file))
	for i := range coordinates {
		_, artifact, _ := strings.Cut(coordinates[i].Name, ":")
		if len(coordinates) == 1 || stem == artifact || strings.HasPrefix(stem, artifact+"-") && strings.HasPrefix(stem[len(artifact)+1:], coordinates[i].Version) {
			c := coordinates[i]
			c.Licences = manifestLicence(title)
			return &c
		}
	}
	if len(coordinates) > 0 {
		return nil
	}
	group := firstNonEmpty(title["Implementation-Vendor-Id"], symbolic(title["Bundle-SymbolicName"]), title["Automatic-Module-Name"])
	artifact, version := "", firstNonEmpty(title["Implementation-Version"], title["Bundle-Version"], title["Specification-Version"])
	if m := jarName().FindStringSubmatch(file); m != nil {
		artifact, version = m[1], m[2]
	} else if artifact = stem; artifact == "" {
		return nil
	}
	if container && group == "" {
		return nil // an application's own archive
	}
	c := mavenComponent(firstNonEmpty(group, artifact), artifact, version)
	if group == "" || version == "" { // what it is called where advisories are is not known
		c.State = component.Unresolved
	}
	c.Licences = manifestLicence(title)
	return &c
}

func manifestLicence(title map[string]string) []string {
	l := title["Bundle-License"]
	if l == "" || len(l) > 100 || strings.Contains(l, ",") || strings.Contains(l, "://") {
		return nil
	}
	return []string{l}
}

func symbolic(name string) string {
	name, _, _ = strings.Cut(name, ";")
	return strings.TrimSpace(name)
}

func firstNonEmpty(all ...string) string {
	for _, s := range all {
		if s != "" {
			return s
		}
	}
	return ""
}
