package intake

import (
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/haechi-dev/haechi/word/fault"
)

// Whatever a body holds, it becomes a delivery or a refusal, and records are UTF-8 within their limits.
func FuzzFirehose(f *testing.F) {
	f.Add([]byte(`{"requestId":"a","timestamp":1,"records":[{"data":"eyJSZWNvcmRzIjpbe31dfQ=="},{"data":""}]}`), `{"commonAttributes":{"a":"b"}}`)
	f.Add([]byte(`{"requestId":"a","records":[{"data":"H4sIAAAAAAAAA0tMSgYAwkEkNQMAAAA="}]}`), "")
	f.Fuzz(func(t *testing.T, body []byte, common string) {
		if _, err := attributes(http.Header{"X-Amz-Firehose-Common-Attributes": {common}}); err != nil && fault.Of(err) == fault.Internal {
			t.Fatal(err)
		}
		datas, err := readDelivery(body, "a")
		if err != nil {
			if fault.Of(err) == fault.Internal {
				t.Fatal(err)
			}
			return
		}
		for _, d := range datas {
			unpackAll(t, d)
		}
	})
}

// Whatever input holds, it becomes records with a source and a time, or a refusal.
func FuzzRecognise(f *testing.F) {
	for _, s := range []string{
		`{"Records":[{"eventSource":"a","eventName":"b","userIdentity":{}}]}`, `{"messageType":"DATA_MESSAGE","logEvents":[{"timestamp":1,"message":"{}"}]}`,
		`{"detail-type":"GuardDuty Finding","detail":{"type":"t","service":{"serviceName":"guardduty"},"accountId":"1"}}`, `[[{}],1]`, "version srcaddr dstaddr start\n1 2 3 4\n",
		"2 1 eni-1 1 1 1 1 1 1 1 1 1 1 1", "\xef\xbb\xbf{\"a\":1e999}", "\x1f\x8b\x08",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) { unpackAll(t, text) })
}

func unpackAll(t *testing.T, text []byte) {
	u := unpacker{now: time.Unix(1, 0), room: 1 << 20}
	if err := u.add(text); err != nil {
		if fault.Of(err) == fault.Internal {
			t.Fatal(err)
		}
		return
	}
	for _, r := range u.records {
		if r.Source == "" || r.Time.IsZero() || !utf8.ValidString(r.Text) || strings.TrimSpace(r.Text) == "" {
			t.Fatalf("%+v", r)
		}
	}
}

func BenchmarkUnpack(b *testing.B) {
	one := `{"eventVersion":"1.08","userIdentity":{"type":"AssumedRole","principalId":"AROAEXAMPLE:s","arn":"arn:aws:sts::111122223333:assumed-role/r/s","accountId":"111122223333","accessKeyId":"ASIAEXAMPLE","sessionContext":{"sessionIssuer":{"type":"Role","arn":"arn:aws:iam::111122223333:role/r"},"attributes":{"creationDate":"2026-01-01T00:00:00Z","mfaAuthenticated":"false"}}},"eventTime":"2026-01-01T00:00:00Z","eventSource":"ec2.amazonaws.com","eventName":"DescribeInstances","awsRegion":"us-east-1","sourceIPAddress":"198.51.100.7","userAgent":"aws-cli/2.9","requestParameters":{"instancesSet":{"items":[{"instanceId":"i-0123456789abcdef0"}]}},"responseElements":null,"requestID":"3f1e2d3c-0000-4000-8000-000000000000","eventID":"3f1e2d3c-0000-4000-8000-000000000001","readOnly":true}`
	text := []byte(`{"Records":[` + strings.Repeat(one+",", 999) + one + `]}`)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		u := unpacker{now: time.Unix(1, 0), room: 1 << 20}
		if err := u.add(text); err != nil || len(u.records) != 1000 {
			b.Fatal(err)
		}
	}
}
