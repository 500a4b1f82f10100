package pipeline_test

import (
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/tool/scan/iac"
)

const ownRule = `-- help.md --
# Disks are encrypted
-- rule.yaml --
id: DISKS
severity: CRITICAL
title: {en: The disk is not encrypted, ko: 디스크가 암호화되지 않음}
fix: {en: Encrypt it., ko: 암호화하십시오.}
types: [AWS::EC2::Volume]
-- rule.guard --
rule DISKS { Resources.*[ Type == 'AWS::EC2::Volume' ].Properties.Encrypted == true }
-- bad/disk.yaml --
Resources: {D: {Type: "AWS::EC2::Volume", Properties: {Encrypted: false}}}
-- good/disk.yaml --
Resources: {D: {Type: "AWS::EC2::Volume", Properties: {Encrypted: true}}}
`

const openDisk = "Resources:\n  Disk:\n    Type: AWS::EC2::Volume\n    Properties: {Encrypted: false}\n"

// Rules and comments of a pushed change are proposals: those count that the default
// branch has passed with.
func TestRulesOfTheBase(t *testing.T) {
	each(t, func(c *pipeline.Config) { c.Scanners = []scan.Scanner{iac.New()} }, func(t *testing.T, h *house) {
		e := h.push("main", "a rule and what breaks it", map[string]string{".haechi/rules/disks.txtar": ownRule, "old.yaml": openDisk})
		if e.Status != pipeline.Succeeded {
			t.Fatalf("a proposed rule stops: %+v\n%s", e.Reasons, h.log(e.ID))
		}
		e = h.push("main", "a second disk", map[string]string{"new.yaml": openDisk})
		if e.Status != pipeline.Failed || len(e.Reasons) != 1 || e.Reasons[0].Where != "new.yaml:4:29" {
			t.Fatalf("%s %+v\n%s", e.Status, e.Reasons, h.log(e.ID))
		}
		// Taking the rule away, or letting the finding be, lifts nothing.
		e = h.push("main", "no rule", map[string]string{".haechi/rules/disks.txtar": "", ".haechi/rules/other.guard": "rule OTHER { Resources !empty }\n"})
		if e.Status != pipeline.Failed {
			t.Errorf("a change takes a rule away for itself:\n%s", h.log(e.ID))
		}
		let := strings.Replace(openDisk, "  Disk:", "  # haechi:allow DISKS reason=nothing is kept on it\n  Disk:", 1)
		e = h.push("main", "let it be", map[string]string{".haechi/rules/disks.txtar": ownRule, "new.yaml": let})
		if e.Status != pipeline.Failed {
			t.Errorf("a comment of the change lifts the gate:\n%s", h.log(e.ID))
		}
		wants(t, h.log(e.ID), "proposal: to let be new.yaml:5:29 The disk is not encrypted (nothing is kept on it)")
	})
}
