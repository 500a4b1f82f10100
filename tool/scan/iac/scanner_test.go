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

// What is continued on the next line is one command, whatever comments stand between.
func TestContinued(t *testing.T) {
	docs, err := iac.Documents("Dockerfile", []byte("FROM a\nRUN yum install -y \\\n  bash \\\n# a comment\n\n  sudo \\\n  && curl x\nENV A=1 \\\n  B=2\n"))
	if err != nil {
		t.Fatal(err)
	}
	in := docs[0].Resources()[0].Body.Get("Properties").Get("Instructions").Items()
	var names []string
	for _, c := range in[1].Get("Commands").Items() {
		name, _ := c.Get("Name").Text()
		names = append(names, fmt.Sprintf("%s %d", name, c.Get("Arguments").Len()))
	}
	if got := strings.Join(names, ", "); got != "yum 4, curl 1" || in[2].Get("Variables").Len() != 2 {
		t.Errorf("%s; %s", got, in[2])
	}
}

// A torn file costs that file alone, and the scan says so; one that another program
// fills in is told of; several objects may follow each other.
func TestTorn(t *testing.T) {
	files := treeOf(txtar.Parse([]byte(`-- torn.yaml --
AWSTemplateFormatVersion: "2010-09-09"
Resources: {A: {
-- twice.yaml --
apiVersion: v1
kind: Pod
kind: Pod
-- bomb.yaml --
apiVersion: v1
kind: Pod
metadata: &a {x: *a}
-- filled.yaml --
apiVersion: v1
kind: Pod
metadata: {{ toYaml .Values.x }}
-- chart/Chart.yaml --
name: x
-- chart/templates/pod.yaml --
apiVersion: v1
kind: Pod
metadata: {name: {{ .Values.x }}}
-- stream.json --
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"hostNetwork": true}}
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "b"}, "spec": {}}
-- torn/main.tf --
resource "aws_ebs_volume" "a" {
-- circle/main.tf --
locals {
  a = local.b
  b = local.a
}
resource "aws_ebs_volume" "a" {
  availability_zone = "a"
  encrypted         = local.a
}
-- self/main.tf --
module "m" { source = "../self" }
-- other.json --
{"not": "infrastructure",
-- Dockerfile --
FROM a
RUM x
-- .haechi/rules/endless.guard --
rule A { B }
rule B { A }
-- .haechi/rules/regex.guard --
rule A { Resources.*.Type == /(?<=x)y/ }
-- .haechi/rules/good.guard --
rule DISKS { Resources.*[ Type == 'AWS::EC2::Volume' ].Properties.Encrypted == true <<encrypt it>> }
-- disk.yaml --
Resources:
  Disk:
    Type: AWS::EC2::Volume
    Properties: {Encrypted: false}
  Other:
    Type: AWS::EC2::Volume
    Properties: {Encrypted: true}
`)))
	run := scanned(t, iac.New(), files)
	same(t, lines(run), `
WARNING chart/Chart.yaml:1 CHART_NOT_RENDERED chart
WARNING circle/main.tf:7:23 DISKS aws_ebs_volume.a
disk.yaml:4:29 DISKS Disk
WARNING filled.yaml:1 TEMPLATE_NOT_FILLED_IN filled.yaml`)
	var unread []string
	for _, p := range run.Scan.Skipped {
		unread = append(unread, p.String()+" "+p.Why)
	}
	for _, want := range []string{"torn.yaml:3", "twice.yaml:3:1", "bomb.yaml:3", "torn/main.tf:1", "circle/main.tf:2", "self/main.tf:1:1 module m is within itself", "Dockerfile:2:1", ".haechi/rules/endless.guard:1", ".haechi/rules/regex.guard:1"} {
		if !slices.ContainsFunc(unread, func(u string) bool { return strings.HasPrefix(u, want) }) {
			t.Errorf("%s is not told of: %s", want, strings.Join(unread, "\n"))
		}
	}
	if run.Scan.Complete || len(unread) != 9 {
		t.Errorf("complete %v: %s", run.Scan.Complete, strings.Join(unread, "\n"))
	}
}

// A stage may be chosen by an argument, and a list may stand on several lines.
func TestChosenStage(t *testing.T) {
	docs, err := iac.Documents("Dockerfile", []byte("# syntax=docker/dockerfile:1\n# escape=`\nARG SOURCE=false\nFROM scratch AS bin-false\nUSER app\nFROM bin-${SOURCE} AS bin\nENTRYPOINT [\n  \"bash\",\n  \"-c\"\n]\nFROM bin-${OTHER}\nRUN a `\n  b\n"))
	if err != nil {
		t.Fatal(err)
	}
	stages := docs[0].Resources()[0].Body.Get("Properties").Get("Stages").Items()
	if from, _ := stages[1].Get("From").Text(); from != "bin-false" || stages[1].Get("Image") != nil || stages[2].Get("From") == nil || stages[2].Get("Image") != nil {
		t.Errorf("%s\n%s", stages[1].JSON(), stages[2].JSON())
	}
	if user, _ := stages[1].Get("User").Text(); user != "app" {
		t.Errorf("user %q", user)
	}
	if exec := stages[1].Get("Instructions").Items()[1].Get("Exec"); exec.Len() != 2 {
		t.Errorf("exec %s", stages[1].Get("Instructions"))
	}
}

// What other tools keep in a resource's metadata, and comments in their forms, let
// findings be with their reason; a finding of CDK's output names the construct.
func TestLetBe(t *testing.T) {
	files := treeOf(txtar.Parse([]byte(`-- cdk.template.json --
{"Resources": {
 "A": {"Type": "AWS::EC2::Volume", "Metadata": {"aws:cdk:path": "Shop/Disk/Resource"}},
 "B": {"Type": "AWS::EC2::Volume", "Metadata": {"guard": {"SuppressedRules": ["ENCRYPTED_VOLUMES"]}}},
 "C": {"Type": "AWS::EC2::Volume", "Metadata": {"cdk_nag": {"rules_to_suppress": [{"id": "AwsSolutions-EC26", "reason": "scratch"}]}}},
 "D": {"Type": "AWS::EC2::Volume", "Metadata": {"cfn_nag": {"rules_to_suppress": [{"id": "F1", "reason": "old"}]}}},
 "E": {"Type": "AWS::EC2::Volume", "Metadata": {"haechi": {"allow": [{"rule": "ENCRYPTED_VOLUMES", "reason": "ours"}]}}},
 "F": {"Type": "AWS::EC2::Volume", "Metadata": {"guard": {"SuppressedRules": ["OTHER"]}}}}}
-- main.tf --
#tfsec:ignore:aws-ebs-enable-volume-encryption
resource "aws_ebs_volume" "a" { availability_zone = "a" }
resource "aws_ebs_volume" "b" { availability_zone = "a" } # trivy:ignore:AVD-AWS-0026
#tfsec:ignore:aws-s3-enable-versioning
resource "aws_ebs_volume" "c" { availability_zone = "a" }
`)))
	run := scanned(t, iac.New(policies(t)...), files)
	same(t, lines(run, "ENCRYPTED_VOLUMES"), `
cdk.template.json:2:7 ENCRYPTED_VOLUMES A
cdk.template.json:3:7 ENCRYPTED_VOLUMES B allowed: suppressed in the resource's metadata for cfn-guard
cdk.template.json:4:7 ENCRYPTED_VOLUMES C allowed: scratch
cdk.template.json:5:7 ENCRYPTED_VOLUMES D allowed: old
cdk.template.json:6:7 ENCRYPTED_VOLUMES E allowed: ours
cdk.template.json:7:7 ENCRYPTED_VOLUMES F
main.tf:2:1 ENCRYPTED_VOLUMES aws_ebs_volume.a allowed: no reason is given
main.tf:3:1 ENCRYPTED_VOLUMES aws_ebs_volume.b allowed: no reason is given
main.tf:5:1 ENCRYPTED_VOLUMES aws_ebs_volume.c`)
	if f := run.Findings[0]; !strings.Contains(f.Description, "Shop/Disk/Resource") || f.ProductFields[iac.FieldCDK] != "Shop/Disk/Resource" {
		t.Errorf("%s", f.Description)
	}
}
