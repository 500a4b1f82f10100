package sigv4

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// streamed is a request whose body is sent in chunks of a size, as AWS's documentation says.
func streamed(t testing.TB, kind, body string, size int, trailers ...string) (*http.Request, string) {
	t.Helper()
	r, err := http.NewRequest("PUT", "https://shop.s3.amazonaws.com/a/key", nil)
	if err != nil {
		t.Fatal(err)
	}
	s := Signer{AccessKey: "AK", Secret: secret, Region: "us-east-1", Service: "s3"}
	r.Header.Set("X-Amz-Decoded-Content-Length", fmt.Sprint(len(body)))
	r.Header.Set("Content-Encoding", "aws-chunked")
	s.Sign(r, kind, noon)
	c, err := Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	key, last := signingKey(secret, c.Date, c.Region, c.Service), hex.EncodeToString(c.signature[:])
	sign := func(kind, sum string) string {
		last = hex.EncodeToString(mac(key, []byte(kind+"\n"+c.Time.Format(basic)+"\n"+c.scope()+"\n"+last+"\n"+sum)))
		return last
	}
	var b strings.Builder
	chunk := func(text string) {
		fmt.Fprintf(&b, "%x", len(text))
		if kind != streamingUnsigned {
			b.WriteString(";chunk-signature=" + sign("AWS4-HMAC-SHA256-PAYLOAD", Hash(nil)+"\n"+Hash([]byte(text))))
		}
		b.WriteString("\r\n")
		if text != "" {
			b.WriteString(text + "\r\n")
		}
	}
	for rest := body; rest != ""; {
		n := min(size, len(rest))
		chunk(rest[:n])
		rest = rest[n:]
	}
	chunk("")
	signed := ""
	for _, line := range trailers {
		b.WriteString(line + "\r\n")
		signed += line + "\n"
	}
	if kind == streamingTrailer {
		b.WriteString("x-amz-trailer-signature:" + sign("AWS4-HMAC-SHA256-TRAILER", Hash([]byte(signed))) + "\r\n")
	}
	b.WriteString("\r\n")
	return r, b.String()
}

func readStream(r *http.Request, sent string) (string, http.Header, error) {
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(sent)), int64(len(sent))
	c, err := Parse(r)
	if err != nil {
		return "", nil, err
	}
	var v Verifier
	b, err := v.Stream(r, c, secret, noon)
	if err != nil {
		return "", nil, err
	}
	text, err := io.ReadAll(b)
	return string(text), b.Trailer, err
}

// A body in chunks is read as it was before it was cut, whatever the chunks and however they are signed.
func TestStreams(t *testing.T) {
	body := strings.Repeat("0123456789", 2000)
	sum := fmt.Sprintf("x-amz-checksum-crc32:%08x", crc32.ChecksumIEEE([]byte(body)))
	for _, kind := range []string{streaming, streamingTrailer, streamingUnsigned} {
		for _, size := range []int{1 << 20, 8192, 7} {
			for _, text := range []string{body, ""} {
				var trailers []string
				if kind != streaming {
					trailers = []string{sum}
				}
				r, sent := streamed(t, kind, text, size, trailers...)
				got, trailer, err := readStream(r, sent)
				if err != nil || got != text || kind != streaming && trailer.Get("x-amz-checksum-crc32") == "" {
					t.Errorf("%s by %d: %d bytes of %d, %v, %v", kind, size, len(got), len(text), trailer, err)
				}
			}
		}
	}
}

// A body of which one bit was changed on the way is refused at its end at the latest, and so is one that was cut off.
func TestStreamsChanged(t *testing.T) {
	for _, kind := range []string{streaming, streamingTrailer} {
		r, sent := streamed(t, kind, "hello, this is a body of some chunks", 10, "x-amz-checksum-crc32:AAAAAA==")
		if kind == streaming {
			r, sent = streamed(t, kind, "hello, this is a body of some chunks", 10)
		}
		for bit := range len(sent) * 8 {
			changed := []byte(sent)
			changed[bit/8] ^= 1 << (bit % 8)
			got, _, err := readStream(r, string(changed))
			if err == nil && got != "hello, this is a body of some chunks" {
				t.Errorf("%s with bit %d changed reads as %q", kind, bit, got)
			}
		}
		for n := range len(sent) - 4 { // all but what stands behind the last line
			if _, _, err := readStream(r, sent[:n]); err == nil {
				t.Errorf("%s cut off at %d of %d is whole", kind, n, len(sent))
			}
		}
	}
}

// A body that is signed by its hash is refused where it has another, and what is in neither form is not read.
func TestStreamByHash(t *testing.T) {
	for _, test := range []struct {
		payload, body string
		want          error
	}{
		{Hash([]byte("hello")), "hello", nil},
		{Hash([]byte("hello")), "hullo", BodyChanged},
		{UnsignedPayload, "anything", nil},
		{"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "x", Unsupported},
		{"x", "x", Unsupported},
	} {
		r, err := http.NewRequest("PUT", "https://h/b/k", nil)
		if err != nil {
			t.Fatal(err)
		}
		Signer{AccessKey: "AK", Secret: secret, Region: "r", Service: "s3"}.Sign(r, test.payload, noon)
		got, _, err := readStream(r, test.body)
		if !errors.Is(err, test.want) || test.want == nil && got != test.body {
			t.Errorf("%s: %q, %v", test.payload, got, err)
		}
	}
	r, sent := streamed(t, streaming, "hello", 10)
	r.Header.Set("X-Amz-Decoded-Content-Length", "4")
	if _, _, err := readStream(r, sent); err == nil {
		t.Error("a length that was changed is accepted")
	}
}

// Service says what a request claims to be for, in both ways of signing.
func TestService(t *testing.T) {
	r, err := http.NewRequest("GET", "https://h/b/k", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := Service(r); got != "" {
		t.Errorf("unsigned: %q", got)
	}
	s := Signer{AccessKey: "AK", Secret: secret, Region: "r", Service: "s3"}
	s.Sign(r, Hash(nil), noon)
	if got := Service(r); got != "s3" {
		t.Errorf("signed: %q", got)
	}
	r.Header.Del("Authorization")
	s.Presign(r, time.Hour, noon)
	if got := Service(r); got != "s3" {
		t.Errorf("a link: %q", got)
	}
}

// Whatever comes as chunks, reading it ends, and gives no more than was announced.
func FuzzStream(f *testing.F) {
	for _, kind := range []string{streaming, streamingTrailer, streamingUnsigned} {
		_, sent := streamed(f, kind, "hello, this is a body", 7, "x-amz-checksum-crc32:AAAAAA==")
		f.Add(kind, 21, []byte(sent))
	}
	f.Fuzz(func(t *testing.T, kind string, size int, sent []byte) {
		r, err := http.NewRequest("PUT", "https://h/b/k", bytes.NewReader(sent))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Amz-Decoded-Content-Length", fmt.Sprint(size))
		Signer{AccessKey: "AK", Secret: secret, Region: "r", Service: "s3"}.Sign(r, strings.ToValidUTF8(strings.Map(func(c rune) rune {
			if c < ' ' || c > '~' {
				return -1
			}
			return c
		}, kind), ""), noon)
		c, err := Parse(r)
		if err != nil {
			return
		}
		var v Verifier
		b, err := v.Stream(r, c, secret, noon)
		if err != nil {
			return
		}
		text, err := io.ReadAll(io.LimitReader(b, 1<<20))
		if strings.HasPrefix(kind, "STREAMING-") && len(text) > size {
			t.Errorf("%d bytes, %d were announced (%v)", len(text), size, err)
		}
	})
}
