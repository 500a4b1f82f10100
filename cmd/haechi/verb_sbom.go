package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/app"
	"github.com/haechi-dev/haechi/tool/sbom"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/tool/scan/deps"
	"github.com/haechi-dev/haechi/word/component"
)

func sbomVerb() verb {
	return verb{name: "sbom", args: "[PATH|IMAGE] | diff A B | score FILE | notices [PATH|IMAGE]", summary: "what software is made of: CycloneDX, SPDX, notices", help: `
  haechi sbom shop > shop.cdx.json          CycloneDX 1.6
  haechi sbom -format spdx shop             SPDX 2.3; or table, for people
  haechi sbom shop.tar                      of an image, as docker save or OCI
                                            keep it; or docker://REFERENCE
  haechi sbom diff v1.cdx.json v2.cdx.json  what changed; also folders, images
  haechi sbom score shop.cdx.json           NTIA's minimum elements
  haechi sbom notices shop > NOTICES        components with their licences

Reads lock files, manifests, archives and programs; nothing leaves this machine.
What ~/.m2 and the module caches of Go and Cargo hold is looked up there. Exits 1
if something could not be read, if two bills differ, or if one is incomplete.
A folder that is called diff, score or notices is asked for as ./diff.`, run: runSBOM}
}

type sbomFlags struct {
	format, name, version, author, out *string
	image                              imageFlags
}

func runSBOM(ctx context.Context, c call, flags *flag.FlagSet) error {
	f := sbomFlags{
		format:  flags.String("format", "", "cyclonedx, spdx, table or json; of diff and score: table or json"),
		name:    flags.String("name", "", "what is described (the folder's name)"),
		version: flags.String("version", "", "the version of that"),
		author:  flags.String("author", "", "who stands for the document"),
		out:     flags.String("o", "", "a file to write to (standard output)"),
		image:   newImageFlags(flags),
	}
	rest, err := parse(c, flags, 0, 3)
	if err != nil {
		return err
	}
	if *f.out != "" {
		file, err := os.Create(*f.out)
		if err != nil {
			return err
		}
		defer file.Close()
		c.stdout = file
	}
	switch {
	case len(rest) > 0 && rest[0] == "diff":
		if len(rest) != 3 {
			return usagef("sbom diff needs two bills of materials, or folders")
		}
		return sbomDiff(ctx, c, f, rest[1], rest[2])
	case len(rest) > 0 && rest[0] == "score":
		if len(rest) != 2 {
			return usagef("sbom score needs one bill of materials")
		}
		return sbomScore(c, f, rest[1])
	case len(rest) > 0 && rest[0] == "notices":
		if len(rest) > 2 {
			return usagef("sbom notices takes one folder")
		}
		return sbomOf(ctx, c, f, rest[1:], "notices")
	case len(rest) > 1:
		return unknown(rest[0], "diff", "score", "notices")
	}
	format := *f.format
	if format == "" {
		format = "cyclonedx"
	}
	return sbomOf(ctx, c, f, rest, format)
}

// sbomOf writes what a tree is made of.
func sbomOf(ctx context.Context, c call, f sbomFlags, rest []string, format string) error {
	if !slices.Contains([]string{"cyclonedx", "spdx", "table", "json", "notices"}, format) {
		return usagef("-format is cyclonedx, spdx, table or json, not %q", format)
	}
	folder := "."
	if len(rest) == 1 {
		folder = rest[0]
	}
	made := sbom.Made{Name: *f.name, Version: *f.version, Author: *f.author, Tool: versionText(), At: time.Now()}
	var result scan.Result
	var texts map[string]string
	var err error
	if isImage(folder) {
		result, texts, err = listImage(ctx, c, f.image, folder, &made)
	} else if f.image.asked() {
		return usagef("-base, -newer-base and -platform are about images, and %s is none", folder)
	} else {
		result, texts, err = listFolder(ctx, c, folder, &made)
	}
	if err != nil {
		return err
	}
	switch format {
	case "cyclonedx":
		err = sbom.CycloneDX(c.stdout, made, result.Components)
	case "spdx":
		err = sbom.SPDX(c.stdout, made, result.Components)
	case "notices":
		err = sbom.Notices(c.stdout, made, result.Components, texts)
	case "json":
		err = json.MarshalWrite(c.stdout, result.Components, jsontext.WithIndent("  "))
	default:
		err = sbomTable(c.stdout, result.Components)
	}
	if err != nil {
		return err
	}
	notes(c.stderr, result, false)
	if !result.Runs[0].Scan.Complete {
		return exit(exitWrong)
	}
	return nil
}

// listFolder is what a folder or a file is made of, with the texts of licences.
func listFolder(ctx context.Context, c call, folder string, made *sbom.Made) (scan.Result, map[string]string, error) {
	scanner := deps.New(nil).Beside(app.Local(c.env))
	result, err := scanPath(ctx, c, []string{folder}, []scan.Scanner{scanner})
	if err != nil {
		return result, nil, err
	}
	absolute, err := filepath.Abs(folder)
	if err != nil {
		return result, nil, err
	}
	if made.Name == "" {
		made.Name = filepath.Base(absolute)
	}
	if info, err := os.Stat(absolute); err == nil && !info.IsDir() {
		absolute = filepath.Dir(absolute)
	}
	return result, scanner.Licences(os.DirFS(absolute), result.Components), nil
}

func sbomTable(w io.Writer, components []component.Component) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	layered := slices.ContainsFunc(components, func(c component.Component) bool { return c.Layer != nil })
	fmt.Fprint(t, "WHERE\tECOSYSTEM\tNAME\tVERSION\tSTATE\tSCOPE\tBY\tLICENCE")
	if layered {
		fmt.Fprint(t, "\tLAYER\tBASE")
	}
	fmt.Fprintln(t)
	for _, c := range components {
		by := "direct"
		switch {
		case c.Direct:
		case len(c.Path) > 1:
			by = c.Path[len(c.Path)-2]
		default:
			by = "transitive"
		}
		licence := "-"
		if len(c.Licences) > 0 {
			licence = c.Licences[0]
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", c.Place, orDash(c.Ecosystem), c.Name, orDash(c.Version), c.State, c.Scope, by, licence)
		switch {
		case c.Layer != nil:
			fmt.Fprintf(t, "\t%d\t%s", c.Layer.Index, orDash(c.Layer.Base))
		case layered:
			fmt.Fprint(t, "\t-\t-")
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// componentsOf are those of a bill of materials, of a folder or of an image.
func componentsOf(ctx context.Context, c call, f imageFlags, path string) ([]component.Component, error) {
	if isImage(path) {
		result, _, err := listImage(ctx, c, f, path, &sbom.Made{})
		return whole(c, path, result, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, usagef("%w", err)
	}
	if !info.IsDir() && info.Size() < deps.LargestManifest {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if d, err := sbom.Read(path, text); err == nil {
			return d.Components, nil
		} else if sbom.IsNamed(path) {
			return nil, err
		}
	}
	result, err := scanPath(ctx, c, []string{path}, []scan.Scanner{deps.New(nil).Beside(app.Local(c.env))})
	return whole(c, path, result, err)
}

// whole are the components of a result that saw everything.
func whole(c call, path string, result scan.Result, err error) ([]component.Component, error) {
	if err != nil {
		return nil, err
	}
	if !result.Runs[0].Scan.Complete {
		notes(c.stderr, result, false)
		return nil, fmt.Errorf("%s could not be read as a whole, and half of it cannot be compared", path)
	}
	return result.Components, nil
}

func sbomDiff(ctx context.Context, c call, f sbomFlags, before, after string) error {
	a, err := componentsOf(ctx, c, f.image, before)
	if err != nil {
		return err
	}
	b, err := componentsOf(ctx, c, f.image, after)
	if err != nil {
		return err
	}
	changes := sbom.Diff(a, b)
	if *f.format == "json" {
		if changes == nil {
			changes = []sbom.Change{}
		}
		err = json.MarshalWrite(c.stdout, changes, jsontext.WithIndent("  "))
	} else {
		t := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
		for i, x := range changes {
			if i == 0 {
				fmt.Fprintln(t, "CHANGE\tPACKAGE\tBEFORE\tAFTER\tSCOPE")
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", x.Kind, x.PURL, orDash(x.Before), orDash(x.After), x.Scope)
		}
		err = t.Flush()
	}
	if err == nil && len(changes) > 0 {
		err = exit(exitWrong)
	}
	return err
}

func sbomScore(c call, f sbomFlags, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return usagef("%w", err)
	}
	d, err := sbom.Read(path, text)
	if err != nil {
		return err
	}
	score := sbom.NTIA(d)
	if *f.format == "json" {
		err = json.MarshalWrite(c.stdout, score, jsontext.WithIndent("  "))
	} else {
		t := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "ELEMENT\tHAVE\tOF\tPERCENT")
		for _, e := range score.Elements {
			fmt.Fprintf(t, "%s\t%d\t%d\t%.0f\n", e.Name, e.Have, e.Of, 100*e.Part)
		}
		if err = t.Flush(); err == nil {
			_, err = fmt.Fprintf(c.stdout, "\n%s: %.0f of 100 by NTIA's minimum elements\n", d.Format, score.Total)
		}
	}
	if err == nil && !score.Complete {
		err = exit(exitWrong)
	}
	return err
}
