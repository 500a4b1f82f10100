package gitdoor

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/haechi-dev/haechi/word/fault"
)

// window is how far a signature's time may lie from ours, as at CodeCommit:
// between asking for credentials and sending the pack git may count for long.
const window = 15 * time.Minute

// Signature is what `aws codecommit credential-helper` sends for a password,
// with what it was made over.
type Signature struct {
	AccessKey string
	Token     string // of temporary credentials
	Stamp     string // 20060102T150405
	Host      string // without port
	Path      string // of the repository, as the client has it
	Signature string // 64 hex digits
}

// service is the name that CodeCommit's signatures are scoped to.
const service = "codecommit"

// Verify tells whether the secret access key made the signature for one of
// regions. The region is not said in it: it is the client's configured one.
func (s Signature) Verify(secret string, regions []string) bool {
	given, err := hex.DecodeString(s.Signature)
	if err != nil || len(s.Stamp) < 8 {
		return false
	}
	canonical := sha256.Sum256([]byte("GIT\n" + s.Path + "\n\nhost:" + s.Host + "\n\nhost\n"))
	for _, region := range regions {
		date := s.Stamp[:8]
		key := []byte("AWS4" + secret)
		for _, part := range []string{date, region, service, "aws4_request"} {
			key = mac(key, part)
		}
		text := "AWS4-HMAC-SHA256\n" + s.Stamp + "\n" + date + "/" + region + "/" + service + "/aws4_request\n" + hex.EncodeToString(canonical[:])
		if hmac.Equal(mac(key, text), given) {
			return true
		}
	}
	return false
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

var (
	keyName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Z0-9]{16,128}$`) })
	signed  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([0-9]{8}T[0-9]{6})Z([0-9a-f]{64})$`) })
)

// parseSignature reads a user name and password of the credential helper's;
// ok is false for what is none. It does not ask when it was made.
func parseSignature(user, password string) (s Signature, ok bool) {
	key, token, _ := strings.Cut(user, "%")
	m := signed().FindStringSubmatch(password)
	if m == nil || !keyName().MatchString(key) || len(token) > 8192 {
		return s, false
	}
	return Signature{AccessKey: key, Token: token, Stamp: m[1], Signature: m[2]}, true
}

// authenticate is who sent the request.
func (d *Door) authenticate(r *http.Request) (Caller, error) {
	user, password, ok := r.BasicAuth()
	if !ok || user == "" || len(user)+len(password) > 16<<10 {
		return Caller{}, fault.Unauthenticated.Errorf("sign in with an access key (aws codecommit credential-helper) or with a console user and a git password")
	}
	s, ok := parseSignature(user, password)
	if !ok {
		return d.config.Access.Password(r.Context(), user, password)
	}
	made, err := time.Parse("20060102T150405", s.Stamp)
	if err != nil {
		return Caller{}, fault.Unauthenticated.Errorf("the time of the signature cannot be read")
	}
	if age := d.config.Now().Sub(made); age > window || age < -window {
		return Caller{}, fault.Unauthenticated.Errorf("the signature was made at %s, which is %v off our clock: at most %v are taken", made.Format(time.RFC3339), age.Round(time.Second), window)
	}
	s.Host = r.Host
	if host, _, err := net.SplitHostPort(r.Host); err == nil {
		s.Host = host
	}
	// Git signs for the repository's address, and asks below it.
	s.Path = r.URL.Path
	for _, end := range []string{"/info/refs", "/" + uploadPack, "/" + receivePack} {
		s.Path = strings.TrimSuffix(s.Path, end)
	}
	return d.config.Access.Signed(r.Context(), s)
}
