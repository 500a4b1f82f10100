package report_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/haechi-dev/haechi/tool/report"
	"github.com/haechi-dev/haechi/tool/scan/secret"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

const smallSemgrep = `{"version":"1","errors":[],"results":[{"check_id":"a.b","path":"x.py","start":{"line":1},"extra":{"severity":"ERROR","message":"한글"}}],"paths":{}}`

const smallZAP = `<?xml version="1.0"?><OWASPZAPReport version="2.16"><site name="https://x"><alerts><alertitem><pluginid>1</pluginid><name>n</name><riskcode>2</riskcode></alertitem></alerts></site></OWASPZAPReport>`

func inUTF16(text string, order binary.AppendByteOrder, mark bool) []byte {
	var b []byte
	if mark {
		text = "\ufeff" + text
	}
	for _, u := range utf16.Encode([]rune(text)) {
		b = order.AppendUint16(b, u)
	}
	return b
}

// A report is read in every encoding that tools write, and refused in words in others.
func TestEncodings(t *testing.T) {
	for name, text := range map[string][]byte{
		"plain":             []byte(smallSemgrep),
		"mark":              []byte("\xef\xbb\xbf" + smallSemgrep),
		"UTF-16 LE":         inUTF16(smallSemgrep, binary.LittleEndian, true),
		"UTF-16 BE":         inUTF16(smallSemgrep, binary.BigEndian, true),
		"UTF-16 no mark":    inUTF16(smallSemgrep, binary.LittleEndian, false),
		"XML":               []byte(smallZAP),
		"XML in UTF-16":     inUTF16(strings.Replace(smallZAP, `"1.0"`, `"1.0" encoding="UTF-16"`, 1), binary.LittleEndian, true),
		"XML in Latin-1":    []byte(strings.Replace(strings.Replace(smallZAP, `"1.0"`, `"1.0" encoding="ISO-8859-1"`, 1), ">n<", ">\xfc<", 1)),
		"XML after comment": []byte("<!--\nlicence\n-->\n" + smallZAP),
		"JSON lines":        []byte(`{"template-id":"a","info":{"name":"n","severity":"low"},"host":"h"}` + "\n" + `{"template-id":"b","info":{"name":"n"},"host":"h"}`),
	} {
		r, all, err := read(text, report.Options{})
		if err != nil || len(all) == 0 {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if r.Format == "semgrep-json" && all[0].Title != "한글" {
			t.Errorf("%s: %q", name, all[0].Title)
		}
		if name == "XML in Latin-1" && all[0].Title != "ü" {
			t.Errorf("%s: %q", name, all[0].Title)
		}
	}
	for name, c := range map[string]struct{ text, want string }{
		"UTF-32":     {"\xff\xfe\x00\x00{\x00\x00\x00", "UTF-32"},
		"gzip":       {"\x1f\x8b\x08\x00", "gzip"},
		"zip":        {"PK\x03\x04", "zip"},
		"binary":     {"{\x00\x01\x02\x03}", "NUL"},
		"odd UTF-16": {"\xff\xfe{", "ends within a character"},
		"EBCDIC":     {`<?xml version="1.0" encoding="IBM037"?><x/>`, "encoding"},
		"empty":      {" \n", "empty"},
		"empty list": {"[]", "the tool must be said"},
		"prose":      {"hello", "neither JSON nor XML nor CSV"},
	} {
		if _, _, err := read([]byte(c.text), report.Options{}); err == nil || !strings.Contains(err.Error(), c.want) || fault.Of(err) == fault.Internal {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// What is torn, deep, hostile or mislabelled is an error with its place, and costs little.
func TestHostile(t *testing.T) {
	bomb := `<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><OWASPZAPReport>&b;</OWASPZAPReport>`
	for name, c := range map[string]struct{ text, want string }{
		"torn JSON":       {smallSemgrep[:len(smallSemgrep)-20] + "", "the report is torn"},
		"torn list":       {"[\n{\"RuleID\": \"x\"},\n", "line 3, column 1: it ends in the middle"},
		"torn XML":        {smallZAP[:len(smallZAP)-5], "the report is torn"},
		"torn CSV":        {"id,fqdn/ip,port,severity,finding,cve,cwe\na,b,c\n", "line 2"},
		"open quote":      {"id,fqdn/ip,port,severity,finding,cve,cwe\na,b,c,\"d", "line 2"},
		"text behind":     {smallSemgrep + " hello", "not JSON"},
		"deep JSON":       {`{"results":` + strings.Repeat("[", 100_000), "nested"},
		"deep XML":        {"<OWASPZAPReport>" + strings.Repeat("<a>", 100_000), "nested"},
		"entities":        {bomb, "declares entities"},
		"external":        {`<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><OWASPZAPReport>&e;</OWASPZAPReport>`, "declares entities"},
		"unknown entity":  {`<OWASPZAPReport>&e;</OWASPZAPReport>`, "entity"},
		"two roots":       {"<a/>text", "outside"},
		"numbers":         {"[1,2,3", "torn"},
		"a scalar":        {`"hello"`, "CSV"},
		"null bytes late": {smallSemgrep[:40] + "\x00" + smallSemgrep[40:], "NUL"},
	} {
		_, _, err := read([]byte(c.text), report.Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		} else if k := fault.Of(err); k != fault.Invalid && k != fault.Limit && k != fault.Unsupported {
			t.Errorf("%s: %v is of kind %v", name, err, k)
		}
	}
	// nmap, Nikto and Burp write a document type without entities.
	if _, all, err := read([]byte(`<?xml version="1.0"?><!DOCTYPE nmaprun><?xml-stylesheet href="file:///x.xsl"?><nmaprun version="7"><host><address addr="h"/><ports><port protocol="tcp" portid="22"><state state="open"/></port></ports></host><runstats><finished exit="success"/></runstats></nmaprun>`), report.Options{}); err != nil || len(all) != 1 {
		t.Errorf("nmap: %d %v", len(all), err)
	}
}

// No secret of a report is in what comes of it, nor is what the masker knows for one.
func TestSecretsStay(t *testing.T) {
	secret := strings.Join([]string{"AKIA", "QWERTYUIOPASDFGH"}, "") // so that our own scan does not stumble
	token := "ghp_" + strings.Repeat("a1B2", 9)
	for name, text := range map[string]string{
		"gitleaks":   `[{"RuleID":"aws","Description":"found ` + secret + `","StartLine":1,"Match":"key=` + secret + `","Secret":"` + secret + `","File":"a.env","Commit":"c"}]`,
		"trufflehog": `{"SourceMetadata":{"Data":{"Git":{"file":"a","line":1}}},"DetectorName":"AWS","Raw":"` + secret + `"}`,
		"semgrep":    strings.Replace(smallSemgrep, `"message":"한글"`, `"message":"token `+token+`","lines":"password = \"`+secret+`\""`, 1),
		"zap":        strings.Replace(smallZAP, "<name>n</name>", "<name>n</name><instances><instance><uri>https://kim:"+secret+"@x/a?p="+secret+"</uri><evidence>Authorization: Bearer "+token+"</evidence></instance></instances>", 1),
		"asff":       `[{"SchemaVersion":"2018-10-08","Id":"a","ProductArn":"arn:aws:securityhub:r::product/a/b","GeneratorId":"g","Title":"` + token + `","Description":"password=` + secret + `","Resources":[],"ProductFields":{"x":"secret: ` + secret + `"}}]`,
	} {
		_, all, err := read([]byte(text), report.Options{Salt: []byte("salt")})
		if err != nil || len(all) != 1 {
			t.Errorf("%s: %d %v", name, len(all), err)
			continue
		}
		if said := all[0].JSON(); bytes.Contains(said, []byte(secret)) || bytes.Contains(said, []byte(token)) {
			t.Errorf("%s tells: %s", name, said)
		}
	}
}

// Layouts that tools write and no published sample has.
func TestLayouts(t *testing.T) {
	for _, c := range []struct {
		name, text, format string
		findings           int
		complete           bool
		tells              string // what is said of one of them
	}{
		{"SonarQube with impacts", `{"paging":{"pageIndex":1,"pageSize":100,"total":1},"issues":[{"key":"k","rule":"r","component":"p:src/a:b.java","project":"p","impacts":[{"softwareQuality":"SECURITY","severity":"BLOCKER"}],"issueStatus":"FALSE_POSITIVE","message":"m","tags":["cwe-89"]}],"components":[{"key":"p:src/a:b.java","path":"src/a:b.java"}]}`, "sonarqube-issues-api", 1, true, `"Label":"CRITICAL"`},
		{"SonarQube beyond 10000", `{"paging":{"pageIndex":1,"pageSize":500,"total":10000},"issues":[{"key":"k","rule":"r","component":"p","project":"p","severity":"MAJOR","message":"m"}],"components":[]}`, "sonarqube-issues-api", 1, false, "MEDIUM"},
		{"ZAP with one site", `{"@version":"2.16","insights":[],"site":{"@name":"https://x","alerts":[{"pluginid":"1","alertRef":"1-2","name":"n","riskcode":"3","confidence":"0","instances":[],"systemic":true}]},"sequences":[]}`, "zap-json", 1, true, "SUPPRESSED"},
		{"old Trivy", `[{"Target":"a","Vulnerabilities":[{"VulnerabilityID":"CVE-1","PkgName":"p","InstalledVersion":"1","Severity":"UNKNOWN"}]}]`, "trivy-json", 1, true, "MEDIUM"},
		{"Semgrep without login", `{"version":"1","errors":[],"paths":{},"results":[{"check_id":"x.y","path":"a","start":{"line":3},"extra":{"message":"m","severity":"HIGH","lines":"requires login","fingerprint":"requires login","dataflow_trace":{"taint_source":["CliLoc",[{"path":"a","start":{"line":1}},"x"]],"taint_sink":["CliLoc",[{"path":"a","start":{"line":3}},"y"]]}}},{"check_id":"x.z","path":"a","start":{"line":4},"extra":{"message":"m","severity":"HIGH","lines":"requires login","fingerprint":"requires login"}}]}`, "semgrep-json", 2, true, "a:1 → a:3"},
		{"Dependency-Check suppressed", `{"reportSchema":"1.1","scanInfo":{"engineVersion":"9"},"dependencies":[{"fileName":"a.jar","packages":[{"id":"pkg:maven/g/a@1"}],"vulnerabilities":[{"name":"CVE-1","severity":"HIGH","cvssv4":{"baseScore":9.3}}],"suppressedVulnerabilities":[{"name":"CVE-2","severity":"LOW","notes":"not ours"}]}]}`, "dependency-check-json", 2, true, "not ours"},
		{"Retire with a list", `[{"file":"a.js","results":[{"component":"jquery","version":"1","vulnerabilities":[{"identifiers":{"summary":"s"},"severity":"high","below":"2"}]}]}]`, "retirejs-json", 1, true, "HIGH"},
		{"SARIF without results", `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"t"}}}]}`, "sarif", 0, false, ""},
		{"clean SARIF", `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"t"}},"results":[]}]}`, "sarif", 0, true, ""},
		{"SARIF with percent signs", `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"t"}},"results":[{"ruleId":"r","message":{"text":"m"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"a%20dir/b.c"}}}]}]}]}`, "sarif", 1, true, `"haechi/file":"a dir/b.c"`},
		{"clean tfsec", `{"results":null}`, "tfsec-json", 0, true, ""},
		{"GuardDuty", `{"Findings":[{"Arn":"arn:aws:guardduty:r:111122223333:detector/d/finding/f","Type":"Recon:EC2/Portscan","Severity":8,"Title":"t","Description":"d","Region":"r","AccountId":"111122223333","Service":{"Archived":true},"Resource":{"InstanceDetails":{"InstanceId":"i-1"}}}]}`, "guardduty", 1, true, "SUPPRESSED"},
		{"Dependabot", `[{"number":1,"state":"open","dependency":{"manifest_path":"package.json","scope":"runtime"},"security_advisory":{"ghsa_id":"GHSA-x","cve_id":"CVE-2","summary":"s","severity":"high"},"security_vulnerability":{"package":{"name":"p","ecosystem":"npm"},"first_patched_version":{"identifier":"2"}}}]`, "github-dependabot-api", 1, true, "CVE-2"},
		{"Nessus", `<NessusClientData_v2><Report><ReportHost name="h"><ReportItem pluginID="1" pluginName="n" port="443" protocol="tcp" severity="3"><cve>CVE-1</cve><cve>CVE-2</cve><cvss3_base_score>8.1</cvss3_base_score></ReportItem></ReportHost></Report></NessusClientData_v2>`, "nessus-xml", 1, true, "HIGH"},
		{"an unknown severity", `[{"code":"DL1","level":"horrible","file":"Dockerfile","line":1,"message":"m"}]`, "hadolint-json", 1, true, "horrible"},
	} {
		r, all, err := read([]byte(c.text), report.Options{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		said := ""
		for _, f := range all {
			said += string(f.JSON())
		}
		if r.Format != c.format || len(all) != c.findings || r.Complete != c.complete || !strings.Contains(said, c.tells) {
			t.Errorf("%s: %s, %d findings, complete %v: %s", c.name, r.Format, len(all), r.Complete, said)
		}
		if c.name == "an unknown severity" && len(r.Warnings) != 1 {
			t.Errorf("%s: warnings %v", c.name, r.Warnings)
		}
	}
}

// An empty list is the report of the tool that is said: it found nothing.
func TestEmptyList(t *testing.T) {
	r, all, err := read([]byte("[]\n"), report.Options{Tool: "gitleaks"})
	if err != nil || len(all) != 0 || r.Tool != "gitleaks" || !r.Complete {
		t.Errorf("%+v %v", r, err)
	}
}

// seeds are one small report of each form.
func seeds() []string {
	return []string{smallSemgrep, smallZAP, "id,fqdn/ip,port,severity,finding,cve,cwe\na,b/c,443,HIGH,f,,\n", `[{"RuleID":"x","StartLine":1,"Secret":"s","Match":"s"}]`,
		`{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"t","rules":[{"id":"r"}]}},"results":[{"ruleId":"r","ruleIndex":0,"message":{"id":"a","arguments":["b"]},"locations":[{"physicalLocation":{"artifactLocation":{"index":0},"region":{"startLine":1}}}],"suppressions":[{}]}]}]}`,
		`{"SchemaVersion":2,"ArtifactName":"a","Results":[{"Target":"t","Vulnerabilities":[{"VulnerabilityID":"CVE-1","PkgName":"p","CVSS":{"nvd":{"V3Score":9.8}}}]}]}`,
		`[{"SchemaVersion":"2018-10-08","Id":"a","ProductArn":"p","GeneratorId":"g","Resources":[{"Type":"t","Id":"i"}]}]`,
		`{"bomFormat":"CycloneDX","components":[{"bom-ref":"a","name":"n"}],"vulnerabilities":[{"id":"CVE-1","affects":[{"ref":"a"}],"ratings":[{"score":1}]}]}`,
		`{"auditReportVersion":2,"vulnerabilities":{"a":{"name":"a","via":["b",{"source":1,"url":"u/GHSA-1"}]}}}`, "scoutsuite_results =\n{\"services\":{\"s\":{\"findings\":{\"r\":{\"flagged_items\":1,\"items\":[\"a.b\"]}}}},\"last_run\":{}}",
		`<report type="security"><vulnerabilities><vulnerability name="n"><entries><entry><level>1</level></entry></entries></vulnerability></vulnerabilities></report>`, `{"config":{"scanner_name":"g"}}{"osv":{"id":"GO-1"}}{"finding":{"osv":"GO-1","trace":[{"module":"m","function":"f"}]}}`}
}

// check holds a report of any bytes to what is promised of all.
func check(t *testing.T, text []byte, o report.Options) {
	r, all, err := read(text, o)
	if err != nil {
		if fault.Of(err) == fault.Internal {
			t.Fatalf("%v", err)
		}
		return
	}
	if len(all) != r.Findings || r.Findings > r.Records {
		t.Fatalf("%d findings of %d of %d records", len(all), r.Findings, r.Records)
	}
	seen := map[string]bool{}
	for _, f := range all {
		id := f.ID + "\x00" + f.ProductFields["haechi/fingerprint"]
		if seen[id] {
			t.Fatalf("%q is there twice", id)
		}
		seen[id] = true
		if f.Title == "" && f.ID == "" || len(f.Title) > 256+8 || len(f.Description) > 1024+8 || len(f.ProductFields) > 50 {
			t.Fatalf("%s", f.JSON())
		}
	}
}

// Whatever JSON holds, it becomes findings that can be told apart, or a refusal.
func FuzzJSON(f *testing.F) {
	for _, s := range seeds() {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) { check(t, text, report.Options{Salt: []byte("s")}) })
}

// Whatever XML holds, the same.
func FuzzXML(f *testing.F) {
	f.Add([]byte(smallZAP))
	for _, root := range []string{"analysis", "issues", "nmaprun", "niktoscan", "bom", "BugCollection", "detailedreport", "NessusClientData_v2"} {
		f.Add([]byte("<" + root + ` burpVersion="1"><dependencies><dependency><fileName>a</fileName></dependency></dependencies><issue><type>1</type></issue></` + root + ">"))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 0 && text[0] == '<' {
			check(t, text, report.Options{})
		}
	})
}

// Whatever a table or a list holds, a mapping reads it or refuses.
func FuzzMapped(f *testing.F) {
	f.Add([]byte("check,message\na,b\n"), "check", "message", "")
	f.Add([]byte(`{"a":{"b":[{"c":{"d":1}}]}}`), "c.d", "=text", "a/b")
	f.Fuzz(func(t *testing.T, text []byte, rule, title, records string) {
		check(t, text, report.Options{Mapping: &report.Mapping{Tool: "t", Rule: rule, Title: title, Records: records}})
	})
}

// What our own scanner and another tool found is known for one secret by its hash.
func TestSecretHashIsOurs(t *testing.T) {
	token := "Q7mZ1xK9vB3nT5cW8rL2" + "sD4fG6hJ0pYqUeIo/a+z"
	salt := []byte("salt")
	own := secret.New(salt).Check("a.env", []byte("aws_secret_access_key = "+token+"\n"))
	_, others, err := read([]byte(`[{"RuleID":"github-pat","StartLine":1,"Match":"x","Secret":"`+token+`","File":"a.env"}]`), report.Options{Salt: salt})
	if err != nil || len(others) != 1 || len(own) == 0 {
		t.Fatal(own, others, err)
	}
	if got, want := others[0].ProductFields[finding.FieldSecret], own[0].ProductFields[finding.FieldSecret]; got != want || got == "" {
		t.Errorf("%s and %s", got, want)
	}
}

// endless is a report of which one value has no end for a gigabyte.
type endless struct{ start string }

func (e endless) ReadAt(p []byte, off int64) (int, error) {
	for i := range p {
		p[i] = 'x'
		if at := off + int64(i); at < int64(len(e.start)) {
			p[i] = e.start[at]
		}
	}
	return len(p), nil
}

// One value that is larger than any record is refused before it is held.
func TestEndlessValue(t *testing.T) {
	for _, start := range []string{`{"a":"`, "<OWASPZAPReport><site>", "id,finding\n\"", `{"`, "<"} {
		_, err := report.Foreign(endless{start}, 1<<30, report.Options{})
		if fault.Of(err) != fault.Limit {
			t.Errorf("%q: %v", start, err)
		}
	}
}
