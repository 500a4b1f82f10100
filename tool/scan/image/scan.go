package image

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/finding"
)

// lister is a Scanner that lists what one file says that there is, as that of dependencies does.
type lister interface {
	scan.Scanner
	List(ctx context.Context, tree fs.FS, file scan.File) ([]component.Component, error)
}

// looker is a Scanner that looks at one file alone, as that of secrets does. What
// it looks for matters in every layer, not only in what is seen at last.
type looker interface {
	scan.Scanner
	Look(path string, content []byte) ([]finding.Finding, error)
}

// Name is what the scan of the image itself is called: of its configuration, and of who may do what with its files.
const Name = "image"

// Scan looks at the image as a container sees it with the scanners of o, at
// what lower layers hold still for those who look for what must not be there at
// all, and at its configuration. Findings and components say which layer
// brought them. o.Target, Commit and Skip are the image's where they are empty.
func (img *Image) Scan(ctx context.Context, o scan.Options) (scan.Result, error) {
	if err := img.Unpack(ctx); err != nil {
		return scan.Result{}, err
	}
	o.Target, o.Commit = cmp.Or(o.Target, img.Target()), cmp.Or(o.Commit, img.Revision())
	if o.Skip == nil {
		o.Skip = []string{}
	}
	asked := o.Scanners
	own := slices.IndexFunc(asked, func(s scan.Scanner) bool { return s.Name() == Name })
	o.Scanners = nil
	for _, s := range asked {
		if targeted, ok := s.(scan.Targeted); ok {
			s = targeted.For(o.Target)
		}
		if s.Name() != Name {
			o.Scanners = append(o.Scanners, within{s})
		}
	}
	result, err := scan.Tree(ctx, img.FS(), o)
	if err != nil {
		return result, err
	}
	for i, s := range o.Scanners {
		run, inner := &result.Runs[i], s.(within).Scanner
		if l, ok := inner.(looker); ok {
			img.configured(l, run)
			if err := img.hidden(ctx, o, s, run); err != nil {
				return result, err
			}
		}
		if l, ok := inner.(lister); ok {
			img.settle(run)
			if err := img.bring(ctx, l, run); err != nil {
				return result, err
			}
		}
		img.place(run)
		img.told(run)
	}
	if own >= 0 {
		run := img.check(o)
		img.told(&run)
		result.Runs = slices.Insert(result.Runs, min(own, len(result.Runs)), run)
	}
	result.Components = nil
	for _, run := range result.Runs {
		result.Components = append(result.Components, run.Components...)
	}
	return result, nil
}

// told completes what a scan says of itself.
func (img *Image) told(run *scan.Run) {
	run.Scan.Digest = img.Digest
	run.Scan.Skipped = append(run.Scan.Skipped, img.unread...)
	run.Scan.Complete = len(run.Scan.Skipped) == 0
}

// within is a scanner in an image: what distributions and package managers have
// put there is looked at for packages, and not as if it were somebody's project.
type within struct{ scan.Scanner }

// Wants is the scanner's own wish, for what is the image's own; of packages, it is what tells of packages.
func (w within) Wants(name string) bool {
	if !w.Scanner.Wants(name) {
		return false
	}
	if !packaged(name) {
		return true
	}
	if _, ok := w.Scanner.(lister); !ok {
		return false
	}
	return tells(name)
}

// Version is the scanner's.
func (w within) Version() string {
	if v, ok := w.Scanner.(scan.Version); ok {
		return v.Version()
	}
	return ""
}

// packaged tells by its path that a file came with a package: of the
// distribution, or of a language's package manager.
func packaged(name string) bool {
	first, rest, _ := strings.Cut(name, "/")
	switch first {
	case "bin", "sbin", "lib", "lib32", "lib64", "libx32", "boot", "proc", "sys", "dev":
		return true
	case "usr":
		second, _, _ := strings.Cut(rest, "/")
		if second != "local" && second != "src" && second != "app" {
			return true
		}
	case "var":
		if strings.HasPrefix(rest, "lib/dpkg/") || strings.HasPrefix(rest, "lib/apt/") || strings.HasPrefix(rest, "lib/rpm/") || strings.HasPrefix(rest, "cache/") {
			return true
		}
	}
	name = "/" + name
	for _, part := range []string{"/node_modules/", "/site-packages/", "/dist-packages/", "/pkg/mod/", "/gems/", "/.cargo/registry/", "/.m2/repository/", "/usr/local/go/", "/usr/local/lib/python", "/usr/local/lib/ruby/", "/usr/local/include/"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// tells tells by its path that a file of a package says which package that is:
// what a package manager has noted, programs and archives; not the lock files
// that somebody made it with.
func tells(name string) bool {
	base := path.Base(name)
	switch base {
	case "package.json":
		return strings.Contains("/"+name, "/node_modules/")
	case "METADATA", "PKG-INFO", "installed", "status", "installed.json", "Packages", "Packages.db", "rpmdb.sqlite", ".package-lock.json":
		return true
	}
	switch strings.ToLower(path.Ext(base)) {
	case ".egg-info", ".gemspec", ".exe", ".dll", ".so", ".jar", ".war", ".ear", ".par", ".sar", ".hpi", ".jpi", ".kar", ".lpkg", ".nar", "":
		return true
	case ".json":
		return strings.HasSuffix(base, ".deps.json")
	}
	return strings.Contains(base, ".so.") || strings.Contains("/"+name, "/var/lib/dpkg/status.d/")
}

// place says of each finding which layer its file is of.
func (img *Image) place(run *scan.Run) {
	of := map[string]*component.Layer{}
	for _, c := range run.Components {
		if c.Layer != nil {
			of[componentKey(c.Place, c.PURL)] = c.Layer
		}
	}
	for i := range run.Findings {
		f := &run.Findings[i]
		if f.ProductFields[finding.FieldLayer] != "" {
			continue
		}
		l := of[componentKey(f.Place(), f.ProductFields[finding.FieldPackage])]
		if l == nil {
			l = img.Layer(f.Place().File)
		}
		if l != nil {
			mark(f, l)
		}
	}
}

func componentKey(p diag.Place, purl string) string {
	return fmt.Sprintf("%s\x00%d\x00%s", p.File, p.Line, purl)
}

// mark says of a finding which layer brought it.
func mark(f *finding.Finding, l *component.Layer) {
	fields := f.ProductFields
	fields[finding.FieldLayer], fields[finding.FieldLayerIndex] = l.Digest, strconv.Itoa(l.Index)
	if l.Command != "" {
		fields[finding.FieldLayerBy] = l.Command
	}
	if l.Base != "" {
		fields[finding.FieldBase] = l.Base
	}
}

// bring says of each component which layer brought it: the one from which on the
// file that names it has named it. A package manager writes its whole list anew
// whenever a layer adds a package.
func (img *Image) bring(ctx context.Context, l lister, run *scan.Run) error {
	for start := 0; start < len(run.Components); {
		end := start + 1
		file := run.Components[start].Place.File
		for end < len(run.Components) && run.Components[end].Place.File == file {
			end++
		}
		if err := img.bringFile(ctx, l, file, run.Components[start:end]); err != nil {
			return err
		}
		start = end
	}
	return nil
}

func (img *Image) bringFile(ctx context.Context, l lister, file string, components []component.Component) error {
	n, last := img.tree.find(file, len(img.Layers)-1)
	if last == nil {
		return nil
	}
	for i := range components {
		components[i].Layer = img.layer(int(last.layer))
	}
	waiting := map[string][]int{}
	for i, c := range components {
		waiting[identity(c)] = append(waiting[identity(c)], i)
	}
	for i := len(n.versions) - 1; i >= 0 && len(waiting) > 0; i-- {
		v := n.versions[i]
		if v.layer >= last.layer {
			continue
		}
		if _, seen := img.tree.find(file, int(v.layer)); seen == nil || seen.kind != isFile || v.size > largestList {
			break
		}
		listed, err := img.listed(ctx, l, file, int(v.layer))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			break // it was broken then: what it named is not known
		}
		for key, of := range waiting {
			if !listed[key] {
				delete(waiting, key)
				continue
			}
			for _, j := range of {
				components[j].Layer = img.layer(int(v.layer))
			}
		}
	}
	return nil
}

// identity is a package in a version, whatever release of the system it was listed in.
func identity(c component.Component) string { return c.PURL + "@" + c.Version }

// largestList bounds what of a lower layer is read to see who brought what.
const largestList = 64 << 20

// listed are the components that a file named in a layer.
func (img *Image) listed(ctx context.Context, l lister, file string, layer int) (map[string]bool, error) {
	w := img.view(layer)
	content, err := fs.ReadFile(w, file)
	if err != nil {
		return nil, err
	}
	all, err := l.List(ctx, w, scan.File{Path: file, Content: content, Binary: strings.IndexByte(string(content[:min(len(content), 8<<10)]), 0) >= 0})
	if err != nil {
		return nil, err
	}
	listed := map[string]bool{}
	for _, c := range all {
		listed[identity(c)] = true
	}
	return listed, nil
}

// hidden looks at the files of each layer that a higher one deletes or replaces:
// whoever has the image has them.
func (img *Image) hidden(ctx context.Context, o scan.Options, s scan.Scanner, run *scan.Run) error {
	known := map[string]bool{}
	for _, f := range run.Findings {
		known[f.ProductFields[finding.FieldFingerprint]] = true
	}
	trees := make([]*tree, len(img.Layers))
	type content struct {
		layer  int32
		offset int64
	}
	met := map[content]bool{}
	img.tree.each(len(img.Layers)-1, func(name string, v *version, seen bool) {
		where := content{v.layer, v.offset}
		if seen || v.kind != isFile || v.again && met[where] || !s.Wants(name) {
			return
		}
		met[where] = true
		if trees[v.layer] == nil {
			trees[v.layer] = &tree{}
		}
		other := *v
		other.layer = 0
		trees[v.layer].put(name, other)
	})
	o.Scanners = []scan.Scanner{s}
	for i := len(trees) - 1; i >= 0; i-- {
		if trees[i] == nil {
			continue
		}
		result, err := scan.Tree(ctx, view{img, trees[i], 0}, o)
		if err != nil {
			return err
		}
		for _, p := range result.Runs[0].Scan.Skipped {
			p.Why = strings.TrimSpace(p.Why + " (in layer " + strconv.Itoa(i) + " only)")
			run.Scan.Skipped = append(run.Scan.Skipped, p)
		}
		for _, f := range result.Runs[0].Findings {
			if fingerprint := f.ProductFields[finding.FieldFingerprint]; !known[fingerprint] {
				known[fingerprint] = true
				run.Findings = append(run.Findings, img.onlyIn(i, f))
			}
		}
	}
	return nil
}

// onlyIn is a finding in a file of a layer that nobody sees in a container.
func (img *Image) onlyIn(layer int, f finding.Finding) finding.Finding {
	mark(&f, img.layer(layer))
	f.ProductFields[finding.FieldStill] = finding.InLayer
	f.Title = finding.Shorten(f.Title, 220) + fmt.Sprintf(" (in layer %d only)", layer)
	f.Remediation = &finding.Remediation{Recommendation: &finding.Recommendation{Text: finding.Shorten(
		"A later layer deletes or replaces the file, and this layer holds it still: whoever has the image has it. Take it for known and make a new one. "+
			"Hand it to the build as a secret (RUN --mount=type=secret), or make it in a stage of which nothing is kept.", 512)}}
	return f
}
