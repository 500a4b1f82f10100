package sigv4

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const secret = "a secret that only this test knows"

var (
	noon   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	signer = Signer{AccessKey: "AKIDHAECHI", Secret: secret, Region: "us-east-1", Service: "securityhub"}
)

const address = "http://hub.example:8080/insights/results/arn%3Aaws%3Ainsight/a1?MaxResults=5&Filter=a%20b"

func signed(t testing.TB, body string, change func(*http.Request)) *http.Request {
	t.Helper()
	r, err := http.NewRequest("POST", address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if change != nil {
		change(r)
	}
	signer.Sign(r, Hash([]byte(body)), noon)
	return r
}

func verify(r *http.Request, body []byte, now time.Time) error {
	c, err := Parse(r)
	if err != nil {
		return err
	}
	var v Verifier
	return v.Verify(r, c, secret, now, body)
}

// What the signer signs is verified, for every service's way with paths, in the header and in the query.
func TestSignerAndVerifierAgree(t *testing.T) {
	for _, service := range []string{"securityhub", "sts", "s3"} {
		for _, path := range []string{"", "/", "/a//b/../c/", "/b/k%20space/%C3%BC%2B1", "/tags/arn%3Aaws%3Ahub%2Fdefault?x&y=&y=1&%C3%BC=%2B"} {
			s := Signer{AccessKey: "AK", Secret: secret, Token: "a token", Region: "eu-west-1", Service: service}
			for _, presign := range []bool{false, true} {
				r, err := http.NewRequest("GET", "http://127.0.0.1:9"+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				if presign {
					s.Presign(r, time.Hour, noon)
				} else {
					s.Sign(r, Hash(nil), noon)
				}
				if err := verify(r, nil, noon); err != nil {
					t.Errorf("%s %s, presigned %v: %v", service, path, presign, err)
				}
				if c, _ := Parse(r); c.AccessKey != "AK" || c.Region != "eu-west-1" || c.Service != service || c.Token != "a token" || c.Presigned != presign {
					t.Errorf("claim %+v", c)
				}
			}
		}
	}
}

// For s3 a path is sent as s3 itself would encode it, whatever net/url would do.
func TestPathsForS3(t *testing.T) {
	r, err := http.NewRequest("GET", "http://s3.example/bucket/a+b:c=d@e (1)/%C3%BC%2F", nil)
	if err != nil {
		t.Fatal(err)
	}
	Signer{AccessKey: "AK", Secret: secret, Region: "eu-west-1", Service: "s3"}.Sign(r, Hash(nil), noon)
	// The slash in the key's last part is one of the path by now, as it is for every S3 client.
	if got, want := r.URL.EscapedPath(), "/bucket/a%2Bb%3Ac%3Dd%40e%20%281%29/%C3%BC/"; got != want {
		t.Errorf("sent as %s, want %s", got, want)
	}
	if err := verify(r, nil, noon); err != nil {
		t.Error(err)
	}
}

// Each thing that must be refused is, for its own reason.
func TestRefused(t *testing.T) {
	edit := func(from, to string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), from, to, 1))
		}
	}
	query := func(change func(url.Values)) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Del("Authorization")
			r.Header.Del("X-Amz-Date")
			r.Method = "GET"
			signer.Presign(r, time.Hour, noon)
			q := r.URL.Query()
			change(q)
			r.URL.RawQuery = q.Encode()
		}
	}
	for _, test := range []struct {
		name   string
		change func(*http.Request)
		want   Reason
	}{
		{"no signature", func(r *http.Request) { r.Header.Del("Authorization") }, Missing},
		{"basic authentication", func(r *http.Request) { r.SetBasicAuth("a", "b") }, Missing},
		{"another algorithm", edit("HMAC-SHA256", "ECDSA-P256-SHA256"), Unsupported},
		{"two Authorization headers", func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }, Malformed},
		{"header and query", func(r *http.Request) { r.URL.RawQuery += "&X-Amz-Signature=0" }, Malformed},
		{"a part twice", edit("Signature=", "Signature=0, Signature="), Malformed},
		{"an unknown part", edit("Signature=", "Sig="), Malformed},
		{"a short credential", edit("/us-east-1/", "/"), Malformed},
		{"another end of the scope", edit("aws4_request", "aws5_request"), Malformed},
		{"another date in the scope", edit("20260301", "20260302"), Malformed},
		{"another region", edit("us-east-1", "us-west-1"), Mismatch},
		{"another service", edit("/securityhub/", "/sts/"), Mismatch},
		{"no date", func(r *http.Request) { r.Header.Del("X-Amz-Date") }, Malformed},
		{"two dates", func(r *http.Request) { r.Header.Add("X-Amz-Date", r.Header.Get("X-Amz-Date")) }, Malformed},
		{"a date nobody can read", func(r *http.Request) { r.Header.Set("X-Amz-Date", "today") }, Malformed},
		{"host not signed", edit(";host;", ";"), Unsigned},
		{"an x-amz- header not signed", func(r *http.Request) { r.Header.Set("X-Amz-Target", "AWSEvents.PutEvents") }, Unsigned},
		{"headers out of order", edit("content-type;host", "host;content-type"), Malformed},
		{"headers twice", edit("content-type;host", "content-type;content-type;host"), Malformed},
		{"upper-case signature", func(r *http.Request) {
			a := r.Header.Get("Authorization")
			i := strings.Index(a, "Signature=") + 10
			r.Header.Set("Authorization", a[:i]+strings.ToUpper(a[i:]))
		}, Malformed},
		{"another method", func(r *http.Request) { r.Method = "PUT" }, Mismatch},
		{"another host", func(r *http.Request) { r.Host = "other.example:8080" }, Mismatch},
		{"another port", func(r *http.Request) { r.Host = "hub.example:8081" }, Mismatch},
		{"a second content type", func(r *http.Request) { r.Header.Add("Content-Type", "text/html") }, Mismatch},
		{"a parameter more", func(r *http.Request) { r.URL.RawQuery += "&x=" }, Mismatch},
		{"a path decoded", func(r *http.Request) { r.URL.RawPath = "" }, Mismatch},
		{"too long a life", query(func(q url.Values) { q.Set("X-Amz-Expires", "604801") }), Malformed},
		{"no life", query(func(q url.Values) { q.Set("X-Amz-Expires", "0") }), Malformed},
		{"another life", query(func(q url.Values) { q.Set("X-Amz-Expires", "3601") }), Mismatch},
		{"a parameter of the signature twice", query(func(q url.Values) { q.Add("X-Amz-Date", q.Get("X-Amz-Date")) }), Malformed},
		{"a parameter of the signature missing", query(func(q url.Values) { q.Del("X-Amz-Credential") }), Malformed},
		{"another algorithm in the query", query(func(q url.Values) { q.Set("X-Amz-Algorithm", "AWS4-ECDSA-P256-SHA256") }), Unsupported},
	} {
		r := signed(t, "{}", nil)
		body := []byte("{}")
		test.change(r)
		if r.Method == "GET" {
			body = nil
		}
		err := verify(r, body, noon)
		if ReasonOf(err) != test.want {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the refusal tells the secret", test.name)
		}
	}
}

// A body counts as it came, and nothing may stand in for its hash but what was signed.
func TestBody(t *testing.T) {
	var v Verifier
	read := func(r *http.Request, limit int64) ([]byte, error) {
		c, err := Parse(r)
		if err != nil {
			return nil, err
		}
		return v.Read(r, c, secret, noon, limit)
	}
	if body, err := read(signed(t, "hello", nil), 5); err != nil || string(body) != "hello" {
		t.Errorf("got %q, %v", body, err)
	}
	if _, err := read(signed(t, "hello", nil), 4); ReasonOf(err) != TooLarge {
		t.Errorf("over the limit: %v", err)
	}
	r := signed(t, "hello", nil)
	r.ContentLength = -1 // chunked: the length is not known before
	if _, err := read(r, 4); ReasonOf(err) != TooLarge {
		t.Errorf("over the limit, length unknown: %v", err)
	}
	for _, payload := range []string{UnsignedPayload, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"} {
		r := signed(t, "hello", func(r *http.Request) { r.Header.Set(contentHash, payload) })
		if _, err := read(r, 5); ReasonOf(err) != Unsupported {
			t.Errorf("%s: %v", payload, err)
		}
	}
	said := signed(t, "hello", func(r *http.Request) { r.Header.Set(contentHash, Hash([]byte("other"))) })
	if _, err := read(said, 5); ReasonOf(err) != BodyChanged {
		t.Errorf("a hash of something else: %v", err)
	}
}

// A signature is good for five minutes either way, a presigned URL for as long as it says.
func TestTime(t *testing.T) {
	for _, test := range []struct {
		presign bool
		after   time.Duration
		want    Reason
	}{
		{false, Skew, 0}, {false, Skew + time.Second, Expired},
		{false, -Skew, 0}, {false, -Skew - time.Second, Early},
		{true, time.Hour, 0}, {true, time.Hour + time.Second, Expired}, {true, -Skew - time.Second, Early},
	} {
		r := signed(t, "", nil)
		if test.presign {
			r = httpGet(t)
			signer.Presign(r, time.Hour, noon)
		}
		if err := verify(r, nil, noon.Add(test.after)); ReasonOf(err) != test.want {
			t.Errorf("presigned %v, %v after: %v, want %v", test.presign, test.after, err, test.want)
		}
	}
	var c Claim
	if err := (&c).Timely(noon); !errors.Is(err, Expired) {
		t.Errorf("a claim without a time: %v", err)
	}
}

func httpGet(t testing.TB) *http.Request {
	t.Helper()
	r, err := http.NewRequest("GET", address, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A request with one bit changed anywhere that counts is refused.
func TestEveryBitCounts(t *testing.T) {
	const body = `{"Filters":{"SeverityLabel":[{"Value":"HIGH","Comparison":"EQUALS"}]}}`
	r := signed(t, body, func(r *http.Request) { r.Header.Set("X-Amz-Target", "AWSEvents.PutEvents") })
	if err := verify(r, []byte(body), noon); err != nil {
		t.Fatal(err)
	}
	parts := []string{r.Method, r.URL.RequestURI(), body, r.Host, r.Header.Get("Content-Type"), r.Header.Get("X-Amz-Target"), r.Header.Get("X-Amz-Date"), r.Header.Get("Authorization")}
	build := func(parts []string) *http.Request {
		path, query, _ := strings.Cut(parts[1], "?")
		return &http.Request{Method: parts[0], RequestURI: parts[1], URL: &url.URL{Path: path, RawQuery: query}, Host: parts[3],
			Header: http.Header{"Content-Type": {parts[4]}, "X-Amz-Target": {parts[5]}, "X-Amz-Date": {parts[6]}, "Authorization": {parts[7]}}}
	}
	for i, part := range parts {
		for bit := range len(part) * 8 {
			changed := []byte(part)
			changed[bit/8] ^= 1 << (bit % 8)
			all := slices.Clone(parts)
			all[i] = string(changed)
			if same(i, part, all[i]) {
				continue
			}
			if err := verify(build(all), []byte(all[2]), noon); err == nil {
				t.Errorf("part %d with bit %d changed is accepted: %q", i, bit, changed)
			}
		}
	}
}

// The same holds for a presigned URL.
func TestEveryBitOfAURLCounts(t *testing.T) {
	r := httpGet(t)
	Signer{AccessKey: "AKIDHAECHI", Secret: secret, Token: "a/token", Region: "us-east-1", Service: "sts"}.Presign(r, time.Hour, noon)
	uri := r.URL.RequestURI()
	for bit := range len(uri) * 8 {
		changed := []byte(uri)
		changed[bit/8] ^= 1 << (bit % 8)
		path, query, _ := strings.Cut(string(changed), "?")
		other := &http.Request{Method: "GET", RequestURI: string(changed), URL: &url.URL{Path: path, RawQuery: query}, Host: r.Host, Header: http.Header{}}
		if same(1, uri, string(changed)) {
			continue
		}
		c, err := Parse(other)
		if err != nil || c.AccessKey != "AKIDHAECHI" || c.Token != "a/token" {
			continue // refused, or looked up as another key or token than there is
		}
		if err := verify(other, nil, noon); err == nil {
			t.Errorf("bit %d changed is accepted: %s", bit, changed)
		}
	}
}

// same tells whether a changed part means the very same: an escape in a query
// in lower case, or a parameter list with a blank of another kind. The access
// key id is not signed: it says whose secret to look up, and the lookup fails.
func same(i int, a, b string) bool {
	switch i {
	case 1:
		pathA, queryA, _ := strings.Cut(a, "?")
		pathB, queryB, _ := strings.Cut(b, "?")
		qa, errA := url.ParseQuery(queryA)
		qb, errB := url.ParseQuery(queryB)
		return pathA == pathB && errA == nil && errB == nil && qa.Encode() == qb.Encode()
	case 7:
		before, _, _ := strings.Cut(b, "/")
		return !strings.HasPrefix(a, before) && strings.HasPrefix(before, algorithm+" Credential=") || squeeze(a) == squeeze(b)
	}
	return false
}

func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

// No text changed at random in any part is accepted, unless it means the same.
func TestChangesAreRefused(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		body := rapid.StringN(0, 40, 200).Draw(rt, "body")
		other := rapid.StringN(0, 40, 200).Draw(rt, "other")
		r := signed(t, body, nil)
		if err := verify(r, []byte(body), noon); err != nil {
			rt.Fatal(err)
		}
		if err := verify(r, []byte(other), noon); (err == nil) != (body == other) {
			rt.Fatalf("signed %q, verified over %q: %v", body, other, err)
		}
		r.Header.Set("Content-Type", "application/json"+other)
		if err := verify(r, []byte(body), noon); (err == nil) != (strings.Trim(other, " \t\r\n") == "") {
			rt.Fatalf("content type with %q more: %v", other, err)
		}
	})
}

// Only keys that proved good are remembered, and not without end.
func TestKeysAreBounded(t *testing.T) {
	var v Verifier
	for i := range maxKeys + 10 {
		s := signer
		s.Region = fmt.Sprint("r", i)
		r := httpGet(t)
		s.Sign(r, Hash(nil), noon)
		c, _ := Parse(r)
		if err := v.Verify(r, c, "wrong", noon, nil); ReasonOf(err) != Mismatch {
			t.Fatal(err)
		}
		if i == 0 && len(v.keys) != 0 {
			t.Fatal("a key that proved nothing is remembered")
		}
		if err := v.Verify(r, c, secret, noon, nil); err != nil {
			t.Fatal(err)
		}
	}
	if len(v.keys) > maxKeys {
		t.Errorf("%d keys are remembered", len(v.keys))
	}
}

// However a signer is printed, it keeps its secret.
func TestSignerKeepsItsSecret(t *testing.T) {
	s := Signer{AccessKey: "AK", Secret: "hush-hush", Token: "tick-tock", Region: "r", Service: "s"}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "signer", s, "pointer", &s)
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s", s, s, s, &s), log.String()} {
		if strings.Contains(text, "hush") || strings.Contains(text, "tick") {
			t.Errorf("the secret is in %q", text)
		}
	}
}

// Whatever a request says, parsing neither panics nor accepts it.
func FuzzParse(f *testing.F) {
	r := signed(f, "", nil)
	f.Add("POST "+r.URL.RequestURI()+" HTTP/1.1\r\nHost: a\r\nX-Amz-Date: 20260301T120000Z\r\nAuthorization: "+r.Header.Get("Authorization")+"\r\n\r\n", "")
	p := httpGet(f)
	signer.Presign(p, time.Hour, noon)
	f.Add("GET "+p.URL.RequestURI()+" HTTP/1.1\r\nHost: a\r\n\r\n", "x")
	f.Fuzz(func(t *testing.T, head, body string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
		if err != nil {
			return
		}
		c, err := Parse(r)
		if err != nil {
			if ReasonOf(err) == 0 {
				t.Errorf("%v has no reason", err)
			}
			return
		}
		var v Verifier
		if err := v.Verify(r, c, "a secret nobody signed with", c.Time, []byte(body)); err == nil {
			t.Errorf("accepted %q", head)
		}
	})
}

// BenchmarkVerify: ns/op of one verification with a cached signing key, 2.5 KB body included.
func BenchmarkVerify(b *testing.B) {
	body := bytes.Repeat([]byte("x"), 2500)
	for name, size := range map[string]int{"empty": 0, "70B": 70, "2500B": 2500} {
		b.Run(name, func(b *testing.B) {
			r := signed(b, string(body[:size]), func(r *http.Request) { r.Header.Set("User-Agent", "aws-cli/1.45") })
			var v Verifier
			b.ReportAllocs()
			for b.Loop() {
				c, err := Parse(r)
				if err != nil {
					b.Fatal(err)
				}
				if err := v.Verify(r, c, secret, noon, body[:size]); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "verifications/s")
		})
	}
}

// The signature is the very one that AWS's documentation gives for its example.
func TestDocumentedKey(t *testing.T) {
	key := signingKey("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLE"+"KEY", "20150830", "us-east-1", "iam")
	if got, want := hex.EncodeToString(key), "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
