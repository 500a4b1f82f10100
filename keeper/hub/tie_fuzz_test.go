package hub

import (
	"testing"

	"github.com/haechi-dev/haechi/word/finding"
)

// Whatever tools write, claims are bounded and can be kept, and two findings are the same or not whichever comes first.
func FuzzTies(f *testing.F) {
	f.Add("src/a.js", "3", "CWE-89", `router.get('/products/:id', q)`, "GET:http://x/products/7?q http://x/?q", "CVE-2021-1", "@a/b", "v1.2", "pkg:npm/%40a/b@1.2", "q")
	f.Add("public/hello.php", "1", "CWE-79, CWE-20", "", "https://x/hello.php?name=1", "GHSA-1-1-1", "org.x:y", "", "pkg:maven/org.x/y@1", "name")
	f.Add("", "", "", "'/\x00{'", "http://[::1]/%00?%zz", "", "", ">=1", "pkg:", "\xff")
	f.Fuzz(func(t *testing.T, file, line, cwe, excerpt, places, id, pkg, version, purl, param string) {
		code := finding.Finding{ProductFields: map[string]string{finding.FieldTool: "a", finding.FieldTarget: "t", finding.FieldFile: file, finding.FieldLine: line, finding.FieldCWE: cwe, finding.FieldExcerpt: excerpt}}
		site := finding.Finding{ProductFields: map[string]string{finding.FieldTool: "b", finding.FieldTarget: "t", finding.FieldCWE: cwe, "haechi/places": places, "haechi/report/parameter": param}, Resources: []finding.Resource{{ID: places}}}
		library := finding.Finding{ProductFields: map[string]string{finding.FieldTool: "c", finding.FieldTarget: "t", "haechi/purl": purl, finding.FieldInstalled: version},
			Vulnerabilities: []finding.Vulnerability{{ID: id, Related: []string{"CVE-2021-1"}, Packages: []finding.Package{{Name: pkg, Version: version}}}, {ID: id}}}
		other := library
		other.ProductFields = map[string]string{finding.FieldTool: "d", finding.FieldTarget: "t", finding.FieldPackage: pkg}
		var nodes []*node
		for i, one := range []finding.Finding{code, site, library, other, code} {
			claims := claimsOf(&one)
			if len(claims) > maxClaims {
				t.Fatalf("%d claims", len(claims))
			}
			for _, c := range claims {
				if len(c.name) > 500 || !storable(c.name) || len(c.marks) == 0 || len(c.marks) > 200 {
					t.Fatalf("claim %q with %d marks", c.name, len(c.marks))
				}
				nodes = append(nodes, &node{row: &row{seq: int64(i), finding: one}, claim: c})
			}
		}
		for _, a := range nodes {
			for _, b := range nodes {
				x, y := judge(a, b), judge(b, a)
				if x.verdict != y.verdict || x.kind != y.kind {
					t.Fatalf("%+v, the other way %+v", x, y)
				}
				if x.verdict == same && x.reason == "" {
					t.Fatal("the same without a reason")
				}
			}
		}
	})
}
