package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/tool/sbom"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/tool/scan/deps"
	"github.com/haechi-dev/haechi/tool/scan/image"
	"github.com/haechi-dev/haechi/word/finding"
)

// inRegistry begins what is an image in a registry: only that is fetched.
const inRegistry = "docker://"

// imageFlags are what was asked of an image.
type imageFlags struct{ base, newer, platform *string }

func newImageFlags(flags *flag.FlagSet) imageFlags {
	return imageFlags{
		base:     flags.String("base", "", "the image that the image is built on: what it brought is said to be its"),
		newer:    flags.String("newer-base", "", "a newer one: what building on it would mend"),
		platform: flags.String("platform", "", "which image of several: linux/arm64 (that of this machine)"),
	}
}

func (f imageFlags) asked() bool { return *f.base != "" || *f.newer != "" || *f.platform != "" }

func isImage(path string) bool { return strings.HasPrefix(path, inRegistry) || image.IsImage(path) }

// imageHint is what to do about a path that is not there, and looks like the name of an image.
func imageHint(path string) string {
	if strings.ContainsAny(path, ":@") && !strings.HasPrefix(path, inRegistry) {
		return "; an image in a registry is asked for as " + inRegistry + path
	}
	return ""
}

// openImage reads the description of an image on disk or in a registry.
func openImage(ctx context.Context, path string, f imageFlags) (*image.Image, error) {
	o := image.Options{Platform: *f.platform}
	if reference, ok := strings.CutPrefix(path, inRegistry); ok {
		return image.Pull(ctx, reference, image.Registry{Keys: true}, o)
	}
	img, err := image.Open(ctx, path, o)
	if os.IsNotExist(err) {
		return nil, usagef("%w%s", err, imageHint(path))
	}
	return img, err
}

// based opens an image, and knows what it was built on.
func based(ctx context.Context, path string, f imageFlags) (*image.Image, error) {
	img, err := openImage(ctx, path, f)
	if err != nil {
		return nil, err
	}
	if *f.base == "" {
		if known := img.Assume(); !known && *f.newer != "" {
			_ = img.Close()
			return nil, usagef("where the base of %s ends cannot be told: say -base IMAGE", path)
		}
		return img, nil
	}
	base, err := openImage(ctx, *f.base, f)
	if err == nil {
		err = img.BasedOn(base, called(base, *f.base))
		_ = base.Close()
	}
	if err != nil {
		_ = img.Close()
		return nil, fmt.Errorf("-base: %w", err)
	}
	return img, nil
}

// called is the name of an image, else of the file that it lies in.
func called(img *image.Image, path string) string { return cmp.Or(img.Name, filepath.Base(path)) }

// scanImage scans an image.
func scanImage(ctx context.Context, c call, f imageFlags, path string, scanners []scan.Scanner) (scan.Result, error) {
	img, err := based(ctx, path, f)
	if err != nil {
		return scan.Result{}, err
	}
	defer img.Close()
	result, err := lookAt(ctx, c, img, path, scanners)
	if err != nil {
		return result, err
	}
	tellBase(c.stderr, img)
	tellLayers(c.stderr, img, result)
	if *f.newer != "" {
		scanners = slices.DeleteFunc(slices.Clone(scanners), func(s scan.Scanner) bool { return s.Name() != deps.New(nil).Name() })
		if len(scanners) == 0 {
			return result, usagef("-newer-base is about vulnerabilities: leave -only out, or name deps in it")
		}
		newer, err := openImage(ctx, *f.newer, f)
		if err != nil {
			return result, fmt.Errorf("-newer-base: %w", err)
		}
		defer newer.Close()
		other, err := lookAt(ctx, c, newer, *f.newer, scanners)
		if err != nil {
			return result, fmt.Errorf("-newer-base: %w", err)
		}
		for _, run := range other.Runs {
			if !deps.Listed(run.Scan) {
				fmt.Fprintf(c.stderr, "-newer-base: %s was not looked at as a whole: it may mend less\n", *f.newer)
				break
			}
		}
		m := image.Mend(&result, other, called(newer, *f.newer))
		fmt.Fprintf(c.stderr, "newer base %s: of %d vulnerabilities of the base it mends %d and leaves %d, and it brings %d\n", m.Newer, m.Before, m.Gone, m.Left, m.Fresh)
	}
	return result, nil
}

// lookAt shows an image to scanners.
func lookAt(ctx context.Context, c call, img *image.Image, path string, scanners []scan.Scanner) (scan.Result, error) {
	progress, done := progressLine(c.stderr)
	defer done()
	target := img.Target()
	if target == "" {
		target = filepath.Base(path)
	}
	return img.Scan(ctx, scan.Options{Scanners: scanners, Target: target, Progress: progress})
}

// tellBase says what is known of the base.
func tellBase(w io.Writer, img *image.Image) {
	b := img.Base()
	switch {
	case b.How != image.Unknown:
		fmt.Fprintf(w, "base image %s: %d of %d layers (%s)\n", b.Name, b.Layers, len(img.Layers), b.How)
	case b.Name != "":
		fmt.Fprintf(w, "base image %s: the image says so, and not which layers are its; -base IMAGE tells\n", b.Name)
	}
}

// tellLayers says how much each layer brought.
func tellLayers(w io.Writer, img *image.Image, result scan.Result) {
	type count struct{ findings, packages int }
	counts := make([]count, len(img.Layers))
	for _, run := range result.Runs {
		for _, f := range run.Findings {
			if i, err := strconv.Atoi(f.ProductFields[finding.FieldLayerIndex]); err == nil && i < len(counts) {
				counts[i].findings++
			}
		}
	}
	for _, c := range result.Components {
		if c.Layer != nil {
			counts[c.Layer.Index].packages++
		}
	}
	for i, n := range counts {
		if n == (count{}) {
			continue
		}
		base := ""
		if img.Layers[i].Base != "" {
			base = ", base"
		}
		fmt.Fprintf(w, "layer %d%s: %d findings, %d packages: %s\n", i, base, n.findings, n.packages, finding.Shorten(cmp.Or(img.Layers[i].Command, "nothing says what made it"), 60))
	}
}

// listImage is what an image is made of, with the texts of licences.
func listImage(ctx context.Context, c call, f imageFlags, path string, made *sbom.Made) (scan.Result, map[string]string, error) {
	img, err := based(ctx, path, f)
	if err != nil {
		return scan.Result{}, nil, err
	}
	defer img.Close()
	scanner := deps.New(nil)
	result, err := lookAt(ctx, c, img, path, []scan.Scanner{scanner})
	if err != nil {
		return result, nil, err
	}
	tellBase(c.stderr, img)
	made.Image = img.Digest
	if made.Name == "" {
		made.Name = cmp.Or(img.Target(), filepath.Base(path))
	}
	if _, tag, ok := strings.Cut(strings.TrimPrefix(img.Name, img.Target()), ":"); ok && made.Version == "" {
		made.Version, _, _ = strings.Cut(tag, "@")
	}
	return result, scanner.Licences(img.FS(), result.Components), nil
}
