package wire_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/base/sigv4"
	"github.com/haechi-dev/haechi/door/wire"
)

// Whatever is asked, signed or not: the answer is one of the protocols', with a
// request id, and it is never our fault.
func FuzzAnything(f *testing.F) {
	var got string
	operations := map[string]map[string]wire.Operation{"securityhub": {}, "events": {}, "sts": {}, "iam": {}}
	var services []wire.Service
	for name, all := range operations {
		for operation := range model(f, name).Operations {
			all[operation] = echo(&got)
		}
		services = append(services, service(f, name, all))
	}
	h, err := wire.New(wire.Config{Keys: one{}, Gate: one{}, Services: services, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Limits: wire.Limits{Body: 10_000}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("securityhub", "GET", "/insights/results/a%3Ab?x=1", "application/json", "", "", true)
	f.Add("securityhub", "POST", "/findings", "application/json", "", `{"Filters":{"Id":[{"Value":"x","Comparison":"EQUALS"}]}}`, true)
	f.Add("events", "POST", "/", "application/x-amz-json-1.1", "AWSEvents.PutEvents", `{"Entries":[{"Time":1}]}`, true)
	f.Add("sts", "POST", "/", "application/x-www-form-urlencoded", "", "Action=AssumeRole&Tags.member.1.Key=a", true)
	f.Add("iam", "POST", "/", "application/x-www-form-urlencoded", "", "Action=CreateRole&Version=2010-05-08&RoleName=ci&AssumeRolePolicyDocument=%7B%7D&Tags.member.1.Key=a&Tags.member.1.Value=&Tags.member.2.Key=b&MaxSessionDuration=1e9", true)
	f.Add("s3", "GET", "/b/k", "", "", "", false)
	f.Fuzz(func(t *testing.T, service, method, uri, kind, target, body string, signed bool) {
		r, err := http.NewRequest(method, "http://h", strings.NewReader(body))
		if err != nil || strings.ContainsAny(kind+target, "\r\n") {
			return
		}
		u, err := r.URL.Parse(uri)
		if err != nil {
			return
		}
		r.URL = u
		r.Header.Set("Content-Type", kind)
		if target != "" {
			r.Header.Set("X-Amz-Target", target)
		}
		if signed {
			sigv4.Signer{AccessKey: "AK", Secret: "s", Region: "r", Service: service}.Sign(r, sigv4.Hash([]byte(body)), time.Now())
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code == 500 || w.Header().Get("X-Amzn-Requestid") == "" {
			t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
		}
		if method == http.MethodHead {
			return
		}
		switch answered := w.Body.Bytes(); w.Header().Get("Content-Type") {
		case "text/xml":
			if !bytes.HasPrefix(answered, []byte("<")) || bytes.Contains(bytes.ToLower(answered), []byte("<html")) {
				t.Fatalf("%s", answered)
			}
		case "application/json", "application/x-amz-json-1.1":
			if !jsontext.Value(answered).IsValid() {
				t.Fatalf("%q", answered)
			}
		default:
			t.Fatalf("%v %s", w.Header(), answered)
		}
	})
}
