package securityhub_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/door/wire/securityhub"
	"github.com/haechi-dev/haechi/door/wire/wiretest"
)

// Ten thousand findings, signed, over HTTP, a hundred a call, each call durable when it is answered.
func BenchmarkImport10000(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		s := wiretest.Serve(b, wiretest.Options{}, securityhub.Service(newHub(b)))
		var bodies []string
		for call := range 100 {
			var list []string
			for i := range 100 {
				f := fmt.Sprintf(foundling, fmt.Sprintf("f-%d-%d", call, i), "2026-01-01T00:00:00Z")
				list = append(list, strings.Replace(f, `"Description":"d"`, `"Description":"`+strings.Repeat("what is wrong ", 60)+`","ProductFields":{"a":"b","c":"d"}`, 1))
			}
			bodies = append(bodies, `{"Findings":[`+strings.Join(list, ",")+`]}`)
		}
		b.StartTimer()
		for _, body := range bodies {
			response, text := s.Call(b, "securityhub", "POST", "/findings/import", "", body)
			if response.StatusCode != http.StatusOK || !strings.Contains(string(text), `"SuccessCount":100`) {
				b.Fatalf("%s %s", response.Status, text)
			}
		}
	}
}
