package audit

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/base/mask"
)

// Hidden stands where a secret stood, as in CloudTrail.
const Hidden = "HIDDEN_DUE_TO_SECURITY_REASONS"

const (
	maxRaw      = 32 << 10 // bytes of parameters that are looked at: more is only counted
	maxText     = 512      // bytes of one text
	maxElements = 20       // of one list
	maxDepth    = 12
	maxKept     = 8 << 10 // bytes of parameters that are kept
)

// hidden is JSON without what must not be kept: values of members that are
// called like secrets, what looks like one in any text, long texts, the rest of
// long lists. What cannot be read, or is still too large, is only counted.
func hidden(action string, v jsontext.Value) jsontext.Value {
	if len(v) == 0 {
		return nil
	}
	var out bytes.Buffer
	if len(v) <= maxRaw {
		h := hider{
			in:     jsontext.NewDecoder(bytes.NewReader(v), jsontext.AllowInvalidUTF8(true)),
			out:    jsontext.NewEncoder(&out, jsontext.AllowInvalidUTF8(true)),
			strict: credentials(action),
		}
		if err := h.value("", 0); err == nil && out.Len() <= maxKept {
			return bytes.TrimSpace(out.Bytes())
		}
	}
	return jsontext.Value(fmt.Sprintf(`{"omitted":"%d bytes"}`, len(v)))
}

// credentials tells whether an action is about these, so that even what is only called Value is one.
func credentials(action string) bool {
	for _, word := range []string{"Credential", "Token", "Connection", "AccessKey", "Password", "LoginProfile", "MFA", "Parameter"} {
		if strings.Contains(action, word) {
			return true
		}
	}
	return false
}

type hider struct {
	in     *jsontext.Decoder
	out    *jsontext.Encoder
	strict bool
}

// value copies one value that stands under name.
func (h hider) value(name string, depth int) error {
	switch k := h.in.PeekKind(); {
	case k == '{' && depth < maxDepth && (!h.secret(name) || name == "AccessKey"): // IAM's has its secret within
		return h.object(depth)
	case k == '[' && depth < maxDepth && !h.secret(name):
		return h.list(name, depth)
	case k == '{', k == '[', (k == '"' || k == '0') && h.secret(name):
		if err := h.in.SkipValue(); err != nil {
			return err
		}
		return h.out.WriteToken(jsontext.String(Hidden))
	case k != '"':
		return h.copy()
	}
	t, err := h.in.ReadToken()
	if err != nil {
		return err
	}
	return h.out.WriteToken(jsontext.String(short(name, t.String())))
}

func (h hider) copy() error {
	t, err := h.in.ReadToken()
	if err != nil {
		return err
	}
	return h.out.WriteToken(t)
}

func (h hider) object(depth int) error {
	if err := h.copy(); err != nil {
		return err
	}
	for h.in.PeekKind() != '}' {
		t, err := h.in.ReadToken()
		if err != nil {
			return err
		}
		name := t.String()
		if err := h.out.WriteToken(jsontext.String(cut(name, maxText))); err != nil {
			return err
		}
		if err := h.value(name, depth+1); err != nil {
			return err
		}
	}
	return h.copy()
}

func (h hider) list(name string, depth int) error {
	if err := h.copy(); err != nil {
		return err
	}
	more := 0
	for n := 0; h.in.PeekKind() != ']'; n++ {
		if n >= maxElements {
			more++
			if err := h.in.SkipValue(); err != nil {
				return err
			}
		} else if err := h.value(name, depth+1); err != nil {
			return err
		}
	}
	if more > 0 {
		if err := h.out.WriteToken(jsontext.String(fmt.Sprintf("… and %d more", more))); err != nil {
			return err
		}
	}
	return h.copy()
}

// secret tells whether what stands under a name is not to be kept.
func (h hider) secret(name string) bool {
	if mask.Secret(name) {
		return true
	}
	switch strings.ToLower(name) {
	case "secrets", "secretstring", "secretbinary", "apikeyvalue", "samlassertion", "base32stringseed", "qrcodepng", "authenticationcode1", "authenticationcode2", "tokencode":
		return true
	case "value", "seed", "code":
		return h.strict
	}
	return false
}

// short is a text masked; a long one, and what a file holds, is only described.
func short(name, text string) string {
	if len(text) > maxText || name == "Text" && strings.Contains(text, "\n") {
		return fmt.Sprintf("(%d bytes, sha256 %x)", len(text), sha256.Sum256([]byte(text)))
	}
	return mask.Text(text)
}

// cut is the beginning of text, no longer than n bytes.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}
