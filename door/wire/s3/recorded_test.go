package s3

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/base/sigv4"
	"github.com/haechi-dev/haechi/base/sigv4/sigv4test"
)

// Every recorded call of S3's is one for this door, is read as the operation
// that was called, and its body, in chunks or not, as what was sent.
func TestRecordedCalls(t *testing.T) {
	read := 0
	for _, recording := range sigv4test.Recordings(t) {
		name := strings.NewReplacer("s3api.", "", "s3-", "").Replace(recording.Name)
		if name == recording.Name {
			continue
		}
		r, err := recording.Request()
		if err != nil {
			t.Fatal(err)
		}
		at := recording.Client + "/" + recording.Name
		if !Mine(r) {
			t.Errorf("%s is not for this door", at)
			continue
		}
		c := &call{door: &door{Config{Bucket: func(string) string {
			if r.URL.Path == "/" {
				return ""
			}
			return "recorded" // their bucket is called b, which no bucket may be
		}}}, r: r}
		if err := c.aim(); err != nil {
			t.Errorf("%s: %v", at, err)
			continue
		}
		o, err := c.meant()
		want := strings.ReplaceAll(strings.SplitN(name, ".", 2)[0], "-", "")
		if err != nil || !strings.HasPrefix(strings.ToLower(want), strings.ToLower(o.name)) {
			t.Errorf("%s is read as %s, %v", at, o.name, err)
		}
		claim, err := sigv4.Parse(r)
		if err != nil {
			t.Fatal(err)
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(recording.Body)), int64(len(recording.Body))
		body, err := new(sigv4.Verifier).Stream(r, claim, sigv4test.Secret, claim.Time)
		if err != nil {
			t.Errorf("%s: %v", at, err)
			continue
		}
		s, err := sums(r.Header, body)
		if err == nil {
			_, err = io.Copy(io.Discard, s)
		}
		if err != nil {
			t.Errorf("%s: its body: %v", at, err)
		}
		read++
	}
	fmt.Printf("%d recorded calls of s3 were read\n", read)
	if read < 5 {
		t.Errorf("only %d recorded calls were read", read)
	}
}
