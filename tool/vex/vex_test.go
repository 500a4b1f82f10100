package vex_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/tool/vex"
	"github.com/haechi-dev/haechi/word/finding"
)

var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// log4shell is a finding as the scanner of dependencies makes it.
func log4shell() finding.Finding {
	return finding.Finding{
		GeneratorID: "deps/CVE-2021-44228", Severity: &finding.Severity{Label: finding.Critical, Original: "10.0 by CVSS 3.1"},
		Vulnerabilities: []finding.Vulnerability{{ID: "CVE-2021-44228", Related: []string{"GHSA-jfh8-c2jp-5v3q"}, Packages: []finding.Package{{Name: "org.apache.logging.log4j:log4j-core", Version: "2.14.1", FilePath: "app/pom.xml"}}}},
		ProductFields:   map[string]string{finding.FieldPackage: "pkg:maven/org.apache.logging.log4j/log4j-core", finding.FieldEcosystem: "Maven", finding.FieldFile: "app/pom.xml", finding.FieldCWE: "CWE-502, CWE-20"},
		Remediation:     &finding.Remediation{Recommendation: &finding.Recommendation{Text: "Upgrade it."}},
	}
}

// Every kind of file sets aside what it speaks of, and nothing else.
func TestApply(t *testing.T) {
	for name, c := range map[string]struct {
		file, text string
		want       finding.Status
		unused     int
		expired    int
	}{
		"openvex":             {"a.json", `{"@context":"https://openvex.dev/ns/v0.2.0","statements":[{"vulnerability":{"name":"GHSA-jfh8-c2jp-5v3q"},"products":[{"@id":"pkg:oci/app@sha256:0","subcomponents":[{"@id":"pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1"}]}],"status":"not_affected","justification":"component_not_present"}]}`, finding.Suppressed, 0, 0},
		"openvex of another":  {"a.json", `{"@context":"https://openvex.dev/ns/v0.2.0","statements":[{"vulnerability":"CVE-2021-44228","products":["pkg:maven/org.apache.logging.log4j/log4j-core@2.15.0"],"status":"not_affected"}]}`, finding.New, 1, 0},
		"openvex affected":    {"a.json", `{"@context":"https://openvex.dev/ns","statements":[{"vulnerability":"CVE-2021-44228","status":"affected","action_statement":"upgrade"}]}`, finding.New, 0, 0},
		"cyclonedx":           {"a.json", `{"bomFormat":"CycloneDX","metadata":{"component":{"bom-ref":"product"}},"vulnerabilities":[{"id":"CVE-2021-44228","analysis":{"state":"resolved"},"affects":[{"ref":"product"}]}]}`, finding.Suppressed, 0, 0},
		"cyclonedx in triage": {"a.json", `{"bomFormat":"CycloneDX","vulnerabilities":[{"id":"CVE-2021-44228","analysis":{"state":"in_triage"},"affects":[{"ref":"urn:cdx:x/1#pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1"}]}]}`, finding.New, 0, 0},
		"csaf":                {"a.json", `{"document":{"csaf_version":"2.0"},"product_tree":{"branches":[{"branches":[{"product":{"product_id":"P","product_identification_helper":{"purl":"pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1"}}}]}]},"vulnerabilities":[{"cve":"CVE-2021-44228","product_status":{"known_not_affected":["P"]},"flags":[{"label":"vulnerable_code_not_present","product_ids":["P"]}]}]}`, finding.Suppressed, 0, 0},
		"trivyignore":         {".trivyignore", "# we do not log what users say\nCVE-2021-44228 exp:2027-01-01\nCVE-1999-1\n", finding.Suppressed, 1, 0},
		"trivyignore ended":   {".trivyignore", "CVE-2021-44228 exp:2026-01-01\n", finding.New, 0, 1},
		"trivyignore.yaml":    {".trivyignore.yaml", "vulnerabilities:\n  - id: CVE-2021-44228\n    paths: [\"**/pom.xml\"]\n    statement: no\n", finding.Suppressed, 0, 0},
		"elsewhere":           {".trivyignore.yaml", "vulnerabilities:\n  - id: CVE-2021-44228\n    paths: [\"other/pom.xml\"]\n", finding.New, 1, 0},
		"osv-scanner":         {"osv-scanner.toml", "[[IgnoredVulns]]\nid = \"GHSA-jfh8-c2jp-5v3q\"\nignoreUntil = 2027-01-01\nreason = \"no\"\n", finding.Suppressed, 0, 0},
		"a whole package":     {"osv-scanner.toml", "[[PackageOverrides]]\nname = \"org.apache.logging.log4j:log4j-core\"\necosystem = \"Maven\"\nvulnerability.ignore = true\n", finding.Suppressed, 0, 0},
		"dependency-check":    {"s.xml", `<suppressions xmlns="https://jeremylong.github.io/DependencyCheck/dependency-suppression.1.3.xsd"><suppress><notes>no</notes><packageUrl regex="true">^pkg:maven/org\.apache\.logging\.log4j/.*$</packageUrl><cve>CVE-2021-44228</cve></suppress></suppressions>`, finding.Suppressed, 0, 0},
		"by gav and weakness": {"s.xml", `<suppressions><suppress until="2030-01-01Z"><gav regex="true">^org\.apache\.logging\.log4j:log4j-core:2\..*$</gav><cwe>20</cwe></suppress></suppressions>`, finding.Suppressed, 0, 0},
		"below a score":       {"s.xml", `<suppressions><suppress><cvssBelow>7</cvssBelow></suppress></suppressions>`, finding.New, 1, 0},
		"of a guessed name":   {"s.xml", `<suppressions><suppress><cpe>cpe:/a:apache:log4j</cpe></suppress></suppressions>`, finding.New, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			statements, err := vex.Read(c.file, []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			all := []finding.Finding{log4shell()}
			did := vex.Apply(statements, all, now)
			if got := all[0].Status(); got != c.want || len(did.Unused) != c.unused || len(did.Expired) != c.expired || (did.Suppressed == 1) != (c.want == finding.Suppressed) {
				t.Errorf("the finding is %s (%+v), want %s", got, did, c.want)
			}
		})
	}
}

// What a file does not mean is refused, with the reason.
func TestReadRefuses(t *testing.T) {
	for file, text := range map[string]string{"a.json": `{"a":1}`, "b.json": `{`, "c.xml": "<a/>", ".trivyignore": "CVE-1 exp:never\n", "osv-scanner.toml": "[[IgnoredVulns]]\n", "notes.txt": "hm", "d.json": `{"@context":"https://openvex.dev/ns","statements":[{"vulnerability":"CVE-1","status":"maybe"}]}`,
		"e.xml": `<suppressions><suppress><gav regex="true">(</gav><cve>CVE-1</cve></suppress></suppressions>`} {
		if got, err := vex.Read(file, []byte(text)); err == nil {
			t.Errorf("%s is read as %+v", file, got)
		}
	}
}

// What is written says the same when it is read, in each of the three forms.
func TestWrite(t *testing.T) {
	decided := log4shell()
	statements, err := vex.Read(".trivyignore", []byte("CVE-2021-44228 # vulnerable_code_not_present\n"))
	if err != nil {
		t.Fatal(err)
	}
	all := []finding.Finding{decided}
	vex.Apply(statements, all, now)
	made := vex.Made{Product: "shop", Author: "us", Tool: "0.1", At: now}
	for _, write := range []func(*bytes.Buffer) error{
		func(b *bytes.Buffer) error { return vex.OpenVEX(b, made, all) },
		func(b *bytes.Buffer) error { return vex.CycloneDX(b, made, all) },
		func(b *bytes.Buffer) error { return vex.CSAF(b, made, all) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		again, err := vex.Read("x.json", b.Bytes())
		if err != nil {
			t.Fatalf("%v\n%s", err, b.Bytes())
		}
		fresh := []finding.Finding{log4shell()}
		if did := vex.Apply(again, fresh, now); did.Suppressed != 1 || len(did.Unused) != 0 {
			t.Errorf("%+v by\n%s", did, b.Bytes())
		}
	}
}

// CISA's use cases of CycloneDX change a finding as each says.
func TestUseCases(t *testing.T) {
	dir := os.Getenv("HAECHI_TESTDATA")
	if dir == "" {
		t.Skip("HAECHI_TESTDATA is not set")
	}
	for name, want := range map[string]string{"cdx-affected.json": "affected", "cdx-fixed.json": "fixed", "cdx-not_affected.json": "not_affected", "cdx-under_investigation.json": "under_investigation"} {
		text, err := os.ReadFile(filepath.Join(dir, "manifests", "vex", name))
		if err != nil {
			t.Skip("no VEX there:", err)
		}
		statements, err := vex.Read(name, text)
		if err != nil {
			t.Fatal(err)
		}
		all := []finding.Finding{log4shell()}
		vex.Apply(statements, all, now)
		if got := all[0].ProductFields[vex.FieldStatus]; got != want {
			t.Errorf("%s says %q, want %q", name, got, want)
		}
	}
}

// Any file is read or refused, and what is read can be applied.
func FuzzRead(f *testing.F) {
	f.Add("a.json", []byte(`{"@context":"https://openvex.dev/ns","statements":[{"vulnerability":{"name":"CVE-1"},"products":[{"@id":"pkg:npm/a@1"}],"status":"fixed"}]}`))
	f.Add("a.json", []byte(`{"document":{"csaf_version":"2.0"},"product_tree":{"branches":[{"product":{"product_id":"P"}}]},"vulnerabilities":[{"cve":"CVE-1","product_status":{"fixed":["P"]}}]}`))
	f.Add("a.json", []byte(`{"bomFormat":"CycloneDX","vulnerabilities":[{"id":"CVE-1","analysis":{"state":"resolved"},"affects":[{"ref":"x"}]}]}`))
	f.Add("a.xml", []byte(`<suppressions><suppress until="2030-01-01Z"><gav regex="true">a</gav><cve>CVE-1</cve></suppress></suppressions>`))
	f.Add(".trivyignore", []byte("CVE-1 exp:2026-01-01\n"))
	f.Add(".trivyignore.yaml", []byte("vulnerabilities:\n  - id: CVE-1\n"))
	f.Add("a.toml", []byte("[[IgnoredVulns]]\nid = \"CVE-1\"\n"))
	f.Fuzz(func(t *testing.T, name string, text []byte) {
		if len(text) > 1<<16 {
			return
		}
		statements, err := vex.Read(name, text)
		if err != nil {
			return
		}
		vex.Apply(statements, []finding.Finding{log4shell()}, now)
	})
}
