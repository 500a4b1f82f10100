// Package sigv4test reads requests that were recorded from real clients.
package sigv4test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The key pair that every recorded request was signed with. It belongs to nobody.
const (
	AccessKey = "HAECHITEST" + "KEY0000001"
	Secret    = "not-a-real-secret" + "-for-tests-only"
)

// A Recording is one request as a client sent it.
type Recording struct {
	Client, Name string // the folder and the file
	Body         []byte
	raw          []byte
}

// Request is the recorded request, as net/http's server would hand it on.
func (r Recording) Request() (*http.Request, error) {
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(r.raw)))
	if err != nil {
		return nil, fmt.Errorf("%s/%s: %w", r.Client, r.Name, err)
	}
	req.Body = io.NopCloser(bytes.NewReader(r.Body))
	return req, nil
}

// Folder is the folder of recorded requests below HAECHI_TESTDATA; where there
// is none the test is skipped.
func Folder(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("HAECHI_TESTDATA")
	if dir == "" {
		t.Skip("HAECHI_TESTDATA is not set: nothing recorded to look at")
	}
	dir = filepath.Join(dir, "awsapi")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("no folder awsapi in HAECHI_TESTDATA: nothing recorded to look at")
	}
	return dir
}

// Recordings reads every recorded request of Folder.
func Recordings(t testing.TB) []Recording {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(Folder(t), "*", "*.http"))
	if err != nil {
		t.Fatal(err)
	}
	var all []Recording
	for _, file := range files {
		r, err := read(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

func read(file string) (Recording, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return Recording{}, err
	}
	head, body, ok := bytes.Cut(text, []byte("\n\n"))
	if !ok {
		head, body = bytes.TrimSuffix(text, []byte("\n")), nil
	}
	r := Recording{Client: filepath.Base(filepath.Dir(file)), Name: strings.TrimSuffix(filepath.Base(file), ".http")}
	r.raw = append(bytes.ReplaceAll(head, []byte("\n"), []byte("\r\n")), "\r\n\r\n"...)
	req, err := r.Request()
	if err != nil {
		return r, err
	}
	if encoded, ok := bytes.CutPrefix(body, []byte("<CBOR, base64> ")); ok {
		body, err = base64.StdEncoding.DecodeString(string(bytes.TrimSpace(encoded)))
		r.Body = body
		return r, err
	}
	if n := max(req.ContentLength, 0); n <= int64(len(body)) {
		r.Body = body[:n]
		return r, nil
	}
	return r, fmt.Errorf("%s: shorter than it says", file)
}
