package iac_test

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/rules/aws"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/tool/scan/iac"
	"github.com/haechi-dev/haechi/tool/scan/scantest"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/finding"
	"golang.org/x/tools/txtar"
)

// tree is the files of a txtar file, as a tree.
func tree(t testing.TB, file string) fs.FS {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join("testdata", "trees", file))
	if err != nil {
		t.Fatal(err)
	}
	return treeOf(a)
}

func treeOf(a *txtar.Archive) fs.FS {
	files := fstest.MapFS{}
	for _, f := range a.Files {
		files[f.Name] = &fstest.MapFile{Data: f.Data}
	}
	return files
}

func policies(t testing.TB) []iac.Rule {
	t.Helper()
	p, err := guard.ParsePolicies(aws.Files)
	if err != nil {
		t.Fatal(err)
	}
	return iac.Rules(p...)
}

func scanned(t testing.TB, s scan.Scanner, files fs.FS) scan.Run {
	t.Helper()
	r, err := scan.Tree(context.Background(), files, scan.Options{Scanners: []scan.Scanner{s}, Target: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	return r.Runs[0]
}

// lines are findings as the tests name them.
func lines(run scan.Run, rules ...string) (all []string) {
	for _, f := range run.Findings {
		rule := f.ProductFields[iac.FieldRule]
		if len(rules) > 0 && !slices.Contains(rules, rule) {
			continue
		}
		line := fmt.Sprintf("%s %s %s %s", f.Compliance.Status, f.Place().String(), rule, f.ProductFields[iac.FieldResource])
		if f.Compliance.Status == finding.Failed {
			line = strings.TrimPrefix(line, "FAILED ")
		}
		if reason := f.ProductFields[finding.FieldAllow]; reason != "" {
			line += " allowed: " + reason
		}
		all = append(all, line)
	}
	return all
}

func same(t *testing.T, got []string, want string) {
	t.Helper()
	if g, w := strings.Join(got, "\n"), strings.TrimSpace(want); g != w {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
}

// The scanner keeps the promises that every scanner makes.
func TestProve(t *testing.T) {
	rules := policies(t)
	scantest.Prove(t, func() scan.Scanner { return iac.New(rules...) }, tree(t, "shop.txtar"))
}

// A tree's templates and modules are held against the rules: nested ones with what
// they are given, and each finding once, at its line.
func TestTree(t *testing.T) {
	run := scanned(t, iac.New(policies(t)...), tree(t, "shop.txtar"))
	same(t, lines(run, "ENCRYPTED_VOLUMES", "RDS_STORAGE_ENCRYPTED", "MODULE_NOT_ON_DISK"), `
infra/disks/main.tf:7:1 ENCRYPTED_VOLUMES module.disks.aws_ebs_volume.let allowed: nothing is kept on it
infra/disks/main.tf:10:1 ENCRYPTED_VOLUMES module.disks.aws_ebs_volume.skipped allowed: a scratch disk
infra/disks/main.tf:14:1 ENCRYPTED_VOLUMES module.disks.aws_ebs_volume.bad
infra/main.tf:8:23 ENCRYPTED_VOLUMES aws_ebs_volume.one
infra/main.tf:10:1 ENCRYPTED_VOLUMES aws_ebs_volume.two["a"]
WARNING infra/main.tf:16:23 ENCRYPTED_VOLUMES aws_ebs_volume.three
WARNING infra/main.tf:26:1 MODULE_NOT_ON_DISK module.far
network.yaml:7:17 ENCRYPTED_VOLUMES Network.Other
template.yaml:9:18 ENCRYPTED_VOLUMES Disk
WARNING template.yaml:13:25 RDS_STORAGE_ENCRYPTED Database
`)
	if !run.Scan.Complete {
		t.Errorf("not complete: %v", run.Scan.Skipped)
	}
}

var _ = diag.Place{}
