package reports_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

func trivyOf(ids ...string) []byte {
	list := ""
	for i, id := range ids {
		if i > 0 {
			list += ","
		}
		list += fmt.Sprintf(`{"VulnerabilityID":"%s","PkgName":"lodash","PkgIdentifier":{"PURL":"pkg:npm/lodash@4.17.4"},"InstalledVersion":"4.17.4","Severity":"HIGH","Title":"t"}`, id)
	}
	return []byte(`{"SchemaVersion":2,"ArtifactName":".","ArtifactType":"filesystem","Results":[{"Target":"package-lock.json","Class":"lang-pkgs","Type":"npm","Vulnerabilities":[` + list + `]}]}`)
}

func openvexOf(status, extra string) []byte {
	return []byte(`{"@context":"https://openvex.dev/ns/v0.2.0","@id":"x","author":"Kim <kim@shop.example>","timestamp":"2026-01-01T00:00:00Z","version":1,"statements":[` + status + `]}` + extra)
}

func statement(id, status, product, why string) string {
	return fmt.Sprintf(`{"vulnerability":{"name":"%s"},"products":[{"@id":"%s"}],"status":"%s"%s}`, id, product, status, why)
}

// states are the findings of a tool by vulnerability.
func (h *house) states(target, tool string) map[string]finding.Status {
	all := map[string]finding.Status{}
	for _, f := range h.present(target, "") {
		if f.ProductFields[finding.FieldTool] == tool {
			all[f.Vulnerabilities[0].ID] = f.Status()
		}
	}
	return all
}

func (h *house) want(target string, want map[string]finding.Status) {
	h.t.Helper()
	got := h.states(target, "trivy")
	for id, status := range want {
		if got[id] != status {
			h.t.Errorf("%s of %s is %s, want %s", id, target, got[id], status)
		}
	}
}

// What a VEX document says is not affected is suppressed wherever another tool finds it in the target, with the
// document's reason, until it says so no more; what people decided stays.
func TestVEX(t *testing.T) {
	const n, s = finding.New, finding.Suppressed
	const not, package1, why = "not_affected", "pkg:npm/lodash@4.17.4", `,"justification":"vulnerable_code_not_in_execute_path"`
	h := build(t)
	h.imports("target=shop", trivyOf("CVE-1-1", "CVE-1-2", "CVE-1-3"))
	h.imports("target=other", trivyOf("CVE-1-1"))
	var person hub.Ref
	for _, f := range h.present("shop", "") {
		if f.Vulnerabilities[0].ID == "CVE-1-3" {
			person = hub.RefOf(f)
		}
	}
	decide := func() {
		_, err := h.hub.Update(t.Context(), hub.Update{Refs: []hub.Ref{person}, Decision: hub.To(finding.New), By: "kim", Why: "it is real"})
		must(t, err)
	}
	a := h.imports("target=shop", openvexOf(statement("CVE-1-1", not, package1, why)+","+statement("CVE-1-3", not, package1, why)+","+statement("CVE-1-2", not, "pkg:npm/lodash@4.17.5", why), ""))
	decide()
	if a.VEX != 2 {
		t.Errorf("%d are suppressed", a.VEX)
	}
	h.want("shop", map[string]finding.Status{"CVE-1-1": s, "CVE-1-2": n, "CVE-1-3": n})
	h.want("other", map[string]finding.Status{"CVE-1-1": n})
	for _, f := range h.present("shop", "") {
		if f.Vulnerabilities[0].ID != "CVE-1-1" || f.ProductFields[finding.FieldTool] != "trivy" {
			continue
		}
		accepted, err := h.hub.AcceptanceOf(t.Context(), hub.RefOf(f))
		must(t, err)
		if accepted.Owner != "Kim <kim@shop.example>" || accepted.Reason != "VEX: not_affected: vulnerable_code_not_in_execute_path" || accepted.Kind != "false-positive" {
			t.Errorf("%+v", accepted)
		}
	}
	// The same again, and the scan again, change nothing; what the scan finds anew is held against it.
	events := h.events()
	h.imports("target=shop&commit=c2", openvexOf(statement("CVE-1-1", not, package1, why)+","+statement("CVE-1-3", not, package1, why)+","+statement("CVE-1-2", not, "pkg:npm/lodash@4.17.5", why), "\n"))
	h.imports("target=shop&commit=c2", trivyOf("CVE-1-1", "CVE-1-2", "CVE-1-3"))
	if h.events() != events {
		t.Errorf("%d events more", h.events()-events)
	}
	// The whole product, by its image: whatever package it is in.
	h.imports("target=shop", openvexOf(statement("CVE-1-2", "fixed", "pkg:oci/shop@sha256:aa", "")+","+statement("CVE-1-1", "under_investigation", package1, ""), ""))
	h.want("shop", map[string]finding.Status{"CVE-1-1": n, "CVE-1-2": s, "CVE-1-3": n})
	h.imports("target=shop", openvexOf(statement("CVE-1-2", "affected", "pkg:oci/shop@sha256:aa", ""), ""))
	h.want("shop", map[string]finding.Status{"CVE-1-1": n, "CVE-1-2": n})
	left, err := h.hub.Suppressors(t.Context())
	must(t, err)
	if len(left) != 0 {
		t.Errorf("%d suppressors are left", len(left))
	}
	h.imports("target=shop", []byte(`{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"bom-ref":"l","type":"library","name":"lodash","version":"4.17.4","purl":"pkg:npm/lodash@4.17.4"}],"vulnerabilities":[{"id":"CVE-1-1","analysis":{"state":"not_affected","justification":"code_not_reachable"},"affects":[{"ref":"l"}]}]}`))
	h.want("shop", map[string]finding.Status{"CVE-1-1": s})
	if _, err := h.hub.Get(t.Context(), person); fault.Of(err) == fault.NotFound {
		t.Error(err)
	}
}

// VEX suppresses only where whoever brings it may suppress findings; the same document counts when somebody who may brings it.
func TestVEXTakesLeaveToSuppress(t *testing.T) {
	h := build(t)
	h.imports("target=shop", trivyOf("CVE-1-1"))
	document := openvexOf(statement("CVE-1-1", "not_affected", "pkg:npm/lodash@4.17.4", ""), "")
	status, _, body := h.send(h.developer, "target=shop", document)
	if status != 200 || !strings.Contains(body, `"proposed":1`) {
		t.Errorf("%d %s", status, body)
	}
	h.want("shop", map[string]finding.Status{"CVE-1-1": finding.New})
	if a := h.imports("target=shop", document); a.VEX != 1 || a.Proposed != 0 {
		t.Errorf("%+v", a)
	}
	h.want("shop", map[string]finding.Status{"CVE-1-1": finding.Suppressed})
}
