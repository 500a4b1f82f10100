package sigv4

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/sigv4/sigv4test"
)

// Every signature that a real client made is verified, and so is every vector of AWS's own suite.
func TestConformance(t *testing.T) {
	dir := sigv4test.Folder(t)
	var v Verifier
	requests := tally{name: "requests"}
	for _, recording := range sigv4test.Recordings(t) {
		r, err := recording.Request()
		if err != nil {
			t.Fatal(err)
		}
		c, err := Parse(r)
		if ReasonOf(err) == Missing && strings.Contains(string(recording.Body), "Action=AssumeRoleWithWebIdentity") {
			continue // those are never signed
		}
		if err == nil {
			err = v.Verify(r, c, sigv4test.Secret, c.Time, recording.Body)
		}
		requests.add(recording.Client+"/"+recording.Name, err)
	}
	requests.print(t)

	presigned := tally{name: "presigned"}
	files, _ := filepath.Glob(filepath.Join(dir, "*", "presigned-*.url.txt"))
	for _, file := range files {
		presigned.add(file, verifyURL(t, &v, file))
	}
	presigned.print(t)

	vectors := tally{name: "vectors"}
	text, err := os.ReadFile(filepath.Join(dir, "sigv4-vectors.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var one vector
		if err := json.Unmarshal(line, &one); err != nil {
			t.Fatal(err)
		}
		vectors.add(one.Name+" header", one.verify(&v, one.Header))
		vectors.add(one.Name+" query", one.verify(&v, one.Query))
	}
	vectors.print(t)
}

// No recorded request is verified any more once a bit of it is another.
func TestRecordedChanged(t *testing.T) {
	var v Verifier
	for i, recording := range sigv4test.Recordings(t) {
		flip := func(text string) string {
			if text == "" {
				return "x"
			}
			b := []byte(text)
			b[(i*7)%len(b)] ^= 1 << (i % 5) // never the bit of case alone
			return string(b)
		}
		for part, change := range map[string]func(*http.Request, *[]byte){
			"method": func(r *http.Request, _ *[]byte) { r.Method = flip(r.Method) },
			"path":   func(r *http.Request, _ *[]byte) { r.RequestURI = "/" + flip(r.RequestURI[1:]) },
			"host":   func(r *http.Request, _ *[]byte) { r.Host = flip(r.Host) },
			"body": func(r *http.Request, body *[]byte) {
				*body = []byte(flip(string(*body)))
			},
			"date": func(r *http.Request, _ *[]byte) { r.Header.Set("X-Amz-Date", flip(r.Header.Get("X-Amz-Date"))) },
			"signature": func(r *http.Request, _ *[]byte) {
				a := r.Header.Get("Authorization")
				r.Header.Set("Authorization", a[:len(a)-64]+flip(a[len(a)-64:]))
			},
		} {
			r, err := recording.Request()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Parse(r); err != nil {
				continue // one of those that are never signed
			}
			body := recording.Body
			change(r, &body)
			c, err := Parse(r)
			if err == nil {
				err = v.Verify(r, c, sigv4test.Secret, c.Time, body)
			}
			if err == nil {
				t.Errorf("%s/%s with another %s is accepted", recording.Client, recording.Name, part)
			}
		}
	}
}

type tally struct {
	name       string
	met, total int
	unmet      []string
}

func (n *tally) add(what string, err error) {
	n.total++
	if err == nil {
		n.met++
	} else {
		n.unmet = append(n.unmet, what+": "+err.Error())
	}
}

func (n *tally) print(t *testing.T) {
	fmt.Printf("CONFORMANCE awsapi %s %d/%d\n", n.name, n.met, n.total)
	for _, u := range n.unmet[:min(len(n.unmet), 20)] {
		fmt.Println(u)
	}
	if n.met != n.total || n.total == 0 {
		t.Errorf("%s: %d of %d", n.name, n.met, n.total)
	}
}

func verifyURL(t *testing.T, v *Verifier, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	method, address, ok := strings.Cut(strings.TrimSpace(string(text)), " ")
	if !ok {
		method, address = "GET", method
	}
	r, err := http.NewRequest(method, address, nil)
	if err != nil {
		return err
	}
	c, err := Parse(r)
	if err != nil {
		return err
	}
	return v.Verify(r, c, sigv4test.Secret, c.Time, nil)
}

type form struct {
	Canonical string `json:"canonical_request"`
	Signature string `json:"signature"`
	Signed    string `json:"signed_request"`
}

type vector struct {
	Name    string `json:"name"`
	Context struct {
		Credentials struct {
			Secret string `json:"secret_access_key"`
			Token  string `json:"token"`
		} `json:"credentials"`
		Normalize bool `json:"normalize"`
	} `json:"context"`
	Header form `json:"header"`
	Query  form `json:"query"`
}

// verify reads the signed request by hand, because its request line may hold
// what net/http's server refuses, and wants the very canonical request of the vector too.
func (one vector) verify(v *Verifier, f form) error {
	head, body, _ := strings.Cut(f.Signed, "\n\n")
	lines := strings.Split(head, "\n")
	method, rest, _ := strings.Cut(lines[0], " ")
	uri := rest[:strings.LastIndex(rest, " ")]
	path, query, _ := strings.Cut(uri, "?")
	r := &http.Request{Method: method, RequestURI: uri, URL: &url.URL{Path: path, RawQuery: query}, Header: http.Header{}}
	var name string
	for _, line := range lines[1:] {
		if strings.HasPrefix(line, " ") {
			values := r.Header.Values(name)
			values[len(values)-1] += line
			continue
		}
		var value string
		name, value, _ = strings.Cut(line, ":")
		if strings.EqualFold(name, "host") {
			r.Host = value
			continue
		}
		r.Header.Add(name, value)
	}
	c, err := Parse(r)
	if err != nil {
		return err
	}
	if c.Token != one.Context.Credentials.Token {
		return fmt.Errorf("token %q", c.Token)
	}
	s := style{normal: one.Context.Normalize, encode: true}
	payload, err := payloadOf(r, c, func() string { return Hash([]byte(body)) })
	if err != nil {
		return err
	}
	early := string(appendCanonical(nil, r, s, c.SignedHeaders, c.headers, payload, false))
	late := string(appendCanonical(nil, r, s, c.SignedHeaders, c.headers, payload, true))
	if early != f.Canonical && late != f.Canonical {
		return fmt.Errorf("canonical request:\n%s\nwant:\n%s", early, f.Canonical)
	}
	return v.verify(r, c, s, one.Context.Credentials.Secret, time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC), []byte(body))
}
