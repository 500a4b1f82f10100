package secret

import (
	"bytes"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"strings"
)

// block is a private key in armour.
type block struct {
	start, end int
	body       string // its base64, without anything around it
	evidence   string
}

const longestArmour = 32 << 10

// lexPEM reads the block whose "-----BEGIN" stands at start. What does not
// parse as the key that it says it is, is none.
func lexPEM(text []byte, start int) (block, bool) {
	rest := text[start:min(len(text), start+longestArmour)]
	label, after, ok := bytes.Cut(rest[len("-----BEGIN"):], []byte("-----"))
	if !ok || len(label) > 60 || !bytes.Contains(label, []byte("PRIVATE KEY")) {
		return block{}, false
	}
	end := bytes.Index(after, []byte("-----END"))
	if end < 0 {
		return block{}, false
	}
	b := block{start: start, end: start + len(rest) - len(after) + end + len("-----END") + len(label) + len("-----")}
	b.end = min(b.end, len(text))
	body, encrypted := unarmour(string(after[:end]))
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(body, "="))
	if err != nil || len(raw) < 32 {
		return block{}, false
	}
	b.body = body
	kind := strings.TrimSpace(string(label))
	how, ok := keyOf(kind, raw, encrypted)
	b.evidence = kind + ", " + how
	return b, ok
}

// unarmour is the base64 of a block, however the lines are broken, indented, quoted or commented.
func unarmour(text string) (body string, encrypted bool) {
	text = strings.NewReplacer(`\\r`, "\n", `\\n`, "\n", `\r`, "\n", `\n`, "\n", "\r", "\n").Replace(text)
	var b strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.Trim(line, " \t\"'`,;\\")
		if joined := strings.TrimRight(strings.TrimSuffix(line, "+"), " \t"); strings.HasSuffix(joined, `"`) || strings.HasSuffix(joined, "'") {
			line = strings.TrimRight(joined, "\"'") // "…" +
		}
		line = strings.TrimLeft(line, "#*> \t\"'")
		if strings.Contains(line, ":") {
			encrypted = encrypted || strings.Contains(line, "ENCRYPTED") || strings.HasPrefix(line, "DEK-Info")
			continue
		}
		if strings.HasPrefix(line, "=") && len(line) == 5 { // PGP's checksum
			continue
		}
		b.WriteString(strings.ReplaceAll(line, " ", ""))
	}
	return b.String(), encrypted
}

// keyOf tells whether raw is what the label says, and whether it is of use without a passphrase.
func keyOf(label string, raw []byte, encrypted bool) (string, bool) {
	switch {
	case strings.HasPrefix(label, "PGP"):
		return "of use to who knows its passphrase, if it has one", raw[0]&0xfc == 0x94 || raw[0] == 0xc5
	case strings.HasPrefix(label, "OPENSSH"):
		return openssh(raw)
	case encrypted || strings.HasPrefix(label, "ENCRYPTED"):
		return "encrypted with a passphrase", true
	}
	var sequence asn1.RawValue
	rest, err := asn1.Unmarshal(raw, &sequence)
	if err != nil || len(rest) > 0 || sequence.Tag != asn1.TagSequence || !sequence.IsCompound {
		return "", false
	}
	var version int
	rest, err = asn1.Unmarshal(sequence.Bytes, &version)
	return "not encrypted", err == nil && version >= 0 && version <= 3 && len(rest) > 16
}

func openssh(raw []byte) (string, bool) {
	rest, ok := bytes.CutPrefix(raw, []byte("openssh-key-v1\x00"))
	if !ok || len(rest) < 4 {
		return "", false
	}
	n := binary.BigEndian.Uint32(rest)
	if n == 0 || n > 40 || len(rest) < int(n)+4 {
		return "", false
	}
	if cipher := string(rest[4 : 4+n]); cipher != "none" {
		return "encrypted with a passphrase", true
	}
	return "not encrypted", true
}
