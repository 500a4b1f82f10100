package s3

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"net/http"
	"strings"

	"github.com/haechi-dev/haechi/base/sigv4"
)

// nvme is CRC-64/NVME's polynomial, as hash/crc64 wants it.
const nvme = 0x9a6c9329ac4bc9b5

// newSum is a checksum by its name, or nil.
func newSum(name string) hash.Hash {
	switch name {
	case "crc32":
		return crc32.NewIEEE()
	case "crc32c":
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case "crc64nvme":
		return crc64.New(crc64.MakeTable(nvme))
	case "sha1":
		return sha1.New()
	case "sha256":
		return sha256.New()
	}
	return nil
}

const sumHeader = "X-Amz-Checksum-"

// summed is a body with the checksums that came before or behind it. It fails at its end where one is another.
type summed struct {
	from  *sigv4.Body
	sums  map[string]hash.Hash // by algorithm; "" is Content-MD5
	want  map[string]string    // in base64; behind the body where it is missing
	ended bool
}

// sums reads which checksums a body has. The digest and the signature are ours
// and are checked in any case; these are for what broke on the way before.
func sums(h http.Header, body *sigv4.Body) (*summed, error) {
	s := &summed{from: body, sums: map[string]hash.Hash{}, want: map[string]string{}}
	sum, err := md5Of(h)
	if err != nil {
		return nil, err
	}
	if sum != nil {
		s.sums[""], s.want[""] = md5.New(), base64.StdEncoding.EncodeToString(sum)
	}
	for name := range h {
		if short, ok := strings.CutPrefix(name, sumHeader); ok {
			s.take(strings.ToLower(short), h.Get(name))
		}
	}
	for name := range strings.SplitSeq(h.Get("X-Amz-Trailer"), ",") {
		if short, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(name)), strings.ToLower(sumHeader)); ok {
			s.take(short, "")
		}
	}
	return s, nil
}

func (s *summed) take(name, value string) {
	if made := newSum(name); made != nil { // algorithm, type and mode are no sums
		s.sums[name] = made
		if value != "" {
			s.want[name] = value
		}
	}
}

// Read reads on, and compares at the end.
func (s *summed) Read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	for _, sum := range s.sums {
		sum.Write(p[:n])
	}
	if err == io.EOF && !s.ended {
		s.ended = true
		if wrong := s.compare(); wrong != nil {
			return n, wrong
		}
	}
	return n, err
}

func (s *summed) compare() error {
	for name, sum := range s.sums {
		want := s.want[name]
		if want == "" {
			want = s.from.Trailer.Get(sumHeader + name)
		}
		if want == "" {
			return no(http.StatusBadRequest, "MalformedTrailerError", "the trailer %s%s was announced and did not come", strings.ToLower(sumHeader), name)
		}
		if is := base64.StdEncoding.EncodeToString(sum.Sum(nil)); is != want {
			return no(http.StatusBadRequest, "BadDigest", "the body has another %s than was said: %s, not %.100s", called(name), is, want)
		}
		s.want[name] = want
	}
	return nil
}

func called(name string) string {
	if name == "" {
		return "MD5"
	}
	return strings.ToUpper(name)
}

// echo says which checksums hold.
func (s *summed) echo(h http.Header) {
	for name := range s.sums {
		if name != "" {
			h.Set(sumHeader+name, s.want[name])
			h.Set("X-Amz-Checksum-Type", "FULL_OBJECT")
		}
	}
}
