package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/sigv4"
	"github.com/haechi-dev/haechi/word/finding"
)

// call is one signed call of Security Hub's.
func (s *server) call(path string, in any) ([]byte, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequest(http.MethodPost, s.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	sigv4.Signer{AccessKey: s.key.KeyID, Secret: s.key.Secret.Reveal(), Region: "us-east-1", Service: "securityhub"}.Sign(r, sigv4.Hash(body), time.Now())
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, answer)
	}
	return answer, err
}

// sample is the i-th of many findings that differ: about 2.1 KB of ASFF.
func sample(i int) finding.Finding {
	labels := finding.Labels
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * time.Second)
	return finding.Finding{
		SchemaVersion: finding.SchemaVersion, ID: fmt.Sprintf("arn:aws:config:us-east-1:000000000000:config-rule/rule-%d/finding/%08d", i%97, i),
		ProductARN: "arn:aws:securityhub:us-east-1:000000000000:product/000000000000/default", GeneratorID: fmt.Sprintf("rule-%d", i%97), AccountID: "000000000000",
		Types: []string{"Software and Configuration Checks/AWS Security Best Practices"}, CreatedAt: finding.Stamp(at), UpdatedAt: finding.Stamp(at),
		Severity: &finding.Severity{Label: labels[(i+i/500)%len(labels)]}, Title: fmt.Sprintf("Bucket %d may be read by everybody", i), Description: strings.Repeat("What it means, and why it matters. ", 20),
		Remediation:   &finding.Remediation{Recommendation: &finding.Recommendation{Text: strings.Repeat("Turn on Block Public Access. ", 8), URL: "https://docs.example.com/s3/" + fmt.Sprint(i%97)}},
		ProductFields: map[string]string{"aws/config/ConfigRuleArn": fmt.Sprintf("arn:aws:config:us-east-1:000000000000:config-rule/rule-%d", i%97), "evaluated": finding.Stamp(at)},
		Resources:     []finding.Resource{{Type: "AwsS3Bucket", ID: fmt.Sprintf("arn:aws:s3:::team-%03d-bucket-%d", i%500, i), Partition: "aws", Region: "us-east-1", Tags: map[string]string{"team": fmt.Sprint(i % 500), "stage": "prod"}}},
		Compliance:    &finding.Compliance{Status: finding.Failed},
	}
}

// fill imports n findings, 100 a call, over some connections at once.
func (s *server) fill(n, connections int) (time.Duration, error) {
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = connections
	var next atomic.Int64
	var workers sync.WaitGroup
	failed := make(chan error, connections)
	began := time.Now()
	for range connections {
		workers.Go(func() {
			for {
				from := int(next.Add(100)) - 100
				if from >= n {
					return
				}
				var in struct{ Findings []finding.Finding }
				for i := from; i < min(from+100, n); i++ {
					in.Findings = append(in.Findings, sample(i))
				}
				answer, err := s.call("/findings/import", in)
				if err == nil && !bytes.Contains(answer, []byte(`"FailedCount":0`)) {
					err = fmt.Errorf("not all were taken: %.300s", answer)
				}
				if err != nil {
					failed <- err
					return
				}
			}
		})
	}
	workers.Wait()
	took := time.Since(began)
	select {
	case err := <-failed:
		return took, err
	default:
		return took, nil
	}
}

// imports measures 10,000 findings, signed, over HTTP, durable; then the same again.
func imports(program string) error {
	for _, connections := range []int{1, 4} {
		folder, err := os.MkdirTemp("", "bench")
		if err != nil {
			return err
		}
		defer os.RemoveAll(folder)
		s, err := serve(program, folder)
		if err != nil {
			return err
		}
		took, err := s.fill(10_000, connections)
		if err != nil {
			return err
		}
		cpu := s.cpu()
		again, err := s.fill(10_000, connections)
		if err != nil {
			return err
		}
		fmt.Printf("import: 10,000 findings over %d connections in %.2f s (%.2f s of the server's CPU); unchanged again in %.2f s\n", connections, took.Seconds(), cpu.Seconds(), again.Seconds())
		s.stop()
	}
	return nil
}

// query measures GetFindings among many: severity, workflow, resource prefix (one
// of 500 teams) and product (which all have), the newest first, a page of 100.
func query(program string) error {
	n := 1_000_000
	if text := os.Getenv("BENCH_FINDINGS"); text != "" {
		if _, err := fmt.Sscan(text, &n); err != nil {
			return err
		}
	}
	folder, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	s, err := serve(program, folder)
	if err != nil {
		return err
	}
	took, err := s.fill(n, 4)
	if err != nil {
		return err
	}
	ask := func(i int) (int, time.Duration, error) {
		in := map[string]any{
			"Filters": map[string]any{
				"SeverityLabel":  []any{map[string]string{"Value": "CRITICAL", "Comparison": "EQUALS"}, map[string]string{"Value": "HIGH", "Comparison": "EQUALS"}},
				"WorkflowStatus": []any{map[string]string{"Value": "NEW", "Comparison": "EQUALS"}},
				"ResourceId":     []any{map[string]string{"Value": fmt.Sprintf("arn:aws:s3:::team-%03d-", i*37%500), "Comparison": "PREFIX"}},
				"ProductArn":     []any{map[string]string{"Value": "arn:aws:securityhub:us-east-1:000000000000:product/000000000000/default", "Comparison": "EQUALS"}},
			},
			"SortCriteria": []any{map[string]string{"Field": "UpdatedAt", "SortOrder": "desc"}}, "MaxResults": 100,
		}
		began := time.Now()
		answer, err := s.call("/findings", in)
		return bytes.Count(answer, []byte(`"SchemaVersion"`)), time.Since(began), err
	}
	if _, first, err := ask(0); err != nil {
		return err
	} else {
		fmt.Printf("query: %d findings imported in %.0f s; the first query took %v\n", n, took.Seconds(), first.Round(time.Millisecond))
	}
	measure := func(when string) error {
		var times []time.Duration
		began, cpu := time.Now(), s.cpu()
		for i := range 500 {
			found, took, err := ask(i)
			if err != nil {
				return err
			}
			if found == 0 {
				return fmt.Errorf("query %d found nothing", i)
			}
			times = append(times, took)
		}
		fmt.Printf("query %s: p50 %v, p99 %v, most %v; the server used %v of CPU in %v; %.0f MB RSS\n", when, percentile(times, 0.5), percentile(times, 0.99), percentile(times, 1),
			(s.cpu() - cpu).Round(time.Millisecond), time.Since(began).Round(time.Millisecond), s.rss())
		return nil
	}
	if err := measure("at once"); err != nil {
		return err
	}
	rested := time.Now()
	for used := time.Second; used > 100*time.Millisecond; { // until the routes have seen every event
		cpu := s.cpu()
		time.Sleep(2 * time.Second)
		used = s.cpu() - cpu
	}
	fmt.Printf("query: the server came to rest %.0f s after that\n", time.Since(rested).Seconds())
	if err := measure("at rest"); err != nil {
		return err
	}
	s.stop()
	return nil
}
