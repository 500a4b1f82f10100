package hub

import (
	"bytes"
	"encoding/base64"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/word/fault"
)

// A token says where the next page begins. It holds nothing that its bearer
// could not ask for anyway, so it is checked rather than signed: it must be of
// the same question and of the exact form in which the hub writes tokens.

func sealToken(v any) string {
	text, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		panic("hub: token: " + err.Error()) // of plain values
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

const maxToken = 8 << 10

func openToken(token string, v any) error {
	if len(token) > maxToken {
		return fault.Invalid.Errorf("this is no page token")
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err == nil {
		err = json.Unmarshal(text, v, json.RejectUnknownMembers(true))
	}
	if err == nil {
		var again []byte
		if again, err = json.Marshal(v, json.Deterministic(true)); err == nil && !bytes.Equal(text, again) {
			err = fault.Invalid.Errorf("not as it was written")
		}
	}
	if err != nil {
		return fault.Invalid.Errorf("this is no page token: %w", err)
	}
	return nil
}
