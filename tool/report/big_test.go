package report_test

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/tool/report"
	"github.com/haechi-dev/haechi/word/finding"
)

// long is a report that is made while it is read: a start, many records, an end.
type long struct {
	start, record, between, end string // record has a %08d
	n                           int
}

func (l long) size() int64 {
	one := len(fmt.Sprintf(l.record, 0))
	return int64(len(l.start) + l.n*one + (l.n-1)*len(l.between) + len(l.end))
}

func (l long) ReadAt(p []byte, off int64) (int, error) {
	if off >= l.size() {
		return 0, io.EOF
	}
	step := len(fmt.Sprintf(l.record, 0)) + len(l.between)
	var b strings.Builder
	at := int64(0)
	if off < int64(len(l.start)) {
		b.WriteString(l.start)
	} else {
		first := int(off-int64(len(l.start))) / step
		at = int64(len(l.start)) + int64(min(first, l.n-1)*step)
	}
	for i := max(0, int(at-int64(len(l.start)))/step); i < l.n && int64(b.Len())+at < off+int64(len(p)); i++ {
		fmt.Fprintf(&b, l.record, i)
		if i < l.n-1 {
			b.WriteString(l.between)
		} else {
			b.WriteString(l.end)
		}
	}
	n := copy(p, b.String()[off-at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// A report of 10 MB is read in 6, whatever the form: it is never held.
func TestLargeIsNeverHeld(t *testing.T) {
	const n = 4_000
	pad := strings.Repeat("y", 2500)
	for name, l := range map[string]long{
		"sarif":   {`{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"t"}},"results":[`, `{"ruleId":"r","message":{"text":"%08d ` + pad + `"}}`, ",", `]}]}`, n},
		"trivy":   {`{"SchemaVersion":2,"ArtifactName":"a","Results":[{"Target":"t","Class":"os-pkgs","Vulnerabilities":[`, `{"VulnerabilityID":"CVE-%08d","PkgName":"p","Description":"` + pad + `"}`, ",", `]}]}`, n},
		"nuclei":  {"", `{"template-id":"t%08d","info":{"name":"n","description":"` + pad + `"},"host":"h"}`, "\n", "\n", n},
		"burp":    {`<issues burpVersion="2">`, `<issue><type>%08d</type><name>n</name><host>h</host><path>/</path><issueBackground>` + pad + `</issueBackground></issue>`, "", `</issues>`, n},
		"testssl": {"id,fqdn/ip,port,severity,finding,cve,cwe\n", `a%08d,b/c,443,HIGH,` + pad + `,,`, "\n", "\n", n},
	} {
		var most uint64
		watch := func() {
			runtime.GC() // what is held, not what is to be swept
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		}
		runtime.GC()
		r, err := report.Foreign(l, l.size(), report.Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		seen := 0
		err = r.Each(func(finding.Finding) error {
			if seen++; seen%500 == 0 {
				watch()
			}
			return nil
		})
		if err != nil || seen != n || r.Findings != n {
			t.Errorf("%s: %d of %d findings, %v", name, seen, r.Findings, err)
		}
		if most > 6<<20 {
			t.Errorf("%s: %d MB of %d", name, most>>20, l.size()>>20)
		}
	}
}
