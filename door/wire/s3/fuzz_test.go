package s3

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/keeper/shelf"
)

// Whatever comes as XML, reading it ends.
func FuzzXML(f *testing.F) {
	f.Add("<Delete><Quiet>true</Quiet><Object><Key>a</Key><VersionId>null</VersionId></Object></Delete>")
	f.Add(`<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Part><PartNumber>1</PartNumber><ETag>"x"</ETag></Part></CompleteMultipartUpload>`)
	f.Add(`<!DOCTYPE x [<!ENTITY a "b">]><Delete>&a;</Delete>`)
	f.Fuzz(func(_ *testing.T, text string) { ReadXML([]byte(text)) })
}

// Whatever a request line says, a call is about a bucket and a key that can be kept and listed, or it is refused.
func FuzzAim(f *testing.F) {
	f.Add("GET", "/shop/a/b?list-type=2&prefix=x")
	f.Add("PUT", "/shop/%2e%2e/%00?partNumber=1&uploadId=u")
	f.Add("POST", "//?delete")
	f.Fuzz(func(t *testing.T, method, target string) {
		r := &http.Request{Method: method, RequestURI: target, URL: &url.URL{}, Header: http.Header{}, Host: "h"}
		c := &call{door: &door{Config{Bucket: func(string) string { return "" }}}, r: r}
		if c.aim() != nil {
			return
		}
		if c.bucket != "" && !shelf.ValidBucket(c.bucket) || c.key != "" && !shelf.ValidKey(c.key) || c.bucket == "" && c.key != "" {
			t.Errorf("%q is about %q %q", target, c.bucket, c.key)
		}
		if o, err := c.meant(); err == nil && (o.method != method || strings.Contains(o.name, "Bucket") && o.at == object) {
			t.Errorf("%s %q means %s", method, target, o.name)
		}
	})
}
