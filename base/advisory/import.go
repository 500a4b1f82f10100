package advisory

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// Bounds of what is imported: far above what the databases hold.
const (
	largestDocument = 16 << 20
	mostDocuments   = 5_000_000
)

// Report says what an import did.
type Report struct {
	About   About
	Read    int          // documents
	Refused []diag.Place // documents that are none, and why; at most a hundred
	Wrong   int          // how many those are in all
}

// Import compiles the OSV documents below from — a folder, a zip as osv.dev
// exports it, a folder of such zips, or one document — into the index at to.
// Documents that are broken are left out and reported; where nothing could be
// read, to stays as it is. progress may be nil.
func Import(ctx context.Context, from, to string, now time.Time, progress func(read int)) (Report, error) {
	im := &importer{ctx: ctx, builder: NewBuilder(), progress: progress}
	info, err := os.Stat(from)
	if err != nil {
		return im.report, err
	}
	if info.IsDir() {
		err = im.folder(from)
	} else {
		err = im.file(from, filepath.Base(from))
	}
	if err != nil {
		return im.report, fmt.Errorf("importing %s: %w", from, err)
	}
	if im.report.Read == 0 {
		hint := "it holds no OSV documents (*.json, or zips of them)"
		if im.report.Wrong > 0 {
			hint = im.report.Refused[0].String() + ": " + im.report.Refused[0].Why
		}
		return im.report, fault.Invalid.Errorf("importing %s: %s", from, hint)
	}
	if err := im.builder.WriteFile(to, now, filepath.Base(from)); err != nil {
		return im.report, err
	}
	x, err := Open(to)
	if err != nil {
		return im.report, err
	}
	im.report.About = x.About()
	return im.report, x.Close()
}

type importer struct {
	ctx      context.Context
	builder  *Builder
	report   Report
	progress func(int)
}

func (im *importer) folder(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && name != ".":
			return fs.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		if ext := strings.ToLower(filepath.Ext(name)); ext != ".json" && ext != ".zip" && !isTable(name) {
			return nil
		}
		return im.file(filepath.Join(dir, filepath.FromSlash(name)), name)
	})
}

func (im *importer) file(path, name string) error {
	if strings.EqualFold(filepath.Ext(path), ".zip") {
		return im.zip(path, name)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if isTable(name) {
		if err := im.builder.addEPSS(f); err != nil {
			im.refuse(name, err)
			return nil
		}
		im.report.Read++
		return nil
	}
	return im.document(name, f)
}

// isTable tells EPSS's daily table by its name.
func isTable(name string) bool {
	low := strings.ToLower(name)
	return strings.HasSuffix(low, ".csv") || strings.HasSuffix(low, ".csv.gz")
}

func (im *importer) zip(path, name string) error {
	z, err := zip.OpenReader(path)
	if err != nil {
		im.refuse(name, err)
		return nil
	}
	defer z.Close()
	files := slices.Clone(z.File)
	slices.SortFunc(files, func(a, b *zip.File) int { return cmp.Compare(a.Name, b.Name) })
	for _, f := range files {
		if f.FileInfo().IsDir() || !strings.HasSuffix(f.Name, ".json") {
			continue
		}
		where := name + "/" + strings.ToValidUTF8(f.Name, "\uFFFD")
		r, err := f.Open()
		if err != nil {
			im.refuse(where, err)
			continue
		}
		err = im.document(where, r)
		r.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// document reads one; what is wrong with it is its own.
func (im *importer) document(name string, r io.Reader) error {
	if err := im.ctx.Err(); err != nil {
		return err
	}
	if im.report.Read+im.report.Wrong >= mostDocuments {
		return fault.Limit.Errorf("more than %d documents", mostDocuments)
	}
	var text bytes.Buffer
	if _, err := io.Copy(&text, io.LimitReader(r, largestDocument+1)); err != nil {
		im.refuse(name, err)
		return nil
	}
	if text.Len() > largestDocument {
		im.refuse(name, fault.Limit.Errorf("larger than %d MiB", largestDocument>>20))
		return nil
	}
	add := im.builder.Add
	switch {
	case isSchema(text.Bytes()):
		return nil
	case isKEV(text.Bytes()):
		add = im.builder.addKEV
	}
	if err := add(text.Bytes()); err != nil {
		im.refuse(name, err)
		return nil
	}
	im.report.Read++
	if im.progress != nil {
		im.progress(im.report.Read)
	}
	return nil
}

func (im *importer) refuse(name string, err error) {
	const most = 100
	im.report.Wrong++
	if len(im.report.Refused) < most {
		im.report.Refused = append(im.report.Refused, diag.Place{File: filepath.ToSlash(name), Why: err.Error()})
	}
}
