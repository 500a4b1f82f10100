package match_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/lang/match"
)

// BenchmarkSet measures events a second of CPU time, bytes a rule and hits, on
// 2,000 distinct findings of about 2,485 bytes. The rules:
//
//	A  source, severity and a prefix of the product's ARN that is each rule's own
//	B  A and, for a fifth each, a numeric, wildcard, anything-but, cidr or tag clause
//	C  the same rule again and again, which matches two events of five
//	W  a wildcard on the product's ARN that is each rule's own
//
// Run it with: go test -run '^$' -bench Set -cpu 1 ./lang/match
func BenchmarkSet(b *testing.B) {
	events := findings(2000)
	for _, c := range []struct {
		name  string
		rules int
		rule  func(int) string
	}{
		{"A", 1, ruleA}, {"A", 1000, ruleA}, {"A", 10_000, ruleA}, {"A", 100_000, ruleA},
		{"B", 1000, ruleB}, {"B", 10_000, ruleB}, {"B", 100_000, ruleB},
		{"C", 1000, ruleC},
		{"W", 10, ruleW}, {"W", 100, ruleW}, {"W", 300, ruleW}, {"W", 10_000, ruleW},
	} {
		b.Run(fmt.Sprintf("%s/%d", c.name, c.rules), func(b *testing.B) {
			set, size := measured(b, c.rules, c.rule)
			benchmarkMatch(b, set, events)
			b.ReportMetric(size, "B/rule")
		})
	}
}

// BenchmarkWith measures adding one rule to a hundred thousand.
func BenchmarkWith(b *testing.B) {
	set, _ := measured(b, 100_000, ruleA)
	for i := 0; b.Loop(); i++ {
		p, err := match.Parse([]byte(ruleB(i)))
		if err != nil {
			b.Fatal(err)
		}
		set = set.With(match.Rule[string]{ID: fmt.Sprint("more-", i), Pattern: p})
	}
}

// BenchmarkGrown measures what it costs that rules were added one at a time.
func BenchmarkGrown(b *testing.B) {
	set, _ := measured(b, 97_000, ruleA)
	for i := 97_000; i < 100_000; i++ {
		p, err := match.Parse([]byte(ruleA(i)))
		if err != nil {
			b.Fatal(err)
		}
		set = set.With(match.Rule[string]{ID: fmt.Sprintf("rule-%06d", i), Pattern: p})
	}
	benchmarkMatch(b, set, findings(2000))
}

// BenchmarkNewSet measures making a set of a hundred thousand rules, parsing included.
func BenchmarkNewSet(b *testing.B) {
	for b.Loop() {
		measured(b, 100_000, ruleA)
	}
	b.ReportMetric(float64(100_000*b.N)/b.Elapsed().Seconds(), "rules/s")
}

// BenchmarkPattern measures one pattern alone.
func BenchmarkPattern(b *testing.B) {
	p, err := match.Parse([]byte(ruleA(7)))
	if err != nil {
		b.Fatal(err)
	}
	events := findings(2000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		p.Match(events[i%len(events)])
	}
}

func measured(b *testing.B, n int, rule func(int) string) (set *match.Set[string], perRule float64) {
	before := heap()
	rules := make([]match.Rule[string], n)
	for i := range rules {
		p, err := match.Parse([]byte(rule(i)))
		if err != nil {
			b.Fatal(err)
		}
		rules[i] = match.Rule[string]{ID: fmt.Sprintf("rule-%06d", i), Pattern: p}
	}
	set = match.NewSet(rules...)
	rules = nil
	perRule = (heap() - before) / float64(n)
	runtime.KeepAlive(set)
	return set, perRule
}

func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

func benchmarkMatch(b *testing.B, set *match.Set[string], events [][]byte) {
	var ids []string
	hits := 0
	for _, e := range events { // warm
		ids, _ = set.Match(e, ids[:0])
		hits += len(ids)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(events[0])))
	start := cpuTime()
	n := 0
	for i := 0; b.Loop(); i++ {
		if i == len(events) {
			i = 0
		}
		var err error
		if ids, err = set.Match(events[i], ids[:0]); err != nil {
			b.Fatal(err)
		}
		n++
	}
	b.ReportMetric(float64(n)/(cpuTime()-start).Seconds(), "events/cpu-s")
	b.ReportMetric(float64(hits), "hits")
}

// cpuTime is the time that the process has been computing, which a busy machine does not stretch.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func ruleA(i int) string {
	return fmt.Sprintf(`{"source": ["aws.securityhub"], "detail": {"findings": {"Severity": {"Label": [%q]}, "ProductArn": [{"prefix": %q}]}}}`,
		labels()[i%4], productARN(i))
}

func ruleB(i int) string {
	more := []string{
		`"Severity": {"Label": [%q], "Normalized": [{"numeric": [">=", 40]}]}`,
		`"Severity": {"Label": [%q]}, "Title": [{"wildcard": "*port*open*"}]`,
		`"Severity": {"Label": [%q]}, "Workflow": {"Status": [{"anything-but": ["SUPPRESSED", "RESOLVED"]}]}`,
		`"Severity": {"Label": [%q]}, "Network": {"SourceIpV4": [{"cidr": "10.0.0.0/8"}]}`,
		`"Severity": {"Label": [%q]}, "Resources": {"Tags": {"team": ["payments", "search"]}}`,
	}
	return fmt.Sprintf(`{"source": ["aws.securityhub"], "detail": {"findings": {`+more[i%5]+`, "ProductArn": [{"prefix": %q}]}}}`,
		labels()[i%4], productARN(i))
}

func ruleC(int) string {
	return `{"source": ["aws.securityhub"], "detail": {"findings": {"Severity": {"Label": ["HIGH", "CRITICAL"]}, "ProductArn": [{"prefix": "arn:aws:securityhub:"}]}}}`
}

func ruleW(i int) string {
	return fmt.Sprintf(`{"detail": {"findings": {"ProductArn": [{"wildcard": "*:%d*/scanner%d*"}]}}}`, i, i)
}

func labels() []string { return []string{"LOW", "MEDIUM", "HIGH", "CRITICAL", "INFORMATIONAL"} }

func productARN(i int) string {
	return fmt.Sprintf("arn:aws:securityhub:us-east-1:%d%09d:product/vendor%d/scanner%d", i%1000, i*7919%1_000_000_000, i%50, i)
}

// findings are n events, each a finding of its own in EventBridge's envelope.
func findings(n int) [][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	events := make([][]byte, n)
	for i := range events {
		events[i] = finding(r, i)
	}
	return events
}

func finding(r *rand.Rand, i int) []byte {
	var b strings.Builder
	account := fmt.Sprintf("%012d", r.IntN(1_000_000_000))
	fmt.Fprintf(&b, `{"version":"0","id":"%08x-0f9a-4b6e-9d1c-%012x","detail-type":"Security Hub Findings - Imported","source":"aws.securityhub","account":"%s","time":"2026-03-04T05:06:%02dZ","region":"us-east-1","resources":["%s/finding/%d"],`,
		r.Uint32(), r.Uint64()>>16, account, i%60, productARN(i), i)
	fmt.Fprintf(&b, `"detail":{"findings":[{"SchemaVersion":"2018-10-08","Id":"%s/finding/%x","ProductArn":"%s","ProductName":"Scanner","CompanyName":"Vendor %d","Region":"us-east-1","GeneratorId":"scanner/rule-%d","AwsAccountId":"%s",`,
		productARN(i), r.Uint64(), productARN(i), i%50, r.IntN(500), account)
	fmt.Fprintf(&b, `"Types":["Software and Configuration Checks/Vulnerabilities/CVE"],"FirstObservedAt":"2026-03-0%dT00:00:00Z","LastObservedAt":"2026-03-04T05:06:07Z","CreatedAt":"2026-03-01T00:00:00Z","UpdatedAt":"2026-03-04T05:06:07Z",`, 1+i%4)
	fmt.Fprintf(&b, `"Severity":{"Label":"%s","Original":"%d.%d","Normalized":%d},"Confidence":%d,"Title":"CVE-2026-%d: port %d is open to the world","Description":"%s","Remediation":{"Recommendation":{"Text":"Restrict the security group, then scan again. See the documentation for what else is affected.","Url":"https://docs.example.com/remediation/%d"}},`,
		labels()[r.IntN(5)], r.IntN(10), r.IntN(10), r.IntN(101), r.IntN(100), r.IntN(10000), r.IntN(65536),
		"A security group allows unrestricted ingress. Anyone on the network can reach the service that listens there, and weaknesses in it can be used from afar.", i)
	fmt.Fprintf(&b, `"ProductFields":{"aws/securityhub/FindingId":"%s/%d","aws/securityhub/ProductName":"Scanner","aws/securityhub/CompanyName":"Vendor","scan/duration":"%d","scan/engine":"7.4.%d"},"Network":{"Direction":"IN","Protocol":"TCP","SourceIpV4":"%d.%d.%d.%d","SourcePort":%d,"DestinationPort":443},`,
		productARN(i), i, r.IntN(1000), r.IntN(30), []int{10, 172, 192}[r.IntN(3)], r.IntN(256), r.IntN(256), r.IntN(256), r.IntN(65536))
	fmt.Fprintf(&b, `"Resources":[{"Type":"AwsEc2Instance","Id":"arn:aws:ec2:us-east-1:%s:instance/i-%016x","Partition":"aws","Region":"us-east-1","Tags":{"team":"%s","env":"production"},"Details":{"AwsEc2Instance":{"Type":"m5.large","ImageId":"ami-%08x","IpV4Addresses":["10.1.%d.%d"],"VpcId":"vpc-%08x","LaunchedAt":"2026-01-01T00:00:00Z"}}}],`,
		account, r.Uint64(), []string{"payments", "search", "shop"}[r.IntN(3)], r.Uint32(), r.IntN(256), r.IntN(256), r.Uint32())
	b.WriteString(`"Compliance":{"Status":"FAILED"},"WorkflowState":"NEW","Workflow":{"Status":"NEW"},"RecordState":"ACTIVE","Note":{"Text":"`)
	const size, rest = 2485, `","UpdatedBy":"scanner","UpdatedAt":"2026-03-04T05:06:07Z"}}]}}`
	b.WriteString(strings.Repeat("seen again; ", 100)[:max(0, size-len(rest)-b.Len())])
	b.WriteString(rest)
	return []byte(b.String())
}

// The events of the benchmark are what it says.
func TestFindings(t *testing.T) {
	total := 0
	for _, e := range findings(2000) {
		if err := match.Check(e); err != nil {
			t.Fatal(err)
		}
		total += len(e)
	}
	if mean := total / 2000; mean < 2450 || mean > 2520 {
		t.Errorf("events have %d bytes on average", mean)
	}
}
