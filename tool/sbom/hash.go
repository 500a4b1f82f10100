package sbom

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// hashOf reads what lock files write: sha512-<base64>, sha256:<hex>, or plain hex
// or base64 of the length of a known hash. Go's h1 is a hash of a list of hashes,
// and not of a file; it is none here.
func hashOf(integrity string) (hash, bool) {
	integrity, _, _ = strings.Cut(integrity, " ")
	name, value, ok := strings.Cut(integrity, "-")
	if !ok || !strings.HasPrefix(name, "sha") {
		if name, value, ok = strings.Cut(integrity, ":"); !ok || !strings.HasPrefix(name, "sha") {
			name, value = "", integrity
		}
	}
	if strings.HasPrefix(value, "h1:") || value == "" {
		return hash{}, false
	}
	raw, err := hex.DecodeString(value)
	if err != nil {
		if raw, err = base64.StdEncoding.DecodeString(value); err != nil {
			return hash{}, false
		}
	}
	algorithm, ok := map[int]string{16: "MD5", 20: "SHA-1", 32: "SHA-256", 48: "SHA-384", 64: "SHA-512"}[len(raw)]
	if !ok || name != "" && strings.ReplaceAll(strings.ToLower(algorithm), "-", "") != name {
		return hash{}, false
	}
	return hash{algorithm, hex.EncodeToString(raw)}, true
}
