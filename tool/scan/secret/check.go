package secret

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/go-json-experiment/json"
)

// verdict is what the structure of a token says of it.
type verdict int

const (
	never    verdict = iota // it is none
	doubtful                // it looks like one, but a part does not fit
	likely                  // nothing speaks against it
	proven                  // a checksum or a format inside it fits
)

// check looks into a token and says what it tells, for people.
type check func(token string) (verdict, string)

// checks are the structural checks by the names that rules call them.
func checks() map[string]check {
	return map[string]check{
		"crc32-base62":         func(token string) (verdict, string) { return crcBase62(token, never) },
		"crc32-base62-lenient": func(token string) (verdict, string) { return crcBase62(token, doubtful) },
		"grafana":              grafana,
		"aws-access-key":       awsAccessKey,
		"jwt":                  jwt,
		"live-or-test":         liveOrTest,
		"base64-64":            func(token string) (verdict, string) { return base64Of(token, 64) },
		"basic-auth":           basicAuth,
	}
}

// crcBase62 is how GitHub and npm end their tokens: the last six characters are
// the CRC-32 of those between the prefix and them, in base 62.
func crcBase62(token string, otherwise verdict) (verdict, string) {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	_, body, ok := strings.Cut(token, "_")
	if !ok || len(body) < 7 {
		return otherwise, "no checksum"
	}
	split := len(body) - 6
	sum, want := crc32.ChecksumIEEE([]byte(body[:split])), [6]byte{}
	for i := 5; i >= 0; i-- {
		want[i] = digits[sum%62]
		sum /= 62
	}
	if string(want[:]) != body[split:] {
		return otherwise, "its checksum does not fit"
	}
	return proven, "its checksum fits"
}

// grafana: the last eight digits are the CRC-32 of what stands before the last underscore.
func grafana(token string) (verdict, string) {
	i := strings.LastIndexByte(token, '_')
	if i < 0 {
		return never, ""
	}
	sum, err := hex.DecodeString(token[i+1:])
	if err != nil || len(sum) != 4 || binary.LittleEndian.Uint32(sum) != crc32.ChecksumIEEE([]byte(token[:i])) {
		return never, ""
	}
	return proven, "its checksum fits"
}

// awsAccessKey decodes the account that a key id belongs to.
func awsAccessKey(id string) (verdict, string) {
	raw, err := base32.StdEncoding.DecodeString(id[4:])
	if err != nil || len(raw) < 6 {
		return never, ""
	}
	var eight [8]byte
	copy(eight[2:], raw[:6])
	account := binary.BigEndian.Uint64(eight[:]) & 0x7fffffffff80 >> 7
	if account > 999_999_999_999 {
		return likely, ""
	}
	return likely, fmt.Sprintf("of AWS account %012d", account)
}

// jwt: header and payload are JSON objects, and the header names an algorithm.
func jwt(token string) (verdict, string) {
	parts := strings.SplitN(token, ".", 3)
	if len(parts) != 3 {
		return never, ""
	}
	var header struct {
		Alg string `json:"alg"`
		Enc string `json:"enc"`
	}
	if !decodesTo(parts[0], &header) || header.Alg == "" {
		return never, ""
	}
	if header.Enc != "" {
		return likely, "encrypted, " + header.Alg
	}
	var payload struct {
		Iss string `json:"iss"`
		Sub string `json:"sub"`
	}
	if !decodesTo(parts[1], &payload) {
		return never, ""
	}
	evidence := "algorithm " + header.Alg
	if payload.Iss != "" && len(payload.Iss) < 80 {
		evidence += ", issued by " + payload.Iss
	}
	if signature, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[2], "=")); strings.EqualFold(header.Alg, "none") || err == nil && printable(signature) {
		return doubtful, evidence + ", signed by nobody"
	}
	return proven, evidence
}

func decodesTo(part string, v any) bool {
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(part, "="))
	return err == nil && json.Unmarshal(text, v) == nil
}

func liveOrTest(token string) (verdict, string) {
	if strings.Contains(token, "test") {
		return doubtful, "a key of the test mode"
	}
	return likely, "a key of the live mode"
}

func base64Of(token string, bytes int) (verdict, string) {
	raw, err := base64.StdEncoding.DecodeString(token)
	if err != nil || len(raw) != bytes {
		return never, ""
	}
	return likely, fmt.Sprintf("%d bytes in base64", bytes)
}

// basicAuth: user and password in base64, as an Authorization header has them.
func basicAuth(value string) (verdict, string) {
	_, encoded, ok := strings.Cut(value, " ")
	if !ok {
		encoded = value
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil || !printable(raw) {
		return never, ""
	}
	user, password, ok := strings.Cut(string(raw), ":")
	if !ok || len(password) < 4 || isPlaceholder(password) || isReference(password) || isDocumented(password) || weakWord(password) {
		return never, ""
	}
	return proven, "of user " + mask(user)
}
